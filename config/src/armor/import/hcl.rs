//! Terraform's language, as far as resources are written in it: blocks, attributes, strings, heredocs, numbers, lists,
//! objects and references. Every value keeps its bytes in the file. Nothing is evaluated: a reference or a template
//! stays the text that it is.
//!
//! Our own reader rather than a crate's: the tree that comes out is the one that policies are read from, so that the
//! same code reads YAML, JSON and Terraform and the same carets are drawn.

use std::ops::Range;

use super::super::document::{Value, ValueKind};
use crate::{Diagnostic, SourceFile};

/// How deep blocks, lists and objects may nest.
const DEPTH_MAX: usize = 32;

/// A block or an attribute.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Block { name: String, labels: Vec<String>, span: Range<usize>, items: Vec<Self> },
    Attribute { name: String, span: Range<usize>, value: Value },
}

/// Reads a file.
pub(super) fn parse(source: &SourceFile) -> Result<Vec<Item>, Diagnostic> {
    let mut reader = Hcl { source, text: source.text(), at: 0, depth: 0 };
    let items = reader.items(true)?;
    Ok(items)
}

struct Hcl<'s> {
    source: &'s SourceFile,
    text: &'s str,
    at: usize,
    depth: usize,
}

impl<'s> Hcl<'s> {
    fn items(&mut self, top: bool) -> Result<Vec<Item>, Diagnostic> {
        let mut items = Vec::new();
        loop {
            self.space();
            match self.peek() {
                None if top => return Ok(items),
                Some('}') if !top => {
                    self.at += 1;
                    return Ok(items);
                }
                Some(_) => items.push(self.item()?),
                None => return Err(self.problem("the block is not closed")),
            }
        }
    }

    fn item(&mut self) -> Result<Item, Diagnostic> {
        let start = self.at;
        let name = self.word().ok_or_else(|| self.problem("expected a name"))?;
        let key = start..self.at;
        let mut labels = Vec::new();
        loop {
            self.inline_space();
            match self.peek() {
                Some('=') if labels.is_empty() => {
                    self.at += 1;
                    self.space();
                    let value = self.value()?;
                    return Ok(Item::Attribute { name, span: key, value });
                }
                Some('{') => {
                    self.at += 1;
                    let items = self.nested(|reader| reader.items(false))?;
                    return Ok(Item::Block { name, labels, span: start..self.at, items });
                }
                Some('"') => labels.push(self.quoted()?),
                Some(_) => {
                    labels.push(self.word().ok_or_else(|| self.problem("expected `=` or `{`"))?)
                }
                None => return Err(self.problem("expected `=` or `{`")),
            }
        }
    }

    fn value(&mut self) -> Result<Value, Diagnostic> {
        let start = self.at;
        let kind = match self.peek() {
            Some('"') => ValueKind::Text(self.quoted()?),
            Some('[') => ValueKind::List(self.nested(Self::list)?),
            Some('{') => ValueKind::Map(self.nested(Self::object)?),
            Some('<') if self.rest().starts_with("<<") => ValueKind::Text(self.heredoc()?),
            Some(_) => self.bare()?,
            None => return Err(self.problem("expected a value")),
        };
        Ok(Value { kind, span: start..self.at })
    }

    fn list(&mut self) -> Result<Vec<Value>, Diagnostic> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.takes(']') {
                return Ok(items);
            }
            items.push(self.value()?);
            self.space();
            if !self.takes(',') && self.peek() != Some(']') {
                return Err(self.problem("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Vec<(Value, Value)>, Diagnostic> {
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.space();
            if self.takes('}') {
                return Ok(entries);
            }
            let key = self.value()?;
            self.space();
            if !self.takes('=') && !self.takes(':') {
                return Err(self.problem("expected `=`"));
            }
            self.space();
            entries.push((key, self.value()?));
            self.space();
            self.takes(',');
        }
    }

    /// A number, a bool, null, or an expression, which is taken to the end of its line.
    fn bare(&mut self) -> Result<ValueKind, Diagnostic> {
        let rest = self.rest();
        let mut brackets = 0_usize;
        let mut length = 0;
        for (offset, character) in rest.char_indices() {
            match character {
                '(' | '[' | '{' => brackets += 1,
                ')' | ']' | '}' if brackets > 0 => brackets -= 1,
                ')' | ']' | '}' | ',' | '\n' | '#' | '=' if brackets == 0 => break,
                _ => {} // part of the expression
            }
            length = offset + character.len_utf8();
        }
        let text = rest.get(..length).unwrap_or_default().trim_end();
        let text = text.split(" //").next().unwrap_or(text).trim_end();
        if text.is_empty() {
            return Err(self.problem("expected a value"));
        }
        self.at += text.len();
        Ok(if text == "null" { ValueKind::Null } else { ValueKind::of_word(text) })
    }

    fn quoted(&mut self) -> Result<String, Diagnostic> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                '\n' => break,
                other => text.push(other),
            }
        }
        Err(self.problem("the string is not closed"))
    }

    fn heredoc(&mut self) -> Result<String, Diagnostic> {
        let rest = self.rest();
        let header = rest.split_inclusive('\n').next().unwrap_or_default();
        let marker = header.trim_start_matches('<').trim_start_matches('-').trim();
        let indented = header.starts_with("<<-");
        let mut lines = Vec::new();
        let mut length = header.len();
        for line in rest.get(header.len()..).unwrap_or_default().split_inclusive('\n') {
            if line.trim() == marker && !marker.is_empty() {
                // The newline after the marker is not part of the value.
                self.at += length + line.trim_end().len();
                return Ok(unindented(&lines, indented));
            }
            length += line.len();
            lines.push(line);
        }
        Err(self.problem("the heredoc is not closed"))
    }

    fn nested<T>(
        &mut self,
        inner: fn(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        if self.depth >= DEPTH_MAX {
            return Err(self.problem("nested too deep"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn word(&mut self) -> Option<String> {
        let word: String = self
            .rest()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .collect();
        self.at += word.len();
        (!word.is_empty()).then_some(word)
    }

    fn takes(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn inline_space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            self.at += self.rest().bytes().take_while(u8::is_ascii_whitespace).count();
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else {
                return;
            }
        }
    }

    fn problem(&self, message: &str) -> Diagnostic {
        Diagnostic::error("hcl", message).in_source(self.source, self.at..self.at + 1)
    }
}

/// Joins a heredoc's lines; `<<-` drops the indentation that all of them share.
fn unindented(lines: &[&str], indented: bool) -> String {
    let indent = |line: &&&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let shared = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| indent(&line))
        .min()
        .unwrap_or(0);
    let cut = if indented { shared } else { 0 };
    lines.iter().map(|line| line.get(cut.min(line.len())..).unwrap_or_default()).collect()
}
