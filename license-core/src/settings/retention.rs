//! How long what is over is kept.

use super::Span;
use crate::store::retention::DataClass;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::time::Duration;

/// How long what is over is kept. What is `None` is kept for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Events of the audit trail: up to the newest checkpoint that is so old, so that the chain stays verifiable.
    pub audit: Option<Duration>,
    /// Sessions, from their end on.
    pub sessions: Option<Duration>,
    /// How often seats were denied, by the hour.
    pub denials: Option<Duration>,
    /// Answers that a repeated request under its `Idempotency-Key` gets again.
    pub answers: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);
const ANSWERS_MIN: Duration = Duration::from_secs(3600);
/// A receipt, a borrow token and a report of yesterday's are over by then.
const KEPT_MIN: Duration = Duration::from_secs(30 * 86_400);
const KEPT_MAX: Duration = Duration::from_secs(3660 * 86_400);

impl Default for Retention {
    fn default() -> Self {
        Self { audit: None, sessions: None, denials: None, answers: DAY }
    }
}

impl Retention {
    /// Returns how long a class is kept.
    pub(crate) const fn of(self, class: DataClass) -> Option<Duration> {
        match class {
            DataClass::Audit => self.audit,
            DataClass::Sessions => self.sessions,
            DataClass::Denials => self.denials,
            DataClass::Answers => Some(self.answers),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    audit: Option<Spanned<Span>>,
    sessions: Option<Spanned<Span>>,
    denials: Option<Spanned<Span>>,
    answers: Option<Spanned<Span>>,
}

/// What is wrong, and with which length.
type Wrong<'a> = (&'static str, &'a Spanned<Span>);

impl Source {
    /// Resolves the lengths, or says what is wrong. Only what is signed can be cut and stay verifiable.
    pub(super) fn resolve(&self, signs: bool) -> Result<Retention, Wrong<'_>> {
        let kept =
            |field: &'_ Option<Spanned<Span>>| field.as_ref().map(|field| field.value.duration());
        for field in [&self.audit, &self.sessions, &self.denials].into_iter().flatten() {
            if !(KEPT_MIN..=KEPT_MAX).contains(&field.value.duration()) {
                return Err(("it is kept for 30d to 3660d, or for good without this", field));
            }
        }
        if let Some(field) = self.answers.as_ref()
            && !(ANSWERS_MIN..=DAY).contains(&field.value.duration())
        {
            return Err(("answers are kept for 1h to 1d", field));
        }
        if let Some(field) = self.audit.as_ref().filter(|_| !signs) {
            let rule = "the audit trail is cut at signed checkpoints only: `signing` must say where keys live";
            return Err((rule, field));
        }
        Ok(Retention {
            audit: kept(&self.audit),
            sessions: kept(&self.sessions),
            denials: kept(&self.denials),
            answers: kept(&self.answers).unwrap_or(DAY),
        })
    }
}
