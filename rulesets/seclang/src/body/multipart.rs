//! `multipart/form-data` (RFC 7578), strictly: what a lenient parser behind us might read otherwise is flagged.
//!
//! The flags are those of ModSecurity's `MULTIPART_*` variables.

mod content_type;
mod disposition;
mod reader;

pub(super) use self::reader::Reader;

/// Whether lines of a body look like boundaries without being one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Unmatched {
    /// No line does.
    #[default]
    None,
    /// A line of a part starts with `--`, as text may.
    Dashes,
    /// A line of a part starts with `--` and holds the boundary.
    Boundary,
}

/// What was odd about a multipart body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct MultipartFlags {
    /// `MULTIPART_BOUNDARY_QUOTED`: the boundary stands in quotes.
    pub(crate) boundary_quoted: bool,
    /// `MULTIPART_BOUNDARY_WHITESPACE`: white space stands around the boundary.
    pub(crate) boundary_whitespace: bool,
    /// `MULTIPART_DATA_BEFORE`: something stands before the first part.
    pub(crate) data_before: bool,
    /// `MULTIPART_DATA_AFTER`: something stands after the last part.
    pub(crate) data_after: bool,
    /// `MULTIPART_HEADER_FOLDING`: a part's header goes on in a second line.
    pub(crate) header_folding: bool,
    /// `MULTIPART_INVALID_HEADER_FOLDING`: a folded line starts with neither space nor tab, or is the first.
    pub(crate) invalid_header_folding: bool,
    /// `MULTIPART_LF_LINE`: a line of the frame ends in LF without CR.
    pub(crate) lf_line: bool,
    /// `MULTIPART_CRLF_LF_LINES`: lines end both ways.
    pub(crate) crlf_lf_lines: bool,
    /// `MULTIPART_MISSING_SEMICOLON`: parameters are not separated by `;`.
    pub(crate) missing_semicolon: bool,
    /// `MULTIPART_INVALID_QUOTING`: a parameter's value has quotes at one end only, or single ones.
    pub(crate) invalid_quoting: bool,
    /// `MULTIPART_INVALID_PART`: a part has no usable `Content-Disposition`.
    pub(crate) invalid_part: bool,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`: there are more files than the limit.
    pub(crate) file_limit_exceeded: bool,
    /// `MULTIPART_UNMATCHED_BOUNDARY`.
    pub(crate) unmatched_boundary: Unmatched,
}

impl MultipartFlags {
    /// Says whether `MULTIPART_STRICT_ERROR` is set, given whether the body's reading failed.
    pub(crate) const fn strict_error(&self, failed: bool) -> bool {
        failed
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}
