//! The definition of one limit, and the identity under which its counts are kept.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::ring::SLOTS;

/// How many requests, in which time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Threshold {
    count: u32,
    interval: Duration,
    slot_millis: u32,
}

/// Why a limit is refused at load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadLimit {
    /// A count of zero would refuse everybody; that is a `deny` rule.
    #[error("a rate limit's count must be at least 1; to refuse everything use `deny`")]
    ZeroCount,
    /// More requests than a counter holds.
    #[error("a rate limit's count is at most {}", Threshold::COUNT_MAX)]
    CountTooLarge,
    /// An interval that the counter's slots cannot divide.
    #[error("a rate limit's interval is from 1 s to 24 h")]
    Interval,
    /// A ban of no time.
    #[error("a ban lasts from 1 s to 10 years")]
    BanDuration,
}

impl Threshold {
    /// The largest count: Cloud Armor's for `throttle`.
    pub const COUNT_MAX: u32 = 1_000_000;

    /// Makes a threshold of `count` requests in any window of `interval`.
    ///
    /// # Errors
    /// When the count is not in `1..=COUNT_MAX` or the interval not in 1 s..=24 h.
    pub fn new(count: u32, interval: Duration) -> Result<Self, BadLimit> {
        if count == 0 {
            return Err(BadLimit::ZeroCount);
        }
        if count > Self::COUNT_MAX {
            return Err(BadLimit::CountTooLarge);
        }
        if interval < Duration::from_secs(1) || interval > Duration::from_secs(86_400) {
            return Err(BadLimit::Interval);
        }
        let slots = u128::from(SLOTS - 1);
        let slot_millis = interval.as_millis().div_ceil(slots);
        Ok(Self { count, interval, slot_millis: u32::try_from(slot_millis).unwrap_or(u32::MAX) })
    }

    /// Returns how many requests pass in one window.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Returns the length of the window.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns the width of one slot in milliseconds. All slots but the current one cover the interval at least.
    pub(crate) const fn slot_millis(&self) -> u32 {
        self.slot_millis
    }
}

/// When a key that goes over is banned, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BanRule {
    threshold: Option<Threshold>,
    duration: Duration,
}

impl BanRule {
    /// Bans for `duration` at the first request over the limit, or, with `threshold`, once all requests (the refused
    /// ones too) go over it; until then the limit throttles.
    ///
    /// # Errors
    /// When the duration is not in 1 s..=10 years.
    pub fn new(threshold: Option<Threshold>, duration: Duration) -> Result<Self, BadLimit> {
        if duration < Duration::from_secs(1) || duration > Duration::from_secs(315_360_000) {
            return Err(BadLimit::BanDuration);
        }
        Ok(Self { threshold, duration })
    }

    /// Returns the threshold on all requests, if there is one.
    #[must_use]
    pub const fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// Returns how long a ban lasts, from the request that caused it.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }
}

/// The identity of a limit: its rule's name and a digest of what it counts. A reload that changes neither keeps the
/// counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LimitId {
    name: Arc<str>,
    definition: u64,
    digest: u64,
}

impl LimitId {
    /// Returns the rule's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the digest of the definition: equal definitions have equal digests, on every node and every run.
    #[must_use]
    pub const fn definition(&self) -> u64 {
        self.definition
    }

    /// Returns name and definition in one number, by which counters are tagged.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }
}

/// One compiled limit: a throttle, or a ban where `ban` is set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    id: LimitId,
    threshold: Threshold,
    ban: Option<BanRule>,
}

impl Limit {
    /// Compiles a limit of the rule `name` (unique among all loaded policies, such as `license-api/1000`). `keys` says
    /// in text what is counted (`IP`, `HTTP_HEADER:x-key`, an expression); a change of it starts new counts.
    #[must_use]
    pub fn new(name: &str, keys: &str, threshold: Threshold, ban: Option<BanRule>) -> Self {
        let definition = definition_digest(keys, threshold, ban);
        let digest = limit_digest(name, definition);
        Self { id: LimitId { name: Arc::from(name), definition, digest }, threshold, ban }
    }

