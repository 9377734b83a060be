//! The rules of a phase in a row, each with what passes over it: most rules of most requests are passed over,
//! and a row of a few bytes says so without a look at the rule itself.

use super::info::RuleIndex;
use super::link::{Disruption, Operand, Order, Rule, Source, Test};
use super::names::TxId;
use super::nodes::Nodes;

/// One rule in the order of its phase.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) rule: RuleIndex,
    pub(crate) pass: Pass,
}

/// What decides about a rule without its evaluation.
#[derive(Debug)]
pub(crate) enum Pass {
    /// Nothing does.
    Never,
    /// It does not match where no value of the group satisfies the condition.
    Group { group: u16, gate: u16 },
    /// It only compares a number and jumps: a paranoia level's gate.
    Jump(Jump),
}

/// A rule that compares a number of `TX` and jumps when that holds, and does nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jump {
    pub(crate) slot: TxId,
    pub(crate) order: Order,
    pub(crate) number: i64,
    pub(crate) negated: bool,
    pub(crate) to: usize,
}

impl Step {
    /// The step of a rule.
    pub(crate) fn of(index: RuleIndex, rule: &Rule) -> Self {
        let first = rule.links.first();
        let group =
            first.and_then(|link| Some(Pass::Group { group: link.group?, gate: link.gate? }));
        let pass = group.or_else(|| Jump::of(rule).map(Pass::Jump)).unwrap_or(Pass::Never);
        Self { rule: index, pass }
    }
}

impl Jump {
    fn of(rule: &Rule) -> Option<Self> {
        let [link] = rule.links.as_slice() else { return None };
        let [target] = link.targets.as_slice() else { return None };
        let (Source::TxSlot(slot), Test::Number(order, Operand::Number(number))) =
            (target.source, &link.test)
        else {
            return None;
        };
        let is_bare = !target.counted
            && link.exclusions.is_empty()
            && link.node == Nodes::ROOT
            && link.stages.is_empty()
            && link.effects.is_empty()
            && rule.disruption == Disruption::Pass
            && !rule.log
            && rule.severity.is_none();
        let to = rule.skip_to.filter(|_| is_bare)?;
        Some(Self { slot, order: *order, number: *number, negated: link.negated, to })
    }
}
