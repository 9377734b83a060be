//! The tests that a configuration names for itself, run against the candidate that it was compiled to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Diagnostic;
use portcullis_config::model::PolicyId;
use portcullis_policy::IpSet;

use super::run::{CaseResult, Loaded, Outcome, run_against};
use super::suite::Suite;
use crate::clock::Clock;
use crate::compile::with_stated_countries;
use crate::snapshot::Snapshot;

/// How long the tests of a configuration may take together: whoever waits for a reload waits for them.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A file of tests that a configuration names, with what of the configuration it is about.
#[derive(Debug)]
pub struct OwnSuite {
    /// As it was read.
    pub suite: Suite,
    /// What is tested.
    pub about: About,
}

/// What of a configuration is tested.
#[derive(Debug)]
pub enum About {
    /// All of it: hosts, routes, identities and policies.
    Whole,
    /// One of its policies.
    Policy {
        /// Which.
        id: PolicyId,
        /// Lists that stand in place of the configuration's own.
        lists: BTreeMap<String, Arc<IpSet>>,
    },
}

/// What came of the tests that a configuration names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    /// Files of cases.
    pub files: usize,
    /// Cases that came out as expected, built-in attacks among them.
    pub passed: usize,
    /// Cases that did not.
    pub failed: usize,
}

/// Runs every test that the configuration names; returns how many there were, and what failed, each with its place.
#[must_use]
pub fn test_own(candidate: &Snapshot, clock: &dyn Clock) -> (Tested, Vec<Diagnostic>) {
    let end = clock.monotonic().saturating_add(TIME_MAX);
    let is_over = || clock.monotonic() >= end;
    let mut tested = Tested { files: candidate.tests.len(), ..Tested::default() };
    let mut problems = Vec::new();
    for own in &candidate.tests {
        let suite = &own.suite;
        let loaded = match against(candidate, &own.about) {
            Ok(loaded) => loaded,
            Err(more) => {
                problems.extend(more);
                continue;
            }
        };
        let result = run_against(&loaded, suite, &is_over);
        let (passed, _, _) = result.counts();
        let failed: Vec<Diagnostic> =
            result.cases.iter().filter_map(|one| failure(suite, one)).collect();
        tested.passed += passed;
        tested.failed += failed.len();
        problems.extend(failed);
    }
    if is_over() {
        let message = format!(
            "the tests were not through after {} s: {} cases passed until then",
            TIME_MAX.as_secs(),
            tested.passed
        );
        let help =
            "take cases out, or ask for fewer repetitions: `portcullis test` has no such bound";
        problems.push(Diagnostic::error("tests-too-long", message).help(help));
    }
    (tested, problems)
}

fn failure(suite: &Suite, case: &CaseResult) -> Option<Diagnostic> {
    let why = match &case.outcome {
        Outcome::Passed => return None,
        Outcome::Failed(why) => why.as_str(),
        Outcome::Skipped(why) => why,
    };
    let failed = Diagnostic::error("test-failed", format!("the test `{}`: {why}", case.name))
        .help("mend the rule, or the test if it expects what is not meant any more");
    Some(match &case.at {
        Some(at) => failed.at(at.clone()),
        None => Diagnostic { message: format!("{}: {}", suite.name, failed.message), ..failed },
    })
}

/// What a suite is run against. A case may state its country, so that rules which ask for one are active without a
/// database too, as they are for `portcullis test`.
fn against(candidate: &Snapshot, about: &About) -> Result<Loaded, Vec<Diagnostic>> {
    match about {
        About::Whole => {
            let stated = |id: &PolicyId| {
                Ok((id.clone(), with_stated_countries(candidate, id, &BTreeMap::new())?))
            };
            let policies = candidate.definitions.keys().map(stated);
            let policies = policies.collect::<Result<_, Vec<Diagnostic>>>()?;
            Ok(Loaded::Snapshot(Box::new(Snapshot { policies, ..candidate.clone() })))
        }
        About::Policy { id, lists } => {
            let policy = with_stated_countries(candidate, id, lists)?;
            Ok(Loaded::Policy { name: id.to_string(), policy })
        }
    }
}
