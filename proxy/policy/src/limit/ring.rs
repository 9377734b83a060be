//! A sliding window in 33 slots: the current one and the 32 before it, which together always cover the interval. It
//! counts conservatively (a request is forgotten at the earliest when its window has passed, at the latest one slot
//! later) and costs bytes, not a list of times.

/// Slots in a ring: 32 that cover the interval, and the current one.
pub(crate) const SLOTS: u8 = 33;

/// What one slot is counted in. The smallest that holds the limit's count is taken, so that small limits cost little.
pub(crate) trait Slot: Copy + Default + std::fmt::Debug {
    /// How many bytes it has.
    const BYTES: u8;
    /// The largest count that a slot holds.
    const MAX: u32;
    /// Returns the count.
    fn count(self) -> u32;
    /// Makes a slot of a count; one that does not fit is the largest that does.
    fn of(count: u32) -> Self;
}

impl Slot for u8 {
    const BYTES: Self = 1;
    const MAX: u32 = 0xff;

    fn count(self) -> u32 {
        self.into()
    }

    fn of(count: u32) -> Self {
        Self::try_from(count).unwrap_or(Self::MAX)
    }
}

/// Three bytes hold every count that a limit may have, and with them a window is two lines of cache to the byte.
impl Slot for [u8; 3] {
    const BYTES: u8 = 3;
    const MAX: u32 = 0xff_ffff;

    fn count(self) -> u32 {
        let [low, middle, high] = self;
        u32::from_le_bytes([low, middle, high, 0])
    }

    fn of(count: u32) -> Self {
        let [low, middle, high, _] = count.min(<Self as Slot>::MAX).to_le_bytes();
        [low, middle, high]
    }
}

/// One key's window. Times are slot numbers: milliseconds since the epoch divided by the slot's width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<T> {
    head: u64,
    sum: u32,
    slots: [T; SLOTS as usize],
    /// See [`Self::nearness`].
    near: u8,
}

impl<T: Slot> Ring<T> {
    /// Starts an empty window at a slot.
    pub(crate) fn new(slot: u64) -> Self {
        Self { head: slot, sum: 0, slots: [T::default(); SLOTS as usize], near: 0 }
    }

    /// Forgets what is older than the window that ends in `slot`. A slot in the past leaves the window where it is:
    /// two threads that read the clock in one order and arrive in the other count in the later slot. Cost: at most 33
    /// slots.
    pub(crate) fn advance(&mut self, slot: u64) {
        let gap = slot.saturating_sub(self.head);
        if gap >= u64::from(SLOTS) {
            *self = Self::new(slot);
            return;
        }
        for step in 1..=gap {
            let passed = std::mem::take(self.cell(self.head + step));
            self.sum = self.sum.saturating_sub(passed.count());
        }
        self.head += gap;
    }

    /// Counts one request of `count_max` in the current slot.
    pub(crate) fn add(&mut self, count_max: u32) {
        let head = self.head;
        let cell = self.cell(head);
        // A window never counts over its limit, and the limit is at most what a slot holds.
        *cell = T::of(cell.count().saturating_add(1));
        self.sum = self.sum.saturating_add(1);
        let near = self.sum.saturating_mul(255) / count_max.max(1);
        self.near = u8::try_from(near).unwrap_or(u8::MAX);
    }

