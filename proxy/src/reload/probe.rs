//! Known requests against a candidate's policies, offline, before it is published.
//!
//! A candidate is refused where it is broken, not where it is strict: a plain request that a signature refuses, or an
//! SQL injection that passes the very rule that asks for one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_config::model::PolicyId;
use portcullis_policy::{
    Decision, Header, Input, Limits, Policy, RequestHead, Scheme, State, Step, Verdict,
};

use crate::snapshot::Snapshot;

/// An address for documentation (RFC 5737): in no list, in no country.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const GOOD: &[u8] = b"";
const BAD: &[u8] = b"id=1%27%20OR%20%271%27%3D%271%27%20UNION%20SELECT%20password%20FROM%20users--";

/// Asks every policy of the candidate about requests whose answers are known; returns what each answered, a line each.
///
/// # Errors
/// What the candidate got wrong.
pub fn probe(candidate: &Snapshot) -> Result<Vec<String>, Vec<String>> {
    let mut answers = Vec::new();
    let mut wrong = Vec::new();
    for (id, policy) in &candidate.policies {
        let good = judge(policy, GOOD);
        answers.push(format!("policy `{id}`: a plain request: {}", shown(&good)));
        if !good.decision.passes() && !good.enforced.preconfigured_expr_ids.is_empty() {
            let signatures = good.enforced.preconfigured_expr_ids.join(", ");
            let priority = good.enforced.priority;
            wrong.push(format!(
                "policy `{id}`: rule {priority} refuses a plain request ({signatures})"
            ));
        }
        let Some(expected) = candidate.known_bad.get(id) else { continue };
        let bad = judge(policy, BAD);
        answers.push(format!("policy `{id}`: an SQL injection: {}", shown(&bad)));
        wrong.extend(missed(id, *expected, &bad));
    }
    if wrong.is_empty() { Ok(answers) } else { Err(wrong) }
}

/// Where a rule before the expected one decided, nothing is known of it.
fn missed(id: &PolicyId, expected: u32, bad: &Verdict) -> Option<String> {
    let passed_by = bad.enforced.priority > expected;
    passed_by.then(|| format!("policy `{id}`: an SQL injection passes rule {expected}"))
}

fn shown(verdict: &Verdict) -> String {
    let by = format!("by rule {}", verdict.enforced.priority);
    match &verdict.decision {
        Decision::Allow => format!("allowed {by}"),
        Decision::Deny { status } | Decision::TooMany { status, .. } => format!("{status} {by}"),
        Decision::Redirect { status, location } => format!("{status} to {location} {by}"),
    }
}

/// Walks a policy with a state of its own: a probe counts nowhere.
fn judge(policy: &Arc<Policy>, query: &[u8]) -> Verdict {
    let state = State::new(Limits { keys_max: 64, bans_max: 64 });
    let now = Timestamp::from_secs(0);
    let mut uri = b"/".to_vec();
    if !query.is_empty() {
        uri.push(b'?');
        uri.extend_from_slice(query);
    }
    let headers = [
        Header { name: b"host", value: b"probe.invalid" },
        Header { name: b"user-agent", value: b"Mozilla/5.0 (compatible; portcullis-probe)" },
        Header { name: b"accept", value: b"*/*" },
    ];
    let head = RequestHead {
        client_ip: CLIENT,
        region_code: "",
        asn: 0,
        sni: Some(b"probe.invalid"),
        ja3: "",
        ja4: "",
        scheme: Scheme::Https,
        host: b"probe.invalid",
        method: b"GET",
        path: b"/",
        query,
        uri: &uri,
        version: b"HTTP/1.1",
        headers: &headers,
        bypass_limits: false,
    };
    let mut cursor = policy.start();
    let mut step = cursor.advance(&head, &state, now);
    loop {
        step = match step {
            Step::Done(verdict) => return *verdict,
            Step::NeedIdentity => cursor.resume(Input::Identity(None), &head, &state, now),
            Step::NeedBody => cursor.resume(Input::NoBody, &head, &state, now),
        };
    }
}
