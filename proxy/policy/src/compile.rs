//! A security policy to one that runs: regexes compiled, addresses sorted, sets and lists resolved.

mod action;
mod code;
mod condition;
mod question;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis_config::armor::{self, Scoring, SecurityPolicy};
use portcullis_config::expr::{Kind, WafSet};
use portcullis_config::{Diagnostic, Location, Severity, Timestamp};

use crate::address_set::IpSet;
use crate::cursor::Cursor;
use crate::limit::LimitId;
use crate::trace::{RuleResult, RuleTrace};
use crate::verdict::{ConfiguredAction, EventKind, HeaderToSet};
use crate::waf::WafRules;
pub(crate) use action::{Action, CompiledExceed, CompiledKey, KeyKind, RateRule};
pub(crate) use code::{Code, Common, HeadText, Operand};
pub use question::Served;
pub(crate) use question::{Question, QuestionExclusion, Scored};

/// What a policy is compiled with.
#[derive(Clone, Copy, Debug)]
pub struct Materials<'m> {
    /// The loaded rule sets by name.
    pub rulesets: &'m BTreeMap<String, Arc<dyn WafRules>>,
    /// The loaded address lists by name: groups, feeds and named lists alike.
    pub lists: &'m BTreeMap<String, Arc<IpSet>>,
    /// The database of countries.
    pub geo: GeoState,
    /// The database of autonomous systems.
    pub asn: GeoState,
}

/// Whether a database is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeoState {
    /// It is loaded.
    Loaded,
    /// It is not: a rule that reads it is inactive, with a warning.
    Absent,
    /// It is not, and the configuration requires it: a rule that reads it is an error.
    Required,
}

/// A policy that runs. It never changes; counts and bans are in [`crate::State`].
#[derive(Debug)]
pub struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) rules: Box<[Rule]>,
    /// Rules that read a database that is not loaded.
    pub(crate) inactive: Box<[RuleTrace]>,
    /// The rule sets that are asked, each once per request.
    pub(crate) wafs: Box<[Arc<dyn WafRules>]>,
    pub(crate) questions: Box<[Question]>,
    /// What rules read of a request that is worked out once.
    pub(crate) commons: Box<[Common]>,
    pub(crate) user_ip_headers: Box<[Box<str>]>,
    /// Whether a rule reads the token's claims, so that the cursor keeps them.
    pub(crate) reads_claims: bool,
    /// Whether a rule reads the body itself, so that the cursor keeps it.
    pub(crate) reads_body: bool,
    /// Whether the log wants the matched field.
    pub(crate) verbose: bool,
}

/// A rule that runs.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) priority: u32,
    pub(crate) preview: bool,
    pub(crate) condition: Code,
    pub(crate) action: Action,
    pub(crate) headers: Box<[HeaderToSet]>,
    /// What a refusal by this rule is, where no WAF question says more.
    pub(crate) event: EventKind,
    /// What a refused client reads in place of the usual body.
    pub(crate) deny_body: Option<Arc<str>>,
    /// From when on the rule does nothing.
    pub(crate) expires: Option<Timestamp>,
    /// Where it stands.
    pub(crate) at: Location,
}

/// Which preconfigured sets a policy asks, and the highest level of each: what has to be loaded for it.
#[must_use]
pub fn demand(definition: &SecurityPolicy) -> Vec<(WafSet, u8)> {
    let mut demands: Vec<(WafSet, u8)> = Vec::new();
    for rule in &definition.rules {
        let armor::Condition::Expression(expression) = &rule.condition else { continue };
        expression.typed.walk(&mut |node| {
            let Kind::Waf(call) = &node.kind else { return };
            // Signatures that are named one by one may be of any level.
            let level = if call.opt_in.is_empty() { call.level() } else { 4 };
            match demands.iter_mut().find(|(set, _)| *set == call.set) {
                Some((_, highest)) => *highest = (*highest).max(level),
                None => demands.push((call.set.clone(), level)),
            }
        });
    }
    demands
}

