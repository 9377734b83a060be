//! A compiled rule set: immutable, shared by every transaction that runs it.

mod expansion;
mod info;
mod link;
mod names;
mod nodes;
mod settings;
mod step;

use std::sync::Arc;

pub(crate) use expansion::{Expansion, Piece, RuleField};
pub use info::{LinkInfo, RuleIndex, RuleInfo};
pub(crate) use link::{
    AllowScope, Control, Disruption, Effect, Exclusion, Link, Operand, Order, Rule, Select, SetVar,
    Slot, Source as TargetSource, Target, TargetRemoval, Test, Update,
};
pub(crate) use names::{CAPTURE_SLOTS, TxId, TxNames};
pub(crate) use nodes::{NodeId, Nodes};
pub(crate) use settings::Settings;
pub use settings::{EngineMode, LimitAction};
pub(crate) use step::{Jump, Pass, Step};

use crate::prefilter::Prefilter;
use crate::{Diagnostic, Resolve};

/// A compiled rule set.
#[derive(Debug)]
pub struct Program {
    pub(crate) rules: Vec<Rule>,
    pub(crate) infos: Vec<RuleInfo>,
    /// Per phase, the rules in the order in which they run.
    pub(crate) phases: [Vec<Step>; 5],
    pub(crate) tx_names: TxNames,
    pub(crate) nodes: Nodes,
    pub(crate) settings: Settings,
    pub(crate) removals: Vec<TargetRemoval>,
    pub(crate) reads_time: bool,
    pub(crate) opens_collections: bool,
    pub(crate) prefilter: Prefilter,
}

/// What a successful compilation gives.
#[derive(Debug)]
pub struct Compiled {
    /// The rule set.
    pub program: Program,
    /// What was accepted and has no effect here, or names nothing.
    pub notes: Vec<Diagnostic>,
    /// Every file that was read, in order; what a reload watches.
    pub files: Vec<String>,
}

impl Program {
    /// Compiles rule text. `entry` names the text in diagnostics and is what its relative paths
    /// are resolved against. Every error that can be found is reported, not only the first.
    pub fn compile(
        entry: &str,
        text: &str,
        resolve: &dyn Resolve,
    ) -> Result<Compiled, Vec<Diagnostic>> {
        crate::compile::compile(entry, text.as_bytes(), resolve)
    }

    /// The rules, in the order in which they were written; a [`RuleIndex`] is a place in this list.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// Finds a rule by its id.
    pub fn rule(&self, id: u32) -> Option<(RuleIndex, &RuleInfo)> {
        let at = self.infos.iter().position(|info| info.id == id)?;
        Some((RuleIndex::new(at), self.infos.get(at)?))
    }

    /// Says whether rules open a persistent collection: without one, a store would never be asked.
    pub const fn opens_collections(&self) -> bool {
        self.opens_collections
    }

    /// Starts a transaction; the same as [`Transaction::new`](crate::Transaction::new).
    pub fn start(self: &Arc<Self>) -> crate::Transaction {
        crate::Transaction::new(Arc::clone(self))
    }
}
