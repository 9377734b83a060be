//! Finds which literals a text holds, letter case ignored: one pass over its trigrams.
//!
//! Bytes are folded to 64 classes. A bitmap says of three classes in a row whether a literal has its rarest
//! three there; only then the literals with these three are compared, eight bytes at once. A step waits for no
//! other but through one register, and the bitmap stays in the first cache, where an automaton over the same
//! literals takes megabytes. The worst case is a text all of literals: each place compares the few literals
//! that share its trigram.

use super::rarity;

/// Classes of bytes; class 0 is that of bytes that no literal holds, and of the end of a text.
const CLASSES: u32 = 64;

/// Bits of three classes together.
const GRAM_BITS: u32 = 18;

const GRAM_MASK: u32 = (1 << GRAM_BITS) - 1;

/// Bitmap of trigrams in words.
const WORDS: usize = 1 << (GRAM_BITS - 6);

const BUCKET_BITS: u32 = 12;

/// Bytes of the longest literal.
pub(super) const LITERAL_BYTES_MAX: usize = 8;

/// The literals of some conditions, ready to be looked for.
#[derive(Debug)]
pub(super) struct Scan {
    class: [u8; 256],
    grams: Box<[u64; WORDS]>,
    /// Of each first class, the second ones with which a literal of two bytes is written.
    pairs: [u64; CLASSES as usize],
    /// Per hash of a trigram, where its literals start in `entries`; one row more for the end.
    buckets: Box<[u16; (1 << BUCKET_BITS) + 1]>,
    entries: Vec<Entry>,
}

/// One literal by its rarest trigram.
#[derive(Debug)]
struct Entry {
    /// The three classes; of a literal of two bytes these two and class 0.
    gram: u32,
    literal: u16,
    /// Where the trigram stands in the literal.
    offset: u8,
    length: u8,
    /// The literal in lower case, the first byte the lowest.
    value: u64,
    /// The bit that makes a letter lower case, for each letter.
    fold: u64,
}

impl Scan {
    /// Lays literals of two to eight bytes, in lower case, each with its number. Nothing when there are too many
    /// or one has another length.
    pub(super) fn new<'a>(
        literals: impl Iterator<Item = (usize, &'a [u8])> + Clone,
    ) -> Option<Self> {
        let class = classes(literals.clone().map(|(_, text)| text));
        let entries = literals.map(|(number, text)| Entry::new(number, text, &class));
        let mut entries: Vec<Entry> = entries.collect::<Option<_>>()?;
        entries.sort_by_key(|entry| (bucket(entry.gram), entry.gram));
        let mut grams = Box::new([0_u64; WORDS]);
        let mut pairs = [0; CLASSES as usize];
        for entry in &entries {
            if let Some(word) = grams.get_mut((entry.gram / CLASSES) as usize) {
                *word |= if entry.length == 2 { u64::MAX } else { 1 << (entry.gram % CLASSES) };
            }
            if let Some(word) =
                pairs.get_mut((entry.gram >> 12) as usize).filter(|_| entry.length == 2)
            {
                *word |= 1 << (entry.gram >> 6 & 63);
            }
        }
        let mut buckets = Box::new([0_u16; (1 << BUCKET_BITS) + 1]);
        for (number, row) in buckets.iter_mut().enumerate() {
            *row = u16::try_from(entries.partition_point(|e| bucket(e.gram) < number)).ok()?;
        }
        Some(Self { class, grams, pairs, buckets, entries })
    }

    /// Calls `found` with the number of each literal that stands in the text, perhaps more than once.
    pub(super) fn run(&self, text: &[u8], mut found: impl FnMut(u16)) {
        let [first, second, rest @ ..] = text else { return };
        let class = |byte: &u8| u32::from(self.class[usize::from(*byte)]);
        let mut gram = class(first) << 6 | class(second);
        for (start, byte) in rest.iter().enumerate() {
            gram = (gram << 6 | class(byte)) & GRAM_MASK;
            if self.holds(gram) {
                self.compare(text, start, gram, &mut found);
            }
        }
        // The last two bytes, with the end behind them.
        let last = gram << 6 & GRAM_MASK;
        if self.holds(last) {
            self.compare(text, text.len() - 2, last, &mut found);
        }
    }

