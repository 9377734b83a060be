//! Lines to parts.

use super::disposition::{self, Disposition};
use super::{MultipartFlags, Unmatched, content_type};
use crate::body::{File, Limits, Parsed, Stop};
use std::ops::Range;

/// The most bytes of one part's header line, folded lines included.
const HEADER_BYTES_MAX: usize = 4096;

/// Reads a body.
pub(crate) fn parse(
    content_type: &[u8],
    body: &[u8],
    limits: &Limits,
    parsed: &mut Parsed,
) -> Result<(), Stop> {
    let boundary = content_type::boundary(content_type, &mut parsed.multipart).map_err(error)?;
    let mut reader = Reader { body, boundary, limits, parsed, at: 0, crlf: false, part: None };
    let outcome = reader.run();
    let crlf = reader.crlf;
    let flags = &mut parsed.multipart;
    flags.crlf_lf_lines = crlf && flags.lf_line;
    outcome
}

fn error(message: &str) -> Stop {
    Stop::error(format!("multipart: {message}"))
}

struct Reader<'a> {
    body: &'a [u8],
    boundary: &'a [u8],
    limits: &'a Limits,
    parsed: &'a mut Parsed,
    at: usize,
    crlf: bool,
    part: Option<Part>,
}

/// A part whose headers were read.
struct Part {
    disposition: Disposition,
    start: usize,
}

/// What a line is to the frame.
enum Line {
    Open,
    Close,
    Other,
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Result<(), Stop> {
        while self.at < self.body.len() {
            let line = self.next_line();
            match self.role(&line)? {
                Line::Open => {
                    self.finish_part(line.start)?;
                    self.headers()?;
                }
                Line::Close => {
                    self.finish_part(line.start)?;
                    let rest = self.body.get(self.at..).unwrap_or_default();
                    self.parsed.multipart.data_after = !rest.trim_ascii().is_empty();
                    return Ok(());
                }
                Line::Other if self.part.is_none() => {
                    let text = self.body.get(line).unwrap_or_default();
                    self.flags().data_before |= !text.is_empty();
                }
                Line::Other => {}
            }
        }
        Err(error("the final boundary is missing"))
    }

    fn flags(&mut self) -> &mut MultipartFlags {
        &mut self.parsed.multipart
    }

    /// Returns the span of the next line, its end included, and steps over it.
    fn next_line(&mut self) -> Range<usize> {
        let start = self.at;
        let rest = self.body.get(start..).unwrap_or_default();
        self.at = memchr::memchr(b'\n', rest).map_or(self.body.len(), |end| start + end + 1);
        start..self.at
    }

    /// Returns a line of the frame without its end, and notes which end it has.
    fn frame_text(&mut self, line: Range<usize>) -> &'a [u8] {
        let text = self.body.get(line).unwrap_or_default();
        let Some(text) = text.strip_suffix(b"\n") else { return text };
        if let Some(text) = text.strip_suffix(b"\r") {
            self.crlf = true;
            text
        } else {
            self.flags().lf_line = true;
            text
        }
    }

    fn role(&mut self, line: &Range<usize>) -> Result<Line, Stop> {
        let text = self.body.get(line.clone()).unwrap_or_default();
        let Some(after_dashes) = text.strip_prefix(b"--") else { return Ok(Line::Other) };
        if !after_dashes.starts_with(self.boundary) {
            return self.unmatched(after_dashes);
        }
        let text = self.frame_text(line.clone());
        let after = text.get(2 + self.boundary.len()..).unwrap_or_default();
        match after {
            b"" => Ok(Line::Open),
            b"--" => Ok(Line::Close),
            _ if after.trim_ascii().is_empty() => {
                self.flags().boundary_whitespace = true;
                Ok(Line::Open)
            }
            _ => Err(error("something stands behind a boundary")), // not even white space
        }
    }

    fn unmatched(&mut self, after_dashes: &[u8]) -> Result<Line, Stop> {
        if after_dashes.trim_ascii_start().starts_with(self.boundary) {
            self.flags().boundary_whitespace = true;
            return Err(error("white space stands before a boundary"));
        }
        let quoted = after_dashes.strip_prefix(b"\"");
        if quoted.is_some_and(|text| text.starts_with(self.boundary)) {
            return Err(error("a boundary of the body stands in quotes"));
        }
        let holds = memchr::memmem::find(after_dashes, self.boundary).is_some();
        let found = if holds { Unmatched::Boundary } else { Unmatched::Dashes };
        if self.flags().unmatched_boundary != Unmatched::Boundary {
            self.flags().unmatched_boundary = found;
        }
        Ok(Line::Other)
    }

    /// Reads the headers of a part, up to the empty line.
    fn headers(&mut self) -> Result<(), Stop> {
        let mut headers: Vec<Vec<u8>> = Vec::new();
        loop {
            if self.at >= self.body.len() {
                return Err(error("a part ends in its headers"));
            }
            let line = self.next_line();
            let text = self.frame_text(line);
            if text.is_empty() {
                break;
            }
            self.header(text, &mut headers)?;
        }
        let disposition = self.disposition(&headers)?;
        let name = disposition.name.clone().unwrap_or_default();
        for line in headers {
            self.parsed.spend(name.len() + line.len(), self.limits)?;
            self.parsed.part_headers.push((name.clone(), line));
        }
        self.part = Some(Part { disposition, start: self.at });
        Ok(())
    }

    fn header(&mut self, text: &[u8], headers: &mut Vec<Vec<u8>>) -> Result<(), Stop> {
        if text.starts_with(b" ") || text.starts_with(b"\t") {
            self.flags().header_folding = true;
            let Some(last) = headers.last_mut() else {
                self.flags().invalid_header_folding = true;
                return Err(error("a part starts with a folded header"));
            };
            last.push(b' ');
            last.extend_from_slice(text.trim_ascii_start());
            return check_length(last);
        }
        if headers.len() + self.parsed.part_headers.len() >= self.limits.arguments {
            return Err(Stop::Limit);
        }
        let Some(colon) = memchr::memchr(b':', text) else {
            self.flags().invalid_header_folding = !headers.is_empty();
            self.flags().invalid_part = true;
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

    fn disposition(&mut self, headers: &[Vec<u8>]) -> Result<Disposition, Stop> {
        let value = headers.iter().find_map(|header| value_of(header, b"content-disposition"));
        let Some(value) = value else {
            self.flags().invalid_part = true;
            return Err(error("a part has no Content-Disposition"));
        };
        let disposition = disposition::parse(value, self.flags());
        let disposition = disposition.map_err(|message| {
            self.flags().invalid_part = true;
            error(message)
        })?;
        if disposition.name.is_none() {
            self.flags().invalid_part = true;
            return Err(error("a part has no name"));
        }
        Ok(disposition)
    }

    /// Stores the part whose data ends before the boundary line that starts at `end`.
    fn finish_part(&mut self, end: usize) -> Result<(), Stop> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let data = self.body.get(part.start..end).unwrap_or_default();
        let data = data.strip_suffix(b"\n").unwrap_or(data);
        let data = data.strip_suffix(b"\r").unwrap_or(data);
        let field = part.disposition.name.unwrap_or_default();
        let Some(file_name) = part.disposition.file_name else {
            return self.parsed.push_argument(field, data.to_vec(), self.limits);
        };
        if self.parsed.files.len() >= self.limits.arguments {
            self.flags().file_limit_exceeded = true;
            return Err(Stop::Limit);
        }
        self.parsed.spend(field.len() + file_name.len(), self.limits)?;
        self.parsed.files.push(File { field, file_name, bytes: data.len() });
        Ok(())
    }
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
