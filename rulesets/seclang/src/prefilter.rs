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
use condition::Gate;
pub(crate) use condition::{Condition, ORDINARY};
pub(crate) use group::Group;

use std::collections::HashMap;

use crate::byte_set::ByteSet;
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
    /// The conditions that ask for a literal.
    asking: Candidates,
    /// Per reach, the conditions that ask for no literal within it.
    silent: [Candidates; 2],
    pub(crate) groups: Vec<Group>,
}

impl Prefilter {
    /// Gives the links of all rules their places among the conditions, those of a group in a row. `asked` are the
    /// conditions of each rule's links.
    pub(crate) fn build(
        rules: &mut [Rule],
        infos: &[RuleInfo],
        asked: Vec<Vec<Condition>>,
        phases: &[Vec<RuleIndex>; 5],
    ) -> Self {
        let is_useful = |row: &Vec<Condition>| row.first().is_some_and(Condition::is_useful);
        let mut groups =
            group::lay(rules, phases, |index| asked.get(index.get()).is_some_and(is_useful));
        let mut places = Places { asked, conditions: Vec::new(), reaches: Vec::new() };
        for group in &mut groups {
            for index in &group.rules {
                let gate = places.take(rules, infos, *index, 0);
                gate.into_iter().for_each(|gate| group.gates.insert(gate));
            }
            group.words = group.gates.words();
        }
        for index in (0..rules.len()).map(RuleIndex::new) {
            let links = rules.get(index.get()).map_or(0, |rule| rule.links.len());
            for link in 0..links {
                places.take(rules, infos, index, link);
            }
        }
        Self::lay(places.conditions, &places.reaches, groups)
    }

    fn lay(conditions: Vec<Condition>, reaches: &[Reach], groups: Vec<Group>) -> Self {
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut literals: Vec<(&[u8], Reach)> = Vec::new();
        let mut satisfied: Vec<Candidates> = Vec::new();
        let (mut special, mut asking) = (Candidates::NONE, Candidates::NONE);
        let mut asking_request = Candidates::NONE;
        for ((gate, condition), reach) in (0_u16..).zip(&conditions).zip(reaches) {
            if condition.is_special() {
                special.insert(gate);
            }
            if condition.asks_literal() {
                asking.insert(gate);
                if *reach == Reach::Request {
                    asking_request.insert(gate);
                }
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
        let silent = [asking_request, asking].map(|asking| Candidates::ALL.without(&asking));
        Self { scans, satisfied, gates, special, asking, silent, groups }
    }

    /// Of some conditions of a word, those that a text is long enough for and holds a byte of each set of; their
    /// literals are another question.
    pub(crate) fn fitting(&self, word: usize, asked: u64, length: usize, holds: &ByteSet) -> u64 {
        let (mut rest, mut met) = (asked, asked);
        while rest != 0 {
            let gate = self.gates.get(word * 64 + rest.trailing_zeros() as usize);
            if gate.is_some_and(|gate| !gate.fits(length, holds)) {
                met &= !(rest & rest.wrapping_neg());
            }
            rest &= rest - 1;
        }
        met
    }

    /// The conditions that no text of ordinary bytes alone meets.
    pub(crate) fn special(&self) -> &Candidates {
        &self.special
    }

    /// The conditions that ask for a literal.
    pub(crate) fn asking(&self) -> &Candidates {
        &self.asking
    }

    /// The conditions that the literals of a text do not rule out: those within reach whose literals it holds, and
    /// all that ask for none or are out of reach. One pass.
    pub(crate) fn with_literals(&self, text: &[u8], reach: Reach) -> Candidates {
        let Some(Some(scan)) = self.scans.get(reach as usize) else {
            // Without the tables nobody can say that a literal is absent.
            return Candidates::ALL;
        };
        let mut found = self.silent.get(reach as usize).copied().unwrap_or(Candidates::ALL);
        scan.run(text, |literal| {
            if let Some(row) = self.satisfied.get(usize::from(literal)) {
                found.join(row);
            }
        });
        found
    }
}

/// Conditions while they are given their places.
struct Places {
    /// Those of each rule's links that have none yet.
    asked: Vec<Vec<Condition>>,
    conditions: Vec<Condition>,
    reaches: Vec<Reach>,
}

impl Places {
    /// Gives the condition of a link the next place, when it is useful and a place is left.
    fn take(
        &mut self,
        rules: &mut [Rule],
        infos: &[RuleInfo],
        index: RuleIndex,
        link: usize,
    ) -> Option<u16> {
        let at = index.get();
        let condition = self.asked.get_mut(at)?.get_mut(link).filter(|c| c.is_useful())?;
        let of_link = rules.get_mut(at)?.links.get_mut(link)?;
        let reach = Reach::of(infos.get(at)?.phase);
        if self.conditions.len() >= GATES_MAX {
            return None;
        }
        of_link.gate = u16::try_from(self.conditions.len()).ok();
        self.conditions.push(std::mem::take(condition));
        self.reaches.push(reach);
        of_link.gate
    }
}
