//! What a text must hold for one link's operator to match.

use super::scan::LITERAL_BYTES_MAX;
use super::{SETS, byte_sets, literals, rarity};
use crate::byte_set::ByteSet;
use crate::operator::{Needs, Operator};
use regex_syntax::hir::Hir;

/// Parts of the phrases of one list that are looked for; a longer list asks for no literal.
const PARTS_MAX: usize = 4096;

/// Phrases of a list whose bytes are looked at.
const SET_PHRASES_MAX: usize = 256;

/// Bytes that ordinary texts are made of. A condition with a set outside them is called special.
pub(crate) const ORDINARY: ByteSet = ByteSet::range(b'a', b'z')
    .or(ByteSet::range(b'A', b'Z'))
    .or(ByteSet::range(b'0', b'9'))
    .or(ByteSet::of(b" ,-./_"));

/// A necessary condition. Empty parts ask for nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    pub(super) length: usize,
    /// In lower case; one of them must stand in the text, in any letter case.
    pub(super) literals: Vec<Vec<u8>>,
    /// Of each the text must hold a byte.
    pub(super) sets: Vec<ByteSet>,
}

impl Condition {
    /// Derives the condition of an operator.
    pub(crate) fn of(operator: &Operator) -> Self {
        match operator.needs() {
            Needs::Regex(syntax) => Self::of_regex(syntax),
            Needs::Phrases(phrases) => Self::of_phrases(phrases),
            Needs::Bytes(set) => Self { length: 1, literals: Vec::new(), sets: vec![set] },
            Needs::Nothing => Self::default(),
        }
    }

    fn of_regex(hir: &Hir) -> Self {
        let length = hir.properties().minimum_len().unwrap_or(0);
        Self { length, literals: literals::required(hir), sets: byte_sets::required(hir) }
    }

    fn of_phrases(phrases: &[Vec<u8>]) -> Self {
        let length = phrases.iter().map(Vec::len).min().unwrap_or(0);
        let ways = phrases.iter().map(|phrase| {
            let both =
                |byte: &u8| ByteSet::of(&[byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
            let mut sets: Vec<ByteSet> = phrase.iter().map(both).collect();
            byte_sets::rarest_first(&mut sets);
            sets
        });
        // The sets of a long list hold nearly every byte.
        let mut sets =
            if phrases.len() <= SET_PHRASES_MAX { byte_sets::one_of(ways) } else { Vec::new() };
        sets.truncate(SETS);
        sets.retain(|set| rarity::of_set(set) < byte_sets::COMMON);
        let mut literals: Vec<_> =
            phrases.iter().map(|phrase| rarity::part(phrase, LITERAL_BYTES_MAX)).collect();
        literals.sort();
        literals.dedup();
        if length < 2 || literals.len() > PARTS_MAX {
            literals.clear();
        }
        Self { length, literals, sets }
    }

    /// Whether a text is long enough and holds a byte of each set; its literals are another question.
    pub(crate) fn fits(&self, length: usize, holds: &ByteSet) -> bool {
        length >= self.length && self.sets.iter().all(|set| set.meets(holds))
    }

    /// Whether it asks for a literal.
    pub(crate) fn asks_literal(&self) -> bool {
        !self.literals.is_empty()
    }

    /// Whether no text of ordinary bytes alone meets it.
    pub(super) fn is_special(&self) -> bool {
        self.sets.iter().any(|set| !set.meets(&ORDINARY))
    }

    /// Whether it can rule anything out.
    pub(crate) fn is_useful(&self) -> bool {
        self.length > 0 || !self.literals.is_empty() || !self.sets.is_empty()
    }

    /// In words, for `rules show`.
    pub(crate) fn describe(&self) -> String {
        if !self.is_useful() {
            return "none".to_owned();
        }
        let shortest = self.literals.iter().map(Vec::len).min().unwrap_or(0);
        format!(
            "at least {} bytes, one of {} literals (shortest {}), {} byte sets",
            self.length,
            self.literals.len(),
            shortest,
            self.sets.len()
        )
    }
}
