//! A rule ready to run: links with their targets, tests and effects.

use std::sync::Arc;

use regex_automata::meta::Regex;

use super::expansion::Expansion;
use super::info::RuleIndex;
use super::names::TxId;
use super::nodes::NodeId;
use super::settings::EngineMode;
use crate::body::Kind;
use crate::operator::Operator;
use crate::variable::Variable;

/// A rule: a chain of one or more links, and what happens when all of them match.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) links: Vec<Link>,
    pub(crate) disruption: Disruption,
    /// The step of its phase to go on with after a match, when that is not the next one.
    pub(crate) skip_to: Option<usize>,
    pub(crate) log: bool,
    /// Whether anything reads what it matched: the log, a macro, a later link.
    pub(crate) keeps_hits: bool,
    pub(crate) severity: Option<u8>,
    pub(crate) msg: Expansion,
    pub(crate) logdata: Expansion,
}

/// What a rule does to the transaction when it matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Disruption {
    Pass,
    Allow(AllowScope),
    Deny { status: u16 },
    Drop,
    Redirect { status: u16, to: Expansion },
}

/// What `allow` leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AllowScope {
    /// The rest of the transaction but its logging phase.
    Transaction,
    /// The rest of the phase.
    Phase,
    /// The rest of the request's phases.
    Request,
}

/// One link of a chain.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) targets: Vec<Target>,
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) node: NodeId,
    /// The chains on the way to `node`, it last.
    pub(crate) path: Vec<NodeId>,
    /// With `multiMatch`, every chain on the way to `node`; otherwise empty.
    pub(crate) stages: Vec<NodeId>,
    pub(crate) test: Test,
    pub(crate) negated: bool,
    pub(crate) capture: bool,
    /// Nothing but messages reads what it captures.
    pub(crate) captures_to_show: bool,
    pub(crate) effects: Vec<Effect>,
    /// Its row among the conditions of the prefilter.
    pub(crate) gate: Option<u16>,
    /// The group of links that read the same values through the same chain; only for first links
    /// that the prefilter can rule out as a whole.
    pub(crate) group: Option<u16>,
}

impl Link {
    /// Whether one of its targets or macros reads `MATCHED_VAR` or its kin.
    pub(crate) fn reads_hits(&self) -> bool {
        let target = |target: &Target| matches!(target.source, Source::Matched(_));
        let test = match &self.test {
            Test::Number(_, Operand::Text(text)) | Test::Text(_, text) => text.reads_hits(),
            Test::Number(_, Operand::Number(_))
            | Test::Always
            | Test::Never
            | Test::Geo
            | Test::Operator(_) => false,
        };
        test || self.targets.iter().any(target) || self.effects.iter().any(Effect::reads_hits)
    }
}

impl Rule {
    /// Whether it acts on what was captured: a test, a target or an effect reads `TX:0` to `TX:9`. What only its
    /// message and log data show does not count.
    pub(crate) fn acts_on_captures(&self) -> bool {
        self.links.iter().any(|link| link.asks_captures() || link.writes_captures())
    }

    /// Whether it does so before one of its own links has captured: it acts on what another rule left.
    pub(crate) fn acts_on_others_captures(&self) -> bool {
        let mut captured = false;
        self.links.iter().any(|link| {
            let asks = !captured && link.asks_captures();
            captured |= link.capture;
            asks || (!captured && link.writes_captures())
        })
    }
}

impl Link {
    fn asks_captures(&self) -> bool {
        let target = |target: &Target| match target.source {
            Source::TxSlot(id) => id.is_capture(),
            Source::Tx => target.slots.iter().any(|id| id.is_capture()),
            Source::Scalar(_)
            | Source::Lists(_)
            | Source::Matched(_)
            | Source::Persistent(_)
            | Source::Rule => false,
        };
        let test = match &self.test {
            Test::Number(_, Operand::Text(text)) | Test::Text(_, text) => text.reads_captures(),
            Test::Number(_, Operand::Number(_))
            | Test::Always
            | Test::Never
            | Test::Geo
            | Test::Operator(_) => false,
        };
        test || self.targets.iter().any(target)
    }

    fn writes_captures(&self) -> bool {
        self.effects.iter().any(Effect::reads_captures)
    }
}

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    /// What the rule wrote, for the trace.
    pub(crate) variable: Variable,
    pub(crate) counted: bool,
    pub(crate) source: Source,
    pub(crate) select: Select,
    /// For `TX` by pattern: the slots whose names it takes.
    pub(crate) slots: Vec<TxId>,
}

