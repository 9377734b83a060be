//! What a run came to.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// How many cases passed, of how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that ran.
    pub ran: usize,
}

impl Tally {
    pub(super) const fn add(&mut self, passed: bool) {
        self.ran += 1;
        self.passed += passed as usize;
    }
}

/// A case that did not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// What was not as expected.
    pub why: String,
    /// Why it is excused, if it is.
    pub excuse: Option<String>,
}

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// All cases.
    pub total: Tally,
    /// By file, relative to the tree.
    pub files: BTreeMap<String, Tally>,
    /// By the paranoia level of the rule that a case is about; `None` for rules without one.
    pub levels: BTreeMap<Option<u8>, Tally>,
    /// Cases that did not pass, excused ones included.
    pub failures: Vec<Failure>,
    /// Cases that are excused and pass.
    pub stale: Vec<String>,
    /// Excuses that name no case.
    pub unknown: Vec<String>,
    /// The least number of cases that had to run.
    pub at_least: usize,
}

impl Report {
    /// Says whether the run counts as passed: nothing failed without excuse, no excuse is stale or names nothing,
    /// and enough cases ran.
    pub fn is_ok(&self) -> bool {
        self.total.ran >= self.at_least
            && self.stale.is_empty()
            && self.unknown.is_empty()
            && self.failures.iter().all(|failure| failure.excuse.is_some())
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> Value {
        let tally = |tally: &Tally| json!({"passed": tally.passed, "ran": tally.ran});
        let files = self.files.iter().map(|(file, count)| (file.clone(), tally(count)));
        let level = |level: &Option<u8>| level.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let levels = self.levels.iter().map(|(own, count)| (level(own), tally(count)));
        let failures = self.failures.iter().map(|failure| {
            json!({
                "case": failure.name, "file": failure.file, "why": failure.why,
                "excuse": failure.excuse,
            })
        });
        json!({
            "ok": self.is_ok(),
            "total": tally(&self.total),
            "at_least": self.at_least,
            "levels": levels.collect::<serde_json::Map<_, _>>(),
            "files": files.collect::<serde_json::Map<_, _>>(),
            "failures": failures.collect::<Vec<_>>(),
            "stale": self.stale,
            "unknown": self.unknown,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, tally) in &self.files {
            writeln!(f, "{:>5} of {:>5}  {file}", tally.passed, tally.ran)?;
        }
        for (level, tally) in &self.levels {
            let level = level.map_or_else(|| "no level".to_owned(), |n| format!("level {n}"));
            writeln!(f, "{:>5} of {:>5}  {level}", tally.passed, tally.ran)?;
        }
        for failure in &self.failures {
            let excuse = failure.excuse.as_deref();
            let excuse = excuse.map(|why| format!(" (excused: {why})")).unwrap_or_default();
            writeln!(f, "fails: {}: {}{excuse}", failure.name, failure.why)?;
        }
        for name in &self.stale {
            writeln!(f, "passes, and is excused: {name}")?;
        }
        for name in &self.unknown {
            writeln!(f, "is excused, and is no case: {name}")?;
        }
        if self.total.ran < self.at_least {
            writeln!(f, "only {} cases ran, {} were expected", self.total.ran, self.at_least)?;
        }
        let word = if self.is_ok() { "ok" } else { "failed" };
        write!(f, "{word}: {} of {} cases pass", self.total.passed, self.total.ran)
    }
}
