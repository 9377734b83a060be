//! One request's way through its policy.
//!
//! Rules run in their order. Where one asks for what was not fetched, the cursor says so and goes on at that rule
//! when it has it. A counter is asked only when its rule is known to match and its key is known, and the cursor
//! moves on in the same breath: so none counts twice.

use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_config::armor::Conform;
use portcullis_config::expr::Need;

use crate::compile::{Action, CompiledExceed, Policy, Question, RateRule, Rule};
use crate::evaluate::{
    Facts, Found, Given, KeptBody, Key, Token, Truth, Worked, rate_key, truth, user_ip,
};
use crate::limit::{LimitKey, LimitOutcome};
use crate::request::{BodyEnd, Input, RequestHead};
use crate::state::State;
use crate::trace::{self, RuleResult, RuleTrace, Trace};
use crate::verdict::{
    Decision, EventKind, HeaderToSet, Hit, MatchedField, Outcome, RateHit, RateWord, SignatureHit,
    UserIp, Verdict,
};
use crate::waf::WafMatch;

/// How many bytes of a key the log gives.
const LOGGED_KEY_BYTES_MAX: usize = 36;
/// How many bytes of a matched value the log gives.
const LOGGED_VALUE_BYTES_MAX: usize = 16;
/// How many bytes of a matched field's name are kept.
const LOGGED_NAME_BYTES_MAX: usize = 128;
/// What a client that is banned without end is told to wait.
const FOREVER_SECS: u32 = 24 * 3600;
/// The status where a rule that refuses an absent key redirects what exceeds.
const REFUSED_STATUS: u16 = 429;

/// What the cursor wants next.
#[derive(Debug)]
pub enum Step {
    /// The token: resume with [`Input::Identity`].
    NeedIdentity,
    /// The body: resume with [`Input::Body`] or [`Input::NoBody`]; the identity may be handed over before it.
    NeedBody,
    /// Nothing: this is the end.
    Done(Box<Verdict>),
}

/// A request's place in its policy. It pins the policy that it started with.
#[derive(Debug)]
pub struct Cursor {
    policy: Arc<Policy>,
    next: usize,
    given: Given,
    journal: Journal,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Journal {
    enforced: Option<(Decision, Hit)>,
    previews: Vec<Hit>,
    not_evaluated: Vec<u32>,
    errors: Vec<u32>,
    headers: Vec<HeaderToSet>,
    deny_body: Option<Arc<str>>,
    /// What came of each rule, where somebody wants to know.
    trace: Option<Vec<(u32, RuleResult)>>,
}

impl Journal {
    fn note(&mut self, rule: &Rule, result: RuleResult) {
        if let Some(trace) = &mut self.trace {
            trace.push((rule.priority, result));
        }
    }
}

/// What one rule did.
enum Ran {
    /// It did not match, or only wrote to the log: the next one's turn.
    Passed,
    /// It matched and decided.
    Decided(Decision, Box<Hit>),
    /// It cannot say before this is fetched.
    Needs(Need),
}

impl Cursor {
    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        let runs = policy.wafs.iter().map(|_| None).collect();
        Self {
            given: Given { token: None, body: None, runs },
            policy,
            next: 0,
            journal: Journal::default(),
        }
    }

    pub(crate) fn traced(mut self) -> Self {
        self.journal.trace = Some(Vec::new());
        self
    }

    /// Returns what came of each rule, and every match, once the verdict stands; nothing where the cursor was not
    /// started with [`Policy::start_traced`].
    #[must_use]
    pub fn trace(&self, head: &RequestHead<'_>) -> Trace {
        let Some(noted) = &self.journal.trace else { return Trace::default() };
        let result = |priority| noted.iter().find(|(known, _)| *known == priority);
        let mut rules: Vec<RuleTrace> = self
            .policy
            .rules
            .iter()
            .map(|rule| RuleTrace {
                priority: rule.priority,
                preview: rule.preview,
                action: rule.action.configured(),
                result: result(rule.priority).map_or(RuleResult::NotReached, |(_, result)| *result),
            })
            .chain(self.policy.inactive.iter().copied())
            .collect();
        rules.sort_by_key(|rule| rule.priority);
        let run_of = |number: usize| self.given.runs.get(number).and_then(Option::as_ref);
        Trace { rules, matches: trace::matches(&self.policy, run_of, head) }
    }

