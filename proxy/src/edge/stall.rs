//! How long a client may leave what is written to it unread.

use std::time::Duration;

use tokio::time::Instant;

/// Since when writing has not kept up, and how much has gone out meanwhile.
#[derive(Debug, Default)]
pub(super) struct Stall {
    since: Option<Instant>,
    bytes: u64,
}

impl Stall {
    /// Bytes went out.
    pub(super) const fn wrote(&mut self, bytes: usize) {
        if self.since.is_some() {
            self.bytes = self.bytes.saturating_add(bytes as u64);
        }
    }

    /// Everything went out: the client keeps up.
    pub(super) const fn flowed(&mut self) {
        self.since = None;
        self.bytes = 0;
    }

    /// The client does not keep up; until when it may: a grace, and a second for each `rate` bytes that it took.
    pub(super) fn due(
        &mut self,
        now: impl FnOnce() -> Instant,
        grace: Duration,
        rate: u64,
    ) -> Instant {
        let since = *self.since.get_or_insert_with(now);
        since + grace + time_for(self.bytes, rate)
    }
}

/// The time that so many bytes take at `rate` bytes per second.
pub(crate) fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_reader_has_the_grace_and_the_time_that_its_bytes_earn() {
        let begin = Instant::now();
        let grace = Duration::from_secs(5);
        let mut stall = Stall::default();
        stall.wrote(10_000);
        assert_eq!(stall.due(|| begin, grace, 240), begin + grace);
        stall.wrote(480);
        let later = begin + Duration::from_secs(3);
        assert_eq!(stall.due(|| later, grace, 240), begin + grace + Duration::from_secs(2));
        stall.flowed();
        assert_eq!(stall.due(|| later, grace, 240), later + grace);
    }

    #[test]
    fn the_time_for_bytes_never_overflows() {
        for (bytes, rate, millis) in [(0, 240, 0), (240, 240, 1000), (1, 1000, 1), (5, 0, 5000)] {
            assert_eq!(time_for(bytes, rate), Duration::from_millis(millis), "{bytes} {rate}");
        }
        assert!(time_for(u64::MAX, 1) > Duration::from_secs(1 << 40));
    }
}