impl Policy {
    /// Compiles a policy. Beside it stand the warnings.
    ///
    /// # Errors
    /// Every reason why it cannot run, warnings among them.
    pub fn compile(
        definition: &SecurityPolicy,
        with: &Materials<'_>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut compiler = Compiler {
            with,
            policy: Arc::from(definition.name.as_str()),
            problems: Vec::new(),
            inactive: Vec::new(),
            wafs: Vec::new(),
            questions: Vec::new(),
            commons: HashMap::new(),
            reads_claims: false,
            reads_body: false,
        };
        let rules: Vec<Option<Rule>> =
            definition.rules.iter().map(|rule| compiler.rule(rule)).collect();
        if compiler.problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(compiler.problems);
        }
        let advanced = &definition.advanced;
        let mut commons: Vec<(Common, usize)> = compiler.commons.into_iter().collect();
        commons.sort_by_key(|(_, number)| *number);
        let policy = Self {
            name: compiler.policy,
            rules: rules.into_iter().flatten().collect(),
            inactive: compiler.inactive.into(),
            wafs: compiler.wafs.into(),
            questions: compiler.questions.into(),
            commons: commons.into_iter().map(|(common, _)| common).collect(),
            user_ip_headers: advanced
                .user_ip_headers
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            reads_claims: compiler.reads_claims,
            reads_body: compiler.reads_body,
            verbose: advanced.log_level == armor::LogLevel::Verbose,
        };
        Ok((policy, compiler.problems))
    }

    /// Starts one request's evaluation.
    #[must_use]
    pub fn start(self: &Arc<Self>) -> Cursor {
        Cursor::new(Arc::clone(self))
    }

    /// Starts one request's evaluation and notes what came of each rule, for [`Cursor::trace`].
    #[must_use]
    pub fn start_traced(self: &Arc<Self>) -> Cursor {
        Cursor::new(Arc::clone(self)).traced()
    }

    /// Returns the policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the limits that it counts: what a reload must keep in [`crate::State::retire`].
    pub fn limit_ids(&self) -> impl Iterator<Item = LimitId> + '_ {
        self.rules.iter().filter_map(|rule| match &rule.action {
            Action::Rate(rate) => Some(rate.limit.id().clone()),
            Action::Allow | Action::Deny(_) | Action::Redirect(_) | Action::Log => None,
        })
    }

    /// Returns the rules that do nothing at `now` because their time is over, by priority and place.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<(u32, Location)> {
        let over = |rule: &&Rule| rule.expires.is_some_and(|end| now >= end);
        self.rules.iter().filter(over).map(|rule| (rule.priority, rule.at.clone())).collect()
    }

    /// Returns which loaded rule set answers for each preconfigured set that the policy asks, each once.
    #[must_use]
    pub fn served(&self) -> Vec<&Served> {
        let mut served: Vec<&Served> = Vec::new();
        for question in &self.questions {
            if !served.contains(&&question.served) {
                served.push(&question.served);
            }
        }
        served
    }

    /// Whether the log of this policy wants the matched field.
    #[must_use]
    pub const fn is_verbose(&self) -> bool {
        self.verbose
    }
}

/// Compiles rule by rule and gathers problems; `None` means that one was recorded, or that the rule is inactive.
struct Compiler<'m> {
    with: &'m Materials<'m>,
    policy: Arc<str>,
    problems: Vec<Diagnostic>,
    inactive: Vec<RuleTrace>,
    wafs: Vec<Arc<dyn WafRules>>,
    questions: Vec<Question>,
    commons: HashMap<Common, usize>,
    reads_claims: bool,
    reads_body: bool,
}

