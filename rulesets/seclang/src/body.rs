//! Request bodies as arguments, files and part headers: urlencoded, multipart, JSON, XML.
//!
//! Every parser is total on any bytes, makes one pass and stops at the caller's limits. What was read before an
//! error or a limit is kept, so that rules see it; the error says that there was more.

mod json;
mod multipart;
mod urlencoded;
mod xml;

pub(crate) use self::multipart::{MultipartFlags, Unmatched};

/// How a body is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `application/x-www-form-urlencoded`.
    Urlencoded,
    /// `multipart/form-data`.
    Multipart,
    /// JSON of any media type.
    Json,
    /// XML of any media type.
    Xml,
}

/// What a body may grow to before reading stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Arguments, files, part headers and attributes, each.
    pub(crate) arguments: usize,
    /// Nesting of JSON and XML.
    pub(crate) depth: usize,
    /// Bytes of all names and values together. Names of nested JSON repeat those above them, so that a small
    /// body can have many.
    pub(crate) bytes: usize,
}

/// A file of a multipart body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct File {
    /// The name of the form's field.
    pub(crate) field: Vec<u8>,
    /// The name that the client gave the file.
    pub(crate) file_name: Vec<u8>,
    /// How many bytes it has.
    pub(crate) bytes: usize,
}

/// What a body held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parsed {
    /// Names and values, decoded, in the body's order.
    pub(crate) arguments: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files of a multipart body.
    pub(crate) files: Vec<File>,
    /// Part names with one header line each.
    pub(crate) part_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The text of an XML document, as `XML:/*` reads it; `None` where there is no root element.
    pub(crate) xml_text: Option<Vec<u8>>,
    /// The values of all attributes of an XML document, as `XML://@*` reads them.
    pub(crate) xml_attributes: Vec<Vec<u8>>,
    /// What was odd about a multipart body.
    pub(crate) multipart: MultipartFlags,
    /// How many `%` of a urlencoded body start no escape.
    pub(crate) broken_escapes: usize,
    /// Why the body could not be read to its end.
    pub(crate) error: Option<String>,
    /// Whether a limit stopped the reading.
    pub(crate) overflowed: bool,
    bytes: usize,
}

/// Reads a whole body. `content_type` is the header's value; only multipart needs it.
pub(crate) fn parse(kind: Kind, content_type: &[u8], body: &[u8], limits: &Limits) -> Parsed {
    let mut parsed = Parsed::default();
    let outcome = match kind {
        Kind::Urlencoded => urlencoded::parse(body, limits, &mut parsed),
        Kind::Multipart => multipart::parse(content_type, body, limits, &mut parsed),
        Kind::Json => json::parse(body, limits, &mut parsed),
        Kind::Xml => xml::parse(body, limits, &mut parsed),
    };
    match outcome {
        Ok(()) => {}
        Err(Stop::Error(message)) => parsed.error = Some(message),
        Err(Stop::Limit) => parsed.overflowed = true,
    }
    parsed
}

/// Why a parser stopped before the end.
#[derive(Debug)]
enum Stop {
    Error(String),
    Limit,
}

impl Stop {
    fn error(message: impl Into<String>) -> Self {
        Self::Error(message.into())
    }
}

impl Parsed {
    fn push_argument(
        &mut self,
        name: Vec<u8>,
        value: Vec<u8>,
        limits: &Limits,
    ) -> Result<(), Stop> {
        self.spend(name.len() + value.len(), limits)?;
        if self.arguments.len() >= limits.arguments {
            return Err(Stop::Limit);
        }
        self.arguments.push((name, value));
        Ok(())
    }

    fn spend(&mut self, bytes: usize, limits: &Limits) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > limits.bytes { Err(Stop::Limit) } else { Ok(()) }
    }
}

/// Reads bytes as text: as UTF-8 where they are, else one character per byte, which [`to_bytes`] undoes.
fn to_text(body: &[u8]) -> (std::borrow::Cow<'_, str>, Encoding) {
    match std::str::from_utf8(body) {
        Ok(text) => (text.into(), Encoding::Utf8),
        Err(_) => (body.iter().map(|byte| char::from(*byte)).collect(), Encoding::Bytes),
    }
}

/// How a text stands for the bytes of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    Utf8,
    Bytes,
}

/// Turns text from a body back into the body's bytes. A character beyond one byte, which an escape brought in,
/// becomes UTF-8.
fn to_bytes(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Bytes => {
            let mut out = Vec::with_capacity(text.len());
            for character in text.chars() {
                match u8::try_from(character) {
                    Ok(byte) => out.push(byte),
                    Err(_) => out.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                }
            }
            out
        }
    }
}

#[cfg(test)]
mod tests;
