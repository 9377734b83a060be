//! The words at which libinjection's tokenizer may find anything but a bareword or a number.

use super::sql::FUNCTIONS;
use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
use std::collections::HashSet;
use std::sync::LazyLock;

/// The table: a bit per hash, 64 Ki bits for each of two sets. A false "yes" costs a run of the detector.
pub(super) struct SqlWords {
    all: Box<[u64; BITS / 64]>,
    without_functions: Box<[u64; BITS / 64]>,
}

const BITS: usize = 1 << 16;

static WORDS: LazyLock<SqlWords> = LazyLock::new(SqlWords::build);

impl SqlWords {
    /// Returns the one table of the process, built at its first use.
    pub(super) fn get() -> &'static Self {
        &WORDS
    }

    /// Collects every keyword, and of each phrase the first word, without which it cannot come about. A function's
    /// name is left out of the second set unless it also starts something else.
    fn build() -> Self {
        let mut all = HashSet::new();
        let mut strict = HashSet::new();
        for keyword in SQL_KEYWORDS.iter().filter(|keyword| keyword.token_type != b'F') {
            let bytes = keyword.word.as_bytes();
            let single = bytes.iter().all(|byte| is_word(*byte));
            let mut words = bytes.split(|byte| !is_word(*byte));
            let Some(first) = words.find(|word| !word.is_empty()).map(hash) else { continue };
            all.insert(first);
            if !single || keyword.token_type != b'f' {
                strict.insert(first);
            }
        }
        // Functions before a parenthesis, though the table has them otherwise or not at all.
        all.extend(FUNCTIONS.iter().map(|name| hash(name)));
        Self { all: bitmap(&all), without_functions: bitmap(&strict) }
    }

    /// Says whether a word of the table stands in `value`: as a whole word, or behind a number.
    pub(super) fn occur_in(&self, value: &[u8], with_functions: bool) -> bool {
        let table = if with_functions { &self.all } else { &self.without_functions };
        value.split(|byte| !is_word(*byte)).any(|word| match word {
            [b'0'..=b'9', ..] => any_suffix(word, table),
            [] => false,
            _ => holds(table, hash(word)), // a word that starts with no digit
        })
    }
}

/// Hashes a word from its end to its start, so that the hashes of all its suffixes come on the way.
fn hash(word: &[u8]) -> u64 {
    word.iter().rev().fold(SEED, |hash, byte| step(hash, *byte))
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte.to_ascii_uppercase() as u64).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
}

fn any_suffix(word: &[u8], table: &[u64; BITS / 64]) -> bool {
    let mut hash = SEED;
    word.iter().rev().any(|byte| {
        hash = step(hash, *byte);
        !byte.is_ascii_digit() && holds(table, hash)
    })
}

fn holds(table: &[u64; BITS / 64], hash: u64) -> bool {
    let (word, bit) = place(hash);
    table.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
}

fn bitmap(hashes: &HashSet<u64>) -> Box<[u64; BITS / 64]> {
    let mut table = Box::new([0_u64; BITS / 64]);
    for hash in hashes {
        let (word, bit) = place(*hash);
        if let Some(bits) = table.get_mut(word) {
            *bits |= 1 << bit;
        }
    }
    table
}

const fn place(hash: u64) -> (usize, u32) {
    let index = (hash ^ hash >> 29) as usize % BITS;
    (index / 64, (index % 64) as u32)
}

/// Bytes beyond ASCII are of a word too: a keyword never holds one.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
