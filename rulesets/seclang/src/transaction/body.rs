//! The request's body: read up to its limit, parsed once at its end by the processor that the content
//! type or a rule chose.

use super::state::State;
use crate::body::{self, Kind, Limits, MultipartFlags, Parsed, Unmatched};
use crate::program::{LimitAction, Program, Settings};
use crate::variable::Variable;

/// Names and values that a parsed body may come to, as a multiple of its length: names of nested
/// JSON repeat those above them.
const PARSED_FACTOR: usize = 16;

/// The same for short bodies, in bytes.
const PARSED_BYTES_MIN: usize = 64 * 1024;

/// What is known of the bodies of one transaction.
#[derive(Debug)]
pub(crate) struct BodyState {
    raw: Vec<u8>,
    kind: Option<Kind>,
    forced_variable: bool,
    request_access: bool,
    response_access: bool,
    request_limit: usize,
    response_limit: usize,
    over_limit: bool,
    total: usize,
}

/// What became of a piece of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// It was kept, or is not wanted.
    Fits,
    /// It does not fit and the settings refuse such bodies.
    Refused,
}

/// The name of a processor as `REQBODY_PROCESSOR` shows it.
pub(crate) fn name(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Urlencoded => b"URLENCODED",
        Kind::Multipart => b"MULTIPART",
        Kind::Json => b"JSON",
        Kind::Xml => b"XML",
    }
}

/// The processor of a content type.
pub(crate) fn kind_of(content_type: &[u8]) -> Option<Kind> {
    let media = content_type.split(|b| matches!(b, b';' | b',' | b' ' | b'\t')).next()?;
    let media = media.to_ascii_lowercase();
    match media.as_slice() {
        b"application/x-www-form-urlencoded" => Some(Kind::Urlencoded),
        b"multipart/form-data" => Some(Kind::Multipart),
        b"application/json" => Some(Kind::Json),
        b"application/xml" | b"text/xml" => Some(Kind::Xml),
        other if other.ends_with(b"+json") => Some(Kind::Json),
        other if other.ends_with(b"+xml") => Some(Kind::Xml),
        _ => None,
    }
}

impl BodyState {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            raw: Vec::new(),
            kind: None,
            forced_variable: false,
            request_access: settings.request_body,
            response_access: settings.response_body,
            request_limit: settings.request_body_limit,
            response_limit: settings.response_body_limit,
            over_limit: false,
            total: 0,
        }
    }

    pub(crate) fn reset(&mut self, settings: &Settings) {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        *self = Self { raw, ..Self::new(settings) };
    }

    pub(crate) fn force(&mut self, kind: Kind) {
        self.kind = Some(kind);
    }

    pub(crate) fn force_variable(&mut self, on: bool) {
        self.forced_variable = on;
    }

    pub(crate) fn set_request_access(&mut self, on: bool) {
        self.request_access = on;
    }

    pub(crate) fn set_response_access(&mut self, on: bool) {
        self.response_access = on;
    }

    pub(crate) fn set_request_limit(&mut self, limit: usize) {
        self.request_limit = limit;
    }

    pub(crate) fn set_response_limit(&mut self, limit: usize) {
        self.response_limit = limit;
    }

    /// Appends a piece of the request's body.
    pub(crate) fn push_request(&mut self, chunk: &[u8], action: LimitAction) -> Taken {
        let (access, limit) = (self.request_access, self.request_limit);
        self.push(chunk, access, limit, action)
    }

    /// Appends a piece of the response's body.
    pub(crate) fn push_response(&mut self, chunk: &[u8], action: LimitAction) -> Taken {
        let (access, limit) = (self.response_access, self.response_limit);
        self.push(chunk, access, limit, action)
    }

    fn push(&mut self, chunk: &[u8], access: bool, limit: usize, action: LimitAction) -> Taken {
        if !access {
            return Taken::Fits;
        }
        self.total = self.total.saturating_add(chunk.len());
        let room = limit.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        if chunk.len() <= room {
            return Taken::Fits;
        }
        self.over_limit = true;
        match action {
            LimitAction::Reject => Taken::Refused,
            LimitAction::ProcessPartial => Taken::Fits,
        }
    }
}

impl State {
    /// Parses the request's body and fills its variables.
    pub(crate) fn finish_request_body(&mut self, program: &Program) {
        let raw = std::mem::take(&mut self.body.raw);
        self.values.set_number(Variable::RequestBodyLength, self.body.total);
        self.values.set(Variable::InboundDataError, flag(self.body.over_limit));
        let kind = self.body.kind.filter(|_| !raw.is_empty());
        match kind {
            Some(Kind::Urlencoded) => {
                self.values.set(Variable::RequestBody, &raw);
                self.post_arguments(&raw, program.settings.arguments_max);
            }
            Some(kind @ (Kind::Multipart | Kind::Json | Kind::Xml)) => {
                // Rules for JSON read the raw text too, as ModSecurity 3 has it; files and documents
                // are read as parts only, unless a rule asks for the whole.
                if self.body.forced_variable || kind == Kind::Json {
                    self.values.set(Variable::RequestBody, &raw);
                }
                self.parse_body(program, kind, &raw);
            }
            None => self.values.set(Variable::RequestBody, &raw),
        }
        self.size_of_arguments();
        self.body.raw = raw;
        self.body.raw.clear();
        self.body.total = 0;
        self.body.over_limit = false;
    }

