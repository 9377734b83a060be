//! How common a byte is in ordinary requests: what makes a literal or a set worth asking for.

use crate::byte_set::ByteSet;

/// The share of texts that hold a byte, in thousandths: a guess that only steers which conditions are
/// kept, never what they say.
const fn commonness(byte: u8) -> u32 {
    match byte {
        b'e' | b'a' | b'i' | b'o' | b't' | b'n' | b'r' | b's' => 700,
        b'b'..=b'z' => 350,
        b'0'..=b'9' => 300,
        b'A'..=b'Z' => 200,
        b'-' | b'.' | b'/' | b' ' | b'_' | b'=' => 250,
        b',' | b';' | b':' | b'+' | b'%' | b'&' | b'?' | b'(' | b')' | b'*' => 80,
        b'"' | b'@' => 40,
        0x80..=0xff => 20,
        _ => 10,
    }
}

/// The share of texts that meet a set, in thousandths.
pub(super) fn of_set(set: &ByteSet) -> u32 {
    let absent = KINDS.iter().fold(1.0_f64, |absent, (kind, share)| {
        absent * (1.0 - f64::from(*share) / 1000.0).powi(set.shared_with(kind) as i32)
    });
    ((1.0 - absent) * 1000.0) as u32
}

/// Bytes that are equally common, with their share.
static KINDS: [(ByteSet, u32); 9] = kinds();

const fn kinds() -> [(ByteSet, u32); 9] {
    let mut kinds = [(ByteSet::EMPTY, 0); 9];
    let mut byte = 0_u8;
    loop {
        let share = commonness(byte);
        let mut at = 0;
        while kinds[at].1 != share && kinds[at].1 != 0 {
            at += 1;
        }
        kinds[at].1 = share;
        kinds[at].0.insert(byte);
        if byte == u8::MAX {
            return kinds;
        }
        byte += 1;
    }
}

/// How often a byte stands in ordinary text, in thousandths of all bytes, letter case ignored: what makes three
/// in a row worth looking for. A guess, as above.
const fn frequency(byte: u8) -> u32 {
    match byte.to_ascii_lowercase() {
        b' ' => 150,
        b'e' => 100,
        b't' => 75,
        b'a' | b'o' => 64,
        b'i' | b'n' | b's' => 56,
        b'r' | b'h' => 50,
        b'd' | b'l' => 34,
        b'u' | b'c' | b'm' => 22,
        b'f' | b'w' | b'g' | b'p' | b'y' => 16,
        b'b' => 12,
        b'v' => 8,
        b'k' => 6,
        b'0'..=b'9' => 5,
        b'.' | b'-' | b'/' | b'_' | b',' => 6,
        b':' | b'=' | b';' | b'&' | b'%' | b'(' | b')' => 3,
        _ => 1, // the other letters, marks and what is no text
    }
}

/// Pairs that stand in ordinary text more often than their letters say, a bar between them.
const PAIRS: &str = "th|he|in|er|an|re|on|at|en|nd|ti|es|or|te|of|ed|is|it|al|ar|st|to|nt|ng|se|ha|as|ou|io|le|ve|co|me|de|hi|ri|ro|ic|ne|ea|ra|ce|li|ch|ll|be|ma|si|om|ur|e |s |d |t |y |n |r | a| t| o| s| i| w| b| c";

/// Per first byte, a bit for each second one: the 32 places of a letter, or 0 for a space.
static FOLLOWERS: [u32; 32] = followers();

const fn followers() -> [u32; 32] {
    let mut rows = [0; 32];
    let mut rest = PAIRS.as_bytes();
    while let [first, second, tail @ ..] = rest {
        rows[place(*first)] |= 1 << place(*second);
        rest = match tail {
            [_, next @ ..] => next,
            [] => tail,
        };
    }
    rows
}

/// The place of a letter, 1 to 26; that of anything else is 0, as a space's.
const fn place(byte: u8) -> usize {
    if byte.is_ascii_alphabetic() { (byte & 31) as usize } else { 0 }
}

fn is_pair(first: u8, second: u8) -> bool {
    let known = |byte: u8| byte == b' ' || byte.is_ascii_alphabetic();
    known(first) && known(second) && FOLLOWERS[place(first)] >> place(second) & 1 != 0
}

/// How often three bytes stand in a row.
fn of_three(window: &[u8]) -> u32 {
    let [a, b, c] = window else { return 0 };
    let lift = |first, second| if is_pair(first, second) { 3 } else { 1 };
    let frequency = |byte: &u8| FREQUENCIES[usize::from(*byte)];
    frequency(a) * frequency(b) * frequency(c) * lift(*a, *b) * lift(*b, *c)
}

static FREQUENCIES: [u32; 256] = frequencies();

const fn frequencies() -> [u32; 256] {
    let mut all = [0; 256];
    let mut byte = 0_u8;
    loop {
        all[byte as usize] = frequency(byte);
        if byte == u8::MAX {
            return all;
        }
        byte += 1;
    }
}

/// Where the three bytes in a row stand that are the rarest.
pub(super) fn rarest_three(text: &[u8]) -> usize {
    let windows = text.windows(3).enumerate();
    windows.min_by_key(|(_, window)| of_three(window)).map_or(0, |(at, _)| at)
}

/// A part of a string, in lower case, around its rarest three bytes.
pub(super) fn part(text: &[u8], bytes: usize) -> Vec<u8> {
    let middle = rarest_three(text).saturating_sub(bytes.saturating_sub(3) / 2);
    let start = middle.min(text.len().saturating_sub(bytes));
    text.get(start..).unwrap_or_default().iter().take(bytes).map(u8::to_ascii_lowercase).collect()
}
