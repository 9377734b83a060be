//! Lines to parts.

use super::disposition::{self, Disposition};
use super::{MultipartFlags, Unmatched, content_type};
use crate::body::{File, Limits, Parsed, Stop};

/// The most bytes of one part's header line, folded lines included.
const HEADER_BYTES_MAX: usize = 4096;

/// Reads one body.
#[derive(Debug)]
pub(crate) struct Reader {
    boundary: Vec<u8>,
    place: Place,
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// The line is data of a part, and its beginning was taken over already.
    is_data: bool,
    /// A line of the frame ended in CR LF.
    crlf: bool,
    /// Bytes read up to the end of the last whole line.
    at: usize,
    /// Bytes of the files that ended.
    file_bytes: usize,
}

/// Where in the body the next line stands.
#[derive(Debug)]
enum Place {
    /// Before the first boundary.
    Before,
    /// In the headers of a part, these of them read.
    Headers(Vec<Vec<u8>>),
    /// In the data of a part.
    Data(Part),
    /// Behind the last boundary.
    After,
}

/// A part whose headers were read.
#[derive(Debug)]
struct Part {
    disposition: Disposition,
    /// The data of a field; of a file only the last two bytes, which may belong to the boundary.
    data: Vec<u8>,
    bytes: usize,
}

/// What a line is to the frame.
enum Line {
    Open,
    Close,
    Other,
}

impl Reader {
    /// Starts to read a body of this content type.
    pub(in crate::body) fn new(content_type: &[u8], parsed: &mut Parsed) -> Result<Self, Stop> {
        let boundary = content_type::boundary(content_type, &mut parsed.multipart);
        let boundary = boundary.map_err(error)?.to_vec();
        Ok(Self {
            boundary,
            place: Place::Before,
            line: Vec::new(),
            is_data: false,
            crlf: false,
            at: 0,
            file_bytes: 0,
        })
    }

    /// How many bytes of files were read so far, a line that may still turn out to be a boundary included.
    pub(in crate::body) fn file_bytes(&self) -> usize {
        match &self.place {
            Place::Data(part) if part.disposition.file_name.is_some() => {
                self.file_bytes.saturating_add(part.bytes + self.line.len())
            }
            Place::Data(_) | Place::Before | Place::Headers(_) | Place::After => self.file_bytes,
        }
    }

    /// Reads a piece.
    pub(in crate::body) fn push(
        &mut self,
        piece: &[u8],
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            self.line.extend_from_slice(line);
            self.end_line(parsed, limits)?;
            rest = tail;
        }
        self.line.extend_from_slice(rest);
        self.take_data();
        Ok(())
    }

    /// Ends the body.
    pub(in crate::body) fn finish(
        &mut self,
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        if !self.line.is_empty() || self.is_data {
            self.end_line(parsed, limits)?;
        }
        match self.place {
            Place::After => Ok(()),
            Place::Headers(_) => Err(error("a part ends in its headers")),
            Place::Before | Place::Data(_) => Err(error("the final boundary is missing")),
        }
    }

    /// Takes over what stands of a line that can be no boundary, so that data without line ends costs no memory.
    fn take_data(&mut self) {
        let Place::Data(part) = &mut self.place else { return };
        if self.is_data || (self.line.len() >= 2 && !self.line.starts_with(b"--")) {
            part.append(&self.line);
            self.at += self.line.len();
            self.line.clear();
            self.is_data = true;
        }
    }

    fn end_line(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        let line = std::mem::take(&mut self.line);
        self.at += line.len();
        parsed.read = self.at;
        let is_data = std::mem::replace(&mut self.is_data, false);
        let outcome = self.whole_line(&line, is_data, parsed, limits);
        self.line = line;
        self.line.clear();
        outcome
    }

    fn whole_line(
        &mut self,
        line: &[u8],
        is_data: bool,
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        if let Place::Headers(_) = self.place {
            return self.header_line(line, parsed, limits);
        }
        if let Place::After = self.place {
            parsed.multipart.data_after |= !line.trim_ascii().is_empty();
            return Ok(());
        }
        let role = if is_data { Line::Other } else { self.role(line, parsed)? };
        match role {
            Line::Open => {
                self.finish_part(parsed, limits)?;
                self.place = Place::Headers(Vec::new());
            }
            Line::Close => {
                self.finish_part(parsed, limits)?;
                self.place = Place::After;
            }
            Line::Other => match &mut self.place {
                Place::Data(part) => part.append(line),
                Place::Before | Place::Headers(_) | Place::After => {
                    parsed.multipart.data_before = true;
                }
            },
        }
        Ok(())
    }

    /// Returns a line of the frame without its end, and notes which end it has.
    fn frame_text<'l>(&mut self, line: &'l [u8], flags: &mut MultipartFlags) -> &'l [u8] {
        let Some(text) = line.strip_suffix(b"\n") else { return line };
        let text = match text.strip_suffix(b"\r") {
            Some(text) => {
                self.crlf = true;
                text
            }
            None => {
                flags.lf_line = true;
                text
            }
        };
        flags.crlf_lf_lines = self.crlf && flags.lf_line;
        text
    }

    fn role(&mut self, line: &[u8], parsed: &mut Parsed) -> Result<Line, Stop> {
        let Some(after_dashes) = line.strip_prefix(b"--") else { return Ok(Line::Other) };
        if !after_dashes.starts_with(&self.boundary) {
            return self.unmatched(after_dashes, &mut parsed.multipart);
        }
        let text = self.frame_text(line, &mut parsed.multipart);
        let after = text.get(2 + self.boundary.len()..).unwrap_or_default();
        match after {
            b"" => Ok(Line::Open),
            b"--" => Ok(Line::Close),
            _ if after.trim_ascii().is_empty() => {
                parsed.multipart.boundary_whitespace = true;
                Ok(Line::Open)
            }
            _ => Err(error("something stands behind a boundary")), // not even white space
        }
    }

    fn unmatched(&self, after_dashes: &[u8], flags: &mut MultipartFlags) -> Result<Line, Stop> {
        if after_dashes.trim_ascii_start().starts_with(&self.boundary) {
            flags.boundary_whitespace = true;
            return Err(error("white space stands before a boundary"));
        }
        let quoted = after_dashes.strip_prefix(b"\"");
        if quoted.is_some_and(|text| text.starts_with(&self.boundary)) {
            return Err(error("a boundary of the body stands in quotes"));
        }
        let holds = memchr::memmem::find(after_dashes, &self.boundary).is_some();
        let found = if holds { Unmatched::Boundary } else { Unmatched::Dashes };
        if flags.unmatched_boundary != Unmatched::Boundary {
            flags.unmatched_boundary = found;
        }
        Ok(Line::Other)
    }

    /// Reads one line of a part's headers; the empty one ends them.
    fn header_line(
        &mut self,
        line: &[u8],
        parsed: &mut Parsed,
        limits: &Limits,
    ) -> Result<(), Stop> {
        let text = self.frame_text(line, &mut parsed.multipart);
        let Place::Headers(headers) = &mut self.place else { return Ok(()) };
        if !text.is_empty() {
            return header(text, headers, parsed, limits);
        }
        let headers = std::mem::take(headers);
        let disposition = disposition_of(&headers, &mut parsed.multipart)?;
        let name = disposition.name.clone().unwrap_or_default();
        for line in headers {
            parsed.spend(name.len() + line.len(), limits)?;
            parsed.part_headers.push((name.clone(), line));
        }
        self.place = Place::Data(Part { disposition, data: Vec::new(), bytes: 0 });
        Ok(())
    }

    /// Stores the part whose data ended with the line before.
    fn finish_part(&mut self, parsed: &mut Parsed, limits: &Limits) -> Result<(), Stop> {
        let Place::Data(mut part) = std::mem::replace(&mut self.place, Place::Before) else {
            return Ok(());
        };
        // The line end before a boundary belongs to the boundary.
        for end in [b'\n', b'\r'] {
            if part.data.last() == Some(&end) {
                part.data.pop();
                part.bytes -= 1;
            } else {
                break;
            }
        }
        let field = part.disposition.name.unwrap_or_default();
        let Some(file_name) = part.disposition.file_name else {
            return parsed.push_argument(field, part.data, limits);
        };
        self.file_bytes = self.file_bytes.saturating_add(part.bytes);
        if parsed.files.len() >= limits.files {
            parsed.multipart.file_limit_exceeded = true;
            return Err(Stop::Limit);
        }
        parsed.spend(field.len() + file_name.len(), limits)?;
        parsed.files.push(File { field, file_name, bytes: part.bytes });
        Ok(())
    }
}

