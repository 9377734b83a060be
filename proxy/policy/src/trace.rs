//! What every rule answered and every signature matched: for the offline tools. A request on the wire is not traced.

use crate::compile::Policy;
use crate::evaluate::Run;
use crate::request::RequestHead;
use crate::verdict::{ConfiguredAction, Outcome};
use crate::waf::WafField;

/// One request's whole way through a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Every rule of the policy, by priority.
    pub rules: Vec<RuleTrace>,
    /// Every match that a rule asked for, those that its exclusions leave out included.
    pub matches: Vec<TracedMatch>,
}

/// What came of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// Its priority.
    pub priority: u32,
    /// Whether it is in preview.
    pub preview: bool,
    /// Its action as written.
    pub action: ConfiguredAction,
    /// What came of it.
    pub result: RuleResult,
}

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleResult {
    /// It matched, and did this.
    Matched(Outcome),
    /// It did not match.
    Unmatched,
    /// Its condition met an error, such as a missing header, and so did not match.
    Error,
    /// It matched, and its key is absent: it says to skip then.
    Skipped,
    /// A preview rule below the one that decided, which would have needed what was not fetched.
    NotEvaluated,
    /// A rule above decided.
    NotReached,
    /// It reads a database that is not loaded, or its time is over.
    Inactive,
}

impl RuleResult {
    /// Returns what the rule did, if it matched.
    #[must_use]
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Matched(outcome) => Some(outcome),
            Self::Unmatched
            | Self::Error
            | Self::Skipped
            | Self::NotEvaluated
            | Self::NotReached
            | Self::Inactive => None,
        }
    }

    /// Returns the word of reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched(_) => "matched",
            Self::Unmatched => "no match",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::NotEvaluated => "not evaluated",
            Self::NotReached => "not reached",
            Self::Inactive => "inactive",
        }
    }
}

/// One signature's match of one field, as one rule sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedMatch {
    /// The rule's priority.
    pub rule: u32,
    /// The preconfigured set, as the rule names it.
    pub set: Box<str>,
    /// The signature's number.
    pub id: u32,
    /// The signature as the log names it.
    pub signature: String,
    /// Where it matched.
    pub field: WafField,
    /// The name of the pair, else empty.
    pub name: Vec<u8>,
    /// The beginning of the part that matched.
    pub value: Vec<u8>,
    /// Whether an exclusion of the rule leaves it out.
    pub is_excluded: bool,
}

/// Returns every match of the runs, rule by rule.
pub(crate) fn matches<'r>(
    policy: &Policy,
    run_of: impl Fn(usize) -> Option<&'r Run>,
    head: &RequestHead<'_>,
) -> Vec<TracedMatch> {
    let mut found = Vec::new();
    for (number, question) in policy.questions.iter().enumerate() {
        let Some(run) = run_of(question.waf) else { continue };
        found.extend(run.asked(number, question, head).map(|(one, counts)| TracedMatch {
            rule: question.rule,
            set: question.set.clone(),
            id: one.id,
            signature: question.signature(one.id),
            field: one.field,
            name: one.name.clone(),
            value: one.value.clone(),
            is_excluded: !counts,
        }));
    }
    found
}
