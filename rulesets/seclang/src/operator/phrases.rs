//! `@pm`, `@pmFromFile` (`@pmf`): one of many phrases, ASCII letter case ignored.
//!
//! `@pm` takes phrases separated by white space, in which `|41 42|` stands for bytes; a file has one phrase per
//! line, spaces kept, empty lines and lines that start with `#` left out. One automaton finds them all.

use super::OperatorError;
use crate::prefilter::Condition;
use crate::source::Resolve;
use crate::transformation::hex_pair;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, Input};
use std::ops::Range;

/// Bytes of phrases that get a deterministic automaton: three times as fast, some 100 bytes of memory for each.
const DFA_BYTES_MAX: usize = 1024;

/// A set of phrases with the automaton that finds them.
#[derive(Debug)]
pub(crate) struct PhraseSet {
    /// In lower case, until the load takes what it needs of them.
    phrases: Vec<Vec<u8>>,
    automaton: AhoCorasick,
}

impl PhraseSet {
    /// Reads the argument of `@pm`.
    pub(super) fn from_argument(argument: &[u8]) -> Result<Self, OperatorError> {
        let argument = with_bytes(argument);
        Self::new(argument.split(u8::is_ascii_whitespace).map(<[u8]>::to_vec))
    }

    /// Reads the files that the argument of `@pmFromFile` names.
    pub(super) fn from_files(
        argument: &[u8],
        from: &str,
        resolve: &dyn Resolve,
    ) -> Result<Self, OperatorError> {
        let text = read_all(argument, from, resolve)?;
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        Self::new(lines.filter(|line| !line.starts_with(b"#")).map(<[u8]>::to_vec))
    }

    fn new(phrases: impl Iterator<Item = Vec<u8>>) -> Result<Self, OperatorError> {
        let mut phrases: Vec<Vec<u8>> = phrases.filter(|phrase| !phrase.is_empty()).collect();
        if phrases.is_empty() {
            return Err(OperatorError::new("there is no phrase to look for"));
        }
        for phrase in &mut phrases {
            phrase.make_ascii_lowercase();
        }
        phrases.sort_unstable();
        phrases.dedup();
        let bytes: usize = phrases.iter().map(Vec::len).sum();
        let kind = if bytes <= DFA_BYTES_MAX {
            AhoCorasickKind::DFA
        } else {
            AhoCorasickKind::ContiguousNFA
        };
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .kind(Some(kind))
            .build(&phrases)
            .map_err(|error| OperatorError::new(error.to_string()))?;
        Ok(Self { phrases, automaton })
    }

    /// Returns the span of the phrase that ends first.
    pub(super) fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        self.automaton.find(Input::new(value)).map(|found| found.range())
    }

    /// Gives away what a value must hold for a phrase to stand in it.
    pub(super) fn take_condition(&mut self) -> Condition {
        Condition::of_phrases(&std::mem::take(&mut self.phrases))
    }
}

/// Reads every file that `argument` names, separated by white space, one after the other.
pub(super) fn read_all(
    argument: &[u8],
    from: &str,
    resolve: &dyn Resolve,
) -> Result<Vec<u8>, OperatorError> {
    let paths = std::str::from_utf8(argument)
        .map_err(|_| OperatorError::new("a file's name is not UTF-8"))?
        .split_ascii_whitespace();
    let mut text = Vec::new();
    for path in paths {
        if path.starts_with("https://") || path.starts_with("http://") {
            return Err(OperatorError {
                message: format!("`{path}` is not a file"),
                help: Some("fetch it beforehand and name the file".to_owned()),
            });
        }
        let source = resolve.read(path, from).map_err(|e| OperatorError::new(e.to_string()))?;
        text.extend_from_slice(&source.bytes);
        text.push(b'\n');
    }
    Ok(text)
}

/// Puts bytes for each `|41 42|`; a bar that opens no such list stays.
fn with_bytes(argument: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(argument.len());
    let mut rest = argument;
    while let [byte, tail @ ..] = rest {
        if *byte == b'|'
            && let Some((bytes, after)) = byte_list(tail)
        {
            out.extend(bytes);
            rest = after;
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    out
}

fn byte_list(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let end = memchr::memchr(b'|', text)?;
    let (list, after) = text.split_at_checked(end)?;
    let mut bytes = Vec::new();
    for item in list.split(|byte| *byte == b' ') {
        let [high, low] = item else { return None };
        bytes.push(hex_pair(*high, *low)?);
    }
    Some((bytes, after.strip_prefix(b"|")?))
}
