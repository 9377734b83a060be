//! The language's functions on bytes. Each looks at every byte once.

/// Lowers ASCII letters.
pub(crate) fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

/// Raises ASCII letters.
pub(crate) fn upper(text: &[u8]) -> Vec<u8> {
    text.to_ascii_uppercase()
}

/// Decodes `%XX` and `+`; with `unicode` also `%uXXXX` (to UTF-8). Invalid sequences stay as they are.
pub(crate) fn url(text: &[u8], unicode: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let (decoded, used) = match byte {
            b'+' => (Some(' '.into()), 0),
            b'%' => percent(after, unicode),
            _ => (None, 0),
        };
        match decoded {
            Some(Decoded::Byte(byte)) => out.push(byte),
            Some(Decoded::Character(character)) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            None => out.push(*byte),
        }
        rest = after.get(used..).unwrap_or_default();
    }
    out
}

enum Decoded {
    Byte(u8),
    Character(char),
}

impl From<char> for Decoded {
    fn from(character: char) -> Self {
        Self::Character(character)
    }
}

/// Decodes what follows a percent sign; returns how many bytes it took.
fn percent(after: &[u8], unicode: bool) -> (Option<Decoded>, usize) {
    if let Some((b'u' | b'U', digits)) = after.split_first()
        && unicode
        && let Some(number) = digits.get(..4).and_then(hex)
        && let Some(character) = char::from_u32(number)
    {
        return (Some(Decoded::Character(character)), 5);
    }
    match after.get(..2).and_then(hex).and_then(|number| u8::try_from(number).ok()) {
        Some(byte) => (Some(Decoded::Byte(byte)), 2),
        None => (None, 0),
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

/// Decodes base64 in either alphabet, padded or not; what is no base64 gives nothing.
pub(crate) fn base64(text: &[u8]) -> Vec<u8> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for group in text.chunks(4) {
        let Some(bits) = sextets(group) else { return Vec::new() };
        let bytes = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => out.extend_from_slice(&bytes[1..4]),
            3 => out.extend_from_slice(&bytes[1..3]),
            2 => out.push(bytes[1]),
            _ => return Vec::new(), // one sextet is no byte
        }
    }
    out
}

fn sextets(group: &[u8]) -> Option<u32> {
    group.iter().try_fold(0, |sum, byte| {
        let sextet = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        Some(sum << 6 | u32::from(sextet))
    })
}

/// Writes every character beyond ASCII as `%u` and its number in hex, at least four digits. Bytes that are no UTF-8
/// stay as they are.
pub(crate) fn utf8_to_unicode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() {
                out.push(character as u8);
            } else {
                out.extend_from_slice(format!("%u{:04x}", u32::from(character)).as_bytes());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_decoded_and_broken_ones_stay() {
        let cases: &[(&[u8], bool, &[u8])] = &[
            (b"a%20b+c", false, b"a b c"),
            (b"%2e%2E/%00", false, b"../\0"),
            (b"%", false, b"%"),
            (b"%4", false, b"%4"),
            (b"%zz%41", false, b"%zzA"),
            (b"%u0041", false, b"%u0041"),
            (b"%u0041%u00e9", true, "A\u{e9}".as_bytes()),
            (b"%ud800%41", true, b"%ud800A"),
            (b"%u41", true, b"%u41"),
        ];
        for (text, unicode, expected) in cases {
            assert_eq!(url(text, *unicode), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn base64_takes_both_alphabets_and_nothing_else() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"aGVsbG8=", b"hello"),
            (b"aGVsbG8", b"hello"),
            (b"aGVsbA==", b"hell"),
            (b"-_8", b"\xfb\xff"),
            (b"+/8", b"\xfb\xff"),
            (b"a", b""),
            (b"a b=", b""),
            (b"", b""),
        ];
        for (text, expected) in cases {
            assert_eq!(base64(text), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn characters_beyond_ascii_become_numbers() {
        assert_eq!(utf8_to_unicode("aé😀".as_bytes()), b"a%u00e9%u1f600");
        assert_eq!(utf8_to_unicode(b"a\xffb"), b"a\xffb");
    }
}
