//! Everything of a transaction but its program, so that the two can be borrowed apart.

use std::sync::Arc;

use super::body::BodyState;
use super::groups::Asked;
use super::hits::{Hits, Match};
use super::persistent::{Persistent, Store};
use super::texts::Texts;
use super::tx::Tx;
use super::values::Values;
use super::watch::Watch;
use crate::captures::Captures;
use crate::prefilter::Candidates;
use crate::program::{AllowScope, EngineMode, Program, RuleIndex};

/// How a transaction is to end, as decided by a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intervention {
    /// The status to answer with; for `drop`, 403.
    pub status: u16,
    /// What to do.
    pub action: InterventionAction,
    /// The rule that decided; 0 when a limit did.
    pub rule_id: u32,
    /// The phase in which it was decided.
    pub phase: u8,
    /// The rule's message, macros expanded. For the log, never for the client.
    pub message: Vec<u8>,
}

/// What an intervention does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InterventionAction {
    /// Answer with the status.
    Deny,
    /// Close the connection without an answer.
    Drop,
    /// Answer with the status and this location.
    Redirect(Vec<u8>),
}

/// A rule that matched and is logged, with its texts expanded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fired {
    /// The rule.
    pub rule: RuleIndex,
    /// Its message.
    pub msg: Vec<u8>,
    /// Its log data.
    pub logdata: Vec<u8>,
}

/// Work buffers; taken out while in use.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) value: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) transformed: Vec<u8>,
}

/// The state of one transaction.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) values: Values,
    pub(crate) texts: Texts,
    /// Per group of the prefilter, which conditions were asked of its values.
    pub(crate) groups: Vec<Asked>,
    /// The conditions that the rest of the phase is going to ask for, as far as can be foreseen.
    pub(crate) foreseen: Option<Candidates>,
    pub(crate) tx: Tx,
    pub(crate) persistent: Persistent,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) hits: Hits,
    pub(crate) matches: Vec<Match>,
    pub(crate) fired: Vec<Fired>,
    pub(crate) body: BodyState,
    pub(crate) captures: Captures,
    pub(crate) mode: EngineMode,
    pub(crate) trace: bool,
    pub(crate) watch: Option<Watch>,
    /// Rules taken out by `ctl`, one bit each.
    pub(crate) removed: Vec<u64>,
    pub(crate) any_removed: bool,
    /// Rows of the program's target removals that are in force.
    pub(crate) removals: Vec<usize>,
    /// One of them takes variables of `TX` out.
    pub(crate) any_tx_removed: bool,
    pub(crate) allowed: Option<AllowScope>,
    pub(crate) intervention: Option<Intervention>,
    pub(crate) detected: Option<Intervention>,
    pub(crate) steps_left: u64,
    pub(crate) exhausted: bool,
    pub(crate) has_country: bool,
    pub(crate) highest_severity: u8,
    pub(crate) scratch: Scratch,
    pub(crate) prefiltered: bool,
    pub(crate) phase: u8,
}

impl State {
    pub(crate) fn new(program: &Program) -> Self {
        Self {
            values: Values::new(),
            texts: Texts::new(&program.prefilter),
            groups: vec![Asked::NOTHING; program.prefilter.groups.len()],
            foreseen: None,
            tx: Tx::new(&program.tx_names),
            persistent: Persistent::default(),
            store: None,
            hits: Hits::default(),
            matches: Vec::new(),
            fired: Vec::new(),
            body: BodyState::new(&program.settings),
            captures: Captures::default(),
            mode: program.settings.engine,
            trace: false,
            watch: None,
            removed: vec![0; program.rules.len().div_ceil(64)],
            any_removed: false,
            removals: Vec::new(),
            any_tx_removed: false,
            allowed: None,
            intervention: None,
            detected: None,
            steps_left: program.settings.budget,
            exhausted: false,
            has_country: false,
            highest_severity: u8::MAX,
            scratch: Scratch::default(),
            prefiltered: true,
            phase: 0,
        }
    }

    /// Makes it as new for the same program, keeping its memory.
    pub(crate) fn reset(&mut self, program: &Program) {
        self.values.reset();
        self.texts.reset();
        self.groups.fill(Asked::NOTHING);
        self.foreseen = None;
        self.tx.reset();
        self.persistent.reset();
        self.hits.clear();
        self.matches.clear();
        self.fired.clear();
        self.watch.iter_mut().for_each(Watch::forget);
        self.body.reset(&program.settings);
        self.mode = program.settings.engine;
        if self.any_removed {
            self.removed.fill(0);
            self.any_removed = false;
        }
        self.removals.clear();
        self.any_tx_removed = false;
        self.allowed = None;
        self.intervention = None;
        self.detected = None;
        self.steps_left = program.settings.budget;
        self.exhausted = false;
        self.has_country = false;
        self.highest_severity = u8::MAX;
        self.phase = 0;
    }

    /// Takes a rule out for the rest of the transaction.
    pub(crate) fn remove_rule(&mut self, rule: RuleIndex) {
        if let Some(word) = self.removed.get_mut(rule.get() / 64) {
            *word |= 1 << (rule.get() % 64);
            self.any_removed = true;
        }
    }

    /// Whether `ctl` took a rule out.
    pub(crate) fn is_removed(&self, rule: RuleIndex) -> bool {
        self.any_removed
            && self.removed.get(rule.get() / 64).is_some_and(|w| w & (1 << (rule.get() % 64)) != 0)
    }

    /// Pays for work. Past the budget nothing more is evaluated.
    pub(crate) fn spend(&mut self, steps: usize) {
        match self.steps_left.checked_sub(steps as u64 + 16) {
            Some(left) => self.steps_left = left,
            None => {
                self.steps_left = 0;
                self.exhausted = true;
            }
        }
    }
}
