//! `urlDecode`, `urlDecodeUni`: percent encoding, `+` as a space, and IIS's `%uHHHH` in the second.
//!
//! Source: ModSecurity v3 reference. An escape that is none stays. Of `%uHHHH` the low byte counts, full-width
//! forms are folded to ASCII. Example: `%3Cscript%3e+%uff1c` → `<script> <`.

use super::{hex_pair, low_byte_of};

/// Decodes `%HH` and `+`.
pub(super) fn url_decode(input: &[u8], out: &mut Vec<u8>) {
    decode(input, out, false);
}

/// Decodes `%HH`, `%uHHHH` and `+`.
pub(super) fn url_decode_uni(input: &[u8], out: &mut Vec<u8>) {
    decode(input, out, true);
}

fn decode(input: &[u8], out: &mut Vec<u8>, unicode: bool) {
    let mut rest = input;
    out.reserve(input.len());
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (before, from) = rest.split_at(at);
        spaced(before, out);
        let (byte, tail) = escape(from.get(1..).unwrap_or_default(), unicode);
        out.push(byte);
        rest = tail;
    }
    spaced(rest, out);
}

/// Copies, with a space for each `+`.
fn spaced(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }));
}

fn escape(after: &[u8], unicode: bool) -> (u8, &[u8]) {
    if let [b'u' | b'U', a, b, c, d, tail @ ..] = after
        && unicode
        && let Some(byte) = low_byte_of([*a, *b, *c, *d])
    {
        return (byte, tail);
    }
    match after {
        [high, low, tail @ ..] => match hex_pair(*high, *low) {
            Some(byte) => (byte, tail),
            None => (b'%', after),
        },
        [_] | [] => (b'%', after),
    }
}
