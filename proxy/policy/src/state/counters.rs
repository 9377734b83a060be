//! All windows of all limits, in shards by digest.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_config::Timestamp;

use super::digest::Digester;
use super::table::{Counted, Place, Table};
use super::{CountSecret, StateFigures};
use crate::limit::{LimitId, LimitKey, LimitOutcome, Slot, Threshold, taken};

const SHARDS: usize = 64;
const PASSING: u8 = 1;
const TOTAL: u8 = 2;

/// Which of a limit's two windows is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Window {
    /// Requests that passed.
    Passing(Threshold),
    /// All requests, for a ban's own threshold.
    Total(Threshold),
}

impl Window {
    const fn threshold(&self) -> Threshold {
        match self {
            Self::Passing(threshold) | Self::Total(threshold) => *threshold,
        }
    }

    const fn tag(&self) -> u8 {
        match self {
            Self::Passing(_) => PASSING,
            Self::Total(_) => TOTAL,
        }
    }
}

/// Every window of every limit.
#[derive(Debug)]
pub(super) struct Counters {
    digester: Digester,
    keys_max: usize,
    shards: Box<[Mutex<Shard>; SHARDS]>,
}

/// Slots of one and of three bytes, so that a key of a small limit costs half; one cap for all.
#[derive(Debug)]
struct Shard {
    cap: usize,
    evicted: u64,
    small: Table<u8>,
    large: Table<[u8; 3]>,
}

impl Counters {
    pub(super) fn new(keys_max: usize, secret: CountSecret) -> Self {
        let keys_max = keys_max.clamp(SHARDS, u32::MAX as usize);
        let shard = |_| Mutex::new(Shard::new(keys_max / SHARDS));
        let shards = Box::new(std::array::from_fn(shard));
        Self { digester: Digester::new(secret), keys_max, shards }
    }

    pub(super) const fn secret(&self) -> CountSecret {
        self.digester.secret()
    }

    pub(super) fn count(
        &self,
        id: &LimitId,
        window: Window,
        key: &LimitKey,
        now: Timestamp,
    ) -> LimitOutcome {
        let place = self.place(id.digest(), window, key);
        match self.shard(place.digest).count(&place, now) {
            Counted::Added(sum) => {
                LimitOutcome::Conforms { remaining: place.count_max.saturating_sub(sum) }
            }
            Counted::Full(slot) => {
                let millis = slot.saturating_mul(u64::from(place.slot_millis));
                LimitOutcome::Exceeds { retry_at: Timestamp::from_millis(millis).max(now) }
            }
        }
    }

    pub(super) fn read(&self, id: &LimitId, window: Window, key: &LimitKey, now: Timestamp) -> u32 {
        let place = self.place(id.digest(), window, key);
        self.shard(place.digest).read(&place, now)
    }

    /// Forgets both windows of a key under the limit of this digest.
    pub(super) fn forget(&self, limit: u64, key: &LimitKey) {
        for window in [PASSING, TOTAL] {
            let digest = self.digester.digest(limit, window, key);
            self.shard(digest).forget(digest);
        }
    }

    /// Keeps the keys of the limits with these digests, and returns how many went.
    pub(super) fn retain(&self, limits: &HashSet<u64>) -> usize {
        let tags: HashSet<u32> = limits.iter().map(|limit| tag(*limit)).collect();
        self.each().map(|mut shard| shard.retain_tags(&tags)).sum()
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.each().for_each(|mut shard| shard.sweep(now));
    }

    /// Writes every count that still matters, behind a digest that tells whether a reader digests keys alike.
    pub(super) fn export(&self, now: Timestamp) -> Vec<u8> {
        let mut out = self.likeness().to_be_bytes().to_vec();
        for shard in self.each() {
            shard.small.write_entries(&mut out, now);
            shard.large.write_entries(&mut out, now);
        }
        out
    }

    /// Takes what [`Self::export`] wrote; `None` where it is no such thing, or keys are digested otherwise here. What came
    /// before the end stays.
    pub(super) fn import(&self, mut bytes: &[u8], now: Timestamp) -> Option<()> {
        if u64::from_be_bytes(taken(&mut bytes)?) != self.likeness() {
            return None;
        }
        while let Some([width]) = taken(&mut bytes) {
            let digest = u64::from_be_bytes(*bytes.first_chunk()?);
            self.shard(digest).read_entry(width, &mut bytes, now)?;
        }
        Some(())
    }

    /// A digest of a key that everybody knows.
    fn likeness(&self) -> u64 {
        self.digester.digest(0, 0, &LimitKey::new())
    }

