//! A set of conditions in a fixed number of words.

use std::ops::Range;

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

    /// What stands in both.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        for (word, kept) in self.0.iter_mut().zip(other.0) {
            *word &= kept;
        }
        self
    }

    /// What does not stand in the other.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        for (word, taken) in self.0.iter_mut().zip(other.0) {
            *word &= !taken;
        }
        self
    }

    /// The words that hold any.
    pub(crate) fn words(&self) -> Range<usize> {
        let first = self.0.iter().position(|word| *word != 0).unwrap_or(0);
        let end = self.0.iter().rposition(|word| *word != 0).map_or(first, |last| last + 1);
        first..end
    }

    /// One of its words: bit `n` of word `w` is condition `64 * w + n`.
    pub(crate) fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Puts another word in its place.
    pub(crate) fn set_word(&mut self, at: usize, word: u64) {
        if let Some(place) = self.0.get_mut(at) {
            *place = word;
        }
    }
}
