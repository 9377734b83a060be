//! What a replay found, as plain values.

use std::collections::BTreeMap;

use crate::trial::{Answer, Missing};

/// Samples of one change that are kept.
const SAMPLES_MAX: usize = 3;
/// Kinds of change that are told apart; what comes beyond is counted together.
const CHANGES_MAX: usize = 1000;
/// Bytes of a target that a sample shows.
const TARGET_CHARS: usize = 120;

/// The whole result.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that were read.
    pub requests: u64,
    /// Lines without a request.
    pub unreadable: u64,
    /// What the first configuration answers.
    pub tally: Tally,
    /// What the second one answers, where there is one.
    pub against: Option<Tally>,
    /// Requests that get the same answer by the same rule as before, or from both.
    pub unchanged: u64,
    /// Requests that get another answer, by what it was and is.
    pub changes: BTreeMap<Change, RuleShift>,
    /// Changes of kinds beyond those that are told apart.
    pub more_changes: u64,
    /// Requests that could not be compared, because one side does not know its answer.
    pub unjudged: u64,
    /// The same by what was missing.
    pub missing: BTreeMap<Missing, u64>,
    /// Requests with nothing to compare with: the log does not say what was decided.
    pub unrecorded: u64,
    /// Requests for which a rule read a header that no log has.
    pub rule_errors: u64,
    /// Google's verdict beside ours, where the log is Google's.
    pub parity: Option<Parity>,
}

/// How many requests each answer got, and each rule decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By answer: `allow`, `deny(403)`, ….
    pub answers: BTreeMap<String, u64>,
    /// By the rule that decided.
    pub rules: BTreeMap<u32, u64>,
    /// By preview rule that matched.
    pub previews: BTreeMap<u32, u64>,
}

/// A kind of change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What it was, and the rule that decided.
    pub from: (String, Option<u32>),
    /// What it is, and the rule that decides.
    pub to: (String, Option<u32>),
}

/// How often a change came, with samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleShift {
    /// How often.
    pub count: u64,
    /// Some of the requests.
    pub samples: Vec<Sample>,
}

/// One request of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its id in the log.
    pub id: String,
    /// Method and target, cut.
    pub request: String,
    /// Who asked.
    pub client: String,
}

/// How Google's verdicts and ours agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parity {
    /// Both let pass.
    pub both_pass: u64,
    /// Both refuse.
    pub both_refuse: u64,
    /// Google let pass, and we refuse.
    pub only_we_refuse: u64,
    /// Google refused, and we let pass.
    pub only_google_refuses: u64,
    /// Not judged here.
    pub unjudged: u64,
}

impl Tally {
    pub(super) fn add(&mut self, answer: &Answer) {
        *self.answers.entry(answer.words()).or_default() += 1;
        if let Answer::Verdict(verdict) = answer {
            *self.rules.entry(verdict.enforced.priority).or_default() += 1;
            for hit in verdict.previews.iter().filter(|hit| hit.preview) {
                *self.previews.entry(hit.priority).or_default() += 1;
            }
        }
    }
}

impl Report {
    pub(super) fn change(&mut self, change: Change, sample: impl FnOnce() -> Sample) {
        if !self.changes.contains_key(&change) && self.changes.len() >= CHANGES_MAX {
            self.more_changes += 1;
            return;
        }
        let shift = self.changes.entry(change).or_default();
        shift.count += 1;
        if shift.samples.len() < SAMPLES_MAX {
            shift.samples.push(sample());
        }
    }

    pub(super) fn miss(&mut self, missing: Missing) {
        self.unjudged += 1;
        *self.missing.entry(missing).or_default() += 1;
    }
}

impl Parity {
    pub(super) fn add(&mut self, google_passed: bool, we_pass: Option<bool>) {
        match (google_passed, we_pass) {
            (_, None) => self.unjudged += 1,
            (true, Some(true)) => self.both_pass += 1,
            (false, Some(false)) => self.both_refuse += 1,
            (true, Some(false)) => self.only_we_refuse += 1,
            (false, Some(true)) => self.only_google_refuses += 1,
        }
    }
}

impl Sample {
    pub(super) fn of(entry: &super::Entry) -> Self {
        let target = crate::log::Escaped(&entry.ask.target).to_string();
        let method = crate::log::Escaped(&entry.ask.method);
        let request = format!("{method} {target}").chars().take(TARGET_CHARS).collect();
        Self { id: entry.id.clone(), request, client: entry.ask.client.to_string() }
    }
}