    pub(super) fn report(&self, figures: &mut StateFigures) {
        figures.keys_max = self.keys_max as u64;
        for shard in self.each() {
            figures.keys_live += shard.len() as u64;
            figures.keys_evicted_total += shard.evicted;
        }
    }

    fn place(&self, limit: u64, window: Window, key: &LimitKey) -> Place {
        let threshold = window.threshold();
        Place {
            digest: self.digester.digest(limit, window.tag(), key),
            tag: tag(limit),
            slot_millis: threshold.slot_millis(),
            count_max: threshold.count(),
        }
    }

    fn shard(&self, digest: u64) -> MutexGuard<'_, Shard> {
        // The index inside the shard uses the lowest and the highest bits.
        let at = usize::try_from((digest >> 32) % SHARDS as u64).expect("below 64");
        lock(self.shards.get(at).expect("there are 64 shards"))
    }

    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }
}

/// A panic while a shard was locked cannot leave it half changed in a way that matters: a count more or less.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn new(cap: usize) -> Self {
        Self { cap, evicted: 0, small: Table::new(cap), large: Table::new(cap) }
    }

    fn count(&mut self, place: &Place, now: Timestamp) -> Counted {
        if is_small(place) {
            self.count_in(|shard| &mut shard.small, place, now)
        } else {
            self.count_in(|shard| &mut shard.large, place, now)
        }
    }

    /// One look-up for a key that is known; two and perhaps a victim for a new one.
    fn count_in<T: Slot>(
        &mut self,
        table: fn(&mut Self) -> &mut Table<T>,
        place: &Place,
        now: Timestamp,
    ) -> Counted {
        if let Some(at) = table(self).find(place.digest) {
            return table(self).count(at, place, now);
        }
        if self.len() >= self.cap {
            self.make_room(now);
        }
        let (at, mattered) = table(self).insert(place, now);
        self.evicted += mattered;
        table(self).count(at, place, now)
    }

    fn read_entry(&mut self, width: u8, bytes: &mut &[u8], now: Timestamp) -> Option<()> {
        if self.len() >= self.cap {
            self.make_room(now);
        }
        match width {
            <u8 as Slot>::BYTES => self.small.read_entry(bytes, now),
            <[u8; 3] as Slot>::BYTES => self.large.read_entry(bytes, now),
            _ => None, // no other width is written
        }
    }

    /// Takes from the fuller table, so that a flood on one limit pushes out its own keys.
    fn make_room(&mut self, now: Timestamp) {
        let mattered = if self.small.len() >= self.large.len() {
            self.small.evict(now)
        } else {
            self.large.evict(now)
        };
        self.evicted += u64::from(mattered);
    }

    fn read(&self, place: &Place, now: Timestamp) -> u32 {
        if is_small(place) { self.small.read(place, now) } else { self.large.read(place, now) }
    }

    fn forget(&mut self, digest: u64) {
        self.small.forget(digest);
        self.large.forget(digest);
    }

    fn retain_tags(&mut self, limits: &HashSet<u32>) -> usize {
        let keep = |tag| limits.contains(&tag);
        self.small.retain_tags(keep) + self.large.retain_tags(keep)
    }

    fn sweep(&mut self, now: Timestamp) {
        self.evicted += self.small.sweep(now) + self.large.sweep(now);
    }

    fn len(&self) -> usize {
        self.small.len() + self.large.len()
    }
}

/// The low half of a limit's digest. Two limits that share it are retired together or not at all.
fn tag(limit: u64) -> u32 {
    u32::try_from(limit & u64::from(u32::MAX)).expect("32 bits are left")
}

fn is_small(place: &Place) -> bool {
    place.count_max <= <u8 as Slot>::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_up_to_the_cap() {
        const MOST: usize = 100;
        let now = Timestamp::from_secs(1_800_000_000);
        // Spread as a keyed hash does.
        let digest = |n: u64| {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        for (what, number, evicted) in
            [("one under", MOST - 1, 0), ("at it", MOST, 0), ("one over", MOST + 1, 1)]
        {
            let mut shard = Shard::new(MOST);
            for n in 0..number as u64 {
                let place = Place { digest: digest(n), tag: 1, slot_millis: 1000, count_max: 100 };
                assert_eq!(shard.count(&place, now), Counted::Added(1), "{what}");
            }
            assert_eq!((shard.len(), shard.evicted), (number.min(MOST), evicted), "{what}");
        }
    }
}
