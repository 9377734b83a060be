//! Known requests against a candidate's policies, offline, before it is published.
//!
//! A candidate is refused where it is broken, not where it is strict: a plain request that a signature refuses, or an
//! SQL injection that passes the very rule that asks for one. And it is refused where it fails the tests that it names.

use std::sync::Arc;

use portcullis_config::model::PolicyId;
use portcullis_config::{Diagnostic, Timestamp};
use portcullis_policy::Policy;

use crate::clock::Clock;
use crate::snapshot::Snapshot;
use crate::trial::{Answer, Ask, Tested, Trial, test_own};

const GOOD: &[u8] = b"";
const BAD: &[u8] = b"id=1%27%20OR%20%271%27%3D%271%27%20UNION%20SELECT%20password%20FROM%20users--";

/// What a candidate answered.
#[derive(Debug, Default)]
pub struct Probed {
    /// What each policy answered to the requests whose answers are known, a line each.
    pub answers: Vec<String>,
    /// How the tests went that the configuration names.
    pub tested: Tested,
    /// What the candidate got wrong.
    pub wrong: Vec<Diagnostic>,
}

/// Asks every policy of the candidate about requests whose answers are known, and runs the tests that it names.
#[must_use]
pub fn probe(candidate: &Snapshot, clock: &dyn Clock) -> Probed {
    let (tested, mut wrong) = test_own(candidate, clock);
    let mut answers = Vec::new();
    for (id, policy) in &candidate.policies {
        let good = judge(policy, GOOD);
        answers.push(format!("policy `{id}`: a plain request: {}", shown(&good)));
        if let Answer::Verdict(verdict) = &good
            && !verdict.decision.passes()
            && !verdict.enforced.preconfigured_expr_ids.is_empty()
        {
            let signatures = verdict.enforced.preconfigured_expr_ids.join(", ");
            let priority = verdict.enforced.priority;
            wrong.push(failed(format!(
                "policy `{id}`: rule {priority} refuses a plain request ({signatures})"
            )));
        }
        let Some(expected) = candidate.known_bad.get(id) else { continue };
        let bad = judge(policy, BAD);
        answers.push(format!("policy `{id}`: an SQL injection: {}", shown(&bad)));
        wrong.extend(missed(id, *expected, &bad));
    }
    Probed { answers, tested, wrong }
}

fn failed(message: String) -> Diagnostic {
    Diagnostic::error("probe-failed", message)
}

/// Where a rule before the expected one decided, nothing is known of it.
fn missed(id: &PolicyId, expected: u32, bad: &Answer) -> Option<Diagnostic> {
    let passed_by = bad.rule().is_some_and(|rule| rule > expected);
    passed_by.then(|| failed(format!("policy `{id}`: an SQL injection passes rule {expected}")))
}

fn shown(answer: &Answer) -> String {
    let by = answer.rule().map(|rule| format!(" by rule {rule}")).unwrap_or_default();
    answer.status().map_or_else(|| format!("allowed{by}"), |status| format!("{status}{by}"))
}

/// Walks a policy with a state of its own: a probe counts nowhere. The client's address is one for documentation: in no
/// list, in no country.
fn judge(policy: &Arc<Policy>, query: &[u8]) -> Answer {
    let mut target = b"/".to_vec();
    if !query.is_empty() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let mut ask = Ask::get(&target);
    for (name, value) in [
        ("host", "probe.invalid"),
        ("user-agent", "Mozilla/5.0 (compatible; portcullis-probe)"),
        ("accept", "*/*"),
    ] {
        ask.headers.push((name.into(), value.into()));
    }
    Trial::small_of_policy(policy).judge(&ask, Timestamp::from_secs(0)).answer
}
