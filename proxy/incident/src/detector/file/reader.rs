//! What is read of any node: words, numbers, times, lists. Each problem is told with its place.

use std::ops::Range;
use std::time::Duration;

use portcullis_config::yaml::{Entry, Node};
use portcullis_config::{Diagnostic, SourceFile};

use crate::category::Category;

pub(super) struct Reader<'s> {
    pub(super) source: &'s SourceFile,
    pub(super) problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(super) fn category(&mut self, node: &Node) -> Option<Category> {
        let words: Vec<_> = Category::ALL.iter().map(|one| (one.as_str(), *one)).collect();
        self.word(node, &words)
    }

    pub(super) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let written = self.text(node)?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*meant);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let problem = Diagnostic::error("unknown-value", format!("`{written}` is not known here"))
            .suggest(&written, known.iter().copied());
        let problem = match problem.help {
            Some(_) => problem,
            None => problem.help(format!("it can be one of {}", known.join(", "))),
        };
        self.problems.push(problem.in_source(self.source, node.value_place()));
        None
    }

    pub(super) fn number(&mut self, node: &Node, least: u64, most: u64) -> Option<u64> {
        let written = self.text(node)?;
        let number = written.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("`{written}` is not a whole number from {least} to {most}");
            self.report("wrong-value", node.value_place(), message);
        }
        number
    }

    pub(super) fn decimal(&mut self, node: &Node) -> Option<f64> {
        let written = self.text(node)?;
        let number = written.parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.report("wrong-value", node.value_place(), format!("`{written}` is not a number"));
        }
        number
    }

    pub(super) fn span(&mut self, node: &Node) -> Option<Duration> {
        let written = self.text(node)?;
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let found = units.iter().find_map(|(unit, millis)| {
            let number: u64 = written.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*millis).map(Duration::from_millis)
        });
        if found.is_none() {
            let message =
                format!("`{written}` is no time: write `500ms`, `30s`, `5m`, `1h` or `30d`");
            self.report("wrong-value", node.value_place(), message);
        }
        found
    }

    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        let text = node.as_text().map(str::to_owned);
        if text.is_none() {
            let message = format!("text is expected here, not {}", node.kind());
            self.report("wrong-kind", node.place(), message);
        }
        text
    }

    /// Reads every item of a list, each with all its problems.
    pub(super) fn all<T>(
        &mut self,
        node: &Node,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(items) = node.as_list() else {
            let message = format!("a list is expected here, not {}", node.kind());
            self.report("wrong-kind", node.place(), message);
            return None;
        };
        let read: Vec<_> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    pub(super) fn needed<'n>(
        &mut self,
        entries: &'n [Entry],
        key: &str,
        node: &Node,
    ) -> Option<&'n Node> {
        let found = get(entries, key);
        if found.is_none() {
            self.report("missing-key", node.place(), format!("the key `{key}` is missing"));
        }
        found
    }

    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<&'n [Entry]> {
        let Some(entries) = node.as_map() else {
            let message = format!("{what} is a mapping, not {}", node.kind());
            self.report("wrong-kind", node.place(), message);
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("{what} has no key `{}`", entry.key);
            let problem = Diagnostic::error("unknown-key", message)
                .suggest(&entry.key, known.iter().copied());
            let problem = match problem.help {
                Some(_) => problem,
                None => problem.help(format!("it has: {}", known.join(", "))),
            };
            self.problems.push(problem.in_source(self.source, entry.span.clone()));
        }
        Some(entries)
    }

    pub(super) fn report(&mut self, code: &'static str, place: Range<usize>, message: String) {
        self.problems.push(Diagnostic::error(code, message).in_source(self.source, place));
    }
}

pub(super) fn get<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}
