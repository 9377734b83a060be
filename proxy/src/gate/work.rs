//! What Pingora carries from phase to phase for one request.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderMap, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use portcullis_config::Timestamp;
use portcullis_identity::Identity;
use portcullis_incident::Breach;
use portcullis_policy::Verdict;

use super::answer::{self, Dress};
use super::body::Held;
use super::client_address::{Client, Trusted, client};
use super::cors::Cross;
use super::everyday::Named;
use super::forward::Forward;
use super::in_work::Place;
use super::messages::Messages;
use super::refusal::Refusal;
use super::sign_in::SigningIn;
use crate::edge::{Connection, InFlight};
use crate::reason::Reason;
use crate::router::RouteEntry;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Pingora's context of one pass through its phases.
#[derive(Debug, Default)]
pub(crate) enum Context {
    /// Nothing is known yet.
    #[default]
    New,
    /// A client's request.
    Request(Box<Work>),
    /// The sealed subrequest of one: judged already, logged by its request.
    Replay(Arc<Forward>),
}

/// A client's request in work.
#[derive(Debug)]
pub(crate) struct Work {
    /// The id that client, origin and log share.
    pub(super) id: String,
    /// The one snapshot that judges it.
    pub(super) snapshot: Arc<Snapshot>,
    /// What it came on.
    pub(super) connection: Arc<Connection>,
    /// Who asks.
    pub(super) client: Client,
    /// When its head was read.
    pub(super) begun: Timestamp,
    /// The same by the steady clock.
    pub(super) begun_monotonic: Duration,
    /// The head as it came, for the log.
    pub(super) asked: Asked,
    /// The load test whose limits are lifted, in the log's word.
    pub(super) load_test: Option<Arc<str>>,
    /// The attempt to sign in that it is.
    pub(super) sign_in: Option<SigningIn>,
    /// What it names, if it is a license call.
    pub(super) license_call: Option<Named>,
    /// What its answer says to pages of other origins, where the route says it.
    pub(super) cross: Option<Cross>,
    /// The route that was found.
    pub(super) entry: Option<Arc<RouteEntry>>,
    /// What the policy decided.
    pub(super) verdict: Option<Box<Verdict>>,
    /// Who calls, where the route asks.
    pub(super) identity: Option<Arc<Identity>>,
    /// Why it was refused.
    pub(super) refusal: Option<Refusal>,
    /// What a request that left its caller's tenant rests on.
    pub(super) breach: Option<Breach>,
    /// The objects that it names, for the log.
    pub(super) objects: Vec<String>,
    /// A word for the log about a request that was let through.
    pub(super) remark: Option<Cow<'static, str>>,
    /// The rules that matched in the answer.
    pub(super) answer_rules: Vec<u32>,
    /// The body of a request that was refused after it had been read, while requests are captured.
    pub(super) refused_body: Option<Held>,
    /// How it is forwarded.
    pub(super) forward: Option<Arc<Forward>>,
    /// What is counted of a stream of messages.
    pub(super) messages: Option<Messages>,
    /// Bytes of an unread body that may go through; `None` if nobody counts.
    pub(super) passing_max: Option<u64>,
    /// Bytes of an unread body that went through.
    passed_bytes: u64,
    /// What it counts as, while it is in work.
    pub(super) place: Option<Place>,
    _in_flight: InFlight,
}

impl Context {
    /// How the request is forwarded, once it is.
    pub(super) fn forward(&self) -> Option<&Arc<Forward>> {
        match self {
            Self::New => None,
            Self::Request(work) => work.forward.as_ref(),
            Self::Replay(forward) => Some(forward),
        }
    }
}

/// The head as it came.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Bytes,
    pub(super) host: Bytes,
    pub(super) uri: Bytes,
    pub(super) protocol: &'static str,
    pub(super) user_agent: Option<Bytes>,
    pub(super) referer: Option<Bytes>,
}

fn trusted(snapshot: &Snapshot) -> Trusted<'_> {
    let config = &snapshot.config;
    Trusted { hops: &config.trusted_hops, header: &config.client_address_header }
}

