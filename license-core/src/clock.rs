//! Time as the service sees it: a port, the system's clock behind it, and the lease clock that no one can set back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Takes milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the moment `later` after this one; it stays at the end of time when the sum would pass it.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the time since `earlier`, zero when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns the value as a database column holds it.
    pub(crate) fn to_column(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Reads a database column; a negative one is the epoch.
    pub(crate) fn from_column(column: i64) -> Self {
        Self(u64::try_from(column).unwrap_or(0))
    }

    /// Renders RFC 3339 with milliseconds; a moment out of that format's range renders as its last one.
    pub(crate) fn to_rfc3339(self) -> String {
        let moment =
            jiff::Timestamp::from_millisecond(self.to_column()).unwrap_or(jiff::Timestamp::MAX);
        format!("{moment:.3}")
    }
}

/// Where the service gets the time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the wall time, which an administrator may set back and forward.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed origin, which nobody can set. The default trusts [`Clock::now`].
    fn uptime(&self) -> Duration {
        Duration::from_millis(self.now().as_millis())
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Starts the clock; its [`Clock::uptime`] counts from here.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock port's one real implementation"
    )]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock port's one real implementation"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(since_epoch)
    }

    fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// The time by which leases live: it starts at the wall time, or at the last moment the store remembers if that is
/// later, and from there advances by uptime only. Setting the wall clock moves no lease.
#[derive(Clone, Debug)]
pub(crate) struct LeaseClock {
    clock: Arc<dyn Clock>,
    anchor: Timestamp,
    origin: Duration,
    last: Arc<AtomicU64>,
}

impl LeaseClock {
    /// Anchors the lease time at the wall time, no earlier than `floor`.
    pub(crate) fn anchored(clock: Arc<dyn Clock>, floor: Timestamp) -> Self {
        let anchor = clock.now().max(floor);
        let origin = clock.uptime();
        Self { clock, anchor, origin, last: Arc::new(AtomicU64::new(anchor.as_millis())) }
    }

    /// Returns the lease time, never less than an earlier answer.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.anchor.plus(self.clock.uptime().saturating_sub(self.origin)).as_millis();
        Timestamp(self.last.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

#[cfg(test)]
pub(crate) mod manual {
    //! A clock that stands still until a test moves it.

    use super::{Clock, Timestamp};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) struct ManualClock {
        wall: AtomicU64,
        uptime: AtomicU64,
    }

    impl ManualClock {
        pub(crate) fn at(millis: u64) -> Self {
            Self { wall: AtomicU64::new(millis), uptime: AtomicU64::new(0) }
        }

        pub(crate) fn advance(&self, by: Duration) {
            let by = u64::try_from(by.as_millis()).unwrap();
            self.wall.fetch_add(by, Ordering::SeqCst);
            self.uptime.fetch_add(by, Ordering::SeqCst);
        }

        pub(crate) fn set_wall(&self, millis: u64) {
            self.wall.store(millis, Ordering::SeqCst);
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
        }

        fn uptime(&self) -> Duration {
            Duration::from_millis(self.uptime.load(Ordering::SeqCst))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::manual::ManualClock;
    use super::{LeaseClock, Timestamp};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn setting_the_wall_clock_moves_no_lease() {
        let wall = Arc::new(ManualClock::at(1_000_000));
        let lease = LeaseClock::anchored(wall.clone(), Timestamp::default());
        wall.set_wall(9_000_000);
        assert_eq!(lease.now().as_millis(), 1_000_000);
        wall.set_wall(5);
        wall.advance(Duration::from_millis(7));
        assert_eq!(lease.now().as_millis(), 1_000_007);
    }

    #[test]
    fn lease_time_starts_no_earlier_than_the_store_remembers() {
        let wall = Arc::new(ManualClock::at(1_000));
        let lease = LeaseClock::anchored(wall.clone(), Timestamp::from_millis(5_000));
        wall.advance(Duration::from_millis(3));
        assert_eq!(lease.now().as_millis(), 5_003);
    }

    #[test]
    fn a_moment_renders_with_milliseconds() {
        assert_eq!(
            Timestamp::from_millis(1_764_504_000_123).to_rfc3339(),
            "2025-11-30T12:00:00.123Z"
        );
    }
}
