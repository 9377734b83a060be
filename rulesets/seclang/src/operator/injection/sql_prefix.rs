//! What the first tokens of a value say about all of it.
//!
//! libinjection reduces a value to the types of its first five tokens, read as it stands and, where it holds a
//! quote, as if it stood behind one. Its list has no sequence that starts with an operator, a bareword before a
//! bareword, a variable, a colon, a question mark or a parenthesis, nor with a string before a bareword, and
//! these beginnings outlast every folding of what follows. Ordinary text begins so. A comma or an operator
//! between barewords and numbers folds away, so that reading goes on behind it. Ordinary text may also begin with
//! a word that is SQL's: no sequence starts with an operator, nor with a keyword before two barewords, and the
//! names of types are left out at the start.
//!
//! One type of token overrides all others wherever it stands: that of a comment within a comment, of MySQL's
//! executable comment, and of a brace before an empty back-quoted name. What may hold one is not judged here.

use super::follows;
use super::sql_words::SqlWords;
use crate::byte_set::ByteSet;

/// Says whether the first tokens already show that the detector flags nothing.
pub(super) fn is_harmless(value: &[u8], holds: &ByteSet) -> bool {
    let behind = |quote| {
        let at = if holds.contains(quote) { memchr::memchr(quote, value) } else { None };
        at.is_none_or(|at| behind_quote(value, at, quote))
    };
    !may_be_overridden(value, holds) && as_it_stands(value) && behind(b'\'') && behind(b'"')
}

fn may_be_overridden(value: &[u8], holds: &ByteSet) -> bool {
    if holds.contains(b'`') {
        return true;
    }
    if !(holds.contains(b'/') && holds.contains(b'*') && follows(value, b'/', b'*')) {
        return false;
    }
    let mut comments = memchr::memmem::find_iter(value, b"/*");
    let executable = |at: usize| value.get(at + 2) == Some(&b'!');
    let first = comments.next();
    first.is_some_and(executable) || comments.next().is_some()
}

/// The token to which all before the rest has been folded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Word,
    Number,
    Text,
}

fn as_it_stands(value: &[u8]) -> bool {
    let mut value = trim(value);
    // One token is never listed, whichever it is.
    if value.first().is_some_and(u8::is_ascii_alphabetic) && value.iter().all(is_name) {
        return true;
    }
    // The detector leaves parentheses, signs and types at the start out.
    while let Some(rest) = left_out(value) {
        value = trim(rest);
    }
    if let Some(rest) = word(value) {
        return goes_on_harmlessly(Head::Word, rest);
    }
    if begins_with_a_word_of_sql(value) {
        return true;
    }
    if let Some(rest) = number(value) {
        return goes_on_harmlessly(Head::Number, rest);
    }
    match value {
        [] => true,
        [b'/' | b'*' | b'=' | b'<' | b'>' | b'%' | b'^' | b'&' | b'|', next, ..] => is_plain(*next),
        _ => false, // not a beginning that is known
    }
}

fn left_out(text: &[u8]) -> Option<&[u8]> {
    if let [b'(' | b'+' | b'-' | b'~', next, ..] = text {
        return text.get(1..).filter(|_| is_plain(*next) || *next == b'(');
    }
    bare(text).filter(|(first, _)| stands_among(first, &TYPES)).map(|(_, rest)| rest)
}

/// Says whether an operator before a bareword starts the value, or a keyword before two.
fn begins_with_a_word_of_sql(value: &[u8]) -> bool {
    let Some((first, rest)) = bare(value) else { return false };
    let second = || word(trim(rest));
    (stands_among(first, &OPERATORS) && second().is_some())
        || (stands_among(first, &KEYWORDS) && second().is_some_and(|r| word(trim(r)).is_some()))
}

/// Operators with which text begins. A phrase that one starts goes on with a word that is SQL's too. `LIKE` is none of
/// them: what stands behind it may fold away, and before a parenthesis it is a function.
pub(super) const OPERATORS: [&[u8]; 2] = [b"BETWEEN", b"IS"];

/// Keywords with which text begins, and no phrase.
pub(super) const KEYWORDS: [&[u8]; 27] = [
    b"AGAINST",
    b"AS",
    b"BEFORE",
    b"BOTH",
    b"CHANGE",
    b"CONTINUE",
    b"DEFAULT",
    b"EACH",
    b"FETCH",
    b"FROM",
    b"IGNORE",
    b"INDEX",
    b"LEAVE",
    b"MATCH",
    b"OPEN",
    b"OPTION",
    b"RELEASE",
    b"RENAME",
    b"REPEAT",
    b"REPLACE",
    b"REQUIRE",
    b"RETURN",
    b"THEN",
    b"TIME",
    b"TOP",
    b"WHEN",
    b"WHERE",
];