    /// Writes the window: its newest slot, its nearness, and the counts that are not zero with their places.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.head.to_be_bytes());
        out.push(self.near);
        let counted = || self.slots.iter().zip(0u8..).filter(|(slot, _)| slot.count() > 0);
        out.push(u8::try_from(counted().count()).unwrap_or(SLOTS));
        for (slot, at) in counted() {
            out.push(at);
            out.extend(slot.count().to_be_bytes());
        }
    }

    /// Reads what [`Self::write`] wrote; `None` where the bytes end early or name a slot that there is not.
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut ring = Self::new(u64::from_be_bytes(taken(bytes)?));
        let [near, counted] = taken(bytes)?;
        ring.near = near;
        for _ in 0..counted {
            let [at] = taken(bytes)?;
            let slot = T::of(u32::from_be_bytes(taken(bytes)?));
            *ring.slots.get_mut(usize::from(at))? = slot;
            ring.sum = ring.sum.saturating_add(slot.count());
        }
        Some(ring)
    }

    /// Returns how near to its limit the window was when it was counted in last, 0 to 255.
    pub(crate) const fn nearness(&self) -> u8 {
        self.near
    }

    /// Returns how many requests the window holds.
    pub(crate) const fn sum(&self) -> u32 {
        self.sum
    }

    /// Returns the first slot after which the window holds nothing.
    pub(crate) const fn empty_at(&self) -> u64 {
        self.head.saturating_add(SLOTS as u64)
    }

    /// Returns the slot in which the window will hold at most `most`. Cost: at most 33 slots.
    pub(crate) fn slot_when_at_most(&mut self, most: u32) -> u64 {
        let mut sum = self.sum;
        let oldest = self.head.saturating_sub(u64::from(SLOTS) - 1);
        for slot in oldest..=self.head {
            if sum <= most {
                return slot.saturating_add(u64::from(SLOTS) - 1).max(self.head);
            }
            sum = sum.saturating_sub(self.cell(slot).count());
        }
        self.empty_at()
    }

    fn cell(&mut self, slot: u64) -> &mut T {
        let index = usize::try_from(slot % u64::from(SLOTS)).expect("a remainder of 33 fits");
        self.slots.get_mut(index).expect("a remainder of 33 is below 33")
    }
}

/// Takes so many bytes from the front; `None` where there are fewer.
pub(crate) fn taken<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*front)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Threshold;

    #[test]
    fn a_request_is_forgotten_thirty_three_slots_later() {
        for start in [0, 1, 32, 33, 1_000_003] {
            let mut ring = Ring::<u8>::new(start);
            ring.add(9);
            ring.advance(start + 32);
            assert_eq!(ring.sum(), 1);
            ring.advance(start + 33);
            assert_eq!(ring.sum(), 0);
        }
    }

    #[test]
    fn a_slot_in_the_past_moves_nothing() {
        let mut ring = Ring::<u8>::new(100);
        ring.add(9);
        ring.advance(90);
        ring.add(9);
        assert_eq!(ring.sum(), 2);
        ring.advance(132);
        assert_eq!(ring.sum(), 2);
        ring.advance(133);
        assert_eq!(ring.sum(), 0);
    }

    #[test]
    fn the_slot_in_which_room_returns_is_told_exactly() {
        let mut ring = Ring::<u8>::new(100);
        ring.add(9);
        ring.advance(110);
        ring.add(9);
        ring.add(9);
        for (most, slot) in [(3, 110), (2, 133), (1, 143), (0, 143)] {
            assert_eq!(ring.slot_when_at_most(most), slot, "{most}");
            let mut later = ring;
            later.advance(slot);
            assert!(later.sum() <= most);
            if slot > 110 {
                let mut earlier = ring;
                earlier.advance(slot - 1);
                assert!(earlier.sum() > most);
            }
        }
    }

    #[test]
    fn a_small_window_stays_small() {
        assert!(size_of::<Ring<u8>>() <= 48);
        assert!(size_of::<Ring<[u8; 3]>>() <= 112);
    }

    #[test]
    fn three_bytes_hold_what_four_do_up_to_their_largest() {
        for count in [0, 1, 255, 256, 65_535, 65_536, 1_000_000, 0xff_ffff] {
            assert_eq!(<[u8; 3]>::of(count).count(), count);
        }
        assert_eq!(<[u8; 3]>::of(0x100_0000).count(), 0xff_ffff);
        const { assert!(Threshold::COUNT_MAX <= <[u8; 3] as Slot>::MAX) };
    }
}
