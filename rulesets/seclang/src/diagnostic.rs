//! One problem in rule text, with where it stands and a caret under it.

use std::fmt;

/// Whether a problem refuses the load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Nothing is loaded.
    Error,
    /// Loaded, with something to know: a directive that is accepted and has no effect here.
    Note,
}

/// One problem. `Display` draws the line with a caret under the span.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The file as [`Resolve`](crate::Resolve) named it.
    pub file: String,
    /// The line, counted from 1; 0 when the problem has no place.
    pub line: u32,
    /// The column in bytes, counted from 1.
    pub column: u32,
    /// How many bytes of the line are meant.
    pub span: u32,
    /// The text of the line.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether it refuses the load.
    pub severity: Severity,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Note => "note",
        };
        write!(f, "{word}: {}", self.message)?;
        write!(f, "\n  --> {}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
            let gutter = self.line.to_string().len();
            let before = self.text.bytes().take(self.column.saturating_sub(1) as usize);
            // A tab stays a tab so that the caret stands where the terminal draws the byte.
            let indent: String = before.map(|b| if b == b'\t' { '\t' } else { ' ' }).collect();
            let carets = "^".repeat(self.span.max(1) as usize);
            write!(f, "\n{:gutter$} |", "")?;
            write!(f, "\n{} | {}", self.line, self.text)?;
            write!(f, "\n{:gutter$} | {indent}{carets}", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}
