//! `utf8toUnicode`: each UTF-8 sequence of two to four bytes as `%uHHHH`, for `urlDecodeUni` to fold.
//!
//! Source: ModSecurity v3 reference. Overlong forms and surrogates are written too, because a lax decoder behind
//! us may read them; a byte that is no part of a sequence stays. Example: `é` → `%u00e9`.

/// Writes UTF-8 sequences as `%u` escapes.
pub(super) fn utf8_to_unicode(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let [first, tail @ ..] = rest {
        if let Some((code, tail)) = sequence(*first, tail) {
            out.extend_from_slice(format!("%u{code:04x}").as_bytes());
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
}

fn sequence(first: u8, tail: &[u8]) -> Option<(u32, &[u8])> {
    let (lead, length) = match first {
        0xc0..=0xdf => (first & 0x1f, 1),
        0xe0..=0xef => (first & 0x0f, 2),
        0xf0..=0xf4 => (first & 0x07, 3),
        _ => return None, // ASCII, a continuation byte, or beyond U+10FFFF
    };
    let (following, rest) = tail.split_at_checked(length)?;
    let mut code = u32::from(lead);
    for byte in following {
        if byte & 0xc0 != 0x80 {
            return None;
        }
        code = code << 6 | u32::from(byte & 0x3f);
    }
    Some((code, rest))
}
