//! A problem drawn for a terminal: message, the line it stands in, a caret, the advice.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::{Diagnostic, Severity};

/// How a problem is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Without colour: for files, pipes and tests.
    Plain,
    /// With ANSI colour: for a terminal.
    Colour,
}

/// Columns at which messages and advice are wrapped.
const WIDTH_COLUMNS: usize = 120;

impl Diagnostic {
    /// Draws the problem over several lines, with its source line and a caret; ends with a newline.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let theme = match style {
            Style::Plain => GraphicalTheme::unicode_nocolor(),
            Style::Colour => GraphicalTheme::unicode(),
        };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(WIDTH_COLUMNS).with_links(false);
        let mut drawn = String::new();
        match handler.render_report(&mut drawn, &Drawn::of(self)) {
            Ok(()) => drawn,
            // Drawing into a string does not fail; should the theme ever refuse, one line is better than none.
            Err(fmt::Error) => format!("{self}\n"),
        }
    }
}

/// Draws all problems in the order of their places in the text, one after the other.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], style: Style) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.render(style)).collect::<Vec<_>>().join("\n")
}

/// The view of a problem that the drawing library reads.
#[derive(Debug)]
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
}

impl<'a> Drawn<'a> {
    fn of(diagnostic: &'a Diagnostic) -> Self {
        let source = diagnostic
            .at
            .as_ref()
            .map(|at| NamedSource::new(at.file.name(), at.file.text().to_owned()));
        Self { diagnostic, source }
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.diagnostic.at.as_ref()?;
        let label = LabeledSpan::new_primary_with_span(None, at.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}