/// Types with which text begins, media types among it.
pub(super) const TYPES: [&[u8]; 7] =
    [b"BINARY", b"FLOAT", b"INT", b"MONEY", b"REAL", b"SERIAL", b"TEXT"];

fn stands_among(word: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// The value as if a quote stood before it: a string up to the first quote, then the rest.
fn behind_quote(value: &[u8], at: usize, quote: u8) -> bool {
    let escaped = at.checked_sub(1).and_then(|before| value.get(before)) == Some(&b'\\');
    let rest = value.get(at + 1..).unwrap_or_default();
    !escaped && rest.first() != Some(&quote) && goes_on_harmlessly(Head::Text, rest)
}

fn goes_on_harmlessly(head: Head, mut rest: &[u8]) -> bool {
    loop {
        rest = trim(rest);
        let folded = match rest {
            [] | [b'?', ..] => return true,
            [b':', next, ..] => return !matches!(next, b':' | b'='),
            [b'@' | b'(', ..] => return head == Head::Word,
            [quote @ (b'\'' | b'"'), tail @ ..] => {
                return head == Head::Word && memchr::memchr(*quote, tail).is_none();
            }
            [b',', tail @ ..] => tail,
            // The one listed sequence with a bareword behind a semicolon goes on with a colon.
            [b';', tail @ ..] => return word(trim(tail)).is_some_and(|rest| !rest.contains(&b':')),
            [
                b'-' | b'/' | b'+' | b'*' | b'=' | b'<' | b'>' | b'%' | b'^' | b'&' | b'|',
                tail @ ..,
            ] if head != Head::Text && tail.first().is_some_and(|next| is_plain(*next)) => tail,
            _ => {
                return match (word(rest), head) {
                    (None, _) => false,
                    (Some(_), Head::Word | Head::Text) => true,
                    (Some(after), Head::Number) => {
                        let after = trim(after);
                        after.is_empty() || word(after).is_some()
                    }
                };
            }
        };
        let operand = trim(folded);
        match word(operand).or_else(|| number(operand)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

/// Steps over a bareword that is no keyword, starts no phrase and names no function.
fn word(text: &[u8]) -> Option<&[u8]> {
    let (word, rest) = bare(text)?;
    (!SqlWords::get().hold_any(word)).then_some(rest)
}

/// Cuts a word off, whatever it is to SQL.
fn bare(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let in_word =
        |byte: &u8| byte.is_ascii_alphanumeric() || is_beyond(*byte) || b"_.".contains(byte);
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || is_beyond(*byte) || *byte == b'_';
    text.first().filter(|byte| starts(byte))?;
    let length = text.iter().position(|byte| !in_word(byte)).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(length)?;
    let ends = match rest.first() {
        None => true,
        Some(b'\'' | b'"' | b'&') => !opens_string(word),
        Some(byte) => is_space(*byte) || b"[]{}<>:\\?=@!#~+-*/|^%(),;".contains(byte),
    };
    ends.then_some((word, rest))
}

/// Says whether a word before a quote is the prefix of a string: n'…', x'…', nq'…', u&'…'.
fn opens_string(word: &[u8]) -> bool {
    let is = |prefix: &[u8]| word.eq_ignore_ascii_case(prefix);
    [b"b", b"e", b"n", b"q", b"u", b"x"].into_iter().any(|prefix| is(prefix)) || is(b"nq")
}

/// Steps over a whole or decimal number.
fn number(text: &[u8]) -> Option<&[u8]> {
    let rest = digits(text)?;
    let rest = match rest {
        [b'.', tail @ ..] => digits(tail)?,
        _ => rest, // a whole number
    };
    let ends = |byte: &u8| is_space(*byte) || b"<>:?=+-*/&|^%(),;'\"".contains(byte);
    rest.first().is_none_or(ends).then_some(rest)
}

fn digits(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.get(length..).filter(|_| length > 0)
}

const fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// Says whether a byte behind an operator leaves that operator one byte long.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_space(byte) || is_beyond(byte) || byte == b'_'
}

/// Says whether a byte is beyond ASCII and no white space to the tokenizer.
const fn is_beyond(byte: u8) -> bool {
    byte >= 0x80 && byte != 0xa0
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, tail @ ..] = text
        && is_space(*first)
    {
        text = tail;
    }
    text
}
