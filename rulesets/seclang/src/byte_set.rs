//! A set of byte values in 256 bits: what a text holds, what a condition asks for.

/// A set of byte values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub(crate) const EMPTY: Self = Self([0; 4]);

    /// The set of the bytes of a literal; usable in tables.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = [0; 4];
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            set[(*first >> 6) as usize] |= 1 << (*first & 63);
            rest = tail;
        }
        Self(set)
    }

    /// The set of the bytes that a text holds. One pass without branches; long texts mark a table,
    /// because marking bits waits for the mark before.
    pub(crate) fn held_by(text: &[u8]) -> Self {
        if text.len() < 64 { Self::held_by_short(text) } else { Self::held_by_long(text) }
    }

    fn held_by_short(text: &[u8]) -> Self {
        let (mut low, mut high, mut beyond) = (0_u64, 0_u64, 0_u8);
        for &byte in text {
            let bit = 1_u64 << (byte & 63);
            let upper = u64::from(byte >> 6 & 1).wrapping_neg();
            low |= bit & !upper;
            high |= bit & upper;
            beyond |= byte;
        }
        if beyond < 0x80 {
            return Self([low, high, 0, 0]);
        }
        let mut set = Self::EMPTY;
        text.iter().for_each(|byte| set.insert(*byte));
        set
    }

    fn held_by_long(text: &[u8]) -> Self {
        let mut seen = [0_u8; 256];
        for &byte in text {
            seen[byte as usize] = 1;
        }
        let mut set = Self::EMPTY;
        for (word, marks) in set.0.iter_mut().zip(seen.chunks_exact(64)) {
            for (eight, shift) in marks.chunks_exact(8).zip((0_u32..).step_by(8)) {
                let eight = eight.try_into().map_or(0, u64::from_le_bytes);
                // The product moves the low bit of byte `n` to bit `56 + n`.
                *word |= (eight.wrapping_mul(0x0102_0408_1020_4080) >> 56) << shift;
            }
        }
        set
    }

    /// The bytes in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        let words = self.0.into_iter().zip([0_u8, 64, 128, 192]);
        words.flat_map(|(word, base)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = u8::try_from(rest.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                rest &= rest - 1;
                Some(base + bit)
            })
        })
    }

    /// The set of an inclusive range.
    pub(crate) const fn range(first: u8, last: u8) -> Self {
        let mut set = [0; 4];
        let mut byte = first as usize;
        while byte <= last as usize {
            set[byte >> 6] |= 1 << (byte & 63);
            byte += 1;
        }
        Self(set)
    }

    /// The bytes that stand in either.
    pub(crate) const fn or(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a | e, b | f, c | g, d | h])
    }

    /// The bytes that do not stand in it.
    pub(crate) const fn not(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([!a, !b, !c, !d])
    }

    /// Whether the two share a byte.
    pub(crate) const fn meets(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }

    /// How many bytes the two share.
    pub(crate) const fn shared_with(&self, other: &Self) -> u32 {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a & e).count_ones() + (b & f).count_ones() + (c & g).count_ones() + (d & h).count_ones()
    }

    /// Whether `byte` stands in it.
    pub(crate) const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] & (1 << (byte & 63)) != 0
    }

    /// Adds one byte.
    pub(crate) const fn insert(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_a_text_is_that_of_its_bytes_at_every_length() {
        let text: Vec<u8> =
            (0..700_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for length in 0..text.len() {
            for bytes in
                [text[..length].to_vec(), text[..length].iter().map(|b| b & 0x7f).collect()]
            {
                let mut set = ByteSet::EMPTY;
                bytes.iter().for_each(|byte| set.insert(*byte));
                assert_eq!(ByteSet::held_by(&bytes), set, "{length}");
            }
        }
    }
}