    /// Goes on until something is needed or the verdict stands.
    pub fn advance(&mut self, head: &RequestHead<'_>, state: &State, now: Timestamp) -> Step {
        self.run(head, None, state, now)
    }

    /// Hands over what was asked for, and goes on.
    pub fn resume(
        &mut self,
        input: Input<'_>,
        head: &RequestHead<'_>,
        state: &State,
        now: Timestamp,
    ) -> Step {
        match input {
            Input::Identity(token) => {
                self.given.token = Some(Token::keep(token.as_ref(), self.policy.reads_claims));
                self.run(head, None, state, now)
            }
            Input::Body(body, end) => self.with_body(body, end, head, state, now),
            Input::NoBody => self.with_body(b"", BodyEnd::Complete, head, state, now),
        }
    }

    /// The body is inspected now by every rule set that was asked; the others have it in this step only.
    fn with_body(
        &mut self,
        body: &[u8],
        end: BodyEnd,
        head: &RequestHead<'_>,
        state: &State,
        now: Timestamp,
    ) -> Step {
        let bytes = if self.policy.reads_body { body.into() } else { Box::default() };
        self.given.body = Some(KeptBody { bytes, length: body.len() });
        self.run(head, Some((body, end)), state, now)
    }

    fn run(
        &mut self,
        head: &RequestHead<'_>,
        body: Option<(&[u8], BodyEnd)>,
        state: &State,
        now: Timestamp,
    ) -> Step {
        let policy = Arc::clone(&self.policy);
        let Self { next, given, journal, .. } = self;
        let worked: Box<[Worked<'_>]> = policy.commons.iter().map(|_| Worked::new()).collect();
        let mut facts = Facts {
            policy: &policy,
            head,
            token: given.token.as_ref(),
            kept: given.body.as_ref(),
            runs: &mut given.runs,
            worked: &worked,
            state,
            now,
            body,
            found: Found::default(),
        };
        while let Some(rule) = policy.rules.get(*next) {
            let has_expired = rule.expires.is_some_and(|end| now >= end);
            if has_expired {
                journal.note(rule, RuleResult::Inactive);
            }
            if has_expired || journal.enforced.is_some() && !is_shadow(rule) {
                *next += 1;
                continue;
            }
            match run_rule(rule, &mut facts, journal, state, now) {
                Ran::Needs(need) if journal.enforced.is_none() => {
                    if body.is_some() {
                        // The body is borrowed for this step only, so every rule set sees it before the step ends.
                        facts.inspect_all();
                    }
                    return match need {
                        Need::Identity => Step::NeedIdentity,
                        Need::Body => Step::NeedBody,
                    };
                }
                Ran::Needs(_) => {
                    journal.note(rule, RuleResult::NotEvaluated);
                    journal.not_evaluated.push(rule.priority);
                }
                Ran::Decided(decision, hit) => {
                    if decision.refuses() {
                        journal.deny_body.clone_from(&rule.deny_body);
                    }
                    journal.enforced = Some((decision, *hit));
                }
                Ran::Passed => {}
            }
            *next += 1;
        }
        let user_ip = user_ip(&policy, head)
            .map(|(source, address)| UserIp { source: source.into(), address });
        Step::Done(Box::new(self.verdict(user_ip)))
    }

    fn verdict(&mut self, user_ip: Option<UserIp>) -> Verdict {
        let (decision, enforced) = self.journal.enforced.take().unwrap_or_else(|| self.undecided());
        let refused = match &decision {
            Decision::Allow => None,
            Decision::Deny { .. } | Decision::TooMany { .. } | Decision::Redirect { .. } => {
                enforced.event
            }
        };
        Verdict {
            security_event: refused,
            request_headers_to_add: if decision.passes() {
                std::mem::take(&mut self.journal.headers)
            } else {
                Vec::new()
            },
            decision,
            enforced,
            previews: std::mem::take(&mut self.journal.previews),
            not_evaluated: std::mem::take(&mut self.journal.not_evaluated),
            errors: std::mem::take(&mut self.journal.errors),
            inspected_body_bytes: self.given.body.as_ref().map_or(0, |body| body.length),
            deny_body: self.journal.deny_body.take(),
            user_ip,
            is_verbose: self.policy.verbose,
        }
    }

    /// No rule decided, which a default rule in preview or of `log` can do: refused, because nothing allowed it.
    fn undecided(&self) -> (Decision, Hit) {
        let hit = Hit {
            policy: Arc::clone(&self.policy.name),
            priority: portcullis_config::armor::DEFAULT_PRIORITY,
            configured_action: crate::verdict::ConfiguredAction::Deny,
            outcome: Outcome::Deny,
            preview: false,
            preconfigured_expr_ids: Vec::new(),
            rate_limit: None,
            matched_field: None,
            signatures: Vec::new(),
            address_groups: Vec::new(),
            threat_categories: Vec::new(),
            event: Some(EventKind::PolicyDeny),
        };
        (Decision::Deny { status: 403 }, hit)
    }
}

/// Runs one rule: its condition, its key, its action.
fn run_rule<'f>(
    rule: &'f Rule,
    facts: &mut Facts<'f, '_>,
    journal: &mut Journal,
    state: &State,
    now: Timestamp,
) -> Ran {
    if !facts.found.is_empty() {
        facts.found = Found::default();
    }
    match truth(&rule.condition, facts) {
        Truth::True => {}
        Truth::False => {
            journal.note(rule, RuleResult::Unmatched);
            return Ran::Passed;
        }
        Truth::Error => {
            journal.note(rule, RuleResult::Error);
            journal.errors.push(rule.priority);
            return Ran::Passed;
        }
        Truth::Needs(need) => return Ran::Needs(need),
    }
    let key = match &rule.action {
        Action::Rate(rate) if !facts.head.bypass_limits => match rate_key(rate, facts) {
            Ok(Key::Skip) => {
                journal.note(rule, RuleResult::Skipped);
                return Ran::Passed;
            }
            Ok(key) => Some(key),
            Err(need) => return Ran::Needs(need),
        },
        Action::Rate(_) | Action::Allow | Action::Deny(_) | Action::Redirect(_) | Action::Log => {
            None
        }
    };
    let mut hit = hit(rule, facts);
    let decision = act(rule, key.as_ref(), &mut hit, state, now);
    journal.note(rule, RuleResult::Matched(hit.outcome));
    if is_shadow(rule) {
        journal.previews.push(hit);
        return Ran::Passed;
    }
    if hit.outcome == Outcome::Accept || hit.outcome == Outcome::Exempt {
        journal.headers.extend(rule.headers.iter().cloned());
    }
    match decision {
        Some(decision) => Ran::Decided(decision, Box::new(hit)),
        None => Ran::Passed,
    }
}

