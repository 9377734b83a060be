//! What is wrong with an expression, and where in its text.

use crate::Severity;

/// A half-open range of bytes in the expression's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One problem of one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it forbids loading.
    pub severity: Severity,
    /// The stable id, in kebab case.
    pub code: &'static str,
    /// Where it stands in the expression.
    pub span: Span,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn error(code: &'static str, span: Span, message: String) -> Self {
        Self { severity: Severity::Error, code, span, message, help: None }
    }

    pub(crate) fn warning(code: &'static str, span: Span, message: String) -> Self {
        Self { severity: Severity::Warning, code, span, message, help: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
