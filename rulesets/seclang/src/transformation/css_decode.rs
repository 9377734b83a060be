//! `cssDecode`: escapes of CSS 2 (§4.1.3), as browsers read them.
//!
//! Source: ModSecurity v3 reference. A backslash with one to six hexadecimal digits is the byte of the last two
//! (full-width forms folded), a following white space belongs to it; with a line feed it vanishes; with any
//! other byte it is that byte. Example: `ja\vascript` → `javascript`, `\006a` → `j`.

use super::{hex_digit, hex_pair, is_space};

/// Decodes CSS escapes.
pub(super) fn css_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        rest = match rest {
            [b'\\', tail @ ..] => escape(tail, out),
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return,
        };
    }
}

fn escape<'a>(after: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let count = after.iter().take(6).take_while(|byte| hex_digit(**byte).is_some()).count();
    let (digits, tail) = after.split_at_checked(count).unwrap_or((after, &[]));
    if digits.is_empty() {
        return match tail {
            [b'\n', tail @ ..] => tail,
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => tail,
        };
    }
    out.push(byte_of(digits));
    match tail {
        [space, tail @ ..] if is_space(*space) => tail,
        _ => tail, // nothing belongs to the escape but its digits
    }
}

fn byte_of(digits: &[u8]) -> u8 {
    let (zeros, byte) = match digits {
        [single] => return hex_digit(*single).unwrap_or(0),
        [before @ .., high, low] => (before, hex_pair(*high, *low).unwrap_or(0)),
        [] => return 0,
    };
    let full_width = match zeros {
        [lead @ .., a, b] => {
            a.eq_ignore_ascii_case(&b'f')
                && b.eq_ignore_ascii_case(&b'f')
                && lead.iter().all(|digit| *digit == b'0')
        }
        [_] | [] => false,
    };
    if full_width && byte > 0 && byte < 0x5f { byte + 0x20 } else { byte }
}
