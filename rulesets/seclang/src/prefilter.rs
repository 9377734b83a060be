//! Rules operators out before they run: what a text must hold for an operator to match, asked for all
//! operators at once.
//!
//! A condition is a minimum length, one of some literals, and up to four sets of which the text must
//! hold a byte each. Conditions are necessary, never sufficient: where one holds, the operator runs.

mod byte_sets;
mod candidates;
mod condition;
mod group;
mod literals;
mod rarity;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

pub(crate) use candidates::{Candidates, GATES_MAX};
pub(crate) use group::Group;

use crate::byte_set::ByteSet;
use crate::program::{Rule, RuleIndex, RuleInfo};
use condition::Condition;

/// Sets that a condition may ask for.
const SETS: usize = 4;

/// Lengths with a row of their own; no condition asks for more.
const LENGTHS: usize = 64;

/// The conditions of a program.
#[derive(Debug)]
pub(crate) struct Prefilter {
    /// Every literal of every condition; letter case is ignored.
    literals: Option<AhoCorasick>,
    /// Per literal, the conditions that it satisfies.
    satisfied: Vec<Candidates>,
    /// Conditions that ask for no literal.
    without_literal: Candidates,
    /// Per length of a text, the conditions that it is long enough for.
    long_enough: Vec<Candidates>,
    /// Per byte, the conditions whose rarest set holds the byte, or that ask for no set.
    by_byte: Box<[Candidates; 256]>,
    /// Conditions that ask for no set.
    without_set: Candidates,
    /// Per condition, its sets after the rarest.
    further_sets: Vec<Vec<ByteSet>>,
    pub(crate) groups: Vec<Group>,
}

impl Prefilter {
    /// Derives the conditions of all rules and writes into each link its place among them.
    pub(crate) fn build(
        rules: &mut [Rule],
        infos: &mut [RuleInfo],
        phases: &[Vec<RuleIndex>; 5],
    ) -> Self {
        let mut conditions = Vec::new();
        for (rule, info) in rules.iter_mut().zip(infos) {
            for (link, link_info) in rule.links.iter_mut().zip(&mut info.links) {
                let condition = Condition::of(link);
                link_info.prefilter = condition.describe();
                if condition.is_useful() && conditions.len() < GATES_MAX {
                    link.gate = u16::try_from(conditions.len()).ok();
                    conditions.push(condition);
                }
            }
        }
        let groups = group::lay(rules, phases);
        Self::lay(&conditions, groups)
    }

    fn lay(conditions: &[Condition], groups: Vec<Group>) -> Self {
        let mut without_literal = Candidates::NONE;
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut satisfied: Vec<Candidates> = Vec::new();
        let mut long_enough = vec![Candidates::NONE; LENGTHS + 1];
        let mut by_byte = Box::new([Candidates::NONE; 256]);
        let mut without_set = Candidates::NONE;
        let mut further_sets = Vec::new();
        for (gate, condition) in (0_u16..).zip(conditions) {
            if condition.literals.is_empty() {
                without_literal.insert(gate);
            }
            for literal in &condition.literals {
                let at = texts.iter().position(|text| text == literal).unwrap_or_else(|| {
                    texts.push(literal.clone());
                    satisfied.push(Candidates::NONE);
                    texts.len() - 1
                });
                if let Some(row) = satisfied.get_mut(at) {
                    row.insert(gate);
                }
            }
            for (_, row) in long_enough
                .iter_mut()
                .enumerate()
                .filter(|(n, _)| *n >= condition.length.min(LENGTHS))
            {
                row.insert(gate);
            }
            match condition.sets.split_first() {
                None => {
                    without_set.insert(gate);
                    further_sets.push(Vec::new());
                }
                Some((rarest, rest)) => {
                    rarest.iter().for_each(|byte| by_byte[usize::from(byte)].insert(gate));
                    further_sets.push(rest.to_vec());
                }
            }
        }
        let literals = (!texts.is_empty()).then(|| automaton(&texts)).flatten();
        if literals.is_none() {
            // Without the automaton nobody can say that a literal is absent.
            without_literal = Candidates::ALL;
        }
        Self {
            literals,
            satisfied,
            without_literal,
            long_enough,
            by_byte,
            without_set,
            further_sets,
            groups,
        }
    }

    /// The conditions whose literals a text holds. One pass.
    pub(crate) fn with_literals(&self, text: &[u8]) -> Candidates {
        let mut found = self.without_literal;
        if let Some(automaton) = &self.literals {
            for hit in automaton.find_overlapping_iter(text) {
                if let Some(row) = self.satisfied.get(hit.pattern().as_usize()) {
                    found.join(row);
                }
            }
        }
        found
    }

    /// Of the conditions whose literals a text holds, those that its length and bytes satisfy.
    pub(crate) fn narrowed(
        &self,
        literals: Candidates,
        length: usize,
        holds: &ByteSet,
    ) -> Candidates {
        let mut found = literals;
        if let Some(row) = self.long_enough.get(length.min(LENGTHS)) {
            found.meet(row);
        }
        let mut satisfied = self.without_set;
        for byte in holds.iter() {
            satisfied.join(&self.by_byte[usize::from(byte)]);
        }
        found.meet(&satisfied);
        found.retain(|gate| {
            let sets = self.further_sets.get(gate).map_or(&[][..], Vec::as_slice);
            sets.iter().all(|set| set.meets(holds))
        });
        found
    }
}

/// A deterministic automaton where it fits, else a compact one; nothing when neither can be built.
fn automaton(texts: &[Vec<u8>]) -> Option<AhoCorasick> {
    let mut builder = AhoCorasick::builder();
    builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard);
    let fast = builder.kind(Some(AhoCorasickKind::DFA)).build(texts);
    fast.or_else(|_| builder.kind(Some(AhoCorasickKind::ContiguousNFA)).build(texts)).ok()
}
