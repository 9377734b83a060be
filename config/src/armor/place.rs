//! An expression with its place in the file, so that a caret inside of it can be drawn.

use std::ops::Range;

use crate::expr::{Problem, Span, Typed};
use crate::{Diagnostic, Location, SourceFile};

/// An expression and where its text stands in the file.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The typed tree.
    pub typed: Typed,
    place: TextPlace,
}

impl Expression {
    pub(super) fn new(typed: Typed, place: TextPlace) -> Self {
        Self { typed, place }
    }

    /// Returns where a part of the expression stands in the file.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        self.place.location(span)
    }
}

/// Where each byte of a scalar's value stands in the file: quotes, escapes, indentation and folding lie between.
#[derive(Clone, Debug)]
pub(super) struct TextPlace {
    source: SourceFile,
    raw: Range<usize>,
    value: String,
}

impl TextPlace {
    pub(super) fn new(source: &SourceFile, raw: Range<usize>, value: &str) -> Self {
        Self { source: source.clone(), raw, value: value.to_owned() }
    }

    pub(super) fn diagnostic(&self, problem: Problem) -> Diagnostic {
        Diagnostic {
            severity: problem.severity,
            code: problem.code,
            message: problem.message,
            help: problem.help,
            at: Some(self.location(problem.span)),
        }
    }

    fn location(&self, span: Span) -> Location {
        let start = self.file_offset(span.start);
        let last = self.file_offset(span.end.saturating_sub(1).max(span.start));
        self.source.location(start..last + 1)
    }

    /// Walks both texts side by side: a byte of the value is the next equal byte of the file, and any run of white
    /// space stands for any other.
    fn file_offset(&self, wanted: usize) -> usize {
        let raw = self.source.text().as_bytes().get(self.raw.clone()).unwrap_or_default();
        let mut at = block_header(raw);
        for (offset, byte) in self.value.bytes().enumerate() {
            while raw.get(at).is_some_and(|found| !same(*found, byte)) {
                at += 1;
            }
            if offset >= wanted {
                return self.raw.start + at.min(raw.len().saturating_sub(1));
            }
            at += 1;
        }
        self.raw.start + at.min(raw.len().saturating_sub(1))
    }
}

fn same(found: u8, wanted: u8) -> bool {
    found == wanted || (found.is_ascii_whitespace() && wanted.is_ascii_whitespace())
}

/// Returns the length of the first line of a block scalar (`|-`) or a heredoc (`<<-EOT`).
fn block_header(raw: &[u8]) -> usize {
    if matches!(raw.first(), Some(b'|' | b'>')) || raw.starts_with(b"<<") {
        return raw.iter().position(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    }
    0
}
