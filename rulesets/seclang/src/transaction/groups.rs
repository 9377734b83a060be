//! Links that read the same values through the same chain share one question to the prefilter.

use super::state::State;
use crate::prefilter::{Candidates, Group};
use crate::program::{Program, TargetSource};

impl State {
    /// Whether any value of a group satisfies a condition; the values are asked once per phase.
    pub(crate) fn group_satisfies(&mut self, program: &Program, group: u16, gate: u16) -> bool {
        let at = usize::from(group);
        if let Some(Some(known)) = self.groups.get(at) {
            return known.contains(gate);
        }
        let Some(of) = program.prefilter.groups.get(at) else { return true };
        let found = self.gather_candidates(program, of);
        if let Some(slot) = self.groups.get_mut(at) {
            *slot = Some(found);
        }
        let steps = self.texts.take_steps();
        self.spend(steps);
        found.contains(gate)
    }

    fn gather_candidates(&mut self, program: &Program, group: &Group) -> Candidates {
        let mut found = Candidates::NONE;
        let Self { values, texts, .. } = self;
        let mut ask = |id| {
            for node in &group.nodes {
                let text = texts.of(&program.nodes, values, id, *node);
                found.join(texts.candidates(&program.prefilter, values, text));
            }
        };
        for (source, select) in &group.reads {
            match source {
                TargetSource::Scalar(variable) => ask(values.scalar(*variable)),
                TargetSource::Lists(lists) => {
                    let ids = lists.iter().flat_map(|list| values.list(*list));
                    ids.filter(|id| select.takes(values.name(**id))).for_each(|id| ask(*id));
                }
                TargetSource::TxSlot(_)
                | TargetSource::Tx
                | TargetSource::Matched(_)
                | TargetSource::Persistent(_)
                | TargetSource::Rule => return Candidates::ALL,
            }
        }
        found
    }
}