impl Part {
    fn append(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
        self.bytes += data.len();
        if self.disposition.file_name.is_some() {
            let surplus = self.data.len().saturating_sub(2);
            self.data.drain(..surplus);
        }
    }
}

fn error(message: &str) -> Stop {
    Stop::error(format!("multipart: {message}"))
}

fn header(
    text: &[u8],
    headers: &mut Vec<Vec<u8>>,
    parsed: &mut Parsed,
    limits: &Limits,
) -> Result<(), Stop> {
    let flags = &mut parsed.multipart;
    if text.starts_with(b" ") || text.starts_with(b"\t") {
        flags.header_folding = true;
        let Some(last) = headers.last_mut() else {
            flags.invalid_header_folding = true;
            return Err(error("a part starts with a folded header"));
        };
        last.push(b' ');
        last.extend_from_slice(text.trim_ascii_start());
        return check_length(last);
    }
    if headers.len() + parsed.part_headers.len() >= limits.arguments {
        return Err(Stop::Limit);
    }
    let Some(colon) = memchr::memchr(b':', text) else {
        flags.invalid_header_folding = !headers.is_empty();
        flags.invalid_part = true;
        return Err(error("a part's header has no colon"));
    };
    let name = text.get(..colon).unwrap_or_default();
    if name.is_empty() {
        return Err(error("a part's header has no name"));
    }
    if headers.iter().any(|header| value_of(header, name).is_some()) {
        return Err(error("a part has a header twice"));
    }
    check_length(text)?;
    headers.push(text.to_vec());
    Ok(())
}

fn disposition_of(headers: &[Vec<u8>], flags: &mut MultipartFlags) -> Result<Disposition, Stop> {
    let value = headers.iter().find_map(|header| value_of(header, b"content-disposition"));
    let Some(value) = value else {
        flags.invalid_part = true;
        return Err(error("a part has no Content-Disposition"));
    };
    let disposition = disposition::parse(value, flags);
    let disposition = disposition.map_err(|message| {
        flags.invalid_part = true;
        error(message)
    })?;
    if disposition.name.is_none() {
        flags.invalid_part = true;
        return Err(error("a part has no name"));
    }
    Ok(disposition)
}

fn check_length(header: &[u8]) -> Result<(), Stop> {
    if header.len() > HEADER_BYTES_MAX { Err(error("a part's header is too long")) } else { Ok(()) }
}

/// Returns the value of a header line if it has this name.
fn value_of<'h>(header: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let (head, tail) = header.split_at_checked(name.len())?;
    let value = tail.strip_prefix(b":").filter(|_| head.eq_ignore_ascii_case(name))?;
    Some(value.trim_ascii())
}
