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
mod scan;

pub(crate) use candidates::{Candidates, GATES_MAX};
pub(crate) use condition::{Condition, Gate, ORDINARY};
pub(crate) use group::Group;

use std::collections::HashMap;

use crate::program::{Rule, RuleIndex, RuleInfo};
use scan::Scan;

/// Sets that a condition may ask for.
const SETS: usize = 4;

/// The first phase whose rules read the answer.
const ANSWER_PHASE: u8 = 3;

/// For which phases literals are looked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Reach {
    /// The phases of the request.
    Request,
    /// All phases: lists of phrases for answers are long and ordinary words hold their parts.
    All,
}

impl Reach {
    /// What a rule of a phase asks for.
    pub(crate) const fn of(phase: u8) -> Self {
        if phase < ANSWER_PHASE { Self::Request } else { Self::All }
    }
}

/// The conditions of a program.
#[derive(Debug)]
pub(crate) struct Prefilter {
    /// The literals of the request's phases, and those of all; nothing where there are too many.
    scans: [Option<Scan>; 2],
    /// Per literal, the conditions that it satisfies.
    satisfied: Vec<Candidates>,
    gates: Vec<Gate>,
    /// The conditions that no text of ordinary bytes alone meets.
    special: Candidates,
    pub(crate) groups: Vec<Group>,
}

impl Prefilter {
    /// Gives the links of all rules their places among the conditions. `asked` are the conditions of each rule's
    /// links.
    pub(crate) fn build(
        rules: &mut [Rule],
        infos: &[RuleInfo],
        asked: Vec<Vec<Condition>>,
        phases: &[Vec<RuleIndex>; 5],
    ) -> Self {
        let mut conditions = Vec::new();
        let mut reaches = Vec::new();
        for ((rule, info), asked) in rules.iter_mut().zip(infos).zip(asked) {
            for (link, condition) in rule.links.iter_mut().zip(asked) {
                if condition.is_useful() && conditions.len() < GATES_MAX {
                    link.gate = u16::try_from(conditions.len()).ok();
                    conditions.push(condition);
                    reaches.push(Reach::of(info.phase));
                }
            }
        }
        let groups = group::lay(rules, phases);
        Self::lay(conditions, &reaches, groups)
    }

    fn lay(conditions: Vec<Condition>, reaches: &[Reach], groups: Vec<Group>) -> Self {
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut literals: Vec<(&[u8], Reach)> = Vec::new();
        let mut satisfied: Vec<Candidates> = Vec::new();
        let mut special = Candidates::NONE;
        for ((gate, condition), reach) in (0_u16..).zip(&conditions).zip(reaches) {
            if condition.is_special() {
                special.insert(gate);
            }
            for literal in condition.literals.iter() {
                let at = *places.entry(literal.as_slice()).or_insert_with(|| {
                    literals.push((literal, *reach));
                    satisfied.push(Candidates::NONE);
                    literals.len() - 1
                });
                if let Some(row) = satisfied.get_mut(at) {
                    row.insert(gate);
                }
                if let Some((_, nearest)) = literals.get_mut(at) {
                    *nearest = (*nearest).min(*reach);
                }
            }
        }
        let numbered = literals.iter().enumerate().map(|(at, (text, reach))| (at, *text, *reach));
        let within = |most: Reach| {
            let kept = numbered.clone().filter(move |(_, _, reach)| *reach <= most);
            Scan::new(kept.map(|(at, text, _)| (at, text)))
        };
        let scans = [within(Reach::Request), within(Reach::All)];
        satisfied.shrink_to_fit();
        let gates = conditions.into_iter().map(Gate::from).collect();
        Self { scans, satisfied, gates, special, groups }
    }

    /// What is left to ask of the condition of a place.
    pub(crate) fn gate(&self, gate: u16) -> Option<&Gate> {
        self.gates.get(usize::from(gate))
    }

    /// The conditions that no text of ordinary bytes alone meets.
    pub(crate) fn special(&self) -> &Candidates {
        &self.special
    }

    /// The conditions whose literals a text holds, of those within reach. One pass.
    pub(crate) fn with_literals(&self, text: &[u8], reach: Reach) -> Candidates {
        let Some(Some(scan)) = self.scans.get(reach as usize) else {
            // Without the tables nobody can say that a literal is absent.
            return Candidates::ALL;
        };
        let mut found = Candidates::NONE;
        scan.run(text, |literal| {
            if let Some(row) = self.satisfied.get(usize::from(literal)) {
                found.join(row);
            }
        });
        found
    }
}
