//! A text with a name, and places in it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that carets are drawn from. Cloning shares the text.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    name: Arc<str>,
    text: Arc<str>,
}

impl SourceFile {
    /// Names `text`; the name is what the reader is shown, usually the path as the operator wrote it.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Returns the name shown to the reader.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the place of the bytes `span`, moved inside the text and onto character boundaries if it is not.
    #[must_use]
    pub fn location(&self, span: Range<usize>) -> Location {
        let start = floor_boundary(&self.text, span.start);
        let end = floor_boundary(&self.text, span.end).max(start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Location { file: self.clone(), span: start..end, line, column }
    }
}

impl SourceFile {
    /// Returns the text with `*` in place of every byte in `spans`, so that all other places stay where they are.
    pub(crate) fn without(&self, spans: &[Range<usize>]) -> Self {
        let mut text = String::with_capacity(self.text.len());
        for (at, c) in self.text.char_indices() {
            if c != '\n' && spans.iter().any(|span| span.contains(&at)) {
                text.extend(std::iter::repeat_n('*', c.len_utf8()));
            } else {
                text.push(c);
            }
        }
        Self::new(Arc::clone(&self.name), text)
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({}, {} bytes)", self.name, self.text.len())
    }
}

/// A place in a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    /// The text it is in.
    pub file: SourceFile,
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
    /// The line of the first byte, from 1.
    pub line: usize,
    /// The column of the first byte in characters, from 1.
    pub column: usize,
}

impl Location {
    /// Returns the text that is meant.
    #[must_use]
    pub fn text(&self) -> &str {
        self.file.text().get(self.span.clone()).unwrap_or_default()
    }
}

/// `file:line:column`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.name(), self.line, self.column)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}+{}", self.span.len())
    }
}
