//! The operators of SecLang, compiled once and evaluated on bytes. Negation (`!@…`) is the engine's.
//!
//! Every operator is total on any bytes and linear in them (`@rx` too: its automata never backtrack).

use crate::byte_set::ByteSet;
use crate::captures::Captures;
use crate::prefilter::Condition;
use crate::source::Resolve;

mod byte_range;
mod comparison;
mod encoding;
pub(crate) mod injection;
mod ip_match;
mod look_around;
mod pattern;
mod phrases;
mod regex;
mod verify;

use self::byte_range::ByteRange;
use self::comparison::Comparison;
use self::ip_match::AddressSet;
use self::phrases::PhraseSet;
use self::regex::Regex;
use self::verify::Scheme;

/// Why an operator cannot be compiled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct OperatorError {
    /// What is wrong, in one line.
    pub(crate) message: String,
    /// What to write instead, when that is known.
    pub(crate) help: Option<String>,
}

impl OperatorError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }
}

/// One compiled operator.
#[derive(Debug)]
pub(crate) enum Operator {
    /// `@rx`.
    Regex(Box<Regex>),
    /// `@pm`, `@pmFromFile`.
    Phrases(PhraseSet),
    /// `@contains`, `@streq`, `@eq` and their like, with a fixed argument.
    Compare(Comparison, Box<[u8]>),
    /// `@ipMatch`, `@ipMatchFromFile`.
    Address(AddressSet),
    /// `@validateByteRange`.
    ByteRange(ByteRange),
    /// `@validateUrlEncoding`.
    UrlEncoding,
    /// `@validateUtf8Encoding`.
    Utf8Encoding,
    /// `@verifyCC` and its like.
    Number(Box<Regex>, Scheme),
    /// `@detectSQLi`.
    SqlInjection,
    /// `@detectXSS`.
    CrossSiteScripting,
    /// `@geoLookup`: answered by the engine through its caller; here it never matches.
    GeoLookup,
    /// `@rbl`: a DNS query per request; never asked and never matching, see [`Operator::note`].
    BlockList,
    /// `@unconditionalMatch`.
    Always,
    /// `@noMatch`.
    Never,
}

/// The names of all operators, as the ModSecurity reference spells them.
pub(crate) const NAMES: &[&str] = &[
    "beginsWith",
    "contains",
    "containsWord",
    "detectSQLi",
    "detectXSS",
    "endsWith",
    "eq",
    "ge",
    "geoLookup",
    "gt",
    "ipMatch",
    "ipMatchF",
    "ipMatchFromFile",
    "le",
    "lt",
    "noMatch",
    "pm",
    "pmFromFile",
    "pmf",
    "rbl",
    "rx",
    "streq",
    "strmatch",
    "unconditionalMatch",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "verifyCC",
    "verifyCPF",
    "verifySSN",
    "verifySVNR",
    "within",
];

impl Operator {
    /// Compiles the operator `name` (without `@`, letter case ignored) with an argument that holds no macro.
    /// Data files are read through `resolve`, for the file `from`; `multi_line` lets `^` and `$` of `@rx`
    /// match at line ends.
    pub(crate) fn compile(
        name: &str,
        argument: &[u8],
        from: &str,
        resolve: &dyn Resolve,
        multi_line: bool,
    ) -> Result<Self, OperatorError> {
        if let Some(comparison) = Comparison::named(name) {
            return Ok(Self::Compare(comparison, argument.into()));
        }
        Ok(match name.to_ascii_lowercase().as_str() {
            "rx" => Self::Regex(Box::new(Regex::compile(argument, multi_line)?)),
            "pm" => Self::Phrases(PhraseSet::from_argument(argument)?),
            "pmf" | "pmfromfile" => Self::Phrases(PhraseSet::from_files(argument, from, resolve)?),
            "ipmatch" => Self::Address(AddressSet::from_argument(argument)?),
            "ipmatchf" | "ipmatchfromfile" => {
                Self::Address(AddressSet::from_files(argument, from, resolve)?)
            }
            "validatebyterange" => Self::ByteRange(ByteRange::parse(argument)?),
            "validateurlencoding" => Self::UrlEncoding,
            "validateutf8encoding" => Self::Utf8Encoding,
            "detectsqli" => Self::SqlInjection,
            "detectxss" => Self::CrossSiteScripting,
            "geolookup" => Self::GeoLookup,
            "rbl" => Self::BlockList,
            "unconditionalmatch" => Self::Always,
            "nomatch" => Self::Never,
            other => match Scheme::named(other) {
                Some(scheme) => {
                    Self::Number(Box::new(Regex::compile(argument, multi_line)?), scheme)
                }
                None => return Err(unknown(name)),
            },
        })
    }

