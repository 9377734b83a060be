//! A sliding window of counts in 33 slots, or of the distinct values seen in it; or a bucket that leaks.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use portcullis_config::Timestamp;

const SLOTS: u64 = 32;

#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    slots: VecDeque<(u64, u64)>,
    values: HashMap<u64, Timestamp>,
    /// Millionths of events in the bucket, and when they were there.
    level: (u128, Timestamp),
}

/// Millionths in one event.
const WHOLE: u128 = 1_000_000;

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            slots: VecDeque::new(),
            values: HashMap::new(),
            level: (0, Timestamp::from_millis(0)),
        }
    }

    /// Counts `count` events and returns how many the window holds. Cost: at most 33 slots.
    pub(super) fn add(&mut self, count: u64, now: Timestamp) -> u64 {
        let length = u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX);
        let slot = now.as_millis() / length.div_ceil(SLOTS).max(1);
        while self.slots.front().is_some_and(|(old, _)| old + SLOTS < slot) {
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            // A slot in the past (two threads, two clocks read) counts in the newest.
            Some((last, sum)) if *last >= slot => *sum = sum.saturating_add(count),
            Some(_) | None => self.slots.push_back((slot, count)),
        }
        self.slots.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Pours `count` events into the bucket, out of which `threshold` leak in the window's time, and returns how many it
    /// holds.
    pub(super) fn pour(&mut self, count: u64, threshold: u32, now: Timestamp) -> u64 {
        let (level, at) = self.level;
        let leaked = now.since(at).as_millis() * u128::from(threshold) * WHOLE
            / self.length.as_millis().max(1);
        let level = level.saturating_sub(leaked) + u128::from(count) * WHOLE;
        self.level = (level, now.max(at));
        u64::try_from(level / WHOLE).unwrap_or(u64::MAX)
    }

    /// Notes a value and returns how many different ones the window holds, at most `most`. Digests stand for values:
    /// two that meet are counted as one, which errs towards silence.
    pub(super) fn add_distinct(&mut self, value: &str, most: u32, now: Timestamp) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let length = self.length;
        self.values.retain(|_, seen| now.since(*seen) <= length);
        if self.values.len() < most as usize {
            self.values.insert(hasher.finish(), now);
        }
        self.values.len() as u64
    }
}
