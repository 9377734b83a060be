//! Which rules ran, and what each of them cost: for the trace, on request. The clock is the caller's.

use std::fmt::Debug;
use std::sync::Arc;

use super::evaluate::Next;
use super::state::State;
use crate::program::RuleIndex;

/// A clock of the caller's. The engine reads none of its own.
pub trait Clock: Debug + Send + Sync {
    /// Returns nanoseconds since any moment, never fewer than before.
    fn nanos(&self) -> u64;
}

/// A rule that ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ran {
    /// The rule.
    pub rule: RuleIndex,
    /// The phase in which it ran.
    pub phase: u8,
    /// Whether it matched as a whole.
    pub matched: bool,
    /// The steps of the budget that it took; next to none where the prefilter spared it.
    pub steps: u64,
    /// How long it took by the caller's clock, if there is one.
    pub nanos: Option<u64>,
}

/// What is watched.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    clock: Option<Arc<dyn Clock>>,
    ran: Vec<Ran>,
    matched: bool,
}

impl Watch {
    pub(crate) fn new(clock: Option<Arc<dyn Clock>>) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Rules that ran so far: at most one entry per rule of the program.
    pub(crate) fn ran(&self) -> &[Ran] {
        &self.ran
    }

    pub(crate) fn forget(&mut self) {
        self.ran.clear();
    }

    /// The rule that runs has matched.
    pub(crate) fn matched(&mut self) {
        self.matched = true;
    }

    fn nanos(&self) -> Option<u64> {
        self.clock.as_ref().map(|clock| clock.nanos())
    }
}

impl State {
    /// Runs a rule by `run` and records it.
    pub(super) fn watched(&mut self, rule: RuleIndex, run: impl FnOnce(&mut Self) -> Next) -> Next {
        let (steps, before) = (self.steps_left, self.watch.as_ref().and_then(Watch::nanos));
        let next = run(self);
        let (phase, steps) = (self.phase, steps.saturating_sub(self.steps_left));
        if let Some(watch) = &mut self.watch {
            let took =
                watch.nanos().zip(before).map(|(after, before)| after.saturating_sub(before));
            let matched = std::mem::take(&mut watch.matched);
            watch.ran.push(Ran { rule, phase, matched, steps, nanos: took });
        }
        next
    }
}
