//! `escapeSeqDecode`: escapes of ANSI C: `\a \b \f \n \r \t \v \\ \? \' \"`, `\xHH`, `\OOO`.
//!
//! Source: ModSecurity v3 reference. An escape that is none of these loses its backslash; a backslash at the
//! end stays. Example: `c\141t` → `cat`.

use super::hex_pair;

/// Decodes C escapes.
pub(super) fn escape_seq_decode(input: &[u8], out: &mut Vec<u8>) {
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
    match after {
        [b'x' | b'X', high, low, tail @ ..] if hex_pair(*high, *low).is_some() => {
            (hex_pair(*high, *low).unwrap_or(0), tail)
        }
        [b'0'..=b'7', ..] => octal(after),
        [letter, tail @ ..] => (control(*letter), tail),
        [] => (b'\\', after),
    }
}

fn octal(digits: &[u8]) -> (u8, &[u8]) {
    let mut value = 0_u32;
    let mut rest = digits;
    for _ in 0..3 {
        let [digit @ b'0'..=b'7', tail @ ..] = rest else { break };
        value = value << 3 | u32::from(digit - b'0');
        rest = tail;
    }
    let [.., byte] = value.to_be_bytes();
    (byte, rest)
}

/// Returns the control character that a letter after a backslash names, or the byte itself.
pub(super) const fn control(letter: u8) -> u8 {
    match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        other => other,
    }
}
