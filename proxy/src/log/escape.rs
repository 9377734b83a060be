//! Attacker's bytes as text, without loss.

use std::fmt;

/// Shows bytes as text that can be turned back: valid UTF-8 stands as it is, a backslash is `\\`, control characters and
/// bytes that are not UTF-8 are `\xNN`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write_text(f, chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for part in text.split_inclusive(|c: char| c == '\\' || c.is_control()) {
        let mut chars = part.chars();
        match chars.next_back() {
            Some('\\') => write!(f, "{}\\\\", chars.as_str())?,
            Some(last) if last.is_control() => {
                f.write_str(chars.as_str())?;
                for byte in last.encode_utf8(&mut [0; 4]).bytes() {
                    write!(f, "\\x{byte:02x}")?;
                }
            }
            Some(_) | None => f.write_str(part)?,
        }
    }
    Ok(())
}

impl serde::Serialize for Escaped<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns the text back into bytes.
    fn unescape(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            match bytes.next().unwrap() {
                b'\\' => out.push(b'\\'),
                b'x' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                }
                other => panic!("\\{} is no escape", char::from(other)),
            }
        }
        out
    }

    #[test]
    fn bytes_are_shown_without_loss() {
        for (bytes, expected) in [
            (&b"/a?b=c"[..], "/a?b=c"),
            (b"caf\xc3\xa9", "caf\u{e9}"),
            (b"\xff\x00a\r\n", "\\xff\\x00a\\x0d\\x0a"),
            (b"\\x41", "\\\\x41"),
            (b"a\\", "a\\\\"),
            (b"\xc2\x85", "\\xc2\\x85"),
            (b"\xe2\x82", "\\xe2\\x82"),
            (b"", ""),
        ] {
            assert_eq!(Escaped(bytes).to_string(), expected);
            assert_eq!(unescape(expected), bytes);
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&Escaped(&all).to_string()), all);
    }
}
