//! `@rx`: a PCRE pattern, run by automata: never backtracking, Unicode off, dot-all, byte-clean.

use super::{OperatorError, look_around::LookAround, pattern};
use crate::captures::{Captures, GROUPS_MAX};
use crate::prefilter::Condition;
use regex_automata::util::syntax;
use regex_automata::{Input, meta};
use regex_syntax::hir::Hir;
use std::cell::RefCell;
use std::ops::Range;

/// The most memory that one pattern's automaton may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 26;
/// The same for a pattern that comes out of macros, compiled while a request waits.
const EXPANDED_BYTES_MAX: usize = 1 << 20;
/// Bytes of a value up to which a match is always found in full.
const WHOLE_BYTES_MAX: usize = 1024;
/// How many expanded patterns a thread keeps.
const EXPANDED_KEPT: usize = 16;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Regex {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// With what a match needs, until the load takes it.
    Automaton {
        regex: meta::Regex,
        condition: Condition,
    },
    LookAround(LookAround),
}

impl Regex {
    /// Compiles a PCRE pattern. Look-around and back references have no automaton: the three patterns of
    /// CRS 3.3 that need them are matched by code of our own, every other one is an error.
    pub(super) fn compile(pattern: &[u8], multi_line: bool) -> Result<Self, OperatorError> {
        if let Some(look_around) = LookAround::for_pattern(pattern) {
            return Ok(Self { kind: Kind::LookAround(look_around?) });
        }
        let translated = pattern::translate(pattern)?;
        let syntax = parse(&translated, multi_line)?;
        let condition = Condition::of_regex(&syntax);
        // A text is searched for the literals of all patterns at once before a pattern runs; one that looked for its
        // own again would only take longer to build.
        let regex = build_from(&syntax, PATTERN_BYTES_MAX, !condition.asks_literal())?;
        Ok(Self { kind: Kind::Automaton { regex, condition } })
    }

    /// Says whether the pattern matches somewhere in `value`.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        match &self.kind {
            Kind::Automaton { regex, .. } => regex.is_match(value),
            Kind::LookAround(look_around) => look_around.find(value).is_some(),
        }
    }

    /// Returns the span of the first match; of a long value as [`Regex::first_captures`] finds it.
    pub(super) fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        match &self.kind {
            Kind::Automaton { regex, .. } if value.len() > WHOLE_BYTES_MAX => {
                let end = regex.search_half(&Input::new(value).earliest(true))?;
                regex.search(&Input::new(value).range(..end.offset())).map(|found| found.range())
            }
            Kind::Automaton { regex, .. } => regex.find(value).map(|found| found.range()),
            Kind::LookAround(look_around) => look_around.find(value).map(|found| found.whole),
        }
    }

    /// Writes the groups of the first match into `into`.
    pub(super) fn captures(&self, value: &[u8], into: &mut Captures) -> bool {
        match &self.kind {
            Kind::Automaton { regex, .. } => {
                let mut groups = regex.create_captures();
                regex.captures(value, &mut groups);
                record(&groups, into)
            }
            Kind::LookAround(look_around) => match look_around.find(value) {
                Some(found) => {
                    into.set(0, found.whole);
                    if let Some(group) = found.group {
                        into.set(1, group);
                    }
                    true
                }
                None => false,
            },
        }
    }

    /// Like [`Regex::captures`], but of a long value only up to where the first match is certain: what is found is
    /// a match, perhaps cut short. Looking for the whole of it costs many passes over attacker's text.
    pub(super) fn first_captures(&self, value: &[u8], into: &mut Captures) -> bool {
        let Kind::Automaton { regex, .. } = &self.kind else { return self.captures(value, into) };
        if value.len() <= WHOLE_BYTES_MAX {
            return self.captures(value, into);
        }
        let Some(end) = regex.search_half(&Input::new(value).earliest(true)) else { return false };
        let mut groups = regex.create_captures();
        regex.search_captures(&Input::new(value).range(..end.offset()), &mut groups);
        record(&groups, into)
    }

    /// Returns the spans of all matches that do not overlap.
    pub(super) fn spans<'a>(
        &'a self,
        value: &'a [u8],
    ) -> Box<dyn Iterator<Item = Range<usize>> + 'a> {
        match &self.kind {
            Kind::Automaton { regex, .. } => Box::new(regex.find_iter(value).map(|m| m.range())),
            Kind::LookAround(look_around) => {
                Box::new(look_around.find(value).into_iter().map(|found| found.whole))
            }
        }
    }

    /// Gives away what a value must hold for the pattern to match.
    pub(super) fn take_condition(&mut self) -> Condition {
        match &mut self.kind {
            Kind::Automaton { condition, .. } => std::mem::take(condition),
            Kind::LookAround(_) => Condition::default(),
        }
    }
}

fn record(groups: &regex_automata::util::captures::Captures, into: &mut Captures) -> bool {
    for (index, span) in groups.iter().take(GROUPS_MAX).enumerate() {
        if let Some(span) = span {
            into.set(index, span.range());
        }
    }
    groups.is_match()
}

/// Builds an automaton for a pattern in Rust's syntax.
pub(super) fn build(
    translated: &str,
    multi_line: bool,
    bytes_max: usize,
) -> Result<meta::Regex, OperatorError> {
    build_from(&parse(translated, multi_line)?, bytes_max, true)
}

fn parse(translated: &str, multi_line: bool) -> Result<Hir, OperatorError> {
    let syntax = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .multi_line(multi_line);
    syntax::parse_with(translated, &syntax).map_err(|error| explain(&error.to_string()))
}

fn build_from(
    syntax: &Hir,
    bytes_max: usize,
    looks_for_literals: bool,
) -> Result<meta::Regex, OperatorError> {
    let limits = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(bytes_max))
        .onepass_size_limit(Some(1 << 20))
        .auto_prefilter(looks_for_literals)
        .hybrid_cache_capacity(1 << 20);
    let built = meta::Builder::new().configure(limits).build_from_hir(syntax);
    built.map_err(|error| match error.size_limit() {
        Some(limit) => OperatorError::new(format!("the pattern needs more than {limit} bytes")),
        None => explain(&error.to_string()),
    })
}

fn explain(cause: &str) -> OperatorError {
    let last = cause.lines().last().unwrap_or(cause).trim_start_matches("error: ");
    OperatorError::new(format!("the pattern cannot be compiled: {last}"))
}

thread_local! {
    static EXPANDED: RefCell<Vec<(Vec<u8>, Option<meta::Regex>)>> = const { RefCell::new(Vec::new()) };
}

/// Says whether `value` matches a pattern that came out of macros. Compiling costs some 100 µs the first time
/// a thread sees a pattern; the last [`EXPANDED_KEPT`] are kept.
pub(super) fn matches_expanded(pattern: &[u8], value: &[u8]) -> bool {
    EXPANDED.with_borrow_mut(|kept| {
        let index = kept.iter().position(|(known, _)| known == pattern).unwrap_or_else(|| {
            if kept.len() >= EXPANDED_KEPT {
                kept.remove(0);
            }
            let regex = pattern::translate(pattern)
                .and_then(|translated| build(&translated, false, EXPANDED_BYTES_MAX));
            kept.push((pattern.to_vec(), regex.ok()));
            kept.len() - 1
        });
        let regex = kept.get(index).and_then(|(_, regex)| regex.as_ref());
        regex.is_some_and(|regex| regex.is_match(value))
    })
}
