//! The schedule of backups.

use super::Span;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When copies of a SQLite store are made, and how many are kept.
#[derive(Clone, Debug)]
pub struct Backups {
    /// Where the copies stand; made with mode 0700 when absent.
    pub directory: PathBuf,
    /// How old the newest copy becomes before the next one is made.
    pub every: Duration,
    /// How many are kept; the oldest go first.
    pub keep: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    directory: PathBuf,
    every: Option<Spanned<Span>>,
    keep: Option<Spanned<usize>>,
}

const EVERY: Duration = Duration::from_secs(86_400);
const EVERY_MIN: Duration = Duration::from_secs(60);
const KEEP: usize = 30;
const KEEP_MAX: usize = 10_000;

impl Source {
    /// Resolves the schedule, or says what is wrong and where.
    pub(super) fn resolve(
        &self,
        base: &Path,
    ) -> Result<Backups, (&'static str, Option<(u64, u64)>)> {
        let every = self.every.as_ref().map_or(EVERY, |every| every.value.duration());
        if every < EVERY_MIN {
            let place = self
                .every
                .as_ref()
                .map(|field| (field.referenced.line(), field.referenced.column()));
            return Err(("`every` must be at least 60s", place));
        }
        let keep = self.keep.as_ref().map_or(KEEP, |keep| keep.value);
        if !(1..=KEEP_MAX).contains(&keep) {
            let place = self
                .keep
                .as_ref()
                .map(|field| (field.referenced.line(), field.referenced.column()));
            return Err(("`keep` must be 1 to 10000", place));
        }
        Ok(Backups { directory: base.join(&self.directory), every, keep })
    }
}
