//! The three patterns of CRS 3.3 that need more than an automaton: 920120, 942130 and 953120.
//!
//! Two shapes are matched for any pattern that has them: a literal that may not stand behind (`(?<!A)b|C`) or
//! before (`b(?!A)`) something. The third, 942130, is one pattern with back references; it is recognised by
//! its digest and matched by code of its own. All three are linear in the value.

use super::regex::build;
use super::{OperatorError, pattern};
use crate::transformation;
use regex_automata::{Anchored, Input, meta};
use std::ops::Range;

/// A matcher for a pattern with look-around.
#[derive(Debug)]
pub(super) enum LookAround {
    /// `(?<!behind)byte|otherwise`.
    NotBehind { behind: meta::Regex, byte: u8, otherwise: meta::Regex },
    /// `body(?!ahead)`, where all matches of `body` have one length.
    NotAhead { body: meta::Regex, ahead: meta::Regex },
    /// A word compared with itself or with another, as in a tautology of SQL.
    ComparedWords,
}

/// What a matcher found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The span of the whole match.
    pub(super) whole: Range<usize>,
    /// The span of the first group.
    pub(super) group: Option<Range<usize>>,
}

/// The SHA-1 of the pattern of rule 942130 in CRS 3.3, with its quote bare and with it escaped.
const COMPARED_WORDS: [&[u8]; 2] =
    [b"0b697f737c05d8f51e1652a2aea691cd6b777f5f", b"c768b310122fb16e12bd108ff2346b85e7c79992"];
/// How far back a look-behind may reach, in bytes.
const BEHIND_BYTES_MAX: usize = 16;

impl LookAround {
    /// Returns a matcher if the pattern has one of the three shapes.
    pub(super) fn for_pattern(pattern: &[u8]) -> Option<Result<Self, OperatorError>> {
        if let Some(rest) = pattern.strip_prefix(b"(?<!") {
            let end = closing(rest)?;
            let (behind, [b')', byte, b'|', otherwise @ ..]) = rest.split_at_checked(end)? else {
                return None;
            };
            return Some(Self::not_behind(behind, *byte, otherwise));
        }
        if let Some(at) = memchr::memmem::find(pattern, b"(?!")
            && let Some(ahead) = pattern.get(at + 3..)
            && closing(ahead) == Some(ahead.len().saturating_sub(1))
        {
            return Some(Self::not_ahead(pattern.get(..at)?, ahead.get(..ahead.len() - 1)?));
        }
        if memchr::memmem::find(pattern, b"\\1").is_some()
            && COMPARED_WORDS.contains(&digest(pattern).as_slice())
        {
            return Some(Ok(Self::ComparedWords));
        }
        None
    }

    fn not_behind(behind: &[u8], byte: u8, otherwise: &[u8]) -> Result<Self, OperatorError> {
        let behind = format!("(?:{})\\z", pattern::translate(behind)?);
        Ok(Self::NotBehind {
            behind: build(&behind, false, 1 << 20)?,
            byte,
            otherwise: build(&pattern::translate(otherwise)?, false, 1 << 20)?,
        })
    }

    fn not_ahead(body: &[u8], ahead: &[u8]) -> Result<Self, OperatorError> {
        if body.iter().any(|byte| matches!(byte, b'*' | b'+' | b'{' | b'|' | b'(')) {
            return Err(OperatorError::new("look-ahead is supported after fixed text only"));
        }
        Ok(Self::NotAhead {
            body: build(&pattern::translate(body)?, false, 1 << 20)?,
            ahead: build(&pattern::translate(ahead)?, false, 1 << 20)?,
        })
    }

    /// Returns the first match.
    pub(super) fn find(&self, value: &[u8]) -> Option<Found> {
        match self {
            Self::NotBehind { behind, byte, otherwise } => {
                let other = otherwise.find(value).map(|found| found.range());
                let alone = memchr::memchr_iter(*byte, value).find(|at| {
                    let start = at.saturating_sub(BEHIND_BYTES_MAX);
                    !value.get(start..*at).is_some_and(|text| behind.is_match(text))
                });
                let spans = alone.map(|at| at..at + 1).into_iter().chain(other);
                spans.min_by_key(|span| span.start).map(|whole| Found { whole, group: None })
            }
            Self::NotAhead { body, ahead } => body
                .find_iter(value)
                .map(|found| found.range())
                .find(|span| {
                    let after = Input::new(value).range(span.end..).anchored(Anchored::Yes);
                    !ahead.is_match(after)
                })
                .map(|whole| Found { whole, group: None }),
            Self::ComparedWords => compared_words(value),
        }
    }
}

