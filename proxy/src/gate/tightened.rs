//! What responses to incidents ask of a request: that a source, a subject or a route be used little, and that a rule in
//! preview counts.

use portcullis_config::Timestamp;
use portcullis_identity::Identity;
use portcullis_policy::Verdict;

use super::refusal::Refusal;
use super::work::Work;
use crate::lockdown::route_name;
use crate::reason::Reason;
use crate::shared::Shared;

/// Counts the request of a source that is limited, or of a client on a route whose protection is raised.
pub(super) fn stranger(
    shared: &Shared,
    work: &Work,
    is_known: impl FnOnce() -> bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    let settings = &work.snapshot.config.incidents;
    let (tightened, state, address) = (&shared.tightened, &shared.state, work.client.address);
    tightened.source(address, state, settings, now).map_err(|until| later(until, now))?;
    let Some(entry) = &work.entry else { return Ok(()) };
    let route = || route_name(&entry.host, &entry.route.path);
    let counted = tightened.route(route, address, is_known, state, settings, now);
    counted.map_err(|until| later(until, now))
}

/// Counts the request of a subject that is limited.
pub(super) fn identity(
    shared: &Shared,
    work: &Work,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), Refusal> {
    let settings = &work.snapshot.config.incidents;
    let counted = shared.tightened.subject(&identity.subject, &shared.state, settings, now);
    counted.map_err(|until| later(until, now))
}

/// Refuses what a rule in preview would refuse, where a response has put it into force.
pub(super) fn rules(shared: &Shared, verdict: &Verdict, now: Timestamp) -> Result<(), Refusal> {
    let Some(rules) = shared.tightened.rules(now) else { return Ok(()) };
    let previews = verdict.previews.iter().filter(|hit| hit.preview && hit.event.is_some());
    let mut names = previews.map(|hit| format!("{}/{}", hit.policy, hit.priority));
    match names.find(|name| rules.contains(name)) {
        Some(name) => {
            let why = format!("the preview rule {name}, which an incident has put into force");
            Err(Refusal::because(Reason::DeniedByPolicy, why))
        }
        None => Ok(()),
    }
}

fn later(until: Timestamp, now: Timestamp) -> Refusal {
    let left = u32::try_from(until.since(now).as_secs().max(1)).unwrap_or(u32::MAX);
    Refusal {
        retry_after_secs: Some(left),
        ..Refusal::because(Reason::RateLimited, "limited by the response to an incident")
    }
}
