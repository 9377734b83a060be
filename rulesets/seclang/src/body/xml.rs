//! XML as the two things that rules ask for: all text (`XML:/*`) and the values of all attributes (`XML://@*`).
//!
//! Only the five predefined entities and character references are read: no document type is, so nothing expands and
//! nothing is fetched; a reference to any other entity is an error.

mod markup;

use self::markup::Markup;
use super::{Limits, Parsed, Stop};

/// Bytes of a reference's name; no predefined or numeric one is longer.
const REFERENCE_BYTES_MAX: usize = 16;

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Text.
    Text,
    /// A reference in text, `&` read.
    Reference,
    /// Markup, `<` read.
    Markup(Markup),
}

/// Reads one document.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// The run of text, the reference or the markup that is being read.
    token: Vec<u8>,
    /// The names of the elements that are not closed yet.
    open: Vec<Vec<u8>>,
    /// Bytes read.
    at: usize,
}

impl Reader {
    pub(super) const fn new() -> Self {
        Self { state: State::Text, token: Vec::new(), open: Vec::new(), at: 0 }
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
            let plain = match self.state {
                State::Text => memchr::memchr2(b'<', b'&', rest).unwrap_or(rest.len()),
                State::Reference | State::Markup(_) => 0,
            };
            let (text, special) = rest.split_at(plain);
            self.token.extend_from_slice(text);
            self.at += text.len();
            let Some((byte, tail)) = special.split_first() else { return Ok(()) };
            self.at += 1;
            self.byte(*byte, parsed, limits)?;
            rest = tail;
        }
        Ok(())
    }

    /// Ends the document.
    pub(super) fn finish(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        match self.state {
            State::Text => self.text(parsed, limits)?,
            State::Reference => return Err(error("a reference is not closed")),
            State::Markup(_) => return Err(error("a tag is not closed")),
        }
        if !self.open.is_empty() {
            return Err(error("an element is not closed"));
        }
        if parsed.xml_text.is_none() {
            return Err(error("there is no element"));
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        match (self.state, byte) {
            (State::Text, _) => {
                self.text(parsed, limits)?;
                let markup = State::Markup(Markup::default());
                self.state = if byte == b'&' { State::Reference } else { markup };
                Ok(())
            }
            (State::Reference, b';') => self.reference(parsed, limits),
            (State::Reference, _) => {
                self.token.push(byte);
                let closed = byte != b'<' && self.token.len() <= REFERENCE_BYTES_MAX;
                if closed { Ok(()) } else { Err(error("a reference is not closed")) }
            }
            (State::Markup(mut markup), _) => {
                self.token.push(byte);
                let ended = markup.push(byte, &self.token).map_err(error)?;
                self.state = State::Markup(markup);
                if ended { self.markup(markup, parsed, limits) } else { Ok(()) }
            }
        }
    }

    /// Takes over a run of text.
    fn text(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        parsed.read = self.at;
        let outcome = append(&self.token, parsed, limits);
        self.token.clear();
        outcome
    }

    fn reference(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        let character = resolve(&self.token)?;
        self.token.clear();
        self.token.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.text(parsed, limits)?;
        self.state = State::Text;
        Ok(())
    }

    /// Takes over markup that is complete.
    fn markup(&mut self, markup: Markup, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        let token = std::mem::take(&mut self.token);
        self.state = State::Text;
        parsed.read = self.at;
        let outcome = match markup {
            Markup::Tag { .. } => self.start_tag(&token, parsed, limits),
            Markup::End => self.end_tag(&token),
            Markup::CharacterData => {
                let text = token.strip_prefix(b"![CDATA[").and_then(|t| t.strip_suffix(b"]]>"));
                append(text.unwrap_or_default(), parsed, limits)
            }
            Markup::Start
            | Markup::Bang
            | Markup::Comment
            | Markup::Instruction
            | Markup::DocumentType { .. } => Ok(()),
        };
        self.token = token;
        self.token.clear();
        outcome
    }

    fn start_tag(
        &mut self,
        token: &[u8],
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        let inside = token.strip_suffix(b">").unwrap_or(token);
        let (inside, empty) = match inside.strip_suffix(b"/") {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let end = inside.iter().position(u8::is_ascii_whitespace).unwrap_or(inside.len());
        let (name, mut rest) = inside.split_at(end);
        if name.is_empty() {
            return Err(error("an element has no name"));
        }
        if !empty && self.open.len() >= limits.depth {
            return Err(Stop::Limit);
        }
        parsed.xml_text.get_or_insert_default();
        while let Some((value, after)) = markup::attribute(rest).map_err(error)? {
            let value = unescape(value)?;
            parsed.spend(value.len(), limits)?;
            if parsed.xml_attributes.len() >= limits.arguments {
                return Err(Stop::Limit);
            }
            parsed.xml_attributes.push(value);
            rest = after;
        }
        if !empty {
            self.open.push(name.to_vec());
        }
        Ok(())
    }

    fn end_tag(&mut self, token: &[u8]) -> Result<(), Stop> {
        let name = token.strip_prefix(b"/").and_then(|name| name.strip_suffix(b">"));
        let name = name.unwrap_or_default().trim_ascii_end();
        match self.open.pop() {
            Some(open) if open == name => Ok(()),
            Some(_) | None => Err(error("an end tag closes nothing that is open")),
        }
    }
}

fn append(text: &[u8], parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
    parsed.spend(text.len(), limits)?;
    match &mut parsed.xml_text {
        Some(all) => all.extend_from_slice(text),
        None if is_blank(text) => {}
        None => return Err(error("text stands before the first element")),
    }
    Ok(())
}

/// White space, behind a byte order mark or not.
fn is_blank(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.iter().all(u8::is_ascii_whitespace)
}

fn unescape(value: &[u8]) -> Result<Vec<u8>, Stop> {
    let mut out = Vec::with_capacity(value.len());
    let mut pieces = value.split(|byte| *byte == b'&');
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = memchr::memchr(b';', piece);
        let end = end.ok_or_else(|| error("a reference is not closed in an attribute"))?;
        let (name, rest) = piece.split_at_checked(end).unwrap_or_default();
        out.extend_from_slice(resolve(name)?.encode_utf8(&mut [0; 4]).as_bytes());
        out.extend_from_slice(rest.get(1..).unwrap_or_default());
    }
    Ok(out)
}

/// Returns the character that a reference, without `&` and `;`, stands for.
fn resolve(name: &[u8]) -> Result<char, Stop> {
    match name {
        b"lt" => return Ok('<'),
        b"gt" => return Ok('>'),
        b"amp" => return Ok('&'),
        b"quot" => return Ok('"'),
        b"apos" => return Ok('\''),
        _ => {} // a number, or an entity that is not read
    }
    let number = name.strip_prefix(b"#").and_then(|number| std::str::from_utf8(number).ok());
    let code = number.filter(|number| !number.contains('+')).and_then(|number| {
        match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        }
    });
    code.and_then(char::from_u32)
        .ok_or_else(|| Stop::error(format!("XML: entity `{}` is not read", name.escape_ascii())))
}

fn error(message: &str) -> Stop {
    Stop::error(format!("XML: {message}"))
}
