//! `@detectSQLi`, `@detectXSS`: libinjection's detectors, behind gates that skip what they cannot flag. That of SQL is
//! our own, that of scripts the crate's.
//!
//! The gates say "perhaps" or "no"; a "no" is the detector's own answer, which a differential test holds them to.

use crate::byte_set::ByteSet;
use libinjectionrs::detect_xss;

mod sql;
mod sql_words;

use sql_words::SqlWords;

/// Returns the fingerprint of the SQL injection in `value`, which holds the bytes `holds`, if there is one.
pub(super) fn sql(value: &[u8], holds: &ByteSet) -> Option<String> {
    if sql_gate(value, holds) { sql_plain(value) } else { None }
}

/// Says whether `value` injects script into a page.
pub(super) fn cross_site(value: &[u8], holds: &ByteSet) -> bool {
    cross_site_gate(value, holds) && cross_site_plain(value)
}

/// Holds the gates to the detectors: a "no" of theirs is the detector's own.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn assert_gates(value: &[u8]) {
    let holds = ByteSet::held_by(value);
    assert!(sql_gate(value, &holds) || sql_plain(value).is_none(), "{}", value.escape_ascii());
    let plain = cross_site_plain(value);
    assert!(cross_site_gate(value, &holds) || !plain, "{}", value.escape_ascii());
}

/// The detector of SQL without a gate.
pub(super) fn sql_plain(value: &[u8]) -> Option<String> {
    sql::detect(value)
}

/// The detector, with its one known fault corrected: it does not see that a tab, a line end or a form feed
/// between an attribute's name and its `=` is no part of the name.
pub(super) fn cross_site_plain(value: &[u8]) -> bool {
    if detect_xss(value).is_injection() {
        return true;
    }
    let is_space = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ');
    let spaced = value.windows(2).any(|pair| matches!(pair, [space, b'='] if is_space(space)));
    spaced && detect_xss(&without_space_before_equals(value)).is_injection()
}

fn without_space_before_equals(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        if *byte == b'=' {
            let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
            let kept = out.iter().rposition(|byte| !is_space(byte)).map_or(0, |at| at + 1);
            out.truncate(kept);
        }
        out.push(*byte);
    }
    out
}

/// Bytes at which the tokenizer does something that is not modelled here.
const SPECIAL: ByteSet = ByteSet::of(b"'\"`#\\$[\x7f\xa0\x00")
    .or(ByteSet::range(0x01, 0x08))
    .or(ByteSet::range(0x0e, 0x1f));
const OPERATORS: ByteSet = ByteSet::of(b"=<>!%^+-*/~&|");
const PARENTHESES: ByteSet = ByteSet::of(b"(){}");
const SEPARATORS: ByteSet = ByteSet::of(b",;?]");

/// Says whether the detector of SQL may flag `value`.
///
/// A value is flagged when the sequence of its tokens' types is in libinjection's list. The list has no sequence
/// of barewords, numbers, dots, commas, colons, semicolons, operators and functions alone, and none of
/// barewords, numbers, dots, colons, variables and parentheses but `1n(v)`. So what holds no quote, no comment,
/// no logical operator and no other keyword is never flagged: one pass with a look-up per word decides.
fn sql_gate(value: &[u8], holds: &ByteSet) -> bool {
    let pair = |first: u8, second: u8| holds.contains(first) && follows(value, first, second);
    if holds.meets(&SPECIAL)
        || pair(b'-', b'-')
        || pair(b'/', b'*')
        || pair(b'&', b'&')
        || pair(b'|', b'|')
    {
        return true;
    }
    let named = holds.contains(b'@') || holds.meets(&PARENTHESES);
    let separated = holds.meets(&SEPARATORS);
    // The tokenizer takes a colon at the very end for an operator.
    let operated = || holds.meets(&OPERATORS) || value.ends_with(b":") || pair(b':', b':');
    if named && (separated || operated()) {
        return true;
    }
    if holds.contains(b'@') && holds.meets(&PARENTHESES) {
        return true;
    }
    SqlWords::get().occur_in(value, named || separated)
}

/// Whether `second` stands behind `first` somewhere.
fn follows(value: &[u8], first: u8, second: u8) -> bool {
    memchr::memchr_iter(first, value).any(|at| value.get(at + 1) == Some(&second))
}

/// Says whether the detector of scripts may flag `value`: every token that it flags starts with `<`, or is the
/// value of an attribute with a name of its list.
fn cross_site_gate(value: &[u8], holds: &ByteSet) -> bool {
    if holds.contains(b'<') {
        return true;
    }
    holds.contains(b'=')
        && memchr::memchr_iter(b'=', value)
            .any(|at| value.get(..at).is_some_and(ends_in_listed_attribute))
}

/// The attributes, besides event handlers and name spaces, whose values the detector looks at.
const ATTRIBUTES: [&[u8]; 20] = [
    b"action",
    b"attributename",
    b"background",
    b"by",
    b"dataformatas",
    b"datasrc",
    b"dynsrc",
    b"filter",
    b"folder",
    b"formaction",
    b"from",
    b"handler",
    b"href",
    b"lowsrc",
    b"poster",
    b"src",
    b"style",
    b"to",
    b"values",
    b"xlink:href",
];

/// A name runs back to white space, `/`, `>` or `=`; it may also start behind a quote that ends a value.
fn ends_in_listed_attribute(before: &[u8]) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let end = before.iter().rposition(|byte| !is_space(byte)).map_or(0, |at| at + 1);
    let before = before.get(..end).unwrap_or_default();
    let ends_name = |byte: &u8| is_space(byte) || b"/>=".contains(byte);
    let start = before.iter().rposition(ends_name).map_or(0, |at| at + 1);
    let run = before.get(start..).unwrap_or_default();
    if run.contains(&0) {
        return true; // the detector skips NUL bytes in names
    }
    let is_quote = |byte: &u8| matches!(byte, b'\'' | b'"' | b'`');
    let behind = run.iter().enumerate().filter(|(_, byte)| is_quote(byte)).map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind).filter_map(|at| run.get(at..)).any(is_listed)
}

fn is_listed(name: &[u8]) -> bool {
    let starts = |prefix: &[u8]| {
        name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    starts(b"on")
        || starts(b"xmlns")
        || starts(b"xlink")
        || ATTRIBUTES.iter().any(|attribute| attribute.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
