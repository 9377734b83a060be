//! Request bodies as arguments, files and part headers: multipart, JSON, XML. (Forms are cut where arguments are, in
//! `transaction::form`.)
//!
//! Every parser is fed piece by piece, is total on any bytes, makes one pass and stops at the caller's limits. How a
//! body is cut into pieces changes nothing. What was read before an error or a limit is kept, so that rules see it; the
//! error says that there was more.

mod json;
mod multipart;
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
    /// Arguments, part headers and attributes, each.
    pub(crate) arguments: usize,
    /// Files.
    pub(crate) files: usize,
    /// Nesting of JSON and XML.
    pub(crate) depth: usize,
    /// Bytes of all names and values together, however short the body is.
    pub(crate) bytes: usize,
    /// The same for each byte that was read: names of nested JSON repeat those above them, so that a body can have
    /// many more than it is long.
    pub(crate) bytes_per_byte: usize,
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
    /// Why the body could not be read to its end.
    pub(crate) error: Option<String>,
    /// Whether a limit stopped the reading.
    pub(crate) overflowed: bool,
    /// Bytes of all names and values.
    kept: usize,
    /// Bytes of the body that were read when the last of them was kept.
    read: usize,
}

/// Reads one body, piece by piece.
#[derive(Debug)]
pub(crate) struct Parser {
    reader: Reader,
    limits: Limits,
    parsed: Parsed,
    stopped: bool,
}

#[derive(Debug)]
enum Reader {
    Multipart(multipart::Reader),
    Json(json::Reader),
    Xml(xml::Reader),
}

impl Parser {
    /// Starts to read. `content_type` is the header's value; only multipart needs it. Nothing for a form.
    pub(crate) fn new(kind: Kind, content_type: &[u8], limits: Limits) -> Option<Self> {
        let mut parsed = Parsed::default();
        let reader = match kind {
            Kind::Urlencoded => return None,
            Kind::Multipart => {
                multipart::Reader::new(content_type, &mut parsed).map(Reader::Multipart)
            }
            Kind::Json => Ok(Reader::Json(json::Reader::new())),
            Kind::Xml => Ok(Reader::Xml(xml::Reader::new())),
        };
        let mut stop = None;
        let reader = reader.unwrap_or_else(|why| {
            stop = Some(why);
            Reader::Json(json::Reader::new()) // never fed
        });
        let mut parser = Self { reader, limits, parsed, stopped: false };
        parser.stop(stop);
        Some(parser)
    }

    /// Reads the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.stopped {
            return;
        }
        let (parsed, limits) = (&mut self.parsed, &self.limits);
        let outcome = match &mut self.reader {
            Reader::Multipart(reader) => reader.push(piece, parsed, limits),
            Reader::Json(reader) => reader.push(piece, parsed, limits),
            Reader::Xml(reader) => reader.push(piece, parsed, limits),
        };
        self.stop(outcome.err());
    }

    /// Ends the body.
    pub(crate) fn finish(mut self) -> Parsed {
        if !self.stopped {
            let (parsed, limits) = (&mut self.parsed, &self.limits);
            let outcome = match &mut self.reader {
                Reader::Multipart(reader) => reader.finish(parsed, limits),
                Reader::Json(reader) => reader.finish(parsed, limits),
                Reader::Xml(reader) => reader.finish(parsed, limits),
            };
            self.stop(outcome.err());
        }
        self.parsed
    }

    /// How many bytes of files were read so far.
    pub(crate) fn file_bytes(&self) -> usize {
        match &self.reader {
            Reader::Multipart(reader) => reader.file_bytes(),
            Reader::Json(_) | Reader::Xml(_) => 0,
        }
    }

    fn stop(&mut self, why: Option<Stop>) {
        match why {
            None => return,
            Some(Stop::Error(message)) => self.parsed.error = Some(message),
            Some(Stop::Limit) => self.parsed.overflowed = true,
        }
        self.stopped = true;
    }
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

    /// Pays for bytes that are kept. `read` has to be up to date, and the same however the body was cut.
    fn spend(&mut self, bytes: usize, limits: &Limits) -> Result<(), Stop> {
        self.kept = self.kept.saturating_add(bytes);
        let most = limits.bytes.max(self.read.saturating_mul(limits.bytes_per_byte));
        if self.kept > most { Err(Stop::Limit) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
