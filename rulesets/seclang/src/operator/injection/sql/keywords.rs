//! libinjection's table: the words that are more than barewords, and the fingerprints that are attacks.

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
use std::sync::LazyLock;

use super::token::{Kind, TEXT_BYTES_MAX};

/// The words by hash, with open addressing; the fingerprints packed and sorted.
pub(super) struct Keywords {
    slots: Box<[Option<(&'static [u8], Kind)>; SLOTS]>,
    fingerprints: Vec<u64>,
}

/// At least four times as many as there are words.
const SLOTS: usize = 1 << 12;

/// Names of columns as well as, before a parenthesis, of functions.
pub(in super::super) const FUNCTIONS: [&[u8]; 11] = [
    b"USER_ID",
    b"USER_NAME",
    b"DATABASE",
    b"PASSWORD",
    b"USER",
    b"CURRENT_USER",
    b"CURRENT_DATE",
    b"CURRENT_TIME",
    b"CURRENT_TIMESTAMP",
    b"LOCALTIME",
    b"LOCALTIMESTAMP",
];

static KEYWORDS: LazyLock<Keywords> = LazyLock::new(Keywords::build);

impl Keywords {
    /// Returns the one table of the process, built at its first use.
    pub(super) fn get() -> &'static Self {
        &KEYWORDS
    }

    fn build() -> Self {
        let mut table = Self { slots: Box::new([None; SLOTS]), fingerprints: Vec::new() };
        for row in SQL_KEYWORDS {
            let word = row.word.as_bytes();
            match Kind::of_letter(row.token_type) {
                Some(kind) => table.insert(word, kind),
                // A fingerprint stands behind a zero, in capitals.
                None => table.fingerprints.extend(word.get(1..).map(packed)),
            }
        }
        table.fingerprints.sort_unstable();
        table
    }

    fn insert(&mut self, word: &'static [u8], kind: Kind) {
        let free = places(word).find(|place| self.slots.get(*place).is_some_and(Option::is_none));
        if let Some(slot) = free.and_then(|place| self.slots.get_mut(place)) {
            *slot = Some((word, kind));
        }
    }

    /// Returns what a word, an operator or a phrase with single spaces is; nothing for what is not in the table.
    pub(super) fn kind(&self, word: &[u8]) -> Option<Kind> {
        if word.len() > TEXT_BYTES_MAX {
            return None;
        }
        places(word)
            .map_while(|place| self.slots.get(place).copied().flatten())
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|(_, kind)| kind)
    }

    /// Says whether a sequence of kinds is an attack's.
    pub(super) fn has_fingerprint(&self, letters: &[u8]) -> bool {
        self.fingerprints.binary_search(&packed(letters)).is_ok()
    }
}

/// Where a word may stand, in order.
fn places(word: &[u8]) -> impl Iterator<Item = usize> {
    let step = |hash: u32, byte: &u8| {
        (hash ^ u32::from(byte.to_ascii_uppercase())).wrapping_mul(0x0100_0193).rotate_left(11)
    };
    let start = word.iter().fold(0x811c_9dc5, step) as usize;
    (0..SLOTS).map(move |probe| (start + probe) % SLOTS)
}

/// At most seven letters and their number, without regard to their case.
fn packed(letters: &[u8]) -> u64 {
    let letters = letters.iter().take(7);
    letters.fold(1, |packed, letter| packed << 8 | u64::from(letter.to_ascii_uppercase()))
}
