//! Lists as they are published: text with one network a line, or JSON of any shape that holds networks as strings.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_config::{Diagnostic, SourceFile};
use serde_json::Value;

use super::IpSet;

/// How many bad entries are told.
const PROBLEMS_MAX: usize = 20;
/// The longest text that is tried as a network, and the most that is shown of one that is none.
const ENTRY_BYTES_MAX: usize = 64;

/// Reads a list; see [`IpSet::read`].
pub(super) fn read(source: &SourceFile) -> Result<Vec<IpNet>, Vec<Diagnostic>> {
    let text = source.text().trim_start_matches('\u{feff}').trim_start();
    match text.bytes().next() {
        Some(b'<') => {
            let at = source.text().len() - text.len();
            let message = "it is a page of HTML or XML, and no list of addresses";
            let problem = Diagnostic::error("list-entry", message).in_source(source, at..at + 1);
            Err(vec![problem])
        }
        Some(b'{' | b'[') => json(text, source),
        Some(_) | None => lines(source),
    }
}

/// The networks read so far, and what was wrong.
struct Reading<'s> {
    source: &'s SourceFile,
    nets: Vec<IpNet>,
    problems: Vec<Diagnostic>,
}

impl Reading<'_> {
    /// Takes one entry; says whether it is worth going on.
    fn take(&mut self, word: &str, span: std::ops::Range<usize>) -> bool {
        match network(word) {
            Some(net) if self.nets.len() < IpSet::PREFIXES_MAX => self.nets.push(net),
            Some(_) => {
                let message = format!("more than {} prefixes", IpSet::PREFIXES_MAX);
                self.refuse("list-too-long", message, span);
                return false;
            }
            None => {
                let shown: String = word.chars().take(ENTRY_BYTES_MAX).collect();
                let message = format!("`{}` is no address and no network", shown.escape_debug());
                self.refuse("list-entry", message, span);
            }
        }
        self.problems.len() < PROBLEMS_MAX
    }

    fn refuse(&mut self, code: &'static str, message: String, span: std::ops::Range<usize>) {
        self.problems.push(Diagnostic::error(code, message).in_source(self.source, span));
    }

    fn finish(self) -> Result<Vec<IpNet>, Vec<Diagnostic>> {
        if self.problems.is_empty() { Ok(self.nets) } else { Err(self.problems) }
    }
}

fn lines(source: &SourceFile) -> Result<Vec<IpNet>, Vec<Diagnostic>> {
    let mut reading = Reading { source, nets: Vec::new(), problems: Vec::new() };
    let mut at = 0;
    for line in source.text().split_inclusive('\n') {
        let start = at;
        at += line.len();
        let entry = line.split(['#', ';']).next().unwrap_or_default();
        let Some(word) = entry.trim_start_matches('\u{feff}').split_whitespace().next() else {
            continue;
        };
        let offset = line.find(word).unwrap_or_default();
        if !reading.take(word, start + offset..start + offset + word.len()) {
            break;
        }
    }
    reading.finish()
}

/// In a plain array of strings each one is an entry. In any other shape (as clouds and content networks publish their
/// ranges) every string that is a network is taken, and one that tries to be a network and is none is refused.
fn json(text: &str, source: &SourceFile) -> Result<Vec<IpNet>, Vec<Diagnostic>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let message = format!("it is no whole JSON: {error}");
        let end = source.text().len();
        vec![Diagnostic::error("list-entry", message).in_source(source, end..end)]
    })?;
    let is_plain = value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    let mut reading = Reading { source, nets: Vec::new(), problems: Vec::new() };
    let mut left = vec![&value];
    while let Some(value) = left.pop() {
        match value {
            Value::String(word) if is_plain || network(word).is_some() || tries(word) => {
                // The tree has no spans: the place is looked for only to draw a caret.
                let span = if network(word).is_some() { 0..0 } else { place(source, word) };
                if !reading.take(word, span) {
                    break;
                }
            }
            Value::Array(items) => left.extend(items.iter().rev()),
            Value::Object(fields) => left.extend(fields.values().rev()),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    reading.finish()
}

fn network(word: &str) -> Option<IpNet> {
    if word.len() > ENTRY_BYTES_MAX {
        return None;
    }
    word.parse().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Whether a text looks like a network with a mistake in it: digits of an address, a slash, a length.
fn tries(word: &str) -> bool {
    let Some((address, length)) = word.split_once('/') else { return false };
    address.contains(['.', ':'])
        && address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
        && length.bytes().all(|byte| byte.is_ascii_digit())
}

fn place(source: &SourceFile, word: &str) -> std::ops::Range<usize> {
    let at = source.text().find(word).unwrap_or_default();
    at..at + word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<IpSet, Vec<Diagnostic>> {
        IpSet::read(&SourceFile::new("list", text))
    }

    #[test]
    fn a_list_is_read_with_its_comments_and_refused_with_its_lines() {
        let set = read(
            "\u{feff}# known\n192.0.2.1\n\n198.51.100.0/24 # office\n2001:db8::1 ; x\n203.0.113.9 SBL1\r\n",
        )
        .unwrap();
        assert_eq!(set.len(), 4);
        assert!(set.contains("198.51.100.9".parse().unwrap()));
        let problems = read("192.0.2.1\noops\n10.0.0.0/33\n").unwrap_err();
        let lines: Vec<_> = problems.iter().map(|p| p.at.as_ref().unwrap().line).collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn json_is_read_in_every_shape_that_providers_publish() {
        for (text, prefixes) in [
            (r#"["192.0.2.1", "2001:db8::/32"]"#, 2),
            (r#"{"addresses":["192.0.2.0/24"],"ipv6_addresses":["2001:db8::/32"]}"#, 2),
            (
                r#"{"syncToken":"1","createDate":"2026-01-01-00-00-00","prefixes":[{"ip_prefix":"192.0.2.0/24","region":"eu-west-1"}],"ipv6_prefixes":[{"ipv6_prefix":"2001:db8::/32"}]}"#,
                2,
            ),
            (r#"{"prefixes":[{"ipv4Prefix":"192.0.2.0/24"},{"ipv6Prefix":"2001:db8::/32"}]}"#, 2),
            (r#"{"result":{"ipv4_cidrs":["192.0.2.0/24"]},"success":true}"#, 1),
            ("[]", 0),
        ] {
            assert_eq!(read(text).unwrap().len(), prefixes, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, expected) in [
            ("<!DOCTYPE html><html>Sign in</html>", "a page of HTML or XML"),
            ("\n  <?xml version='1.0'?>", "a page of HTML or XML"),
            (r#"["192.0.2.1", "192.0.2"#, "no whole JSON"),
            (r#"["192.0.2.1", "host.example"]"#, "`host.example` is no address"),
            (r#"{"a":["192.0.2.0/33"]}"#, "`192.0.2.0/33` is no address"),
            ("Too many requests\n", "`Too` is no address"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems[0].message.contains(expected), "{text}: {}", problems[0].message);
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err(), "nesting is bounded");
    }
}
