//! Reads a tree field by field and gathers what is wrong with it.

use std::ops::RangeInclusive;

use super::document::{Value, ValueKind};
use super::place::{Expression, TextPlace};
use crate::expr::{Problem, Typed};
use crate::{Diagnostic, Location, SourceFile};

/// Gathers problems; `None` from any of its methods means absent, or wrong and recorded.
pub(super) struct Reader<'s> {
    source: &'s SourceFile,
    problems: Vec<Diagnostic>,
}

/// A map's entries, of which every key is known and stands once.
pub(super) struct Fields<'v> {
    entries: Vec<(String, &'v Value, &'v Value)>,
    of: &'v Value,
}

impl<'v> Fields<'v> {
    /// Returns a field's value; a field set to nothing is absent.
    pub(super) fn value(&self, name: &str) -> Option<&'v Value> {
        let found =
            self.entries.iter().find(|(known, _, _)| known == name).map(|(_, _, value)| *value);
        found.filter(|value| !matches!(value.kind, ValueKind::Null))
    }

    /// Returns a field's key, to point at.
    pub(super) fn key(&self, name: &str) -> Option<&'v Value> {
        self.entries.iter().find(|(known, _, _)| known == name).map(|(_, key, _)| *key)
    }

    /// Returns a field's key where it has a value.
    pub(super) fn present(&self, name: &str) -> Option<&'v Value> {
        self.value(name).and_then(|_| self.key(name))
    }

    /// Returns the whole map, to point at.
    pub(super) const fn whole(&self) -> &'v Value {
        self.of
    }

    /// Returns the names that are present.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _, _)| name.as_str())
    }
}

impl<'s> Reader<'s> {
    pub(super) const fn new(source: &'s SourceFile) -> Self {
        Self { source, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Diagnostic> {
        self.problems
    }

    /// Returns a mark, after which [`Self::since`] takes problems back.
    pub(super) fn mark(&self) -> usize {
        self.problems.len()
    }

    /// Takes back the problems that were gathered since the mark.
    pub(super) fn since(&mut self, mark: usize) -> Vec<Diagnostic> {
        self.problems.split_off(mark.min(self.problems.len()))
    }

    pub(super) fn push(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    pub(super) fn location(&self, value: &Value) -> Location {
        self.source.location(value.span.clone())
    }

    pub(super) fn error(&mut self, code: &'static str, at: &Value, message: impl Into<String>) {
        self.push(Diagnostic::error(code, message).at(self.location(at)));
    }

    pub(super) fn error_with_help(
        &mut self,
        code: &'static str,
        at: &Value,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::error(code, message).help(help).at(self.location(at)));
    }

    pub(super) fn warn(
        &mut self,
        code: &'static str,
        at: &Value,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::warning(code, message).help(help).at(self.location(at)));
    }

    /// Opens a map whose keys are all among `known`, written in camel case or with underscores.
    pub(super) fn fields<'v>(
        &mut self,
        value: &'v Value,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'v>> {
        let ValueKind::Map(entries) = &value.kind else {
            self.error("type", value, format!("{what} is a map, found {}", value.kind.as_str()));
            return None;
        };
        let mut fields = Fields { entries: Vec::with_capacity(entries.len()), of: value };
        for (key, field) in entries {
            let ValueKind::Text(written) = &key.kind else {
                self.error("type", key, "a key is text");
                continue;
            };
            let name = camel(written);
            if !known.contains(&name.as_str()) {
                let problem =
                    Diagnostic::error("unknown-key", format!("unknown key `{written}` in {what}"));
                let problem = problem.suggest(&name, known.iter().copied()).at(self.location(key));
                self.push(problem);
            } else if fields.key(&name).is_some() {
                self.error("duplicate-key", key, format!("`{written}` stands twice"));
            } else {
                fields.entries.push((name, key, field));
            }
        }
        Some(fields)
    }

    pub(super) fn list<'v>(&mut self, fields: &Fields<'v>, name: &str) -> &'v [Value] {
        match fields.value(name) {
            Some(Value { kind: ValueKind::List(items), .. }) => items,
            Some(other) => {
                self.error(
                    "type",
                    other,
                    format!("`{name}` is a list, found {}", other.kind.as_str()),
                );
                &[]
            }
            None => &[],
        }
    }

    pub(super) fn text<'v>(
        &mut self,
        fields: &Fields<'v>,
        name: &str,
    ) -> Option<(&'v str, &'v Value)> {
        let value = fields.value(name)?;
        let text = self.text_of(value, name)?;
        Some((text, value))
    }

    pub(super) fn text_of<'v>(&mut self, value: &'v Value, name: &str) -> Option<&'v str> {
        if let ValueKind::Text(text) = &value.kind {
            return Some(text);
        }
        self.error("type", value, format!("`{name}` is text, found {}", value.kind.as_str()));
        None
    }

    pub(super) fn flag(&mut self, fields: &Fields<'_>, name: &str) -> Option<bool> {
        let value = fields.value(name)?;
        match &value.kind {
            ValueKind::Bool(flag) => Some(*flag),
            ValueKind::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            ValueKind::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            ValueKind::Null
            | ValueKind::Int(_)
            | ValueKind::Float
            | ValueKind::Text(_)
            | ValueKind::List(_)
            | ValueKind::Map(_) => {
                self.error("type", value, format!("`{name}` is true or false"));
                None
            }
        }
    }

    /// Reads a number, in quotes or not, that must lie in the range.
    pub(super) fn number(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = fields.value(name)?;
        let number = match &value.kind {
            ValueKind::Int(number) => u32::try_from(*number).ok(),
            ValueKind::Text(text) => text.trim().parse().ok(),
            ValueKind::Null
            | ValueKind::Bool(_)
            | ValueKind::Float
            | ValueKind::List(_)
            | ValueKind::Map(_) => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) | None => {
                self.error(
                    "range",
                    value,
                    format!("`{name}` is a number from {} to {}", range.start(), range.end()),
                );
                None
            }
        }
    }

    /// Reads one of several words, without regard to case.
    pub(super) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let (text, value) = self.text(fields, name)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return Some(*meaning);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let problem = Diagnostic::error("unknown-value", format!("`{text}` is no {name}"))
            .help(format!("one of {}", known.join(", ")))
            .suggest(text, known.iter().copied())
            .at(self.location(value));
        self.push(problem);
        None
    }

    /// Parses an expression by `parse` and places its problems.
    pub(super) fn expression(
        &mut self,
        value: &Value,
        parse: fn(&str) -> Result<Typed, Vec<Problem>>,
    ) -> Option<Expression> {
        let text = self.text_of(value, "expression")?;
        let place = TextPlace::new(self.source, value.span.clone(), text);
        match parse(text) {
            Ok(typed) => {
                for warning in &typed.warnings {
                    self.push(place.diagnostic(warning.clone()));
                }
                Some(Expression::new(typed, place))
            }
            Err(problems) => {
                for problem in problems {
                    self.push(place.diagnostic(problem));
                }
                None
            }
        }
    }
}

/// `src_ip_ranges` is `srcIpRanges`.
fn camel(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut raise = false;
    for character in written.chars() {
        if character == '_' {
            raise = true;
        } else if raise {
            out.push(character.to_ascii_uppercase());
            raise = false;
        } else {
            out.push(character);
        }
    }
    out
}