/// Where a target's values stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// One value.
    Scalar(Variable),
    /// Lists of named values.
    Lists(&'static [Variable]),
    /// One `TX` variable.
    TxSlot(TxId),
    /// `TX` by pattern, or the whole.
    Tx,
    /// What the rule has matched so far.
    Matched(Variable),
    /// A persistent collection.
    Persistent(Variable),
    /// A field of the running rule.
    Rule,
}

/// Which names of a collection.
#[derive(Clone, Debug)]
pub(crate) enum Select {
    All,
    /// In lower case.
    Name(Box<[u8]>),
    Pattern(Box<Regex>),
}

impl Select {
    /// Whether it takes a name, in any letter case.
    pub(crate) fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            Self::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

/// Values that a link does not read although its targets name them.
#[derive(Clone, Debug)]
pub(crate) struct Exclusion {
    pub(crate) source: Source,
    pub(crate) select: Select,
}

/// The condition of a link.
#[derive(Debug)]
pub(crate) enum Test {
    /// `SecAction`, `@unconditionalMatch`.
    Always,
    /// `@noMatch`, and what cannot match here (a note says so at load).
    Never,
    /// `@eq`, `@ge`, `@gt`, `@le`, `@lt`.
    Number(Order, Operand),
    /// An operator whose argument holds macros, expanded for each evaluation.
    Text(Box<str>, Expansion),
    /// `@geoLookup`: whether the caller gave a country.
    Geo,
    /// Everything else.
    Operator(Arc<Operator>),
}

/// How two numbers stand to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Order {
    pub(crate) fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::Above => left > right,
            Self::AtMost => left <= right,
            Self::Below => left < right,
        }
    }
}

/// The right side of a comparison of numbers.
#[derive(Debug)]
pub(crate) enum Operand {
    Number(i64),
    Text(Expansion),
}

/// What a link does for each value that it matches.
#[derive(Debug)]
pub(crate) enum Effect {
    SetVar(SetVar),
    Control(Control),
    /// `initcol`: gives a persistent collection its key.
    InitCollection(Variable, Expansion),
    /// `expirevar`: the name of a variable of a persistent collection, and the seconds until it is
    /// forgotten.
    Expire(Variable, Expansion, Expansion),
}

impl Effect {
    fn reads_captures(&self) -> bool {
        match self {
            Self::SetVar(set) => {
                let slot = match &set.slot {
                    Slot::Tx(_) => false,
                    Slot::TxNamed(name) | Slot::Persistent(_, name) => name.reads_captures(),
                };
                let update = match &set.update {
                    Update::Set(text) | Update::Add(text) | Update::Subtract(text) => {
                        text.reads_captures()
                    }
                    Update::Remove => false,
                };
                slot || update
            }
            Self::Control(_) => false,
            Self::InitCollection(_, key) => key.reads_captures(),
            Self::Expire(_, name, seconds) => name.reads_captures() || seconds.reads_captures(),
        }
    }

    fn reads_hits(&self) -> bool {
        match self {
            Self::SetVar(set) => {
                let slot = match &set.slot {
                    Slot::Tx(_) => false,
                    Slot::TxNamed(name) | Slot::Persistent(_, name) => name.reads_hits(),
                };
                let update = match &set.update {
                    Update::Set(text) | Update::Add(text) | Update::Subtract(text) => {
                        text.reads_hits()
                    }
                    Update::Remove => false,
                };
                slot || update
            }
            Self::Control(_) => false,
            Self::InitCollection(_, key) => key.reads_hits(),
            Self::Expire(_, name, seconds) => name.reads_hits() || seconds.reads_hits(),
        }
    }
}

/// `setvar`.
#[derive(Debug)]
pub(crate) struct SetVar {
    pub(crate) slot: Slot,
    pub(crate) update: Update,
}

/// Which variable.
#[derive(Debug)]
pub(crate) enum Slot {
    Tx(TxId),
    TxNamed(Expansion),
    Persistent(Variable, Expansion),
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Update {
    Set(Expansion),
    Add(Expansion),
    Subtract(Expansion),
    Remove,
}

/// `ctl`, for the rest of the transaction.
#[derive(Debug)]
pub(crate) enum Control {
    RemoveRules(Vec<RuleIndex>),
    /// A row of the program's target removals.
    RemoveTarget(usize),
    Engine(EngineMode),
    BodyProcessor(Kind),
    ForceBodyVariable(bool),
    RequestBody(bool),
    ResponseBody(bool),
    RequestBodyLimit(usize),
    ResponseBodyLimit(usize),
}

/// `ctl:ruleRemoveTarget…`: values that some rules no longer read.
#[derive(Debug)]
pub(crate) struct TargetRemoval {
    /// In order, for a binary search.
    pub(crate) rules: Vec<RuleIndex>,
    pub(crate) exclusion: Exclusion,
}
