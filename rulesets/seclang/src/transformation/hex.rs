//! `hexEncode`, `hexDecode`: two hexadecimal digits per byte.
//!
//! Source: ModSecurity v3 reference. Digits are written in lower case; the decoder stops before the first pair
//! that is no pair of digits. Example: `Ab` ↔ `4162`.

use super::hex_pair;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes each byte as two digits.
pub(super) fn hex_encode(input: &[u8], out: &mut Vec<u8>) {
    for byte in input {
        push(*byte, out);
    }
}

/// Reads two digits as one byte.
pub(super) fn hex_decode(input: &[u8], out: &mut Vec<u8>) {
    let pairs = input.chunks_exact(2).map_while(|pair| match pair {
        [high, low] => hex_pair(*high, *low),
        _ => None, // `chunks_exact(2)` gives pairs only
    });
    out.extend(pairs);
}

/// Appends the two digits of `byte`.
pub(super) fn push(byte: u8, out: &mut Vec<u8>) {
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}
