//! Windows of one slot width, each in its own cache lines.
//!
//! A key may stand in one of two groups of sixteen places, which its digest names. A row of marks, one byte per place,
//! says which of them may be it: the rows of a million keys are a megabyte and stay in the processor's cache, so a check
//! waits for one line of memory, however many keys there are. Both rows are asked at once, because which of the two has
//! the key is not to be foreseen, and a processor that guesses wrong waits. Of two groups a new key takes the emptier
//! one, which fills nine tenths of the table before both are full. Then the table grows by half, or, at its bound, the
//! least harmful of the two groups goes: an insertion costs the same however full the table is.

use std::hint::black_box;

use portcullis_config::Timestamp;

use crate::limit::{Ring, Slot, taken};

/// Places in a group: as many as a row of marks has bytes.
const GROUP: usize = 16;
/// One in every byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
/// Every bit of every byte but the highest.
const LOWS: u64 = u64::from_ne_bytes([0x7f; 8]);
/// Multiplied by this, the lowest bits of all bytes come together in the highest byte: that of byte `n` as bit `n`.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// One key's window: a line of 64 bytes where the slots are bytes, two where they have three.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry<T> {
    digest: u64,
    ring: Ring<T>,
    /// The low half of the digest of the limit that counts here, for retirement.
    tag: u32,
    /// The width of a slot: tells when the window has passed.
    slot_millis: u32,
}

impl<T: Slot> Entry<T> {
    fn is_over(&self, now: Timestamp) -> bool {
        now.as_millis() / u64::from(self.slot_millis) >= self.ring.empty_at()
    }

    /// Orders entries by what is lost with them: nothing, little, much; of equals the one that was longest idle.
    fn loss(&self, now: Timestamp) -> (bool, u8, u64) {
        let last = self.ring.empty_at().saturating_mul(u64::from(self.slot_millis));
        (!self.is_over(now), self.ring.nearness(), last)
    }
}

/// What identifies an entry and how its window is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) digest: u64,
    pub(super) tag: u32,
    pub(super) slot_millis: u32,
    pub(super) count_max: u32,
}

impl Place {
    fn slot(&self, now: Timestamp) -> u64 {
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

/// A place that was found or made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found(usize);

#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Vec<Row>,
    entries: Vec<Entry<T>>,
    len: usize,
    /// The most groups that it grows to.
    groups_max: usize,
    /// Where the next victim is looked for.
    hand: usize,
}

/// The marks of one group: a zero byte is a free place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(align(16))]
struct Row([u8; GROUP]);

impl Row {
    /// Returns the places that have the mark, a bit for each.
    fn places(self, mark: u8) -> u32 {
        let marks = u128::from_le_bytes(self.0);
        let half = |half: u128| {
            let differs = half as u64 ^ (ONES * u64::from(mark));
            // A byte is zero where neither itself nor a carry out of its lower bits sets the highest.
            let zeros = !(((differs & LOWS) + LOWS) | differs | LOWS);
            ((zeros >> 7).wrapping_mul(GATHER) >> 56) as u32
        };
        half(marks) | half(marks >> 64) << 8
    }

    /// Returns the free places, a bit for each.
    fn free(self) -> u32 {
        self.places(0)
    }

    /// Returns the places that are not free, lowest first.
    fn taken(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().filter(|(_, mark)| *mark != 0).map(|(at, _)| at)
    }

    fn is_free(self, at: usize) -> bool {
        self.0.get(at).is_none_or(|mark| *mark == 0)
    }

    fn set(&mut self, at: usize, mark: u8) {
        if let Some(cell) = self.0.get_mut(at) {
            *cell = mark;
        }
    }
}

/// A mark is never zero.
fn mark_of(digest: u64) -> u8 {
    digest.to_be_bytes()[0].max(1)
}

/// The place that a key takes in its group where it is free, as it is for three keys in five of a table that fills up.
fn favourite(digest: u64) -> usize {
    usize::from(digest.to_be_bytes()[2]) % GROUP
}

impl<T: Slot> Table<T> {
    /// Makes an empty table that holds `len_max` keys at least before any has to go.
    pub(super) fn new(len_max: usize) -> Self {
        let groups_max = (len_max + len_max / 5).div_ceil(GROUP).max(1);
        Self { rows: Vec::new(), entries: Vec::new(), len: 0, groups_max, hand: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, digest: u64) -> Option<Found> {
        let (mark, groups) = (mark_of(digest), self.groups(digest));
        self.fetch(digest, groups);
        let [first, second] = groups.map(|group| self.row(group).places(mark));
        let mut left = first | second << GROUP;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            let group = if at < GROUP { groups[0] } else { groups[1] };
            let index = group * GROUP + at % GROUP;
            if self.entries.get(index).is_some_and(|entry| entry.digest == digest) {
                return Some(Found(index));
            }
            left &= left - 1;
        }
        None
    }

