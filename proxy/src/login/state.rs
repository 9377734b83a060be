//! What the process remembers of sign-ins: sessions that were ended, issuers' endpoints, and how many exchanges run.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_identity::authorization::Endpoints;
use tokio::sync::Semaphore;

/// Sessions that were ended before their time.
pub(crate) const ENDED_MAX: usize = 65_536;
/// Exchanges with issuers at one time.
pub(crate) const UNDER_WAY_MAX: usize = 32;
/// How long an issuer's endpoints are believed.
const ENDPOINTS_TIME: Duration = Duration::from_secs(3600);

/// What the process remembers of sign-ins.
#[derive(Debug)]
pub struct Logins {
    ended: Mutex<HashMap<String, u64>>,
    endpoints: Mutex<HashMap<String, (Endpoints, Timestamp)>>,
    pub(super) room: Semaphore,
}

impl Logins {
    /// Starts with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ended: Mutex::default(),
            endpoints: Mutex::default(),
            room: Semaphore::new(UNDER_WAY_MAX),
        }
    }

    /// Ends a session that would last until `exp`. Where there is no room, those that are over go, then the one that is over
    /// first.
    pub(crate) fn end(&self, sid: &str, exp: u64, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= ENDED_MAX {
            ended.retain(|_, exp| *exp > now.as_secs());
        }
        if ended.len() >= ENDED_MAX
            && let Some(first) =
                ended.iter().min_by_key(|(_, exp)| **exp).map(|(sid, _)| sid.clone())
        {
            ended.remove(&first);
        }
        ended.insert(sid.to_owned(), exp);
    }

    /// Says whether a session was ended.
    pub(crate) fn has_ended(&self, sid: &str) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(sid)
    }

    pub(super) fn known(&self, issuer: &str, now: Timestamp) -> Option<Endpoints> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, since) = endpoints.get(issuer)?;
        (now.since(*since) < ENDPOINTS_TIME).then(|| found.clone())
    }

    /// Remembers endpoints; issuers are the configuration's, so there are few.
    pub(super) fn learn(&self, issuer: &str, found: &Endpoints, now: Timestamp) {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.insert(issuer.to_owned(), (found.clone(), now));
    }
}
