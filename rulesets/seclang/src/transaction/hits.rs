//! What the running rule has matched so far: `MATCHED_VAR` and its kin, and what becomes the trace.

use std::ops::Range;

use crate::program::RuleIndex;
use crate::variable::Variable;

/// Bytes of a value that the trace keeps.
const VALUE_KEPT_MAX: usize = 512;

/// Matches that the trace keeps; further ones are counted.
pub(crate) const MATCHES_MAX: usize = 4096;

/// One (rule, variable) match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Match {
    /// The rule.
    pub rule: RuleIndex,
    /// Which link of its chain, the first being 0.
    pub link: u8,
    /// The variable as the rule names it.
    pub variable: Variable,
    /// The collection in which the value stands: `ARGS_GET` or `ARGS_POST` for `ARGS`.
    pub source: Variable,
    /// The value was a count (`&`).
    pub counted: bool,
    /// The name inside the collection; empty for a variable with one value.
    pub name: Vec<u8>,
    /// The value that the operator read, transformed, cut after 512 bytes.
    pub value: Vec<u8>,
    /// The length of the value before it was cut.
    pub value_len: usize,
    /// Where in the value the operator matched, in bytes.
    pub offset: usize,
    /// How many bytes matched; 0 when the operator has no place (a comparison, a negation).
    pub len: usize,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) variable: Variable,
    pub(crate) source: Variable,
    pub(crate) counted: bool,
    pub(crate) link: u8,
}

#[derive(Clone, Debug)]
struct Hit {
    origin: Origin,
    name: Range<usize>,
    value: Range<usize>,
    span: Range<usize>,
}

/// The hits of one rule, all links together.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    bytes: Vec<u8>,
    hits: Vec<Hit>,
}

impl Hits {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.hits.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.hits.len()
    }

    pub(crate) fn push(&mut self, origin: Origin, name: &[u8], value: &[u8], span: Range<usize>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let (name, value) = (start..middle, middle..self.bytes.len());
        self.hits.push(Hit { origin, name, value, span });
    }

    /// The value of a hit.
    pub(crate) fn value(&self, at: usize) -> &[u8] {
        self.hits.get(at).and_then(|hit| self.bytes.get(hit.value.clone())).unwrap_or_default()
    }

    /// Appends the full name of a hit: `ARGS:id`.
    pub(crate) fn write_name(&self, at: usize, out: &mut Vec<u8>) {
        let Some(hit) = self.hits.get(at) else { return };
        if hit.origin.counted {
            out.push(b'&');
        }
        out.extend_from_slice(hit.origin.variable.as_str().as_bytes());
        let name = self.bytes.get(hit.name.clone()).unwrap_or_default();
        if !name.is_empty() {
            out.push(b':');
            out.extend_from_slice(name);
        }
    }

    /// Appends the hits to the trace.
    pub(crate) fn publish(&self, rule: RuleIndex, into: &mut Vec<Match>) {
        for hit in &self.hits {
            if into.len() >= MATCHES_MAX {
                return;
            }
            let value = self.bytes.get(hit.value.clone()).unwrap_or_default();
            into.push(Match {
                rule,
                link: hit.origin.link,
                variable: hit.origin.variable,
                source: hit.origin.source,
                counted: hit.origin.counted,
                name: self.bytes.get(hit.name.clone()).unwrap_or_default().to_vec(),
                value: value.get(..VALUE_KEPT_MAX).unwrap_or(value).to_vec(),
                value_len: value.len(),
                offset: hit.span.start,
                len: hit.span.len(),
            });
        }
    }
}