    /// Sets the response's body variables.
    pub(crate) fn finish_response_body(&mut self, program: &Program) {
        let raw = std::mem::take(&mut self.body.raw);
        self.values.set(Variable::OutboundDataError, flag(self.body.over_limit));
        self.values.set_number(Variable::ResponseContentLength, self.body.total);
        let content_type = self.values.text(Variable::ResponseContentType).to_ascii_lowercase();
        let media = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let types = &program.settings.response_types;
        if types.iter().any(|known| known == media) {
            self.values.set(Variable::ResponseBody, &raw);
        }
        self.body.raw = raw;
        self.body.raw.clear();
    }

    fn parse_body(&mut self, program: &Program, kind: Kind, raw: &[u8]) {
        let limits = Limits {
            arguments: program.settings.arguments_max,
            depth: program.settings.json_depth_max,
            bytes: raw.len().saturating_mul(PARSED_FACTOR).max(PARSED_BYTES_MIN),
        };
        let parsed = body::parse(kind, self.first_header(b"content-type"), raw, &limits);
        self.spend(raw.len());
        self.fill_from(&parsed);
        if kind == Kind::Multipart {
            let failed = parsed.error.is_some();
            self.fill_multipart(&parsed.multipart, failed);
        }
    }

    fn fill_from(&mut self, parsed: &Parsed) {
        for (name, value) in &parsed.arguments {
            self.values.add(Variable::ArgsPost, name, value);
            self.values.add_name_of_last(Variable::ArgsPostNames);
        }
        let mut combined = 0_usize;
        for file in &parsed.files {
            self.values.add(Variable::Files, &file.field, &file.file_name);
            self.values.add(Variable::MultipartFilename, &file.field, &file.file_name);
            self.values.add_name_of_last(Variable::FilesNames);
            self.values.add_name_of_last(Variable::MultipartName);
            let mut digits = [0_u8; 20];
            let size = super::values::decimal(file.bytes as u64, &mut digits);
            self.values.add(Variable::FilesSizes, &file.field, size);
            combined = combined.saturating_add(file.bytes);
        }
        self.values.set_number(Variable::FilesCombinedSize, combined);
        for (part, line) in &parsed.part_headers {
            self.values.add(Variable::MultipartPartHeaders, part, line);
        }
        if let Some(text) = &parsed.xml_text {
            self.values.add(Variable::XmlTexts, b"", text);
        }
        for text in &parsed.xml_attributes {
            self.values.add(Variable::XmlAttributes, b"", text);
        }
        let limit = parsed.overflowed.then_some("the body holds more than is read");
        if let Some(error) = parsed.error.as_deref().or(limit) {
            self.values.set(Variable::ReqbodyError, b"1");
            self.values.set(Variable::ReqbodyErrorMsg, error.as_bytes());
        }
    }

    fn fill_multipart(&mut self, flags: &MultipartFlags, failed: bool) {
        let rows = [
            (Variable::MultipartBoundaryQuoted, flags.boundary_quoted),
            (Variable::MultipartBoundaryWhitespace, flags.boundary_whitespace),
            (Variable::MultipartCrlfLfLines, flags.crlf_lf_lines),
            (Variable::MultipartDataAfter, flags.data_after),
            (Variable::MultipartDataBefore, flags.data_before),
            (Variable::MultipartFileLimitExceeded, flags.file_limit_exceeded),
            (Variable::MultipartHeaderFolding, flags.header_folding),
            (Variable::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
            (Variable::MultipartInvalidPart, flags.invalid_part),
            (Variable::MultipartInvalidQuoting, flags.invalid_quoting),
            (Variable::MultipartLfLine, flags.lf_line),
            (Variable::MultipartMissingSemicolon, flags.missing_semicolon),
            (Variable::MultipartStrictError, flags.strict_error(failed)),
        ];
        for (variable, on) in rows {
            self.values.set(variable, flag(on));
        }
        let unmatched = match flags.unmatched_boundary {
            Unmatched::None => b"0",
            Unmatched::Boundary => b"1",
            Unmatched::Dashes => b"2",
        };
        self.values.set(Variable::MultipartUnmatchedBoundary, unmatched);
    }
}

fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}
