//! Where in the configuration each file is named: for problems that are found only when the file is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Location};

/// Where in the configuration each file is named.
///
/// It is no part of what the configuration means: two of them are always equal, and nothing of them is printed, so that
/// neither a comparison nor a fingerprint sees a comment move.
#[derive(Clone, Default)]
pub struct Places(BTreeMap<PathBuf, Location>);

impl Places {
    /// Notes where `path` is named; the first place stays.
    pub(crate) fn note(&mut self, path: PathBuf, at: Location) {
        self.0.entry(path).or_insert(at);
    }

    /// Returns where `path` is named, as the configuration resolved it.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&Location> {
        self.0.get(path)
    }

    /// Returns `problem` with the caret where `path` is named, unless it has a place of its own.
    #[must_use]
    pub fn placed(&self, problem: Diagnostic, path: &Path) -> Diagnostic {
        match self.of(path) {
            Some(at) if problem.at.is_none() => problem.at(at.clone()),
            Some(_) | None => problem,
        }
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}
