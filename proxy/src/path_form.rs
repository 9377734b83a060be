//! One reading of a path, where a route asks for it: what is judged is what is forwarded, and whatever some server
//! would read in another way is refused.

use std::borrow::Cow;

use portcullis_config::model::PathForm;

/// Brings the path into the form that its route declares. The error says what is ambiguous about it.
///
/// - `as_sent`: the path stays as it is.
/// - `plain`: it has to be normal already, but for escapes that RFC 3986 calls equivalent.
/// - `normalized`: escapes of unreserved characters are decoded, other escapes get capital digits (RFC 3986, sections
///   6.2.2.1 and 6.2.2.2), dot segments are removed (6.2.2.3), and empty segments are dropped.
///
/// In both, escapes of `/`, `\`, `%` and control characters, bytes that are no UTF-8 once decoded (overlong forms among
/// them), broken escapes, `\`, and `;` parameters are refused: servers disagree about each.
pub(crate) fn apply(form: PathForm, path: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    match form {
        PathForm::AsSent => Ok(Cow::Borrowed(path)),
        PathForm::Plain => {
            let unescaped = unescape(path)?;
            if segments(&unescaped).any(|segment| matches!(segment, b"." | b"..")) {
                return Err("the path has a dot segment");
            }
            if has_empty_segment(&unescaped) {
                return Err("the path has an empty segment");
            }
            Ok(Cow::Borrowed(path))
        }
        PathForm::Normalized => {
            let normal = without_dots(&unescape(path)?)?;
            Ok(if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) })
        }
    }
}

/// Decodes what stands for itself, and refuses what has two readings.
fn unescape(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(path.len());
    let mut text = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'\\' => return Err("the path has a backslash"),
            b';' => return Err("the path has a parameter"),
            b'%' => {
                let byte = escaped(after).ok_or("the path has a broken escape")?;
                rest = after.get(2..).unwrap_or_default();
                push_escaped(byte, &mut out)?;
                text.push(byte);
            }
            byte => {
                out.push(*byte);
                text.push(*byte);
            }
        }
    }
    // RFC 3629 knows no overlong forms, and neither does this.
    std::str::from_utf8(&text).map_err(|_| "the path is no UTF-8 once it is decoded")?;
    Ok(out)
}

