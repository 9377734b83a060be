//! `sqlHexDecode`: MySQL's hexadecimal literals, `0x` and pairs of digits, to the bytes they stand for.
//!
//! Source: ModSecurity v3 reference. An odd digit at the end stays. Example: `0x414243` → `ABC`.

use super::hex_pair;

/// Decodes SQL's hexadecimal literals.
pub(super) fn sql_hex_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        rest = match rest {
            [b'0', b'x' | b'X', high, low, ..] if hex_pair(*high, *low).is_some() => {
                literal(rest.get(2..).unwrap_or_default(), out)
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return,
        };
    }
}

fn literal<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = digits;
    while let [high, low, tail @ ..] = rest
        && let Some(byte) = hex_pair(*high, *low)
    {
        out.push(byte);
        rest = tail;
    }
    rest
}
