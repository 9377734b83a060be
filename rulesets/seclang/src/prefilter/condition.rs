//! What a text must hold for one link's operator to match.

use std::sync::Arc;

use regex_syntax::hir::Hir;

use super::scan::LITERAL_BYTES_MAX;
use super::{SETS, byte_sets, literals, rarity};
use crate::byte_set::ByteSet;

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
    pub(super) literals: Arc<[Vec<u8>]>,
    /// Of each the text must hold a byte.
    pub(super) sets: Vec<ByteSet>,
}

impl Condition {
    /// The condition of an operator that looks for a byte of a set.
    pub(crate) fn of_byte(set: ByteSet) -> Self {
        Self { length: 1, literals: Arc::default(), sets: vec![set] }
    }

    /// The condition of a regular expression.
    pub(crate) fn of_regex(hir: &Hir) -> Self {
        let length = hir.properties().minimum_len().unwrap_or(0);
        let literals = literals::required(hir).into();
        Self { length, literals, sets: byte_sets::required(hir) }
    }

    /// The condition of a list of phrases in lower case; without phrases, nothing is asked.
    pub(crate) fn of_phrases(phrases: &[Vec<u8>]) -> Self {
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
        Self { length, literals: literals.into(), sets }
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

/// What stays of a condition once its literals stand in the scan: looked at first, because it costs nothing.
#[derive(Debug)]
pub(super) struct Gate {
    length: usize,
    sets: Box<[ByteSet]>,
}

impl Gate {
    /// Whether a text is long enough and holds a byte of each set; its literals are another question.
    pub(super) fn fits(&self, length: usize, holds: &ByteSet) -> bool {
        length >= self.length && self.sets.iter().all(|set| set.meets(holds))
    }
}

impl From<Condition> for Gate {
    fn from(condition: Condition) -> Self {
        Self { length: condition.length, sets: condition.sets.into() }
    }
}
