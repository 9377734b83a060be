//! The tries of one request: which servers were asked, how much time is left, and what each server is told of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;
use smallvec::SmallVec;

use crate::upstream::{Admission, Member, PeerError, Upstream};

/// How long a request rests before it is sent to a server that has failed it already.
const REST: Duration = Duration::from_millis(25);

/// One request on its way to the servers of a backend.
#[derive(Debug)]
pub(super) struct Attempts {
    upstream: Arc<Upstream>,
    /// What keeps it with one server.
    key: Option<u64>,
    /// When forwarding began, by the steady clock.
    began: Duration,
    /// How long the whole may take.
    total: Duration,
    /// Whether a server may be silent as long as the whole may take.
    may_be_silent: bool,
    tries: Mutex<Tries>,
    _admission: Admission,
}

#[derive(Debug, Default)]
struct Tries {
    asked: Option<Asked>,
    /// Servers that were asked before.
    tried: SmallVec<[usize; 4]>,
    /// Further tries so far.
    retries: u32,
}

/// The server that is asked now.
#[derive(Debug)]
struct Asked {
    member: Arc<Member>,
    /// Its address, for the log.
    name: String,
    since: Duration,
    /// Whether it is known how it ended.
    is_settled: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.member.leave();
    }
}

/// How a request is sent on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long the whole may take.
    pub(super) total: Duration,
    /// Whether a server may be silent as long.
    pub(super) may_be_silent: bool,
}

impl Attempts {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        key: Option<u64>,
        pace: Pace,
        admission: Admission,
        now: Duration,
    ) -> Self {
        upstream.counts_request(now);
        Self {
            upstream,
            key,
            began: now,
            total: pace.total,
            may_be_silent: pace.may_be_silent,
            tries: Mutex::default(),
            _admission: admission,
        }
    }

    /// The backend.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Chooses the next server: one that was not asked yet, if there is one.
    pub(super) async fn next(&self, now: Duration) -> Result<HttpPeer, PeerError> {
        let none = || PeerError::NoneUp { backend: self.upstream.id.to_string() };
        let tried = self.tries().tried.clone();
        let fresh = self.upstream.choose(self.key, &tried, now);
        if fresh.is_none() && !tried.is_empty() {
            tokio::time::sleep(REST).await;
        }
        let index = fresh.or_else(|| self.upstream.choose(self.key, &[], now)).ok_or_else(none)?;
        let member = Arc::clone(self.upstream.members.get(index).ok_or_else(none)?);
        let left = self.total.saturating_sub(now.saturating_sub(self.began));
        let silence =
            if self.may_be_silent { left } else { left.min(self.upstream.backend.read_timeout) };
        let (peer, name) = self.upstream.peer(index, silence).await?;
        member.enter();
        let mut tries = self.tries();
        tries.tried.push(index);
        tries.asked = Some(Asked { member, name, since: now, is_settled: false });
        Ok(peer)
    }

    /// The address of the server that was asked last.
    pub(super) fn server(&self) -> Option<String> {
        self.tries().asked.as_ref().map(|asked| asked.name.clone())
    }

    /// Notes the head of an answer.
    pub(super) fn answered(&self, status: u16, now: Duration) {
        self.settle(|upstream, asked| {
            // What a gateway says when what is behind it fails; other errors may be the request's fault.
            if matches!(status, 502..=504) {
                upstream.failed(&asked.member, now);
            } else {
                upstream.answered(&asked.member, now.saturating_sub(asked.since), now);
            }
        });
    }

    /// Notes that the server failed the request.
    pub(super) fn failed(&self, now: Duration) {
        self.settle(|upstream, asked| upstream.failed(&asked.member, now));
    }

    fn settle(&self, note: impl FnOnce(&Upstream, &Asked)) {
        let mut tries = self.tries();
        if let Some(asked) = tries.asked.as_mut().filter(|asked| !asked.is_settled) {
            asked.is_settled = true;
            note(&self.upstream, asked);
        }
    }

    /// Says whether the request may be sent once more, and takes that out of the budget.
    pub(super) fn may_retry(&self, now: Duration) -> bool {
        if self.is_over(now) || self.tries().retries >= self.upstream.backend.retries.attempts {
            return false;
        }
        let granted = self.upstream.grants_retry(now);
        self.tries().retries += u32::from(granted);
        granted
    }

    /// Says whether the answer has had its time, or its server was taken out and has had its own.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        let drain = self.upstream.backend.drain;
        let drained = |asked: &Asked| asked.member.is_drained_since(drain, now);
        self.is_over(now) || self.tries().asked.as_ref().is_some_and(drained)
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) >= self.total
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
