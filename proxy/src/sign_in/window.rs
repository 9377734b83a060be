//! Failures in a sliding window: never fewer than there were, back to capacity with a grain of an eighth of the window.

use std::time::Duration;

use portcullis_config::Timestamp;

/// Grains of a window, and one for the grain that the window begins in.
const SLOTS: usize = 9;
const GRAINS: u64 = 8;

/// Counts of one key. The slot of a time is its grain's number modulo [`SLOTS`].
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Window {
    slots: [(u64, u16); SLOTS],
}

/// How one window is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    grain_millis: u64,
    grain: u64,
}

impl Cut {
    pub(super) fn at(window: Duration, now: Timestamp) -> Self {
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let grain_millis = millis.div_ceil(GRAINS).max(1);
        Self { grain_millis, grain: now.as_millis() / grain_millis }
    }

    /// When what was counted in a grain counts no longer.
    fn left(self, grain: u64, now: Timestamp) -> Duration {
        let end = grain.saturating_add(SLOTS as u64).saturating_mul(self.grain_millis);
        Duration::from_millis(end.saturating_sub(now.as_millis()))
    }
}

impl Window {
    /// Counts one.
    pub(super) fn add(&mut self, cut: Cut) {
        let at = usize::try_from(cut.grain % SLOTS as u64).unwrap_or(0);
        let Some((grain, count)) = self.slots.get_mut(at) else { return };
        if *grain != cut.grain {
            (*grain, *count) = (cut.grain, 0);
        }
        *count = count.saturating_add(1);
    }

    /// How many there are in the window that ends now.
    pub(super) fn count(&self, cut: Cut) -> u32 {
        self.live(cut).map(|(_, count)| u32::from(count)).sum()
    }

    /// The time until fewer than `limit` are left, with `beside` that do not go by time.
    pub(super) fn wait(&self, limit: u32, beside: u32, cut: Cut, now: Timestamp) -> Duration {
        let mut live: Vec<_> = self.live(cut).collect();
        live.sort_unstable();
        let mut left = self.count(cut).saturating_add(beside);
        for (grain, count) in live {
            left = left.saturating_sub(u32::from(count));
            if left < limit {
                return cut.left(grain, now);
            }
        }
        // Only those in work are in the way.
        Duration::from_secs(1)
    }

    fn live(&self, cut: Cut) -> impl Iterator<Item = (u64, u16)> {
        let begin = cut.grain.saturating_sub(GRAINS);
        self.slots
            .into_iter()
            .filter(move |(grain, count)| *count > 0 && (begin..=cut.grain).contains(grain))
    }
}