    /// Counts one request of a key that was found, unless the window is full.
    pub(super) fn count(&mut self, at: Found, place: &Place, now: Timestamp) -> Counted {
        let slot = place.slot(now);
        let Some(entry) = self.entries.get_mut(at.0) else { return Counted::Added(1) };
        entry.ring.advance(slot);
        if entry.ring.sum() >= place.count_max {
            return Counted::Full(entry.ring.slot_when_at_most(place.count_max.saturating_sub(1)));
        }
        entry.ring.add(place.count_max);
        Counted::Added(entry.ring.sum())
    }

    /// Reads a window without changing it.
    pub(super) fn read(&self, place: &Place, now: Timestamp) -> u32 {
        let found = self.find(place.digest).and_then(|at| self.entries.get(at.0));
        found.map_or(0, |entry| {
            let mut ring = entry.ring;
            ring.advance(place.slot(now));
            ring.sum()
        })
    }

    /// Makes an entry for a key that was not found. Says also how many counts that still mattered had to go for it.
    pub(super) fn insert(&mut self, place: &Place, now: Timestamp) -> (Found, u64) {
        let ring = Ring::new(place.slot(now));
        let (digest, tag, slot_millis) = (place.digest, place.tag, place.slot_millis.max(1));
        self.add(Entry { digest, ring, tag, slot_millis }, now)
    }

    fn add(&mut self, entry: Entry<T>, now: Timestamp) -> (Found, u64) {
        let mut lost = 0;
        while !self.has_room(entry.digest) && self.rows.len() < self.groups_max {
            let grown = (self.rows.len() + self.rows.len() / 2 + 1).min(self.groups_max);
            lost += self.resize(grown, now);
        }
        let (at, mattered) = self.put(entry, now);
        (at, lost + u64::from(mattered))
    }

    /// Writes every entry whose window has not passed; see [`Self::read_entry`].
    pub(super) fn write_entries(&self, out: &mut Vec<u8>, now: Timestamp) {
        for (index, entry) in self.entries.iter().enumerate() {
            if self.row(index / GROUP).is_free(index % GROUP) || entry.is_over(now) {
                continue;
            }
            out.push(T::BYTES);
            out.extend(entry.digest.to_be_bytes());
            out.extend(entry.tag.to_be_bytes());
            out.extend(entry.slot_millis.to_be_bytes());
            entry.ring.write(out);
        }
    }

    /// Takes one entry that [`Self::write_entries`] wrote, behind the byte that says how wide its slots are. A key that
    /// is here already keeps what is counted of it here. `None` where the bytes end early.
    pub(super) fn read_entry(&mut self, bytes: &mut &[u8], now: Timestamp) -> Option<()> {
        let digest = u64::from_be_bytes(taken(bytes)?);
        let tag = u32::from_be_bytes(taken(bytes)?);
        let slot_millis = u32::from_be_bytes(taken(bytes)?).max(1);
        let ring = Ring::read(bytes)?;
        if self.find(digest).is_none() {
            self.add(Entry { digest, ring, tag, slot_millis }, now);
        }
        Some(())
    }

    pub(super) fn forget(&mut self, digest: u64) {
        if let Some(at) = self.find(digest) {
            self.remove(at.0);
        }
    }

    /// Keeps the entries whose limit is in use, and returns how many went.
    pub(super) fn retain_tags(&mut self, keep: impl Fn(u32) -> bool) -> usize {
        self.remove_where(|entry| !keep(entry.tag))
    }

    /// Drops entries whose window has passed, and gives memory back where much is unused. Returns how many counts that
    /// still mattered were lost by that.
    pub(super) fn sweep(&mut self, now: Timestamp) -> u64 {
        self.remove_where(|entry| entry.is_over(now));
        if self.rows.len() > 4 && self.len < self.entries.len() / 4 {
            return self.resize((self.len * 2).div_ceil(GROUP), now);
        }
        0
    }