impl Compiler<'_> {
    fn rule(&mut self, rule: &armor::Rule) -> Option<Rule> {
        if !self.is_active(rule) {
            self.inactive.push(RuleTrace {
                priority: rule.priority,
                preview: rule.preview,
                action: configured(&rule.action),
                result: RuleResult::Inactive,
            });
            return None;
        }
        let first = self.questions.len();
        let condition = self.condition(rule);
        self.score(first, rule.scoring);
        let action = self.action(rule);
        let headers = rule
            .headers
            .iter()
            .map(|header| HeaderToSet {
                name: header.name.as_str().into(),
                value: header.value.as_str().into(),
            })
            .collect();
        Some(Rule {
            priority: rule.priority,
            preview: rule.preview,
            condition: condition?,
            action: action?,
            headers,
            event: event(rule),
            deny_body: rule.deny_body.as_deref().map(Arc::from),
            expires: rule.expires,
            at: rule.at.clone(),
        })
    }

    /// Makes the questions of a rule, which are those from `first` on, add up their scores.
    fn score(&mut self, first: usize, scoring: Scoring) {
        let Scoring::Anomaly { threshold } = scoring else { return };
        let group = first..self.questions.len();
        for question in self.questions.iter_mut().skip(first) {
            question.scored = Some(Scored { threshold, group: group.clone() });
        }
    }

    /// A rule that reads a database that is not there is inactive, or an error where it is required.
    fn is_active(&mut self, rule: &armor::Rule) -> bool {
        let (countries, networks) = databases_read(rule);
        let region =
            !countries || self.database(self.with.geo, "country", "origin.region_code", rule);
        let asn = !networks || self.database(self.with.asn, "network", "origin.asn", rule);
        region && asn
    }

    fn database(
        &mut self,
        state: GeoState,
        which: &str,
        attribute: &str,
        rule: &armor::Rule,
    ) -> bool {
        let priority = rule.priority;
        let problem = match state {
            GeoState::Loaded => return true,
            GeoState::Absent => {
                let message = format!(
                    "rule {priority} is inactive: it reads `{attribute}`, and no {which} database is loaded"
                );
                Diagnostic::warning("rule-inactive", message).help("name a database under `geo`")
            }
            GeoState::Required => {
                let message = format!(
                    "rule {priority} reads `{attribute}`, and the required {which} database is not loaded"
                );
                Diagnostic::error("database-required", message)
            }
        };
        self.problems.push(problem.at(rule.at.clone()));
        false
    }
}

const fn configured(action: &armor::Action) -> ConfiguredAction {
    match action {
        armor::Action::Allow => ConfiguredAction::Allow,
        armor::Action::Deny(_) => ConfiguredAction::Deny,
        armor::Action::Throttle(_) => ConfiguredAction::Throttle,
        armor::Action::RateBasedBan(_) => ConfiguredAction::RateBasedBan,
        armor::Action::Redirect(_) => ConfiguredAction::External302,
        armor::Action::Log => ConfiguredAction::Log,
    }
}

/// Returns whether a rule reads the database of countries and that of networks.
fn databases_read(rule: &armor::Rule) -> (bool, bool) {
    use portcullis_config::expr::Attribute;
    let mut found = (false, false);
    let mut visit = |node: &portcullis_config::expr::Node| {
        if let Kind::Attribute(attribute) = &node.kind {
            found.0 |= *attribute == Attribute::OriginRegionCode;
            found.1 |= *attribute == Attribute::OriginAsn;
        }
    };
    if let armor::Condition::Expression(expression) = &rule.condition {
        expression.typed.walk(&mut visit);
    }
    let mut keyed = (false, false);
    if let armor::Action::Throttle(limit) | armor::Action::RateBasedBan(limit) = &rule.action {
        for key in &limit.keys {
            keyed.0 |= matches!(key.kind, armor::RateKeyKind::RegionCode);
            keyed.1 |= matches!(key.kind, armor::RateKeyKind::Asn);
            if let armor::RateKeyKind::Expression(expression) = &key.kind {
                expression.typed.walk(&mut visit);
            }
        }
    }
    (found.0 || keyed.0, found.1 || keyed.1)
}

/// Returns what a refusal by the rule is, as far as the rule alone says.
fn event(rule: &armor::Rule) -> EventKind {
    let (countries, _) = databases_read(rule);
    match &rule.action {
        armor::Action::Throttle(_) => return EventKind::RateLimit,
        armor::Action::RateBasedBan(_) => return EventKind::Ban,
        armor::Action::Allow
        | armor::Action::Deny(_)
        | armor::Action::Redirect(_)
        | armor::Action::Log => {}
    }
    match &rule.condition {
        armor::Condition::Any => EventKind::PolicyDeny,
        armor::Condition::SourceRanges(_) => EventKind::IpBlock,
        armor::Condition::Expression(expression) => {
            let mut by_address = false;
            expression.typed.walk(&mut |node| {
                by_address |= matches!(node.kind, Kind::AddressList(_) | Kind::InIpRange { .. });
            });
            match (countries, by_address) {
                (true, _) => EventKind::GeoBlock,
                (false, true) => EventKind::IpBlock,
                (false, false) => EventKind::PolicyDeny,
            }
        }
    }
}
