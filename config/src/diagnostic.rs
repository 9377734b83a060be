//! One problem in a text, with the place where it stands, and how it is shown.

mod render;
mod source;
mod suggest;

use std::fmt;
use std::ops::Range;

pub use render::{Style, render_all};
pub use source::{Location, SourceFile};
pub use suggest::did_you_mean;

/// Whether a problem stops the load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The text is loaded all the same; `check` prints it and exits with 0.
    Warning,
    /// The text is refused.
    Error,
}

/// One problem, with where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Whether it stops the load.
    pub severity: Severity,
    /// A stable id of the kind of problem, in kebab case: what a reader searches the documentation for.
    pub code: &'static str,
    /// What is wrong: lower case, no full stop, values in backticks.
    pub message: String,
    /// What to do about it, if that can be said.
    pub help: Option<String>,
    /// The place in the text, where there is one.
    pub at: Option<Location>,
}

impl Diagnostic {
    /// Makes a problem that stops the load; the place and the help are added with [`Self::at`] and [`Self::help`].
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), help: None, at: None }
    }

    /// Makes a problem that is reported and does not stop the load.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, message: message.into(), help: None, at: None }
    }

    /// Returns the problem placed at `location`.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.at = Some(location);
        self
    }

    /// Returns the problem placed at the bytes `span` of `source`.
    #[must_use]
    pub fn in_source(self, source: &SourceFile, span: Range<usize>) -> Self {
        self.at(source.location(span))
    }

    /// Returns the problem with a line of advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns the problem with `did you mean ...` if one of `known` is close to `word`; otherwise unchanged.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match did_you_mean(word, known) {
            Some(close) => self.help(format!("did you mean `{close}`?")),
            None => self,
        }
    }

    /// Says whether the problem stops the load.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// One line: `file:line:column: error: message [code]`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {} [{}]", self.message, self.code)
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests;
