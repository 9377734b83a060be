//! A circuit breaker: after failures in a row nobody waits for the signer any more, until one try succeeds.
//!
//! ```text
//! closed ── FAILURES_MAX failures in a row ──▶ open ── its time is over ──▶ half open (one try)
//!    ▲                                          ▲                              │
//!    └────────────── it succeeds ───────────────┼──────────────────────────────┤
//!                                               └── it fails: twice the time ──┘
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failures in a row that open it.
const FAILURES_MAX: u32 = 5;
/// How long it stays open at first, and at most.
const OPEN_FIRST: Duration = Duration::from_secs(5);
const OPEN_MAX: Duration = Duration::from_secs(60);

/// What a breaker is, as its metric shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Everyone may try.
    Closed,
    /// One tries; the others do not wait for it.
    HalfOpen,
    /// Nobody tries.
    Open,
}

/// A circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    state: State,
    failures: u32,
    opened_at: Duration,
    stays_open: Duration,
}

impl Breaker {
    /// A breaker that is closed.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Inner {
            state: State::Closed,
            failures: 0,
            opened_at: Duration::ZERO,
            stays_open: OPEN_FIRST,
        }))
    }

    /// Says whether the caller may try; who may must say how it went.
    pub(crate) fn admits(&self, now: Duration) -> bool {
        let mut inner = self.lock();
        match inner.state {
            State::Closed => true,
            State::HalfOpen => false,
            State::Open if now.saturating_sub(inner.opened_at) < inner.stays_open => false,
            State::Open => {
                inner.state = State::HalfOpen;
                true
            }
        }
    }

    /// Says whether nobody may try now: nothing is to be begun that needs a signature.
    pub(crate) fn is_open(&self, now: Duration) -> bool {
        let inner = self.lock();
        inner.state == State::Open && now.saturating_sub(inner.opened_at) < inner.stays_open
    }

    /// A try succeeded.
    pub(crate) fn succeeded(&self) {
        let mut inner = self.lock();
        (inner.state, inner.failures, inner.stays_open) = (State::Closed, 0, OPEN_FIRST);
    }

    /// A try failed.
    pub(crate) fn failed(&self, now: Duration) {
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        match inner.state {
            State::Closed if inner.failures < FAILURES_MAX => return,
            State::Closed => {}
            State::HalfOpen => inner.stays_open = (inner.stays_open * 2).min(OPEN_MAX),
            // Begun before it opened: known already.
            State::Open => return,
        }
        (inner.state, inner.opened_at) = (State::Open, now);
    }

    /// Returns what it is.
    pub(crate) fn state(&self) -> State {
        self.lock().state
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, FAILURES_MAX, OPEN_FIRST, OPEN_MAX, State};
    use std::time::Duration;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try_at_a_time() {
        let breaker = Breaker::new();
        let mut now = Duration::from_secs(100);
        for _ in 1..FAILURES_MAX {
            breaker.failed(now);
        }
        breaker.succeeded();
        for _ in 1..FAILURES_MAX {
            breaker.failed(now);
        }
        assert!(breaker.admits(now), "a success in between begins the count anew");
        breaker.failed(now);
        assert_eq!(breaker.state(), State::Open);
        assert!(!breaker.admits(now + OPEN_FIRST - Duration::from_millis(1)));
        now += OPEN_FIRST;
        assert!(!breaker.is_open(now));
        assert!(breaker.admits(now) && !breaker.admits(now), "one tries");
        breaker.failed(now);
        assert!(!breaker.admits(now + OPEN_FIRST), "it stays open for longer");
        now += OPEN_FIRST * 2;
        assert!(breaker.admits(now));
        breaker.succeeded();
        assert!(breaker.admits(now) && breaker.admits(now));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn it_is_never_open_for_longer_than_its_bound() {
        let breaker = Breaker::new();
        let mut now = Duration::ZERO;
        (0..FAILURES_MAX).for_each(|_| breaker.failed(now));
        for _ in 0..20 {
            now += OPEN_MAX;
            assert!(breaker.admits(now));
            breaker.failed(now);
        }
    }
}