    /// Returns what a load must say about an operator that is accepted and does not do what it says.
    pub(crate) const fn note(&self) -> Option<&'static str> {
        match self {
            Self::BlockList => Some(
                "`@rbl` asks a DNS server during a request; it is never asked and never matches",
            ),
            Self::Regex(_)
            | Self::Phrases(_)
            | Self::Compare(..)
            | Self::Address(_)
            | Self::ByteRange(_)
            | Self::UrlEncoding
            | Self::Utf8Encoding
            | Self::Number(..)
            | Self::SqlInjection
            | Self::CrossSiteScripting
            | Self::GeoLookup
            | Self::Always
            | Self::Never => None,
        }
    }

    /// Says whether `value`, which holds the bytes `holds`, matches: the answer of [`Operator::is_match`],
    /// found by what is known of the value already.
    pub(crate) fn is_match_of(&self, value: &[u8], holds: &ByteSet) -> bool {
        match self {
            Self::SqlInjection => injection::sql(value, holds).is_some(),
            Self::CrossSiteScripting => injection::cross_site(value, holds),
            Self::Regex(_)
            | Self::Phrases(_)
            | Self::Compare(..)
            | Self::Address(_)
            | Self::ByteRange(_)
            | Self::UrlEncoding
            | Self::Utf8Encoding
            | Self::Number(..)
            | Self::GeoLookup
            | Self::BlockList
            | Self::Always
            | Self::Never => self.is_match(value),
        }
    }

    /// Says whether `value` matches, the plain way.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(value),
            Self::Phrases(phrases) => phrases.find(value).is_some(),
            Self::Compare(comparison, argument) => comparison.find(argument, value).is_some(),
            Self::Address(set) => set.holds(value),
            Self::ByteRange(range) => range.first_outside(value).is_some(),
            Self::UrlEncoding => encoding::broken_escape(value).is_some(),
            Self::Utf8Encoding => std::str::from_utf8(value).is_err(),
            Self::Number(regex, scheme) => verify::find(regex, *scheme, value).is_some(),
            Self::SqlInjection => injection::sql_plain(value).is_some(),
            Self::CrossSiteScripting => injection::cross_site_plain(value),
            Self::Always => true,
            Self::GeoLookup | Self::BlockList | Self::Never => false,
        }
    }

    /// Says whether `value` matches, and writes into `into` what and where. `into` is clear before.
    pub(crate) fn captures(&self, value: &[u8], into: &mut Captures) -> bool {
        let span = match self {
            Self::Regex(regex) => return regex.captures(value, into),
            Self::Phrases(phrases) => phrases.find(value),
            Self::Compare(comparison, argument) => comparison.find(argument, value),
            Self::ByteRange(range) => range.first_outside(value).map(|at| at..at + 1),
            Self::UrlEncoding => encoding::broken_escape(value).map(|at| at..value.len()),
            Self::Number(regex, scheme) => verify::find(regex, *scheme, value),
            Self::SqlInjection => {
                let Some(fingerprint) = injection::sql_plain(value) else { return false };
                into.set(0, 0..value.len());
                into.set_text(fingerprint.as_bytes());
                return true;
            }
            Self::Address(_)
            | Self::Utf8Encoding
            | Self::CrossSiteScripting
            | Self::GeoLookup
            | Self::BlockList
            | Self::Always
            | Self::Never => self.is_match(value).then_some(0..value.len()),
        };
        let Some(span) = span else { return false };
        into.set(0, span);
        true
    }

    /// Like [`Operator::captures`], for readers that only show what matched: of a long value the match may be cut
    /// short.
    pub(crate) fn first_captures(&self, value: &[u8], into: &mut Captures) -> bool {
        match self {
            Self::Regex(regex) => regex.first_captures(value, into),
            Self::Phrases(_)
            | Self::Compare(..)
            | Self::Address(_)
            | Self::ByteRange(_)
            | Self::UrlEncoding
            | Self::Utf8Encoding
            | Self::Number(..)
            | Self::SqlInjection
            | Self::CrossSiteScripting
            | Self::GeoLookup
            | Self::BlockList
            | Self::Always
            | Self::Never => self.captures(value, into),
        }
    }

    /// Like [`Operator::captures`] without the groups of a regular expression, which cost more to find.
    pub(crate) fn whole(&self, value: &[u8], into: &mut Captures) -> bool {
        let Self::Regex(regex) = self else { return self.captures(value, into) };
        let Some(span) = regex.find(value) else { return false };
        into.set(0, span);
        true
    }

    /// Gives away what a value must hold for this operator to match, for a shared pass to rule operators out. Only a
    /// load asks: asked again, it has forgotten.
    pub(crate) fn take_condition(&mut self) -> Condition {
        match self {
            Self::Regex(regex) | Self::Number(regex, _) => regex.take_condition(),
            Self::Phrases(phrases) => phrases.take_condition(),
            Self::ByteRange(range) => Condition::of_byte(range.outside()),
            Self::UrlEncoding => Condition::of_byte(ByteSet::of(b"%")),
            Self::Utf8Encoding => Condition::of_byte(ByteSet::range(0x80, 0xff)),
            Self::CrossSiteScripting => Condition::of_byte(ByteSet::of(b"<=")),
            Self::Compare(..)
            | Self::Address(_)
            | Self::SqlInjection
            | Self::GeoLookup
            | Self::BlockList
            | Self::Always
            | Self::Never => Condition::default(),
        }
    }
}

/// Says whether the argument of operator `name` may hold macros, to be expanded for each evaluation.
pub(crate) fn takes_macro(name: &str) -> bool {
    Comparison::named(name).is_some() || name.eq_ignore_ascii_case("rx")
}

/// Evaluates an operator that [`takes_macro`] with its expanded argument; `None` for any other operator.
/// An expanded `@rx` is compiled under a small size limit and kept by the thread; one that is no regular
/// expression matches nothing, as in ModSecurity.
pub(crate) fn compare(name: &str, argument: &[u8], value: &[u8]) -> Option<bool> {
    match Comparison::named(name) {
        Some(comparison) => Some(comparison.find(argument, value).is_some()),
        None if name.eq_ignore_ascii_case("rx") => Some(regex::matches_expanded(argument, value)),
        None => None,
    }
}

fn unknown(name: &str) -> OperatorError {
    let help = "the operators are ".to_owned() + &NAMES.join(", ");
    OperatorError { message: format!("unknown operator `@{name}`"), help: Some(help) }
}

#[cfg(test)]
mod tests;
