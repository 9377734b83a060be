//! Known requests against a candidate, before it is published.

use crate::snapshot::Snapshot;

/// Asks the candidate about requests whose answers are known; returns what was asked, one line each.
///
/// # Errors
/// What the candidate got wrong.
pub fn probe(candidate: &Snapshot) -> Result<Vec<String>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut asked = Vec::new();
    for entry in candidate.router.entries() {
        let (host, path) = (entry.host.as_str(), entry.route.path.as_str());
        match candidate.router.find(host.as_bytes(), path.as_bytes()) {
            crate::router::Routed::Route(found) if found.route.path == path => {
                asked.push(format!("{host}{path} is routed"));
            }
            crate::router::Routed::Route(_)
            | crate::router::Routed::NoRoute
            | crate::router::Routed::NoHost => wrong.push(format!("{host}{path} is not routed")),
        }
    }
    if wrong.is_empty() { Ok(asked) } else { Err(wrong) }
}
