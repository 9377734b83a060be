//! A mapping opened against its section of the table.

use std::ops::Range;

use super::Context;
use super::keys::{Absent, SECTIONS, Section};
use crate::diagnostic::Diagnostic;
use crate::yaml::{Entry, Node, Value};

/// A mapping whose keys are all known.
pub(super) struct Fields<'n> {
    section: &'static Section,
    entries: &'n [Entry],
    place: Range<usize>,
}

impl<'n> Fields<'n> {
    /// Opens `node` as a mapping; reports another kind of value and every key that is not of the section.
    pub(super) fn open(
        node: &'n Node,
        section: &'static Section,
        cx: &mut Context<'_>,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            if section.path.is_empty() && node.value == Value::Null {
                cx.error("wrong-kind", "the file is empty", node.span.clone());
                return None;
            }
            cx.error(
                "wrong-kind",
                format!("a mapping is expected here, not {}", node.kind()),
                node.value_place(),
            );
            return None;
        };
        for entry in entries {
            check_key(entry, section, cx);
        }
        Some(Self { section, entries, place: node.place() })
    }

    /// Returns the value of `name`, if it is written.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        debug_assert!(self.section.key(name).is_some(), "`{name}` is not in the table");
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node)
    }

    /// Decodes the value of `name` if it is written: `Some(None)` means it is not, `None` that it is wrong.
    pub(super) fn may<T>(
        &self,
        name: &str,
        cx: &mut Context<'_>,
        decode: impl FnOnce(&Node, &mut Context<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.get(name) {
            Some(node) => decode(node, cx).map(Some),
            None => Some(None),
        }
    }

    /// Decodes the value of `name`, or the table's default; reports a required key that is missing.
    pub(super) fn of<T>(
        &self,
        name: &str,
        cx: &mut Context<'_>,
        decode: impl FnOnce(&Node, &mut Context<'_>) -> Option<T>,
    ) -> Option<T> {
        if let Some(node) = self.get(name) {
            return decode(node, cx);
        }
        match self.section.key(name)?.absent {
            Absent::Default(text) => {
                let value = Value::Scalar { text: text.to_owned(), quoted: false };
                decode(&Node { span: self.place.clone(), key: None, value }, cx)
            }
            Absent::Refused => {
                self.missing(&format!("the key `{name}` is missing{}", self.inside()), cx);
                None
            }
            Absent::Means(_) => None,
        }
    }

    /// Reports something missing in the mapping as a whole.
    pub(super) fn missing(&self, message: &str, cx: &mut Context<'_>) {
        cx.error("missing-key", message, self.place.clone());
    }

    /// Returns which one of `names` is written; reports none and more than one.
    pub(super) fn one_of(
        &self,
        names: &[&'static str],
        cx: &mut Context<'_>,
    ) -> Option<(&'static str, &'n Node)> {
        let written: Vec<_> =
            names.iter().filter_map(|name| Some((*name, self.get(name)?))).collect();
        match written.as_slice() {
            [one] => Some(*one),
            [] => {
                self.missing(&format!("one of {} is missing{}", list(names), self.inside()), cx);
                None
            }
            [_, second, ..] => {
                cx.error(
                    "conflicting-keys",
                    format!("only one of {} can be here", list(names)),
                    second.1.place(),
                );
                None
            }
        }
    }

    /// Reports each of `names` that is written, because of `why`.
    pub(super) fn none_of(&self, names: &[&str], why: &str, cx: &mut Context<'_>) {
        for name in names {
            if let Some(node) = self.get(name) {
                cx.error(
                    "conflicting-keys",
                    format!("`{name}` has no meaning {why}"),
                    node.place(),
                );
            }
        }
    }

    fn inside(&self) -> String {
        match self.section.path {
            "" => String::new(),
            path => format!(" in `{path}`"),
        }
    }
}

fn check_key(entry: &Entry, section: &'static Section, cx: &mut Context<'_>) {
    match section.key(&entry.key) {
        Some(key) => {
            cx.used.insert((section.path, key.name));
        }
        None => cx.report(unknown_key(&entry.key, section), entry.span.clone()),
    }
}

fn unknown_key(key: &str, section: &'static Section) -> Diagnostic {
    let known = || section.keys.iter().map(|key| key.name);
    let place = if section.path.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in `{}`", section.path)
    };
    let unknown = Diagnostic::error("unknown-key", format!("unknown key `{key}` {place}"))
        .suggest(key, known());
    if unknown.help.is_some() {
        return unknown;
    }
    if key == "<<" {
        return unknown.help(
            "merge keys are not supported: write the keys out, or name a whole mapping with `*`",
        );
    }
    let homes = homes_of(key);
    if homes.contains(&"") {
        return unknown.help("the key stands at the top of the file");
    }
    if !homes.is_empty() {
        return unknown.help(format!("the key stands in {}", list(&homes)));
    }
    let names: Vec<_> = known().collect();
    unknown.help(format!("the keys here are {}", list(&names)))
}

/// The few sections that know `key`: what is unknown here is more often in the wrong place than misspelt.
fn homes_of(key: &str) -> Vec<&'static str> {
    let homes: Vec<_> = SECTIONS
        .iter()
        .filter(|section| section.key(key).is_some())
        .map(|home| home.path)
        .collect();
    if homes.len() > 3 { Vec::new() } else { homes }
}

/// Names in backticks, separated by commas.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
