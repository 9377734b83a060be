//! The one time type of the house. It is always an argument; only the shell's clock makes one.

use std::time::Duration;

/// Milliseconds since the Unix epoch, made monotone by whoever reads the clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes a timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a timestamp from whole seconds since the Unix epoch, saturating.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the moment `duration` later, saturating; parts of a millisecond are dropped.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Returns the moment `duration` earlier, or the epoch if that is later.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Returns how long after `earlier` this is; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_at_both_ends() {
        let t = Timestamp::from_millis(1500);
        assert_eq!(t.as_secs(), 1);
        assert_eq!(t.plus(Duration::from_millis(500)).as_millis(), 2000);
        assert_eq!(t.plus(Duration::MAX), Timestamp::from_millis(u64::MAX));
        assert_eq!(t.minus(Duration::from_secs(9)), Timestamp::from_millis(0));
        assert_eq!(t.since(Timestamp::from_secs(1)), Duration::from_millis(500));
        assert_eq!(t.since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