/// Returns where the group whose inside starts `text` is closed.
fn closing(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(at),
            b')' => depth -= 1,
            _ => {} // neither opens nor closes
        }
    }
    None
}

fn digest(pattern: &[u8]) -> Vec<u8> {
    let (mut raw, mut text) = (Vec::new(), Vec::new());
    let sha1 = transformation::find("sha1").map(|sha1| sha1.apply(pattern, &mut raw));
    let hex = transformation::find("hexEncode").map(|hex| hex.apply(&raw, &mut text));
    debug_assert!(sha1.is_some() && hex.is_some(), "both stand in the table");
    text
}

/// Finds a word, an operator of comparison, and a word that is the same (for `=`, `like`, …) or another one
/// (for `<`, `!=`, `is not`, …), with quotes, parentheses and white space between. One pass over the words.
fn compared_words(value: &[u8]) -> Option<Found> {
    let mut at = 0;
    while let Some(start) = position(value, at, is_word) {
        let end = position(value, start, |byte| !is_word(byte)).unwrap_or(value.len());
        let word = value.get(start..end)?;
        if let Some(last) = comparison_end(value, skip_filler(value, end), word) {
            let filler = value.get(..start)?.iter().rev().take_while(|byte| is_filler(**byte));
            let whole = start - filler.count()..last;
            return Some(Found { whole, group: Some(start..end) });
        }
        at = end;
    }
    None
}

/// What must hold for the word after an operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    Same,
    Other,
}

/// Returns where the match ends, if an operator and a fitting word start at `at`.
fn comparison_end(value: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let text = value.get(at..)?;
    operators(text).into_iter().flatten().find_map(|(length, second)| {
        let start = skip_filler(value, at + length);
        let end = position(value, start, |byte| !is_word(byte)).unwrap_or(value.len());
        let found = value.get(start..end)?;
        let bounded = start == 0 || !value.get(start - 1).copied().is_some_and(is_word);
        let same = bounded && found.eq_ignore_ascii_case(word);
        match second {
            Second::Same => same.then_some(end),
            Second::Other => (!same && !found.is_empty()).then_some(end),
        }
    })
}

/// Returns the ways in which `text` starts with an operator, each with its length.
fn operators(text: &[u8]) -> [Option<(usize, Second)>; 3] {
    use Second::{Other, Same};
    match text {
        [b'<', b'=', b'>', ..] => [Some((2, Other)), Some((3, Same)), None],
        [b'<', b'=', ..] => [Some((2, Other)), None, None],
        [b'<', b'>', ..] => [Some((2, Other)), Some((1, Other)), None],
        [b'>', b'=', ..] => [Some((2, Other)), Some((1, Other)), None],
        [b'<' | b'>' | b'^', ..] => [Some((1, Other)), None, None],
        [b'!', b'=', ..] => [Some((2, Other)), None, None],
        [b'=', ..] => [Some((1, Same)), None, None],
        _ => [word_operator(text), None, None], // an operator of letters, or none
    }
}

fn word_operator(text: &[u8]) -> Option<(usize, Second)> {
    let spaced = |first: &[u8], second: &[u8]| -> Option<usize> {
        let rest = strip(text, first)?;
        let spaces = rest.iter().take_while(|byte| transformation::is_space(**byte)).count();
        let rest = rest.get(spaces..).filter(|_| spaces > 0)?;
        strip(rest, second).map(|tail| text.len() - tail.len())
    };
    let plain = |word: &[u8]| strip(text, word).map(|tail| text.len() - tail.len());
    let other = spaced(b"not", b"regexp").or_else(|| spaced(b"not", b"like"));
    let other = other.or_else(|| spaced(b"is", b"not"));
    let same = || {
        let sounds = spaced(b"sounds", b"like").or_else(|| plain(b"like"));
        sounds.or_else(|| plain(b"regexp")).or_else(|| plain(b"rlike"))
    };
    other.map(|length| (length, Second::Other)).or_else(|| same().map(|n| (n, Second::Same)))
}

fn strip<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(tail)
}

fn position(value: &[u8], from: usize, test: impl Fn(u8) -> bool) -> Option<usize> {
    value.get(from..)?.iter().position(|byte| test(*byte)).map(|at| from + at)
}

fn skip_filler(value: &[u8], from: usize) -> usize {
    position(value, from, |byte| !is_filler(byte)).unwrap_or(value.len())
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_filler(byte: u8) -> bool {
    transformation::is_space(byte) || matches!(byte, b'\'' | b'"' | b'`' | b'(' | b')')
}