    /// Returns the identity under which the counts are kept.
    #[must_use]
    pub const fn id(&self) -> &LimitId {
        &self.id
    }

    /// Returns the limit on requests that pass.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Returns when a key is banned; `None` for a throttle.
    #[must_use]
    pub const fn ban(&self) -> Option<BanRule> {
        self.ban
    }
}

fn definition_digest(keys: &str, threshold: Threshold, ban: Option<BanRule>) -> u64 {
    let mut text = Vec::with_capacity(96);
    push_threshold(&mut text, Some(threshold));
    push_threshold(&mut text, ban.and_then(|b| b.threshold()));
    text.extend(ban.map_or(0, |b| b.duration().as_millis()).to_be_bytes());
    text.extend(keys.as_bytes());
    short_digest(&text)
}

/// Makes one number of a rule's name and its definition.
pub(crate) fn limit_digest(name: &str, definition: u64) -> u64 {
    short_digest(&[&definition.to_be_bytes(), name.as_bytes()].concat())
}

fn short_digest(text: &[u8]) -> u64 {
    let hash = digest(&SHA256, text);
    hash.as_ref().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn push_threshold(text: &mut Vec<u8>, threshold: Option<Threshold>) {
    text.extend(threshold.map_or(0, |t| t.count).to_be_bytes());
    text.extend(threshold.map_or(0, |t| t.interval.as_millis()).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(count: u32, secs: u64) -> Threshold {
        Threshold::new(count, Duration::from_secs(secs)).unwrap()
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let second = Duration::from_secs(1);
        let cases = [
            (0, second, Some(BadLimit::ZeroCount)),
            (1, second, None),
            (1_000_000, second, None),
            (1_000_001, second, Some(BadLimit::CountTooLarge)),
            (1, Duration::from_millis(999), Some(BadLimit::Interval)),
            (1, Duration::from_secs(86_400), None),
            (1, Duration::from_secs(86_401), Some(BadLimit::Interval)),
        ];
        for (count, interval, expected) in cases {
            assert_eq!(Threshold::new(count, interval).err(), expected, "{count} in {interval:?}");
        }
        assert_eq!(BanRule::new(None, Duration::ZERO), Err(BadLimit::BanDuration));
        assert!(BanRule::new(None, second).is_ok());
    }

    #[test]
    fn every_part_of_a_definition_changes_its_digest_and_the_name_does_not() {
        let ban = |t, secs| Some(BanRule::new(t, Duration::from_secs(secs)).unwrap());
        let base = Limit::new("a", "IP", threshold(100, 60), ban(None, 600));
        let same = Limit::new("b", "IP", threshold(100, 60), ban(None, 600));
        assert_eq!(base.id().definition(), same.id().definition());
        assert_ne!(base.id(), same.id());
        let others = [
            Limit::new("a", "ALL", threshold(100, 60), ban(None, 600)),
            Limit::new("a", "IP", threshold(101, 60), ban(None, 600)),
            Limit::new("a", "IP", threshold(100, 61), ban(None, 600)),
            Limit::new("a", "IP", threshold(100, 60), ban(None, 601)),
            Limit::new("a", "IP", threshold(100, 60), ban(Some(threshold(100, 60)), 600)),
            Limit::new("a", "IP", threshold(100, 60), None),
        ];
        for other in others {
            assert_ne!(base.id().definition(), other.id().definition(), "{other:?}");
        }
    }

    #[test]
    fn thirty_two_slots_cover_the_interval() {
        for secs in [1, 10, 30, 60, 120, 600, 900, 3600, 86_400] {
            let t = threshold(1, secs);
            assert!(u64::from(t.slot_millis()) * 32 >= secs * 1000, "{secs}");
        }
    }
}