fn push_escaped(byte: u8, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match byte {
        b'/' | b'\\' => return Err("the path has an escaped slash"),
        b'%' => return Err("the path has an escaped percent sign"),
        byte if byte.is_ascii_control() => return Err("the path has an escaped control character"),
        byte if is_unreserved(byte) => out.push(byte),
        byte => {
            const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Ok(())
}

/// RFC 3986, section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The byte that the two digits behind a `%` stand for.
pub(crate) fn escaped(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').skip(1)
}

/// A slash at the end names a collection and leaves no segment empty.
fn has_empty_segment(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"//")
}

fn without_dots(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut is_collection = false;
    for segment in segments(path) {
        is_collection = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop().ok_or("the path leaves the root")?),
            segment => kept.push(segment),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if is_collection || out.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path, and what `plain` and `normalized` make of it; an error by a word of it.
    type Case =
        (&'static str, Result<&'static str, &'static str>, Result<&'static str, &'static str>);

    const CASES: &[Case] = &[
        ("/", Ok("/"), Ok("/")),
        ("/a/b", Ok("/a/b"), Ok("/a/b")),
        ("/a/b/", Ok("/a/b/"), Ok("/a/b/")),
        ("/%61/b", Ok("/%61/b"), Ok("/a/b")),
        ("/%7Euser", Ok("/%7Euser"), Ok("/~user")),
        ("/a%2db", Ok("/a%2db"), Ok("/a-b")),
        ("/a%20b", Ok("/a%20b"), Ok("/a%20b")),
        ("/a%c3%a9", Ok("/a%c3%a9"), Ok("/a%C3%A9")),
        ("/a%3fb", Ok("/a%3fb"), Ok("/a%3Fb")),
        ("/a+b:c@d,e=f!g'h(i)*j$&", Ok("/a+b:c@d,e=f!g'h(i)*j$&"), Ok("/a+b:c@d,e=f!g'h(i)*j$&")),
        ("/a.b/..c/d..", Ok("/a.b/..c/d.."), Ok("/a.b/..c/d..")),
        ("/...", Ok("/..."), Ok("/...")),
        ("/a//b", Err("empty"), Ok("/a/b")),
        ("//a", Err("empty"), Ok("/a")),
        ("/a//", Err("empty"), Ok("/a/")),
        ("//", Err("empty"), Ok("/")),
        ("/a/./b", Err("dot"), Ok("/a/b")),
        ("/a/.", Err("dot"), Ok("/a/")),
        ("/.", Err("dot"), Ok("/")),
        ("/a/../b", Err("dot"), Ok("/b")),
        ("/a/..", Err("dot"), Ok("/")),
        ("/a/b/../", Err("dot"), Ok("/a/")),
        ("/a/%2e/b", Err("dot"), Ok("/a/b")),
        ("/a/%2e%2e/b", Err("dot"), Ok("/b")),
        ("/a/.%2E/b", Err("dot"), Ok("/b")),
        ("/a//../b", Err("dot"), Ok("/b")),
        ("/..", Err("dot"), Err("root")),
        ("/../a", Err("dot"), Err("root")),
        ("/a/../../b", Err("dot"), Err("root")),
        ("/%2e%2e/a", Err("dot"), Err("root")),
        ("/a%2fb", Err("slash"), Err("slash")),
        ("/a%2Fb", Err("slash"), Err("slash")),
        ("/a%5cb", Err("slash"), Err("slash")),
        ("/a\\b", Err("backslash"), Err("backslash")),
        ("/a;b=c/d", Err("parameter"), Err("parameter")),
        ("/a/..;/b", Err("parameter"), Err("parameter")),
        ("/a%3bb", Ok("/a%3bb"), Ok("/a%3Bb")),
        ("/a%00", Err("control"), Err("control")),
        ("/a%0d%0ab", Err("control"), Err("control")),
        ("/a%7f", Err("control"), Err("control")),
        ("/a%252e", Err("percent"), Err("percent")),
        ("/a%25", Err("percent"), Err("percent")),
        ("/a%", Err("broken"), Err("broken")),
        ("/a%2", Err("broken"), Err("broken")),
        ("/a%zz", Err("broken"), Err("broken")),
        ("/a%u002e", Err("broken"), Err("broken")),
        ("/%c0%ae%c0%ae/a", Err("UTF-8"), Err("UTF-8")),
        ("/%c0%af", Err("UTF-8"), Err("UTF-8")),
        ("/%e0%80%af", Err("UTF-8"), Err("UTF-8")),
        ("/%f0%80%80%af", Err("UTF-8"), Err("UTF-8")),
        ("/a%ff", Err("UTF-8"), Err("UTF-8")),
        ("/a%ed%a0%80", Err("UTF-8"), Err("UTF-8")),
    ];

    #[test]
    fn each_form_has_one_reading() {
        for (path, plain, normalized) in CASES {
            assert_eq!(apply(PathForm::AsSent, path.as_bytes()).unwrap(), path.as_bytes());
            for (form, expected) in [(PathForm::Plain, plain), (PathForm::Normalized, normalized)] {
                match (apply(form, path.as_bytes()), expected) {
                    (Ok(found), Ok(expected)) => assert_eq!(found, expected.as_bytes(), "{path}"),
                    (Err(found), Err(word)) => assert!(found.contains(word), "{path}: {found}"),
                    (found, _) => panic!("{path}: {form:?} gives {found:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_normal_stays_and_is_plain() {
        for (path, _, _) in CASES {
            let Ok(normal) = apply(PathForm::Normalized, path.as_bytes()) else { continue };
            assert_eq!(apply(PathForm::Normalized, &normal).as_deref(), Ok(normal.as_ref()));
            assert_eq!(apply(PathForm::Plain, &normal).as_deref(), Ok(normal.as_ref()));
        }
    }
}