/// Preview and log rules run below a verdict too.
fn is_shadow(rule: &Rule) -> bool {
    rule.preview || matches!(rule.action, Action::Log)
}

/// Decides by the action; `None` goes on with the next rule.
fn act(
    rule: &Rule,
    key: Option<&Key>,
    hit: &mut Hit,
    state: &State,
    now: Timestamp,
) -> Option<Decision> {
    match &rule.action {
        Action::Allow => Some(Decision::Allow),
        Action::Deny(status) => {
            hit.outcome = Outcome::Deny;
            Some(Decision::Deny { status: *status })
        }
        Action::Redirect(location) => {
            hit.outcome = Outcome::Redirect;
            Some(Decision::Redirect { status: 302, location: Arc::clone(location) })
        }
        Action::Log => None,
        Action::Rate(rate) => limited(rate, key, hit, state, now),
    }
}

fn limited(
    rate: &RateRule,
    key: Option<&Key>,
    hit: &mut Hit,
    state: &State,
    now: Timestamp,
) -> Option<Decision> {
    let passes = match rate.conform {
        Conform::Allow => Some(Decision::Allow),
        Conform::Continue => None,
    };
    let outcome = match key {
        Some(Key::Counted(key)) => {
            let outcome = state.check(&rate.limit, key, now);
            hit.rate_limit = Some(RateHit {
                key: logged_key(key),
                fields: Arc::clone(&rate.fields),
                outcome: rate_word(&outcome),
            });
            outcome
        }
        Some(Key::Deny) => {
            let retry_at = now.plus(rate.limit.threshold().interval());
            let fields = Arc::clone(&rate.fields);
            let key = String::new();
            hit.rate_limit = Some(RateHit { key, fields, outcome: RateWord::Exceed });
            LimitOutcome::Exceeds { retry_at }
        }
        Some(Key::Skip) | None => {
            hit.outcome = Outcome::Exempt;
            return passes;
        }
    };
    if outcome.conforms() {
        return passes;
    }
    let ban = outcome.is_ban();
    hit.event = Some(if ban { EventKind::Ban } else { EventKind::RateLimit });
    Some(match &rate.exceed {
        CompiledExceed::Redirect(location) if !matches!(key, Some(Key::Deny)) => {
            hit.outcome = Outcome::Redirect;
            Decision::Redirect { status: 302, location: Arc::clone(location) }
        }
        exceed @ (CompiledExceed::Redirect(_) | CompiledExceed::Deny(_)) => {
            hit.outcome = Outcome::Deny;
            let status = match exceed {
                CompiledExceed::Deny(status) => *status,
                CompiledExceed::Redirect(_) => REFUSED_STATUS,
            };
            let retry_after_secs = outcome.retry_after_secs(now).unwrap_or(FOREVER_SECS);
            Decision::TooMany { status, retry_after_secs, ban }
        }
    })
}