impl Work {
    /// Starts the work on a request: pins the snapshot, names it, finds out who asks.
    pub(super) fn begin(
        shared: &Shared,
        connection: Arc<Connection>,
        head: &RequestHeader,
    ) -> Self {
        let snapshot = shared.snapshot.load_full();
        let begun = shared.clock.now();
        let in_flight = connection.begin();
        Self {
            id: request_id(begun),
            client: client(connection.peer.ip(), &head.headers, trusted(&snapshot)),
            begun,
            begun_monotonic: shared.clock.monotonic(),
            asked: Asked::of(head),
            load_test: None,
            cross: None,
            sign_in: None,
            license_call: None,
            entry: None,
            verdict: None,
            identity: None,
            refusal: None,
            breach: None,
            objects: Vec::new(),
            remark: None,
            answer_rules: Vec::new(),
            refused_body: None,
            forward: None,
            messages: None,
            passing_max: None,
            passed_bytes: 0,
            place: None,
            snapshot,
            connection,
            _in_flight: in_flight,
        }
    }
}

impl Work {
    /// Answers with a refusal and keeps it for the log. The first one counts.
    pub(super) async fn refuse(
        &mut self,
        session: &mut Session,
        refusal: Refusal,
    ) -> pingora::Result<()> {
        let answered = answer::refuse(session, &self.id, &refusal, self.dress()).await;
        self.fail(refusal);
        answered
    }

    /// What an answer of the edge's own carries.
    pub(super) fn dress(&self) -> Dress<'_> {
        let usual = self.snapshot.router.security();
        let security = self.entry.as_ref().map_or(usual, |entry| &*entry.security);
        Dress { security, cross: self.cross.as_ref() }
    }

    /// Keeps why the request failed; the first word counts.
    pub(super) fn fail(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// Counts what is passed on unread: against the limit where the route's plan is `skip`, and by messages where the
    /// request has become a stream of them.
    pub(super) fn pass(&mut self, bytes: &[u8], now: Duration) -> Result<(), Refusal> {
        if let Some(messages) = &mut self.messages {
            return messages.pass(bytes, now);
        }
        self.passed_bytes = self.passed_bytes.saturating_add(bytes.len() as u64);
        match self.passing_max {
            Some(max) if self.passed_bytes > max => Err(Refusal {
                closes: true,
                ..Refusal::because(Reason::BodyTooLarge, "the body grew above the limit")
            }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Asked {
    fn of(head: &RequestHeader) -> Self {
        let host = first(&head.headers, &HOST);
        let authority = || {
            head.uri
                .authority()
                .map(|authority| Bytes::copy_from_slice(authority.as_str().as_bytes()))
        };
        Self {
            method: Bytes::copy_from_slice(head.method.as_str().as_bytes()),
            host: host.or_else(authority).unwrap_or_default(),
            uri: Bytes::copy_from_slice(head.raw_path()),
            protocol: protocol(head.version),
            user_agent: first(&head.headers, &USER_AGENT),
            referer: first(&head.headers, &REFERER),
        }
    }
}

fn first(headers: &HeaderMap, name: &http::HeaderName) -> Option<Bytes> {
    headers.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes()))
}

/// The protocol in the words of logs and rules.
pub(super) fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 {
        "HTTP/2"
    } else if version == Version::HTTP_10 {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    }
}

/// A UUID of version 7: sorts by the time of the clock that the shell was given.
///
/// An id is no secret, but must not be guessed from another one, nor repeat. So its random part is a count under a
/// keyed hash, whose key the system's randomness made once: a system call per request would cost more than the hash.
pub(crate) fn request_id(now: Timestamp) -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 10];
    let (first, rest) = bytes.split_at_mut(2);
    first.copy_from_slice(&KEY.hash_one((count, 1_u8)).to_be_bytes()[..2]);
    rest.copy_from_slice(&KEY.hash_one(count).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn request_ids_are_of_version_7_sort_by_time_and_do_not_repeat() {
        let ids: Vec<String> =
            (0..2000).map(|n| request_id(Timestamp::from_millis(1_767_225_600_000 + n))).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id).unwrap().get_version_num() == 7));
        let tails: BTreeSet<&str> = ids.iter().filter_map(|id| id.get(19..)).collect();
        assert_eq!(tails.len(), ids.len());
    }
}
