//! A piece of rule text that remembers where each of its bytes stood.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{Diagnostic, Severity};

/// One file's text, kept for drawing carets.
#[derive(Debug)]
pub(crate) struct SourceText {
    /// The name that diagnostics show.
    pub(crate) name: String,
    /// The whole content.
    pub(crate) bytes: Vec<u8>,
}

/// A span of a source: where a problem stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) source: Arc<SourceText>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Place {
    /// The line, counted from 1.
    pub(crate) fn line(&self) -> u32 {
        let before = self.source.bytes.get(..self.start).unwrap_or(&self.source.bytes);
        let newlines = memchr::memchr_iter(b'\n', before).count();
        u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Draws a problem at this place.
    pub(crate) fn diagnostic(&self, severity: Severity, message: String) -> Diagnostic {
        let bytes = &self.source.bytes;
        let start = self.start.min(bytes.len());
        let before = bytes.get(..start).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let rest = bytes.get(line_start..).unwrap_or_default();
        let line = rest.split(|&b| b == b'\n').next().unwrap_or_default();
        let column = start - line_start;
        let span =
            self.end.max(start + 1).min(line_start + line.len().max(1)).saturating_sub(start);
        Diagnostic {
            file: self.source.name.clone(),
            line: self.line(),
            column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
            span: u32::try_from(span).unwrap_or(u32::MAX).max(1),
            text: printable(line),
            message,
            help: None,
            severity,
        }
    }

    /// An error at this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, message.into())
    }

    /// An error at this place, with advice.
    pub(crate) fn error_with(
        &self,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { help: Some(help.into()), ..self.error(message) }
    }

    /// A note at this place.
    pub(crate) fn note(&self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Note, message.into())
    }
}

/// The bytes as text in which every byte that is not printable ASCII stands as `.`, so that columns
/// in bytes are columns on the screen.
fn printable(line: &[u8]) -> String {
    let visible =
        |&b: &u8| if b == b'\t' || (b' '..=b'~').contains(&b) { char::from(b) } else { '.' };
    line.iter().map(visible).collect()
}

/// Bytes taken from a source, each with its offset there: quotes removed, lines joined.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    source: Arc<SourceText>,
    bytes: Vec<u8>,
    /// Where bytes stand that follow each other in the source, in order: nearly every text is one run, and drafts
    /// keep the texts of all rules until they are lowered.
    runs: SmallVec<[Run; 1]>,
    /// Where an empty text stands.
    start: usize,
}

/// Bytes of a text from `at` on, up to the next run, which stand in the source from `offset` on.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: u32,
    offset: u32,
}

impl Text {
    pub(crate) fn new(source: &Arc<SourceText>, start: usize) -> Self {
        Self { source: Arc::clone(source), bytes: Vec::new(), runs: SmallVec::new(), start }
    }

    /// Appends bytes that stand in the source from `offset` on.
    pub(crate) fn push(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let next = self.runs.last().map(|run| run.offset as usize + self.len() - run.at as usize);
        if next != Some(offset) {
            self.runs.push(Run { at: narrow(self.len()), offset: narrow(offset) });
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    /// The text as UTF-8, for names and file paths.
    pub(crate) fn as_str(&self) -> Result<&str, Diagnostic> {
        std::str::from_utf8(&self.bytes).map_err(|_| self.place().error("not valid UTF-8"))
    }

    /// Where a byte stands in the source; of an empty text, where that stands.
    fn offset(&self, index: usize) -> usize {
        let after = self.runs.partition_point(|run| run.at as usize <= index);
        let run = after.checked_sub(1).and_then(|run| self.runs.get(run));
        run.map_or(self.start, |run| run.offset as usize + (index - run.at as usize))
    }

    /// Appends `other[start..end]`.
    pub(crate) fn append(&mut self, other: &Self, start: usize, end: usize) {
        let (mut from, end) = (start, end.min(other.len()));
        while from < end {
            let next = other.runs.partition_point(|run| run.at as usize <= from);
            let to = other.runs.get(next).map_or(end, |run| end.min(run.at as usize));
            self.push(other.bytes.get(from..to).unwrap_or_default(), other.offset(from));
            from = to;
        }
    }

    /// Where the whole text stands.
    pub(crate) fn place(&self) -> Place {
        let start = self.offset(0);
        let end = self.len().checked_sub(1).map_or(start, |last| self.offset(last)) + 1;
        Place { source: Arc::clone(&self.source), start, end }
    }

    /// A part of it; bounds past the end are cut.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Self {
        let end = end.min(self.len());
        let start = start.min(end);
        let after = || self.len().checked_sub(1).map_or(self.start, |last| self.offset(last) + 1);
        let from = if start < self.len() { self.offset(start) } else { after() };
        let mut part = Self::new(&self.source, from);
        part.append(self, start, end);
        part
    }

    /// Without white space at either end.
    pub(crate) fn trim(&self) -> Self {
        let blank = |b: &u8| b.is_ascii_whitespace();
        let start = self.bytes.iter().take_while(|b| blank(b)).count();
        let tail = self.bytes.iter().rev().take_while(|b| blank(b)).count();
        self.slice(start, self.len().saturating_sub(tail).max(start))
    }

    /// Splits at the first `byte`.
    pub(crate) fn split_once(&self, byte: u8) -> Option<(Self, Self)> {
        let at = memchr::memchr(byte, &self.bytes)?;
        Some((self.slice(0, at), self.slice(at + 1, self.len())))
    }

    /// Whether it reads as `word`, in any letter case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.bytes.eq_ignore_ascii_case(word.as_bytes())
    }
}

/// A place in a source, of which none is as long as four gigabytes.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
