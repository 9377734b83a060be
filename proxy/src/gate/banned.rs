//! Bans that an operator or a response to an incident placed. A policy rule finds its own bans by itself.
//!
//! Asked twice: with the address and the JA4 before anything else costs anything, and with the subject and tenant once a token
//! has proved them. Bans are answered, not hidden: 429 with the time that is left.

use portcullis_config::Timestamp;
use portcullis_identity::Identity;
use portcullis_policy::{BanHit, Caller, State};

use super::refusal::Refusal;
use super::work::Work;
use crate::reason::Reason;

/// What a client is told that is banned for good: ask again in a day.
const PERMANENT_RETRY_SECS: u32 = 86_400;

/// Refuses the address and the TLS library, if they are banned.
pub(super) fn stranger(state: &State, work: &Work, now: Timestamp) -> Result<(), Refusal> {
    refuse(state.banned(&caller(work), now), now)
}

/// Refuses whom the token proves, if they are banned.
pub(super) fn identity(
    state: &State,
    work: &Work,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), Refusal> {
    let (subject, tenant) = (Some(identity.subject.as_str()), identity.tenant.as_deref());
    refuse(state.banned(&Caller { subject, tenant, ..caller(work) }, now), now)
}

fn caller(work: &Work) -> Caller<'_> {
    let ja4 = &*work.connection.fingerprints.ja4;
    let fingerprint = Some(ja4).filter(|ja4| !ja4.is_empty());
    Caller { address: work.client.address, subject: None, tenant: None, fingerprint }
}

fn refuse(hit: Option<BanHit>, now: Timestamp) -> Result<(), Refusal> {
    let Some(hit) = hit else { return Ok(()) };
    let left = hit.until.map_or(PERMANENT_RETRY_SECS, |until| {
        let millis = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
        u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
    });
    Err(Refusal { retry_after_secs: Some(left), ..Refusal::of(Reason::Banned) })
}
