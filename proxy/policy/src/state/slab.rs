//! Entries of one slot width, with an index by digest. When one has to go it is the least harmful of a small sample, so
//! that an insertion costs the same however full the table is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use portcullis_config::Timestamp;

use crate::limit::{Ring, Slot};

/// How many entries are compared when one has to go.
const SAMPLE: usize = 8;

/// One key's window.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    digest: u64,
    /// The limit that counts here, for retirement.
    tag: u64,
    /// The width of a slot: tells when the window has passed.
    slot_millis: u32,
    /// How near to its limit the key is, 0 to 255.
    harm: u8,
    ring: Ring<T>,
}

impl<T: Slot> Entry<T> {
    fn is_over(&self, now: Timestamp) -> bool {
        now.as_millis() / u64::from(self.slot_millis) >= self.ring.empty_at()
    }

    /// Orders entries by what is lost with them: nothing, little, much; of equals the one that was longest idle.
    fn loss(&self, now: Timestamp) -> (bool, u8, u64) {
        let last = self.ring.empty_at().saturating_mul(u64::from(self.slot_millis));
        (!self.is_over(now), self.harm, last)
    }
}

/// What identifies an entry and how its window is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) digest: u64,
    pub(super) tag: u64,
    pub(super) slot_millis: u32,
    pub(super) count_max: u32,
}

impl Place {
    pub(super) fn slot(&self, now: Timestamp) -> u64 {
        now.as_millis() / u64::from(self.slot_millis)
    }
}

/// What counting in a shard found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counted {
    /// Counted; so many are in the window now.
    Added(u32),
    /// Not counted: the window is full until this slot.
    Full(u64),
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    index: HashMap<u64, u32, BuildHasherDefault<Digested>>,
    hand: usize,
}

impl<T: Slot> Slab<T> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), index: HashMap::default(), hand: 0 }
    }

    pub(super) fn contains(&self, digest: u64) -> bool {
        self.index.contains_key(&digest)
    }

    /// Counts one request unless the window is full.
    pub(super) fn count(&mut self, place: &Place, now: Timestamp) -> Counted {
        let slot = place.slot(now);
        let entry = self.entry(place, slot);
        entry.ring.advance(slot);
        if entry.ring.sum() >= place.count_max {
            return Counted::Full(entry.ring.slot_when_at_most(place.count_max.saturating_sub(1)));
        }
        entry.ring.add();
        let sum = entry.ring.sum();
        let harm = u64::from(sum) * 255 / u64::from(place.count_max.max(1));
        entry.harm = u8::try_from(harm).unwrap_or(u8::MAX);
        Counted::Added(sum)
    }

    /// Reads a window without changing it.
    pub(super) fn read(&self, place: &Place, now: Timestamp) -> u32 {
        let Some(index) = self.index.get(&place.digest) else { return 0 };
        let Some(entry) = self.entries.get(*index as usize) else { return 0 };
        let mut ring = entry.ring;
        ring.advance(place.slot(now));
        ring.sum()
    }

    pub(super) fn forget(&mut self, digest: u64) {
        if let Some(index) = self.index.get(&digest) {
            self.remove_at(*index as usize);
        }
    }

    /// Keeps the entries whose limit is in use, and returns how many went.
    pub(super) fn retain_tags(&mut self, keep: impl Fn(u64) -> bool) -> usize {
        self.remove_where(|entry| !keep(entry.tag))
    }

    /// Drops entries whose window has passed, and gives memory back where much is unused.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.remove_where(|entry| entry.is_over(now));
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
            self.index.shrink_to(self.entries.len() * 2);
        }
    }

    /// Drops the least harmful of a few entries; says whether a count that still mattered went with it.
    pub(super) fn evict(&mut self, now: Timestamp) -> bool {
        let len = self.entries.len();
        let sample = (0..SAMPLE.min(len)).map(|step| (self.hand + step) % len);
        let least = sample.min_by_key(|at| self.entries.get(*at).map(|entry| entry.loss(now)));
        self.hand = (self.hand + SAMPLE) % len.max(1);
        let Some(at) = least else { return false };
        let mattered = self.entries.get(at).is_some_and(|entry| !entry.is_over(now));
        self.remove_at(at);
        mattered
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, place: &Place, slot: u64) -> &mut Entry<T> {
        let found = self.index.get(&place.digest).map(|index| *index as usize);
        let at = match found {
            Some(at) => at,
            None => self.insert(place, slot),
        };
        self.entries.get_mut(at).expect("the index names entries that exist")
    }

    fn insert(&mut self, place: &Place, slot: u64) -> usize {
        if self.entries.len() == self.entries.capacity() {
            // An eighth at a time: doubling would cost as much memory again as a full table holds.
            self.entries.reserve_exact((self.entries.len() / 8).max(16));
        }
        let at = self.entries.len();
        self.entries.push(Entry {
            digest: place.digest,
            tag: place.tag,
            slot_millis: place.slot_millis.max(1),
            harm: 0,
            ring: Ring::new(slot),
        });
        self.index.insert(place.digest, u32::try_from(at).expect("the cap fits in 32 bits"));
        at
    }

    fn remove_where(&mut self, go: impl Fn(&Entry<T>) -> bool) -> usize {
        let before = self.entries.len();
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            if go(entry) {
                self.remove_at(at);
            } else {
                at += 1;
            }
        }
        before - self.entries.len()
    }

    fn remove_at(&mut self, at: usize) {
        if at >= self.entries.len() {
            return;
        }
        let gone = self.entries.swap_remove(at);
        self.index.remove(&gone.digest);
        if let Some(moved) = self.entries.get(at) {
            let at = u32::try_from(at).expect("the cap fits in 32 bits");
            self.index.insert(moved.digest, at);
        }
    }
}

/// The keys are digests already; hashing them again would only cost time.
#[derive(Debug, Default)]
pub(super) struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}
