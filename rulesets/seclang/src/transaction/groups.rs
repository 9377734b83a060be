//! Links that read the same values through the same chain share one question to the prefilter.

use super::state::State;
use super::texts::Asker;
use super::values::ValueId;
use crate::prefilter::{Candidates, Group, Reach};
use crate::program::{Jump, Pass, Program, Select, Step, TargetSource};

/// What the values of a group were asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    asked: Candidates,
    /// Of these, the conditions that a value satisfies.
    satisfied: Candidates,
}

impl Asked {
    pub(crate) const NOTHING: Self = Self { asked: Candidates::NONE, satisfied: Candidates::NONE };
}

impl State {
    /// Whether any value of a group satisfies a condition. `ahead` are the steps of the phase that are still to
    /// come: what they will ask of the group is asked at once.
    pub(crate) fn group_satisfies(
        &mut self,
        program: &Program,
        steps: &[Step],
        at: usize,
        group: u16,
        gate: u16,
    ) -> bool {
        match self.groups.get(usize::from(group)) {
            Some(known) if known.asked.contains(gate) => known.satisfied.contains(gate),
            Some(_) => self.ask(program, steps, at, group, gate),
            None => true,
        }
    }

    fn ask(&mut self, program: &Program, steps: &[Step], at: usize, group: u16, gate: u16) -> bool {
        let at_group = usize::from(group);
        let (Some(of), Some(known)) =
            (program.prefilter.groups.get(at_group), self.groups.get(at_group).copied())
        else {
            return true;
        };
        let foreseen = match self.foreseen {
            Some(foreseen) => foreseen,
            None => self.foresee(steps, at),
        };
        self.foreseen = Some(foreseen);
        let mut wanted = of.gates.and(&foreseen).without(&known.asked);
        wanted.insert(gate);
        let found = self.met_by_values(program, of, &wanted);
        if let Some(known) = self.groups.get_mut(at_group) {
            known.asked.join(&wanted);
            known.satisfied.join(&found);
        }
        let steps = self.texts.take_steps();
        self.spend(steps);
        found.contains(gate)
    }

    /// The conditions that the steps from `at` on ask for if the numbers of `TX` stay as they are. A condition
    /// that is not foreseen is asked when its rule comes.
    fn foresee(&self, steps: &[Step], mut at: usize) -> Candidates {
        let mut foreseen = Candidates::NONE;
        while let Some(step) = steps.get(at) {
            at += 1;
            match &step.pass {
                Pass::Never => {}
                Pass::Group { gate, .. } => foreseen.insert(*gate),
                Pass::Jump(jump) => {
                    if self.holds(jump) {
                        at = jump.to.max(at);
                    }
                }
            }
        }
        foreseen
    }

    /// Whether a jump's comparison holds.
    pub(crate) fn holds(&self, jump: &Jump) -> bool {
        let number = self.tx.slot(jump.slot).map(super::tx::Var::number);
        number.is_some_and(|number| jump.order.holds(number, jump.number) != jump.negated)
    }

    /// Of the wanted conditions, those that a value of the group satisfies.
    fn met_by_values(
        &mut self,
        program: &Program,
        group: &Group,
        wanted: &Candidates,
    ) -> Candidates {
        let mut met = Candidates::NONE;
        for word in group.words.clone() {
            let open = self.open_after_values(program, group, word, wanted.word(word));
            met.set_word(word, wanted.word(word) & !open);
        }
        met
    }

    /// Of conditions of a word, those that no value of the group satisfies.
    fn open_after_values(
        &mut self,
        program: &Program,
        group: &Group,
        word: usize,
        mut open: u64,
    ) -> u64 {
        let asker = Asker {
            prefilter: &program.prefilter,
            nodes: &program.nodes,
            reach: Reach::of(self.phase),
        };
        let Self { values, texts, .. } = self;
        for node in &group.nodes {
            let mut ask = |ids: &[ValueId]| {
                if open != 0 {
                    open = texts.unmet(asker, values, ids, *node, word, open);
                }
            };
            for (source, select) in &group.reads {
                match (source, select) {
                    (TargetSource::Scalar(variable), _) => ask(&[values.scalar(*variable)]),
                    (TargetSource::Lists(lists), Select::All) => {
                        lists.iter().for_each(|list| ask(values.list(*list)));
                    }
                    (TargetSource::Lists(lists), Select::Name(_) | Select::Pattern(_)) => {
                        let ids = lists.iter().flat_map(|list| values.list(*list));
                        ids.filter(|id| select.takes(values.name(**id))).for_each(|id| ask(&[*id]));
                    }
                    (
                        TargetSource::TxSlot(_)
                        | TargetSource::Tx
                        | TargetSource::Matched(_)
                        | TargetSource::Persistent(_)
                        | TargetSource::Rule,
                        _,
                    ) => return 0,
                }
            }
        }
        open
    }
}
