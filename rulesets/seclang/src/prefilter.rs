//! Rules operators out before they run.

use crate::byte_set::ByteSet;
use crate::program::{Nodes, Rule, RuleIndex, RuleInfo};

/// A set of conditioned links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates;

impl Candidates {
    pub(crate) const ALL: Self = Self;
    pub(crate) fn contains(&self, _gate: u16) -> bool {
        true
    }
}

/// The conditions of a program.
#[derive(Debug)]
pub(crate) struct Prefilter;

impl Prefilter {
    pub(crate) fn build(
        _rules: &mut [Rule],
        _infos: &mut [RuleInfo],
        _phases: &[Vec<RuleIndex>; 5],
        _nodes: &Nodes,
    ) -> Self {
        Self
    }
    pub(crate) fn candidates(&self, _bytes: &[u8], _holds: &ByteSet) -> Candidates {
        Candidates::ALL
    }
}