fn rate_word(outcome: &LimitOutcome) -> RateWord {
    match outcome {
        LimitOutcome::Conforms { .. } => RateWord::Conform,
        LimitOutcome::Exceeds { .. } => RateWord::Exceed,
        LimitOutcome::BanStarted { .. } | LimitOutcome::Banned { .. } => RateWord::Ban,
    }
}

fn logged_key(key: &LimitKey) -> String {
    let mut text = key.to_string();
    text.truncate(text.floor_char_boundary(LOGGED_KEY_BYTES_MAX));
    text
}

/// Makes the log entry of a rule that matched; the action fills in its outcome.
fn hit(rule: &Rule, facts: &mut Facts<'_, '_>) -> Hit {
    let policy = facts.policy;
    let noted = std::mem::take(&mut facts.found);
    let mut ids = Vec::new();
    let mut matched_field = None;
    let mut signatures: Vec<SignatureHit> = Vec::new();
    let mut event = rule.event;
    for (position, number) in noted.questions.iter().enumerate() {
        let Some(question) = policy.questions.get(*number) else { continue };
        if position == 0 {
            event = question.event;
        }
        for found in facts.counted(*number) {
            let id = question.signature(found.id);
            if signatures.len() < Hit::SIGNATURES_MAX {
                let one = signature_hit(question, found, &id);
                if !signatures.contains(&one) {
                    signatures.push(one);
                }
            }
            if !ids.contains(&id) {
                ids.push(id);
            }
            matched_field.get_or_insert_with(|| MatchedField {
                field_type: found.field.as_str(),
                name: found.name.clone(),
                value: found.value.iter().take(LOGGED_VALUE_BYTES_MAX).copied().collect(),
                length: found.length,
                offset: found.offset,
                matched_length: found.matched_length,
            });
        }
    }
    if noted.gave_up {
        event = EventKind::WafLimit;
    }
    Hit {
        policy: Arc::clone(&policy.name),
        priority: rule.priority,
        configured_action: rule.action.configured(),
        outcome: Outcome::Accept,
        preview: rule.preview,
        preconfigured_expr_ids: ids,
        rate_limit: None,
        matched_field,
        signatures,
        address_groups: noted.address_groups,
        threat_categories: noted.threat_categories,
        event: Some(event),
    }
}

fn signature_hit(question: &Question, found: &WafMatch, signature: &str) -> SignatureHit {
    SignatureHit {
        set: question.set.clone(),
        id: found.id,
        signature: signature.to_owned(),
        field_type: found.field.as_str(),
        name: found.name.iter().take(LOGGED_NAME_BYTES_MAX).copied().collect(),
    }
}