    /// Drops the least harmful entry of the next two groups that have any; says whether a count that still mattered
    /// went with it.
    pub(super) fn evict(&mut self, now: Timestamp) -> bool {
        let groups = self.rows.len();
        for step in 0..groups {
            let group = (self.hand + step) % groups;
            if let Some(least) = self.least_harmful(&[group, (group + 1) % groups], now) {
                self.hand = (group + 1) % groups;
                let mattered = self.entries.get(least).is_some_and(|entry| !entry.is_over(now));
                self.remove(least);
                return mattered;
            }
        }
        false
    }

    /// The two groups of a digest. Its middle bits choose the shard and its highest byte is the mark, so the first group
    /// is chosen by the low half and the second by all bits mixed.
    fn groups(&self, digest: u64) -> [usize; 2] {
        let count = self.rows.len() as u64;
        let scaled = |half: u64| usize::try_from((half * count) >> 32).unwrap_or(0);
        let mixed = digest.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [scaled(digest & 0xffff_ffff), scaled(mixed >> 32)]
    }

    /// Asks memory for the entries where a key is likely to be, before the marks have told where it is: a processor waits
    /// for a load only when its value is used, so that the wait for the marks and the wait for the entry are one. Nothing
    /// is decided by what is read.
    fn fetch(&self, digest: u64, groups: [usize; 2]) {
        for group in groups {
            let likely = self.entries.get(group * GROUP + favourite(digest));
            black_box(likely.map(|entry| entry.digest));
        }
    }

    fn row(&self, group: usize) -> Row {
        self.rows.get(group).copied().unwrap_or_default()
    }

    fn has_room(&self, digest: u64) -> bool {
        !self.rows.is_empty()
            && self.groups(digest).iter().any(|group| self.row(*group).free() != 0)
    }

    /// Puts an entry into the emptier of its groups, in place of the least harmful where both are full.
    fn put(&mut self, entry: Entry<T>, now: Timestamp) -> (Found, bool) {
        let groups = self.groups(entry.digest);
        let [first, second] = groups.map(|group| self.row(group).free());
        let (group, free) = if first.count_ones() >= second.count_ones() {
            (groups[0], first)
        } else {
            (groups[1], second)
        };
        let mut mattered = false;
        let index = if free == 0 {
            let least = self.least_harmful(&groups, now).unwrap_or(group * GROUP);
            mattered = self.entries.get(least).is_some_and(|gone| !gone.is_over(now));
            least
        } else {
            self.len += 1;
            let favourite = favourite(entry.digest);
            let is_free = free >> favourite & 1 == 1;
            group * GROUP + if is_free { favourite } else { free.trailing_zeros() as usize }
        };
        if let Some(row) = self.rows.get_mut(index / GROUP) {
            row.set(index % GROUP, mark_of(entry.digest));
        }
        if let Some(cell) = self.entries.get_mut(index) {
            *cell = entry;
        }
        (Found(index), mattered)
    }

    fn least_harmful(&self, groups: &[usize], now: Timestamp) -> Option<usize> {
        let places = groups
            .iter()
            .flat_map(|group| self.row(*group).taken().map(move |at| group * GROUP + at));
        places.min_by_key(|at| self.entries.get(*at).map(|entry| entry.loss(now)))
    }

    /// Moves every entry into a table of so many groups, and returns how many that still mattered found no place. Cost: one
    /// pass; a shard at most is locked meanwhile.
    fn resize(&mut self, groups: usize, now: Timestamp) -> u64 {
        let groups = groups.clamp(1, self.groups_max);
        let rows = std::mem::replace(&mut self.rows, vec![Row::default(); groups]);
        let free = Entry { digest: 0, ring: Ring::new(0), tag: 0, slot_millis: 1 };
        let entries = std::mem::replace(&mut self.entries, vec![free; groups * GROUP]);
        self.len = 0;
        self.hand = 0;
        let mut lost = 0;
        for (index, entry) in entries.into_iter().enumerate() {
            let row = rows.get(index / GROUP).copied().unwrap_or_default();
            if !row.is_free(index % GROUP) {
                lost += u64::from(self.put(entry, now).1);
            }
        }
        lost
    }

    fn remove_where(&mut self, go: impl Fn(&Entry<T>) -> bool) -> usize {
        let before = self.len;
        for index in 0..self.entries.len() {
            let is_taken = !self.row(index / GROUP).is_free(index % GROUP);
            if is_taken && self.entries.get(index).is_some_and(&go) {
                self.remove(index);
            }
        }
        before - self.len
    }

    fn remove(&mut self, index: usize) {
        if let Some(row) = self.rows.get_mut(index / GROUP) {
            row.set(index % GROUP, 0);
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
