//! How common a byte is in ordinary requests: what makes a literal or a set worth asking for.

use crate::byte_set::ByteSet;

/// The share of texts that hold a byte, in thousandths: a guess that only steers which conditions are
/// kept, never what they say.
pub(super) fn commonness(byte: u8) -> u32 {
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
    let absent = set
        .iter()
        .fold(1.0_f64, |absent, byte| absent * (1.0 - f64::from(commonness(byte)) / 1000.0));
    ((1.0 - absent) * 1000.0) as u32
}

/// The part of a string, in lower case, whose bytes are the rarest together.
pub(super) fn part(text: &[u8], bytes: usize) -> Vec<u8> {
    let start = rarest_window(text, bytes);
    text.get(start..).unwrap_or_default().iter().take(bytes).map(u8::to_ascii_lowercase).collect()
}

/// Where the bytes in a row stand that are the rarest together.
pub(super) fn rarest_window(text: &[u8], bytes: usize) -> usize {
    let common =
        |(_, window): &(usize, &[u8])| -> u32 { window.iter().map(|byte| commonness(*byte)).sum() };
    let windows = text.windows(bytes.min(text.len()).max(1)).enumerate();
    windows.min_by_key(common).map_or(0, |(at, _)| at)
}
