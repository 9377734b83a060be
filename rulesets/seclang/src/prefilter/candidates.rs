//! A set of conditions in a fixed number of words.

/// Conditions of a program; operators past it always run.
pub(crate) const GATES_MAX: usize = WORDS * 64;

const WORDS: usize = 8;

/// A set of conditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidates([u64; WORDS]);

impl Candidates {
    pub(crate) const NONE: Self = Self([0; WORDS]);
    pub(crate) const ALL: Self = Self([u64::MAX; WORDS]);

    pub(crate) fn insert(&mut self, gate: u16) {
        if let Some(word) = self.0.get_mut(usize::from(gate) / 64) {
            *word |= 1 << (gate % 64);
        }
    }

    pub(crate) fn contains(&self, gate: u16) -> bool {
        self.0.get(usize::from(gate) / 64).is_some_and(|word| word & (1 << (gate % 64)) != 0)
    }

    /// Adds another set.
    pub(crate) fn join(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// Keeps what stands in another set too.
    pub(crate) fn meet(&mut self, other: &Self) {
        for (word, kept) in self.0.iter_mut().zip(other.0) {
            *word &= kept;
        }
    }

    /// Keeps the conditions that a test keeps.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        for (base, word) in (0..).step_by(64).zip(&mut self.0) {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest & rest.wrapping_neg();
                rest ^= bit;
                if !keep(base + bit.trailing_zeros() as usize) {
                    *word ^= bit;
                }
            }
        }
    }
}
