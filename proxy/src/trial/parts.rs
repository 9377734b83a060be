//! A test file's tree, read with a caret for everything that is wrong in it.

use std::ops::Range;

use portcullis_config::yaml::{Entry, Node, Value};
use portcullis_config::{Diagnostic, SourceFile};
use serde_json::Value as Json;

/// Reads the parts of a file and gathers what is wrong with them.
pub(super) struct Parts<'s> {
    pub(super) source: &'s SourceFile,
    pub(super) problems: Vec<Diagnostic>,
}

impl Parts<'_> {
    pub(super) fn report(&mut self, code: &'static str, at: Range<usize>, message: String) {
        self.problems.push(Diagnostic::error(code, message).in_source(self.source, at));
    }

    /// Returns the entries of a mapping whose keys are all known.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<&'n [Entry]> {
        let Some(entries) = node.as_map() else {
            self.report(
                "wrong-kind",
                node.place(),
                format!("{what} is a mapping, not {}", node.kind()),
            );
            return None;
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let problem =
                    Diagnostic::error("unknown-key", format!("{what} has no key `{}`", entry.key))
                        .suggest(&entry.key, known.iter().copied())
                        .in_source(self.source, entry.span.clone());
                let problem = match problem.help {
                    Some(_) => problem,
                    None => problem.help(format!("it has: {}", known.join(", "))),
                };
                self.problems.push(problem);
            }
        }
        Some(entries)
    }

    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = node.as_text().map(str::to_owned);
        if text.is_none() {
            self.report("wrong-kind", node.place(), format!("{what} is text, not {}", node.kind()));
        }
        text
    }

    /// Reads a value that a text stands for.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, node: &Node, what: &str) -> Option<T> {
        let text = self.text(node, what)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.report("wrong-value", node.value_place(), format!("`{text}` is no {what}"));
        }
        parsed
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        node.as_list().unwrap_or_else(|| {
            self.report(
                "wrong-kind",
                node.place(),
                format!("{what} is a list, not {}", node.kind()),
            );
            &[]
        })
    }

    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        self.list(node, what).iter().filter_map(|item| self.text(item, what)).collect()
    }
}

/// Returns the value of a key.
pub(super) fn get<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

/// Returns a tree as JSON: what is not quoted is a number, a bool or null where it reads like one.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar { text, quoted: true } => Json::String(text.clone()),
        Value::Scalar { text, quoted: false } => plain(text),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => Json::Object(
            entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect(),
        ),
    }
}

fn plain(text: &str) -> Json {
    match text {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        other => match other.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => {
                other.parse::<f64>().ok().map_or_else(|| Json::String(other.to_owned()), Json::from)
            }
        },
    }
}
