//! A set of byte values in 32 bytes: what a value holds, and what a matcher cannot do without.

/// A set of byte values. Copying it is cheap; every question is answered in at most four steps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// The set that holds nothing.
    pub const EMPTY: Self = Self([0; 4]);
    /// The set that holds every byte.
    pub const FULL: Self = Self([u64::MAX; 4]);

    /// Returns the set of the bytes listed.
    pub const fn of(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            set = set.with(*first);
            rest = tail;
        }
        set
    }

    /// Returns the set of all bytes from `first` to `last`, both included.
    pub const fn range(first: u8, last: u8) -> Self {
        let mut set = Self::EMPTY;
        let mut byte = first;
        while byte <= last {
            set = set.with(byte);
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        set
    }

    /// Returns the bytes that occur in `value`; one pass over it.
    pub fn present_in(value: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        for byte in value {
            set.insert(*byte);
        }
        set
    }

    /// Returns this set with `byte` in it.
    #[must_use]
    pub const fn with(mut self, byte: u8) -> Self {
        let [a, b, c, d] = &mut self.0;
        let bit = 1_u64 << (byte & 63);
        match byte >> 6 {
            0 => *a |= bit,
            1 => *b |= bit,
            2 => *c |= bit,
            _ => *d |= bit, // byte >> 6 is at most 3
        }
        self
    }

    /// Returns the bytes that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a | e, b | f, c | g, d | h])
    }

    /// Puts `byte` in.
    pub fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Says whether `byte` is in the set.
    pub const fn contains(&self, byte: u8) -> bool {
        let [a, b, c, d] = self.0;
        let word = match byte >> 6 {
            0 => a,
            1 => b,
            2 => c,
            _ => d, // byte >> 6 is at most 3
        };
        word >> (byte & 63) & 1 == 1
    }

    /// Says whether a byte is in both sets.
    pub const fn intersects(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }

    /// Returns how many bytes are in the set, 0 to 256.
    pub const fn len(&self) -> u32 {
        let [a, b, c, d] = self.0;
        a.count_ones() + b.count_ones() + c.count_ones() + d.count_ones()
    }

    /// Says whether nothing is in the set.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for ByteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<u8> = (0..=u8::MAX).filter(|byte| self.contains(*byte)).collect();
        write!(f, "ByteSet(\"{}\")", bytes.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = ByteSet::of(b"\x00a\xff").union(ByteSet::range(b'0', b'9'));
        for byte in 0..=u8::MAX {
            let expected = matches!(byte, 0 | b'a' | 0xff | b'0'..=b'9');
            assert_eq!(set.contains(byte), expected, "{byte}");
        }
        assert_eq!(set.len(), 13);
        assert_eq!(ByteSet::range(0, 255), ByteSet::FULL);
    }

    #[test]
    fn presence_and_intersection_agree() {
        let value = ByteSet::present_in(b"hello world");
        assert!(value.intersects(&ByteSet::of(b"xyzw")));
        assert!(!value.intersects(&ByteSet::of(b"xyz")));
        assert!(ByteSet::EMPTY.is_empty() && !value.is_empty());
    }
}
