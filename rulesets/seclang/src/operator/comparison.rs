//! `@streq @contains @containsWord @strmatch @beginsWith @endsWith @within` and `@eq @ge @gt @le @lt`.
//!
//! These take one argument of bytes, which may come out of macros, so that they compare without a compiled form.

use std::cmp::Ordering;
use std::ops::Range;

/// A comparison of a value with an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparison {
    /// `@streq`: the two are equal.
    Equal,
    /// `@contains`, `@strmatch`: the argument stands in the value.
    Contains,
    /// `@containsWord`: the argument stands in the value with no letter, digit or underscore beside it.
    ContainsWord,
    /// `@beginsWith`.
    BeginsWith,
    /// `@endsWith`.
    EndsWith,
    /// `@within`: the value stands in the argument. An empty value does.
    Within,
    /// `@eq`, `@ge`, `@gt`, `@le`, `@lt`: the numbers compare so; what is no number counts as 0.
    Number(&'static [Ordering]),
}

impl Comparison {
    /// Looks a comparison up by its operator's name, letter case ignored.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "streq" => Self::Equal,
            "contains" | "strmatch" => Self::Contains,
            "containsword" => Self::ContainsWord,
            "beginswith" => Self::BeginsWith,
            "endswith" => Self::EndsWith,
            "within" => Self::Within,
            "eq" => Self::Number(&[Ordering::Equal]),
            "ge" => Self::Number(&[Ordering::Equal, Ordering::Greater]),
            "gt" => Self::Number(&[Ordering::Greater]),
            "le" => Self::Number(&[Ordering::Equal, Ordering::Less]),
            "lt" => Self::Number(&[Ordering::Less]),
            _ => return None, // another operator
        })
    }

    /// Returns the span of `value` that makes the comparison true.
    pub(super) fn find(self, argument: &[u8], value: &[u8]) -> Option<Range<usize>> {
        let (size, all) = (argument.len(), 0..value.len());
        match self {
            Self::Equal => (argument == value).then_some(all),
            Self::Contains => memchr::memmem::find(value, argument).map(|at| at..at + size),
            Self::ContainsWord => {
                memchr::memmem::find_iter(value, argument).map(|at| at..at + size).find(|span| {
                    let before = span.start.checked_sub(1).and_then(|at| value.get(at));
                    !before.is_some_and(is_word) && !value.get(span.end).is_some_and(is_word)
                })
            }
            Self::BeginsWith => value.starts_with(argument).then_some(0..size),
            Self::EndsWith => value.ends_with(argument).then(|| value.len() - size..value.len()),
            Self::Within => memchr::memmem::find(argument, value).map(|_| all),
            Self::Number(allowed) => {
                allowed.contains(&number(value).cmp(&number(argument))).then_some(all)
            }
        }
    }
}

const fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// Reads the number at the start of `text` as C's `strtoll` does; saturates, and is 0 where there is none.
pub(super) fn number(text: &[u8]) -> i64 {
    let (negative, digits) = match text.trim_ascii_start() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_i64, |sum, digit| {
        let digit = i64::from(digit - b'0');
        let sum = sum.saturating_mul(10);
        if negative { sum.saturating_sub(digit) } else { sum.saturating_add(digit) }
    })
}
