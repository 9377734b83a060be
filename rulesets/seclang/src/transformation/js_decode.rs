//! `jsDecode`: escapes of JavaScript: `\uHHHH`, `\xHH`, `\OOO` (one byte at most), `\a \b \f \n \r \t \v`.
//!
//! Source: ModSecurity v3 reference. Of `\uHHHH` the low byte counts, full-width forms are folded to ASCII; an
//! escape that is none of these loses its backslash; one at the end stays. Example: `\u0061lert` → `alert`.

use super::{escape_seq_decode::control, hex_pair, low_byte_of};

/// Decodes JavaScript escapes.
pub(super) fn js_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        let (byte, tail) = match rest {
            [b'\\', tail @ ..] => escape(tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return,
        };
        out.push(byte);
        rest = tail;
    }
}

fn escape(after: &[u8]) -> (u8, &[u8]) {
    if let [b'u', a, b, c, d, tail @ ..] = after
        && let Some(byte) = low_byte_of([*a, *b, *c, *d])
    {
        return (byte, tail);
    }
    if let [b'x', high, low, tail @ ..] = after
        && let Some(byte) = hex_pair(*high, *low)
    {
        return (byte, tail);
    }
    match after {
        [b'0'..=b'7', ..] => octal(after),
        [letter, tail @ ..] => (control(*letter), tail),
        [] => (b'\\', after),
    }
}

/// Reads up to three octal digits, two when three would pass 255.
fn octal(digits: &[u8]) -> (u8, &[u8]) {
    let most = if matches!(digits, [b'0'..=b'3', ..]) { 3 } else { 2 };
    let mut value = 0_u8;
    let mut rest = digits;
    for _ in 0..most {
        let [digit @ b'0'..=b'7', tail @ ..] = rest else { break };
        value = value << 3 | (digit - b'0');
        rest = tail;
    }
    (value, rest)
}