    fn holds(&self, gram: u32) -> bool {
        self.grams[(gram >> 6) as usize & (WORDS - 1)] >> (gram & 63) & 1 != 0
    }

    /// Compares the literals whose trigram stands at `start`.
    fn compare(&self, text: &[u8], start: usize, gram: u32, found: &mut impl FnMut(u16)) {
        let seconds = self.pairs.get((gram >> 12) as usize).copied().unwrap_or(0);
        if seconds >> (gram >> 6 & 63) & 1 != 0 {
            self.probe(text, start, gram & !63, found);
        }
        // A literal of three bytes or more has no byte of class 0.
        if gram & 63 != 0 {
            self.probe(text, start, gram, found);
        }
    }

    fn probe(&self, text: &[u8], start: usize, gram: u32, found: &mut impl FnMut(u16)) {
        let at = bucket(gram);
        let (Some(from), Some(to)) = (self.buckets.get(at), self.buckets.get(at + 1)) else {
            return;
        };
        let rows = self.entries.get(usize::from(*from)..usize::from(*to)).unwrap_or_default();
        for entry in rows {
            if entry.gram == gram && entry.stands_in(text, start) {
                found(entry.literal);
            }
        }
    }
}

fn bucket(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> (32 - BUCKET_BITS)) as usize
}

impl Entry {
    fn new(number: usize, text: &[u8], class: &[u8; 256]) -> Option<Self> {
        if text.len() < 2 || text.len() > LITERAL_BYTES_MAX {
            return None;
        }
        let of = |at: usize| text.get(at).map_or(0, |byte| u32::from(class[usize::from(*byte)]));
        let offset = if text.len() == 2 { 0 } else { rarity::rarest_three(text) };
        let fold: Vec<u8> =
            text.iter().map(|byte| if byte.is_ascii_alphabetic() { 0x20 } else { 0 }).collect();
        Some(Self {
            gram: of(offset) << 12 | of(offset + 1) << 6 | of(offset + 2),
            literal: u16::try_from(number).ok()?,
            offset: u8::try_from(offset).ok()?,
            length: u8::try_from(text.len()).ok()?,
            value: word(text, 0),
            fold: word(&fold, 0),
        })
    }

    /// Whether the literal stands in the text with its trigram at `start`.
    fn stands_in(&self, text: &[u8], start: usize) -> bool {
        let Some(begin) = start.checked_sub(usize::from(self.offset)) else { return false };
        let mask = u64::MAX >> (64 - 8 * u32::from(self.length));
        begin + usize::from(self.length) <= text.len()
            && (word(text, begin) | self.fold) & mask == self.value
    }
}

/// The next eight bytes from a place, the first the lowest; zeros past the end.
fn word(text: &[u8], from: usize) -> u64 {
    let rest = text.get(from..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Gives each byte that the literals hold a class, both letter cases the same; the most frequent first,
/// those past the last class share it.
fn classes<'a>(literals: impl Iterator<Item = &'a [u8]>) -> [u8; 256] {
    let mut counts = [0_usize; 256];
    literals.flatten().for_each(|byte| counts[usize::from(*byte)] += 1);
    let mut held: Vec<u8> = (0..=255).filter(|byte| counts[usize::from(*byte)] > 0).collect();
    held.sort_by_key(|byte| std::cmp::Reverse(counts[usize::from(*byte)]));
    let mut class = [0_u8; 256];
    for (byte, number) in held.iter().zip((1_u8..).map(|n| n.min(CLASSES as u8 - 1))) {
        class[usize::from(*byte)] = number;
        class[usize::from(byte.to_ascii_uppercase())] = number;
    }
    class
}

#[cfg(test)]
mod tests;
