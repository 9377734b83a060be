//! JSON (RFC 8259) as arguments: `json.a.b` for members, `json.a.array_0` for elements, every duplicate key kept.
//!
//! A number is its text, `true` and `false` are their words, `null` is empty. Nesting is kept on a stack of our own, so
//! that depth costs no call stack. Bytes that are no UTF-8 are kept as they are; an escape becomes UTF-8.

mod escape;

use self::escape::Escape;
use super::{Limits, Parsed, Stop};

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A value.
    Value,
    /// A value, or the end of an array that has none yet.
    FirstElement,
    /// A key, or the end of an object that has none yet.
    FirstKey,
    /// A key.
    Key,
    Colon,
    /// A comma, or the end of the innermost container; white space only when none is open.
    After,
    /// The rest of a string.
    Text {
        is_key: bool,
    },
    /// The rest of an escape in a string.
    Escaped {
        is_key: bool,
    },
    Number,
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
}

/// An object or array that is not closed yet.
#[derive(Debug)]
struct Open {
    /// How much of the path is its own name.
    name: usize,
    /// The index of an array's next element; `None` for an object.
    element: Option<usize>,
}

/// Reads one document.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// The name of the value that comes next.
    path: Vec<u8>,
    open: Vec<Open>,
    /// The string, number or word that is being read.
    token: Vec<u8>,
    escape: Escape,
    /// Bytes read.
    at: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        let path = b"json".to_vec();
        let escape = Escape::default();
        Self { state: State::Value, path, open: Vec::new(), token: Vec::new(), escape, at: 0 }
    }

    /// Reads a piece.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        let mut rest = piece;
        while !rest.is_empty() {
            let (plain, special) = rest.split_at(self.plain(rest));
            self.token.extend_from_slice(plain);
            self.at += plain.len();
            let Some((byte, tail)) = special.split_first() else { return Ok(()) };
            if self.state == State::Number && !is_number(*byte) {
                // What ends a number is read again as what follows it.
                self.number(parsed, limits)?;
                rest = special;
                continue;
            }
            self.at += 1;
            self.byte(*byte, parsed, limits)?;
            rest = tail;
        }
        Ok(())
    }

    /// Ends the document.
    pub(super) fn finish(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        if self.state == State::Number {
            self.number(parsed, limits)?;
        }
        if self.state == State::After && self.open.is_empty() {
            return Ok(());
        }
        Err(self.malformed("the document is not complete"))
    }

    /// How many bytes stand for themselves in the string that is being read.
    fn plain(&self, rest: &[u8]) -> usize {
        if !matches!(self.state, State::Text { .. }) {
            return 0;
        }
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        rest.iter().position(special).unwrap_or(rest.len())
    }

    fn byte(&mut self, byte: u8, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        match (self.state, byte) {
            (State::Text { is_key }, b'"') => self.string(is_key, parsed, limits),
            (State::Text { is_key }, b'\\') => {
                self.state = State::Escaped { is_key };
                Ok(())
            }
            (State::Text { .. }, _) => {
                Err(self.malformed("a control character stands in a string"))
            }
            (State::Escaped { is_key }, byte) => match self.escape.push(byte, &mut self.token) {
                Ok(true) => {
                    self.state = State::Text { is_key };
                    Ok(())
                }
                Ok(false) => Ok(()),
                Err(why) => Err(self.malformed(why)),
            },
            (State::Number, byte) => {
                self.token.push(byte);
                Ok(())
            }
            (State::Word(word), byte) => self.word(word, byte, parsed, limits),
            (_, b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(())
            }
            (State::Key | State::FirstKey, b'"') => {
                self.state = State::Text { is_key: true };
                Ok(())
            }
            (State::FirstElement, b']') | (State::FirstKey, b'}') => self.close(byte),
            (State::After, b',' | b']' | b'}') => self.after(byte),
            (State::Value | State::FirstElement, byte) => self.value(byte, limits),
            (State::Colon | State::Key | State::FirstKey | State::After, _) => {
                Err(self.malformed("this byte is not expected here"))
            }
        }
    }

    /// Starts a value.
    fn value(&mut self, byte: u8, limits: &Limits) -> Result<(), Stop> {
        self.name_element();
        self.state = match byte {
            b'[' => return self.enter(Some(0), limits),
            b'{' => return self.enter(None, limits),
            b'"' => State::Text { is_key: false },
            b'-' | b'0'..=b'9' => State::Number,
            b't' => State::Word(b"true"),
            b'f' => State::Word(b"false"),
            b'n' => State::Word(b"null"),
            _ => return Err(self.malformed("a value is expected")), // no value starts like this
        };
        if byte != b'"' {
            self.token.push(byte);
        }
        Ok(())
    }

    /// Gives the next element of an array its name.
    fn name_element(&mut self) {
        let Some(Open { name, element: Some(index) }) = self.open.last_mut() else { return };
        self.path.truncate(*name);
        self.path.extend_from_slice(format!(".array_{index}").as_bytes());
        *index += 1;
    }

    fn enter(&mut self, element: Option<usize>, limits: &Limits) -> Result<(), Stop> {
        if self.open.len() >= limits.depth {
            return Err(Stop::Limit);
        }
        self.state = if element.is_some() { State::FirstElement } else { State::FirstKey };
        self.open.push(Open { name: self.path.len(), element });
        Ok(())
    }

    fn after(&mut self, byte: u8) -> Result<(), Stop> {
        match (byte, self.open.last()) {
            (b',', Some(Open { element: Some(_), .. })) => self.state = State::Value,
            (b',', Some(Open { element: None, .. })) => self.state = State::Key,
            (b',', None) => return Err(self.malformed("something follows the document")),
            _ => return self.close(byte), // one of the two brackets
        }
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), Stop> {
        let array = byte == b']';
        match self.open.pop() {
            Some(open) if open.element.is_some() == array => {
                self.path.truncate(open.name);
                self.state = State::After;
                Ok(())
            }
            Some(_) | None => Err(self.malformed("this closes nothing that is open")),
        }
    }

    fn string(&mut self, is_key: bool, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        if !is_key {
            return self.write(parsed, limits);
        }
        let own = self.open.last().map_or(0, |open| open.name);
        self.path.truncate(own);
        self.path.push(b'.');
        let key = if self.token.is_empty() { b"empty-key" } else { self.token.as_slice() };
        self.path.extend_from_slice(key);
        self.token.clear();
        self.state = State::Colon;
        Ok(())
    }

    fn word(
        &mut self,
        word: &'static [u8],
        byte: u8,
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        if word.get(self.token.len()) != Some(&byte) {
            return Err(self.malformed("a value is expected"));
        }
        self.token.push(byte);
        if self.token != word {
            return Ok(());
        }
        if word == b"null" {
            self.token.clear();
        }
        self.write(parsed, limits)
    }

    fn number(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        if !is_valid_number(&self.token) {
            return Err(self.malformed("this is no number"));
        }
        self.write(parsed, limits)
    }

    /// Writes the token as the value of its path.
    fn write(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        parsed.read = self.at;
        self.state = State::After;
        parsed.push_argument(self.path.clone(), std::mem::take(&mut self.token), limits)
    }

    fn malformed(&self, why: &str) -> Stop {
        Stop::error(format!("JSON: {why} at byte {}", self.at))
    }
}

const fn is_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Whether text is `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
fn is_valid_number(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(rest);
    let mut valid = !whole.is_empty() && (whole.len() == 1 || whole.first() != Some(&b'0'));
    let rest = match rest.strip_prefix(b".") {
        Some(rest) => {
            let (fraction, rest) = digits(rest);
            valid &= !fraction.is_empty();
            rest
        }
        None => rest,
    };
    let exponent = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E"));
    let Some(exponent) = exponent else { return valid && rest.is_empty() };
    let unsigned = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-"));
    let (exponent, rest) = digits(unsigned.unwrap_or(exponent));
    valid && !exponent.is_empty() && rest.is_empty()
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}
