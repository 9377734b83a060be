//! The only reader of wall time. Everything else takes a [`Timestamp`] as an argument.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_config::Timestamp;

/// Where the shell takes time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the present moment; never earlier than one returned before.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed moment, in the finest steps there are: for latencies only.
    fn monotonic(&self) -> Duration;
}

/// Wall time made monotone: it runs with the machine's steady clock from an anchor of wall time.
///
/// A forward step of wall time moves the anchor; a backward step is not followed, so that no counter and no ban sees
/// time run back. Both are logged.
#[derive(Debug)]
pub struct System {
    start: Instant,
    /// Milliseconds of wall time at `start`, as believed now.
    anchor_millis: AtomicU64,
    last_millis: AtomicU64,
}

/// A difference between wall time and our own that is taken for a step of the wall clock.
const STEP_MILLIS: u64 = 1000;

impl System {
    /// Anchors a clock at the present wall time.
    #[must_use]
    pub fn new() -> Self {
        let wall = wall_millis();
        Self {
            start: steady(),
            anchor_millis: AtomicU64::new(wall),
            last_millis: AtomicU64::new(wall),
        }
    }
}

impl Clock for System {
    fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        let anchor = self.anchor_millis.load(Ordering::Relaxed);
        let ours = anchor.saturating_add(elapsed);
        let wall = wall_millis();
        let now = follow(ours, wall);
        if now != ours {
            self.anchor_millis.store(now.saturating_sub(elapsed), Ordering::Relaxed);
            tracing::warn!(ours_ms = ours, wall_ms = wall, "wall time stepped forward; followed");
        }
        let before = self.last_millis.fetch_max(now, Ordering::Relaxed);
        Timestamp::from_millis(now.max(before))
    }

    fn monotonic(&self) -> Duration {
        steady().saturating_duration_since(self.start)
    }
}

/// Chooses between our time and wall time: a step forward is followed, anything else is not.
fn follow(ours: u64, wall: u64) -> u64 {
    if wall > ours.saturating_add(STEP_MILLIS) { wall } else { ours }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn steady() -> Instant {
    Instant::now()
}

/// A clock that a test sets.
#[derive(Debug)]
pub struct Manual {
    now: Mutex<(Timestamp, Duration)>,
}

impl Manual {
    /// Makes a clock that stands at `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { now: Mutex::new((now, Duration::ZERO)) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = (now.0.plus(by), now.1.saturating_add(by));
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_forward_is_followed_and_a_step_back_is_not() {
        for (ours, wall, expected) in [
            (10_000, 10_000, 10_000),
            (10_000, 11_000, 10_000),
            (10_000, 11_001, 11_001),
            (10_000, 2_000, 10_000),
        ] {
            assert_eq!(follow(ours, wall), expected, "ours {ours}, wall {wall}");
        }
    }

    #[test]
    fn system_time_never_runs_back() {
        let clock = System::new();
        let mut last = clock.now();
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Manual::at(Timestamp::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_secs(5));
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now(), Timestamp::from_millis(6500));
        assert_eq!(clock.monotonic(), Duration::from_millis(1500));
    }
}
