//! From the parser's events to the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_saphyr::granit_parser::{
    Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle,
};

use super::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, SourceFile};

/// The largest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The deepest nesting that is read; the deepest of our formats is far below it.
const DEPTH_MAX: usize = 64;
/// The most nodes of a tree with every alias written out: a few aliases of aliases would otherwise fill the memory.
const NODES_MAX: usize = 1_000_000;

/// Reads the one document of a text.
///
/// # Errors
/// Every duplicate key, tag and unusable key that was found; a text that is no YAML stops at its first mistake.
pub fn parse(source: &SourceFile) -> Result<Node, Vec<Diagnostic>> {
    match read(source) {
        (Some(node), problems) if problems.is_empty() => Ok(node),
        (_, problems) => Err(problems),
    }
}

/// Reads the one document of a text as far as it goes: the tree beside the problems, so that what else is wrong in it
/// can be said at the same time. Of a duplicate key the first is kept. There is no tree when the text is no YAML.
#[must_use]
pub fn read(source: &SourceFile) -> (Option<Node>, Vec<Diagnostic>) {
    if source.text().len() > TEXT_BYTES_MAX {
        let too_large = Diagnostic::error("file-too-large", "the file is larger than 8 MiB");
        return (None, vec![too_large.in_source(source, 0..0)]);
    }
    let mut options = Options::default();
    options.disallow_directives = true;
    options.emit_comments = false;
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let mut reader = Reader {
        source,
        events: Parser::new_from_str_with_options(source.text(), options),
        anchors: BTreeMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    match reader.document() {
        Ok(node) => (Some(node), reader.problems),
        Err(Stop) => (None, reader.problems),
    }
}

struct Reader<'a, I> {
    source: &'a SourceFile,
    events: I,
    /// Anchored nodes with their number of nodes.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<Diagnostic>,
}

/// The rest of the text cannot be read; the reason has been reported.
struct Stop;

impl<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Reader<'a, I> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser's events are a foreign, non-exhaustive enum"
    )]
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    self.report("several-documents", "a file holds one document", range(&span));
                    return Err(Stop);
                }
                Event::DocumentStart(..) => {
                    let (first, span) = self.next()?;
                    root = Some(self.node(first, &span, None)?);
                }
                // What is left begins or continues a node, which only stands inside a document.
                _ => {
                    return Err(self.stop(
                        "not-yaml",
                        "this stands outside of a document",
                        range(&span),
                    ));
                }
            }
        }
        Ok(root.unwrap_or(Node { span: 0..0, key: None, value: Value::Null }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or_else(|| self.source.text().len());
                let message = error.info().to_lowercase();
                let problem = Diagnostic::error("not-yaml", message.clone())
                    .in_source(self.source, at..at + 1);
                self.problems.push(match advice(&message) {
                    Some(advice) => problem.help(advice),
                    None => problem,
                });
                Err(Stop)
            }
            None => Err(self.stop("not-yaml", "the text ends too early", 0..0)),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser's events are a foreign, non-exhaustive enum"
    )]
    fn node(
        &mut self,
        event: Event<'a>,
        span: &Span,
        key: Option<Range<usize>>,
    ) -> Result<Node, Stop> {
        let span = range(span);
        let before = self.nodes;
        self.count(1, span.clone())?;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.no_tag(tag.is_some(), &span);
                let quoted = style != ScalarStyle::Plain;
                let null = !quoted && matches!(text.as_ref(), "" | "~" | "null");
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar { text: text.into_owned(), quoted }
                };
                (anchor, Node { span, key, value })
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.no_tag(tag.is_some(), &span);
                let (items, end) = self.list()?;
                let first = items.first().map(|item| item.span.clone());
                let span = whole(style, &span, first, &end);
                (anchor, Node { span, key, value: Value::List(items) })
            }
            Event::MappingStart(style, anchor, tag) => {
                self.no_tag(tag.is_some(), &span);
                let (entries, end) = self.map()?;
                let first = entries.first().map(|entry| entry.span.clone());
                let span = whole(style, &span, first, &end);
                (anchor, Node { span, key, value: Value::Map(entries) })
            }
            Event::Alias(anchor) => return self.alias(anchor, span, key),
            _ => return Err(self.stop("not-yaml", "a value is expected here", span)),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<(Vec<Node>, Range<usize>), Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((items, range(&span)));
            }
            items.push(self.node(event, &span, None)?);
        }
    }

    fn map(&mut self) -> Result<(Vec<Entry>, Range<usize>), Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok((entries, range(&span)));
            }
            let key = self.node(event, &span, None)?;
            let (event, span) = self.next()?;
            let node = self.node(event, &span, Some(key.span.clone()))?;
            let Value::Scalar { text, .. } = key.value else {
                self.report("key-not-text", format!("a key is text, not {}", key.kind()), key.span);
                continue;
            };
            if seen.insert(text.clone()) {
                entries.push(Entry { key: text, span: key.span, node });
            } else {
                self.report("duplicate-key", format!("the key `{text}` is here twice"), key.span);
            }
        }
    }

    fn alias(
        &mut self,
        anchor: usize,
        span: Range<usize>,
        key: Option<Range<usize>>,
    ) -> Result<Node, Stop> {
        let Some((node, nodes)) = self.anchors.get(&anchor).cloned() else {
            return Err(self.stop("not-yaml", "an alias stands inside of what it names", span));
        };
        self.count(nodes, span.clone())?;
        Ok(Node { span, key, ..node })
    }

    fn count(&mut self, nodes: usize, span: Range<usize>) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        Err(self.stop(
            "file-too-large",
            "the text, with its aliases written out, has too many values",
            span,
        ))
    }

    fn no_tag(&mut self, tagged: bool, span: &Range<usize>) {
        if tagged {
            self.report("tag", "tags are not supported", span.clone());
        }
    }

    fn stop(&mut self, code: &'static str, message: impl Into<String>, span: Range<usize>) -> Stop {
        self.report(code, message, span);
        Stop
    }

    fn report(&mut self, code: &'static str, message: impl Into<String>, span: Range<usize>) {
        self.problems.push(Diagnostic::error(code, message).in_source(self.source, span));
    }
}

/// What is most often behind a message of the parser, which sees the mistake only at what follows it.
fn advice(message: &str) -> Option<&'static str> {
    [
        (
            "mapping values are not allowed",
            "a colon is followed by a space; a value that holds `: ` is quoted",
        ),
        ("expected key", "look at the indentation, and for a missing quote or bracket above"),
        ("did not find expected", "a comma, a quote or a bracket is missing before this"),
        ("tab", "indent with spaces"),
        ("unclosed quote", "the quote that begins here has no end"),
    ]
    .into_iter()
    .find_map(|(part, advice)| message.contains(part).then_some(advice))
}

fn range(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

/// The bytes of a collection: all of a flow one, the first part of a block one, whose end is somewhere in what follows.
fn whole(
    style: StructureStyle,
    start: &Range<usize>,
    first: Option<Range<usize>>,
    end: &Range<usize>,
) -> Range<usize> {
    match style {
        StructureStyle::Flow => start.start..end.end.max(start.end),
        StructureStyle::Block => first.unwrap_or_else(|| start.clone()),
    }
}
