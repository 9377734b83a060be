//! Logical lines (joined at a trailing backslash), cut into a directive's name and words.

use std::sync::Arc;

use super::text::{SourceText, Text};
use crate::Diagnostic;

/// One directive: its name and its words, quotes removed.
#[derive(Debug)]
pub(crate) struct Directive {
    pub(crate) name: Text,
    pub(crate) words: Vec<Text>,
}

/// Cuts a source into directives. A line that cannot be cut is reported and skipped.
pub(crate) fn directives(source: &Arc<SourceText>, errors: &mut Vec<Diagnostic>) -> Vec<Directive> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < source.bytes.len() {
        let (line, next) = logical_line(source, at);
        at = next;
        match cut(&line.trim()) {
            Ok(Some(directive)) => found.push(directive),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    found
}

/// Reads one logical line from `start`: a backslash before the line's end joins the next line. A
/// comment is never continued.
fn logical_line(source: &Arc<SourceText>, start: usize) -> (Text, usize) {
    let mut line = Text::new(source, start);
    let mut at = start;
    loop {
        let rest = source.bytes.get(at..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let mut physical = rest.get(..length).unwrap_or_default();
        physical = physical.strip_suffix(b"\r").unwrap_or(physical);
        let next = at + length + 1;
        let comment = line.is_empty() && physical.trim_ascii_start().starts_with(b"#");
        let joined = if comment { None } else { physical.strip_suffix(b"\\") };
        line.push(joined.unwrap_or(physical), at);
        if joined.is_none() || next >= source.bytes.len() {
            return (line, next);
        }
        at = next;
    }
}

/// Cuts a line into words: bare, or in double quotes with `\"` for a quote.
fn cut(line: &Text) -> Result<Option<Directive>, Diagnostic> {
    if line.is_empty() || line.byte(0) == Some(b'#') {
        return Ok(None);
    }
    let mut words = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if line.byte(at).is_some_and(|b| b.is_ascii_whitespace()) {
            at += 1;
            continue;
        }
        let (word, next) = match line.byte(at) {
            Some(quote @ (b'"' | b'\'')) => quoted(line, at, quote)?,
            Some(_) | None => bare(line, at),
        };
        words.push(word);
        at = next;
    }
    let mut words = words.into_iter();
    Ok(words.next().map(|name| Directive { name, words: words.collect() }))
}

fn quoted(line: &Text, start: usize, quote: u8) -> Result<(Text, usize), Diagnostic> {
    let mut word = line.slice(start + 1, start + 1);
    let (mut at, mut kept_from) = (start + 1, start + 1);
    while let Some(byte) = line.byte(at) {
        // As Apache reads its files: a backslash before the quote or before another backslash goes.
        let escapes = line.byte(at + 1).is_some_and(|next| next == quote || next == b'\\');
        if byte == b'\\' && escapes {
            word.append(line, kept_from, at);
            at += 1;
            kept_from = at;
        } else if byte == quote {
            word.append(line, kept_from, at);
            return Ok((word, at + 1));
        }
        at += 1;
    }
    let help = "a quote inside a quoted word is written `\\\"`";
    Err(line.slice(start, start + 1).place().error_with("this quote is never closed", help))
}

/// A bare word ends at white space; quotes inside it (a selector's) keep what they hold.
fn bare(line: &Text, start: usize) -> (Text, usize) {
    let mut at = start;
    let mut inside = false;
    while let Some(byte) = line.byte(at) {
        if byte == b'\'' {
            inside = !inside;
        }
        if byte.is_ascii_whitespace() && !inside {
            break;
        }
        at += 1;
    }
    (line.slice(start, at), at)
}
