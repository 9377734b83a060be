//! The request's body: taken up to its limit and read while it arrives, by the processor that the content type or a
//! rule chose before its first byte.

use super::state::State;
use crate::body::{Kind, Limits, MultipartFlags, Parsed, Parser, Unmatched};
use crate::program::{LimitAction, Program, Settings};
use crate::variable::Variable;

/// Bytes of names and values that a parsed body may come to for each of its own: names of nested JSON repeat those
/// above them.
const PARSED_PER_BYTE: usize = 16;

/// Bytes of names and values that any body may come to.
const PARSED_BYTES_MIN: usize = 64 * 1024;

/// What is known of the bodies of one transaction.
#[derive(Debug)]
pub(crate) struct BodyState {
    /// What was taken, where anything asks for the whole.
    pub(super) raw: Vec<u8>,
    kind: Option<Kind>,
    forced_variable: bool,
    request_access: bool,
    response_access: bool,
    request_limit: usize,
    response_limit: usize,
    over_limit: bool,
    /// Bytes that arrived.
    total: usize,
    /// Bytes of them that were taken.
    taken: usize,
    /// Reads the request's body, once its first byte is there.
    parser: Option<Parser>,
    pub(super) form: Form,
}

/// How far a form was cut into arguments.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// Where the piece starts that is not complete yet.
    pub(super) start: usize,
    /// Up to where no separator stands in it.
    pub(super) scanned: usize,
    /// Arguments so far.
    pub(super) count: usize,
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
            taken: 0,
            parser: None,
            form: Form::default(),
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

    /// Counts a piece and says how much of it fits.
    fn take<'c>(&mut self, chunk: &'c [u8], limit: usize) -> &'c [u8] {
        self.total = self.total.saturating_add(chunk.len());
        let room = limit.saturating_sub(self.taken);
        self.over_limit |= chunk.len() > room;
        let fits = chunk.get(..room).unwrap_or(chunk);
        self.taken += fits.len();
        fits
    }

    /// Whether the body is refused for its length.
    fn judge(&self, action: LimitAction) -> Taken {
        match action {
            LimitAction::Reject if self.over_limit => Taken::Refused,
            LimitAction::Reject | LimitAction::ProcessPartial => Taken::Fits,
        }
    }

    /// Whether the request's body is kept as it is. Rules for JSON read the raw text too, as ModSecurity 3 has it;
    /// files and documents are read as parts only, unless a rule asks for the whole.
    fn keeps_raw(&self) -> bool {
        self.forced_variable || !matches!(self.kind, Some(Kind::Multipart | Kind::Xml))
    }

    /// Forgets the body, keeps what rules set for those that follow.
    fn end(&mut self) {
        self.raw.clear();
        self.total = 0;
        self.taken = 0;
        self.over_limit = false;
        self.parser = None;
        self.form = Form::default();
    }
}

impl State {
    /// Takes a piece of the request's body and reads it.
    pub(crate) fn take_request_body(&mut self, program: &Program, chunk: &[u8]) -> Taken {
        if !self.body.request_access {
            return Taken::Fits;
        }
        if self.body.taken == 0 {
            self.body.parser = self.parser(program);
        }
        let fits = self.body.take(chunk, self.body.request_limit);
        if self.body.keeps_raw() {
            self.body.raw.extend_from_slice(fits);
        }
        if let Some(parser) = &mut self.body.parser {
            parser.push(fits);
        }
        if self.body.kind == Some(Kind::Urlencoded) {
            self.cut_form(program.settings.arguments_max, false);
        }
        let files = self.body.parser.as_ref().map_or(0, Parser::file_bytes);
        let without_files = self.body.taken.saturating_sub(files);
        self.body.over_limit |= without_files > program.settings.request_body_no_files_limit;
        self.body.judge(program.settings.request_body_action)
    }

    /// Takes a piece of the response's body.
    pub(crate) fn take_response_body(&mut self, program: &Program, chunk: &[u8]) -> Taken {
        if !self.body.response_access {
            return Taken::Fits;
        }
        let fits = self.body.take(chunk, self.body.response_limit);
        self.body.raw.extend_from_slice(fits);
        self.body.judge(program.settings.response_body_action)
    }

    fn parser(&self, program: &Program) -> Option<Parser> {
        let limits = Limits {
            arguments: program.settings.arguments_max,
            files: program.settings.files_max,
            depth: program.settings.json_depth_max,
            bytes: PARSED_BYTES_MIN,
            bytes_per_byte: PARSED_PER_BYTE,
        };
        Parser::new(self.body.kind?, self.first_header(b"content-type"), limits)
    }

    /// Ends the request's body and fills its variables.
    pub(crate) fn finish_request_body(&mut self, program: &Program) {
        self.values.set_number(Variable::RequestBodyLength, self.body.total);
        self.values.set(Variable::InboundDataError, flag(self.body.over_limit));
        if self.body.kind == Some(Kind::Urlencoded) {
            self.cut_form(program.settings.arguments_max, true);
        }
        if self.body.keeps_raw() {
            self.values.set(Variable::RequestBody, &self.body.raw);
        }
        if let Some(parser) = self.body.parser.take().filter(|_| self.body.taken > 0) {
            self.spend(self.body.taken);
            let parsed = parser.finish();
            self.fill_from(&parsed);
            if self.body.kind == Some(Kind::Multipart) {
                self.fill_multipart(&parsed.multipart, parsed.error.is_some());
            }
        }
        self.size_of_arguments();
        self.body.end();
    }

    /// Sets the response's body variables.
    pub(crate) fn finish_response_body(&mut self, program: &Program) {
        self.values.set(Variable::OutboundDataError, flag(self.body.over_limit));
        self.values.set_number(Variable::ResponseContentLength, self.body.total);
        let content_type = self.values.text(Variable::ResponseContentType).to_ascii_lowercase();
        let media = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let types = &program.settings.response_types;
        if types.iter().any(|known| known == media) {
            self.values.set(Variable::ResponseBody, &self.body.raw);
        }
        self.body.end();
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
