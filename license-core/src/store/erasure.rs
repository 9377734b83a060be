//! The erasure of a person, in its three steps: what can be linked is linked in between, as only what is linked with a
//! commitment can be erased without a break of the chain.

use super::office::Scope;
use super::{Store, StoreError};
use crate::domain::names::SubjectId;

/// What was erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Erased {
    /// What stands for the person in sessions from now on.
    pub(crate) pseudonym: String,
    pub(crate) sessions: u64,
    pub(crate) events: u64,
    /// Events that name the person still: they were linked by a program that knew of no commitments.
    pub(crate) kept_events: u64,
}

/// Events that are linked at once.
const EVENTS_MAX: u32 = 5_000;

/// Erases a person; `None` while it has a seat offline, whose token goes on.
pub(crate) async fn erase(
    store: &dyn Store,
    scope: Scope,
    subject: SubjectId,
) -> Result<Option<Erased>, StoreError> {
    let sessions = store.erase_sessions(scope.clone(), subject.clone()).await?;
    let Some(sessions) = sessions else { return Ok(None) };
    while store.link(EVENTS_MAX).await? >= u64::from(EVENTS_MAX) {}
    let pseudonym = sessions.pseudonym.clone();
    let (events, kept_events) = store.erase_events(scope, subject, pseudonym).await?;
    let super::office::ErasedSessions { pseudonym, sessions } = sessions;
    Ok(Some(Erased { pseudonym, sessions, events, kept_events }))
}
