//! From PCRE's syntax to that of Rust's `regex-syntax`, byte for byte.
//!
//! The two agree on most. Where they differ, the pattern is rewritten: `{` that starts no quantifier, `[`, `&&`,
//! `--` and `~~` in a class, escaped letters and `\<`, `\x{hh}`, octal, `\h`, `\v`, `\Z`, bytes beyond ASCII.
//! Possessive quantifiers and atomic groups become plain ones: they match at least what they matched.

use super::OperatorError;
use crate::transformation::{hex_digit, hex_pair};

/// Translates a pattern. Look-around and back references are errors.
pub(super) fn translate(pattern: &[u8]) -> Result<String, OperatorError> {
    let mut translator =
        Translator { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a [u8],
    out: String,
}

/// One atom of a pattern, after its escapes were read.
enum Atom {
    Byte(u8),
    Text(&'static str),
    /// A set of a class, which stands in a class as `\w` does; the text goes inside brackets.
    Set(&'static str),
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), OperatorError> {
        while let [byte, tail @ ..] = self.rest {
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => self.group()?,
                b'{' if quantifier(self.rest).is_none() => self.take(1, "\\{"),
                b'{' | b'*' | b'+' | b'?' => self.quantifier(),
                0x80.. => self.literal(*byte, tail),
                _ => self.literal(*byte, tail), // ASCII: the same in both
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize, text: &str) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.out.push_str(text);
    }

    fn literal(&mut self, byte: u8, tail: &[u8]) {
        let skipped = self.rest.len() - tail.len();
        self.rest = self.rest.get(skipped..).unwrap_or_default();
        if byte.is_ascii() {
            self.out.push(char::from(byte));
        } else {
            self.hex(byte);
        }
    }

    fn hex(&mut self, byte: u8) {
        self.out.push_str(&format!("\\x{byte:02x}"));
    }

    fn quantifier(&mut self) {
        let length = quantifier(self.rest).unwrap_or(1);
        let (text, tail) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.out.extend(text.iter().copied().map(char::from));
        self.rest = match tail {
            [b'+', tail @ ..] => tail,
            [b'?', tail @ ..] => {
                self.out.push('?');
                tail
            }
            _ => tail, // a plain quantifier
        };
    }

    fn group(&mut self) -> Result<(), OperatorError> {
        match self.rest {
            [b'(', b'?', b'=' | b'!', ..] | [b'(', b'?', b'<', b'=' | b'!', ..] => {
                Err(OperatorError {
                    message: "look-around has no automaton".to_owned(),
                    help: Some("split the rule in two, or chain a second pattern".to_owned()),
                })
            }
            [b'(', b'?', b'>', ..] => {
                self.take(3, "(?:");
                Ok(())
            }
            [b'(', b'?', b'#', ..] => {
                let end = memchr::memchr(b')', self.rest).map_or(self.rest.len(), |at| at + 1);
                self.take(end, "");
                Ok(())
            }
            [b'(', b'?', ..] => {
                self.take(2, "(?");
                Ok(())
            }
            _ => {
                self.take(1, "("); // a plain group
                Ok(())
            }
        }
    }

    fn escape(&mut self) -> Result<(), OperatorError> {
        let assertion = match self.rest {
            [b'\\', b'b', ..] => "\\b",
            [b'\\', b'B', ..] => "\\B",
            [b'\\', b'A', ..] => "\\A",
            [b'\\', b'z', ..] => "\\z",
            [b'\\', b'Z', ..] => "(?:\\n?\\z)",
            [b'\\', b'1'..=b'3', b'0'..=b'7', b'0'..=b'7', ..] => "", // octal
            [b'\\', b'1'..=b'9' | b'k' | b'g', ..] => {
                return Err(OperatorError::new("a back reference has no automaton"));
            }
            _ => "", // an atom
        };
        if !assertion.is_empty() {
            self.take(2, assertion);
            return Ok(());
        }
        match self.escaped()? {
            Atom::Byte(byte) => self.hex_or_plain(byte),
            Atom::Text(text) => self.out.push_str(text),
            Atom::Set(set) => {
                self.out.push('[');
                self.out.push_str(set);
                self.out.push(']');
            }
        }
        Ok(())
    }

    fn hex_or_plain(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() {
            self.out.push(char::from(byte));
        } else {
            self.hex(byte);
        }
    }

    /// Reads the escape at the start of the rest, as it stands both inside and outside a class.
    fn escaped(&mut self) -> Result<Atom, OperatorError> {
        let after = self.rest.get(1..).unwrap_or_default();
        let [letter, tail @ ..] = after else {
            return Err(OperatorError::new("the pattern ends in a backslash"));
        };
        self.rest = tail;
        Ok(match letter {
            b'd' => Atom::Text("\\d"),
            b'D' => Atom::Text("\\D"),
            b'w' => Atom::Text("\\w"),
            b'W' => Atom::Text("\\W"),
            b's' => Atom::Text("\\s"),
            b'S' => Atom::Text("\\S"),
            b'h' => Atom::Set("\\t\\x20\\xa0"),
            b'H' => Atom::Text("[^\\t\\x20\\xa0]"),
            b'v' => Atom::Set("\\n\\x0b\\f\\r\\x85"),
            b'V' => Atom::Text("[^\\n\\x0b\\f\\r\\x85]"),
            b'N' => Atom::Text("[^\\n]"),
            b'R' => Atom::Text("(?:\\r\\n|[\\n\\x0b\\f\\r\\x85])"),
            b'a' => Atom::Byte(0x07),
            b'e' => Atom::Byte(0x1b),
            b'f' => Atom::Byte(0x0c),
            b'n' => Atom::Byte(b'\n'),
            b'r' => Atom::Byte(b'\r'),
            b't' => Atom::Byte(b'\t'),
            b'x' => Atom::Byte(self.hexadecimal()?),
            b'0'..=b'7' => Atom::Byte(self.octal(*letter)),
            b'p' | b'P' | b'X' | b'C' | b'K' | b'G' | b'Q' | b'E' => {
                let letter = char::from(*letter);
                return Err(OperatorError::new(format!("`\\{letter}` is not supported")));
            }
            other => Atom::Byte(*other),
        })
    }

    fn hexadecimal(&mut self) -> Result<u8, OperatorError> {
        let (value, tail) = match self.rest {
            [b'{', a, b'}', tail @ ..] => (hex_digit(*a), tail),
            [b'{', a, b, b'}', tail @ ..] => (hex_pair(*a, *b), tail),
            [b'{', ..] => (None, self.rest),
            [a, b, tail @ ..] if hex_pair(*a, *b).is_some() => (hex_pair(*a, *b), tail),
            [a, tail @ ..] if hex_digit(*a).is_some() => (hex_digit(*a), tail),
            _ => (Some(0), self.rest), // `\x` without digits is NUL
        };
        self.rest = tail;
        value.ok_or_else(|| OperatorError::new("`\\x{…}` must name one byte"))
    }

    fn octal(&mut self, first: u8) -> u8 {
        let mut value = first - b'0';
        for _ in 0..2 {
            let [digit @ b'0'..=b'7', tail @ ..] = self.rest else { break };
            let Some(next) = value.checked_mul(8) else { break };
            value = next | (digit - b'0');
            self.rest = tail;
        }
        value
    }

    fn class(&mut self) -> Result<(), OperatorError> {
        self.take(1, "[");
        if let [b'^', ..] = self.rest {
            self.take(1, "^");
        }
        let mut first = true;
        loop {
            match self.rest {
                [] => return Err(OperatorError::new("a class is not closed")),
                [b']', ..] if !first => {
                    self.take(1, "]");
                    return Ok(());
                }
                _ => self.class_item()?, // an item, or a bracket that stands first
            }
            first = false;
        }
    }

    fn class_item(&mut self) -> Result<(), OperatorError> {
        if let Some(length) = posix(self.rest) {
            let (name, tail) = self.rest.split_at_checked(length).unwrap_or_default();
            self.out.extend(name.iter().copied().map(char::from));
            self.rest = tail;
            return Ok(());
        }
        let Atom::Byte(low) = self.class_atom()? else { return Ok(()) };
        self.hex_or_plain(low);
        if let [b'-', next, ..] = self.rest
            && *next != b']'
        {
            self.rest = self.rest.get(1..).unwrap_or_default();
            self.class_range_end()?;
        }
        Ok(())
    }

    /// After `a-`: a byte ends a range; a set such as `\w` makes the dash a byte of its own.
    fn class_range_end(&mut self) -> Result<(), OperatorError> {
        let mark = self.out.len();
        if let Atom::Byte(high) = self.class_atom()? {
            self.out.push('-');
            self.hex_or_plain(high);
        } else {
            self.out.insert_str(mark, "\\x2d");
        }
        Ok(())
    }

    /// Reads one atom of a class; a set is written out at once.
    fn class_atom(&mut self) -> Result<Atom, OperatorError> {
        let [byte, tail @ ..] = self.rest else {
            return Err(OperatorError::new("a class is not closed"));
        };
        if *byte != b'\\' {
            self.rest = tail;
            return Ok(Atom::Byte(*byte));
        }
        if let [b'b', tail @ ..] = tail {
            self.rest = tail;
            return Ok(Atom::Byte(0x08));
        }
        let atom = self.escaped()?;
        if let Atom::Text(text) | Atom::Set(text) = &atom {
            self.out.push_str(text);
        }
        Ok(atom)
    }
}

/// Returns the length of the quantifier at the start of `text`.
fn quantifier(text: &[u8]) -> Option<usize> {
    let [b'{', body @ ..] = text else { return None };
    let end = memchr::memchr(b'}', body)?;
    let mut bounds = body.get(..end)?.splitn(2, |byte| *byte == b',');
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let low = bounds.next()?;
    let fits = !low.is_empty() && digits(low) && bounds.next().is_none_or(digits);
    fits.then_some(end + 2)
}

/// Returns the length of the POSIX class (`[:alpha:]`) at the start of `text`.
fn posix(text: &[u8]) -> Option<usize> {
    let body = text.strip_prefix(b"[:")?;
    let name = body.strip_prefix(b"^").unwrap_or(body);
    let length = name.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let closed = name.get(length..)?.starts_with(b":]");
    (length > 0 && closed).then_some(text.len() - name.len() + length + 2)
}
