//! First links that read the same values through the same chain: one question rules all of them out.

use std::ops::Range;

use super::Candidates;
use crate::program::{NodeId, Rule, RuleIndex, Select, TargetSource};
use crate::variable::Home;

/// What the links of a group read.
#[derive(Debug)]
pub(crate) struct Group {
    /// The chains whose texts are read: one, or with `multiMatch` every stage.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) reads: Vec<(TargetSource, Select)>,
    /// The conditions of its links.
    pub(crate) gates: Candidates,
    /// The words of `gates` that hold any. Conditions are numbered group by group: nearly always one word.
    pub(crate) words: Range<usize>,
    /// The rules whose first links these are.
    pub(super) rules: Vec<RuleIndex>,
    phase: usize,
}

/// Puts first links that have a condition into groups. Left out are links whose values change while a phase runs,
/// and counts.
pub(super) fn lay(
    rules: &mut [Rule],
    phases: &[Vec<RuleIndex>; 5],
    has_condition: impl Fn(RuleIndex) -> bool,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (phase, steps) in phases.iter().enumerate() {
        for index in steps.iter().filter(|index| has_condition(**index)) {
            let Some(link) = rules.get_mut(index.get()).and_then(|rule| rule.links.first_mut())
            else {
                continue;
            };
            let steady =
                link.targets.iter().all(|target| !target.counted && is_steady(target.source));
            if !steady || link.targets.is_empty() {
                continue;
            }
            let reads: Vec<_> = link.targets.iter().map(|t| (t.source, t.select.clone())).collect();
            let nodes = if link.stages.is_empty() { vec![link.node] } else { link.stages.clone() };
            let same = |group: &Group| {
                group.phase == phase && group.nodes == nodes && alike(&group.reads, &reads)
            };
            let at = groups.iter().position(same).unwrap_or_else(|| {
                let (gates, rules) = (Candidates::NONE, Vec::new());
                groups.push(Group { nodes, reads, gates, words: 0..0, rules, phase });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.rules.push(*index);
            }
            link.group = u16::try_from(at).ok();
        }
    }
    groups
}

fn is_steady(source: TargetSource) -> bool {
    match source {
        TargetSource::Scalar(variable) => variable.home() == Home::Scalar,
        TargetSource::Lists(_) => true,
        TargetSource::TxSlot(_)
        | TargetSource::Tx
        | TargetSource::Matched(_)
        | TargetSource::Persistent(_)
        | TargetSource::Rule => false,
    }
}

fn alike(left: &[(TargetSource, Select)], right: &[(TargetSource, Select)]) -> bool {
    left.len() == right.len()
        && left.iter().all(|(source, select)| {
            right.iter().any(|(other, by)| source == other && same_select(select, by))
        })
}

/// Two patterns are never called the same: a group more costs little.
fn same_select(left: &Select, right: &Select) -> bool {
    match (left, right) {
        (Select::All, Select::All) => true,
        (Select::Name(left), Select::Name(right)) => left == right,
        (Select::All | Select::Name(_) | Select::Pattern(_), _) => false,
    }
}
