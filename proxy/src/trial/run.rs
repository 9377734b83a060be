//! Runs a file of tests.

use std::fs;
use std::sync::Arc;

use portcullis_config::armor::{Action, Condition, SecurityPolicy};
use portcullis_config::expr::Kind;
use portcullis_config::{Diagnostic, Location, SourceFile, Timestamp};
use portcullis_policy::Policy;

use super::attacks;
use super::suite::{Case, Expectation, Step, Subject, Suite};
use super::{Answer, Judged, PolicyAlone, Trial, policy_alone};
use crate::compile::compile_for_trial;
use crate::origin::Origin;
use crate::snapshot::Snapshot;

/// When every case begins: 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_225_600);

/// What came of a suite.
#[derive(Debug)]
pub struct SuiteResult {
    /// The suite's name.
    pub name: String,
    /// Its cases, in their order.
    pub cases: Vec<CaseResult>,
}

/// What came of a case.
#[derive(Debug)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Where it stands; a built-in attack stands nowhere.
    pub at: Option<Location>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected, and how.
    Failed(String),
    /// Not judged, and why.
    Skipped(&'static str),
}

impl SuiteResult {
    /// Counts the cases that passed, failed and were skipped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        self.cases.iter().fold((0, 0, 0), |(passed, failed, skipped), case| match case.outcome {
            Outcome::Passed => (passed + 1, failed, skipped),
            Outcome::Failed(_) => (passed, failed + 1, skipped),
            Outcome::Skipped(_) => (passed, failed, skipped + 1),
        })
    }
}

/// Runs every case of a suite against what it tests.
///
/// # Errors
/// Why what it tests does not load.
pub fn run_suite(suite: &Suite) -> Result<SuiteResult, Vec<Diagnostic>> {
    let loaded = load(&suite.subject)?;
    Ok(run_against(&loaded, suite, &|| false))
}

/// Runs the cases of a suite for as long as the time is not over.
pub(super) fn run_against(
    loaded: &Loaded,
    suite: &Suite,
    is_over: &dyn Fn() -> bool,
) -> SuiteResult {
    let cases = suite.cases.iter().map(|case| CaseResult {
        name: case.name.clone(),
        at: Some(case.at.clone()),
        outcome: of_case(loaded, case, is_over),
    });
    let attacks = suite.attacks.iter().flat_map(|category| of_attacks(loaded, category));
    let cases = cases.chain(attacks).take_while(|_| !is_over()).collect();
    SuiteResult { name: suite.name.clone(), cases }
}

/// What a suite is run against.
pub(super) enum Loaded {
    Snapshot(Box<Snapshot>),
    Policy { name: String, policy: Arc<Policy> },
}

impl From<PolicyAlone> for Loaded {
    fn from(alone: PolicyAlone) -> Self {
        Self::Policy { name: alone.definition.name.clone(), policy: alone.policy }
    }
}

impl Loaded {
    fn trial(&self) -> Trial<'_> {
        match self {
            Self::Snapshot(snapshot) => Trial::of_snapshot(snapshot),
            Self::Policy { policy, .. } => Trial::of_policy(policy),
        }
    }

    /// The policies that refuse attacks of a category: those with an enforced rule that asks for it.
    fn inspecting(&self, category: &str) -> Vec<(String, &Arc<Policy>)> {
        match self {
            Self::Snapshot(snapshot) => snapshot
                .policies
                .iter()
                .filter(|(id, _)| {
                    snapshot.definitions.get(*id).is_some_and(|one| asks_for(one, category))
                })
                .map(|(id, policy)| (id.to_string(), policy))
                .collect(),
            Self::Policy { name, policy } => vec![(name.clone(), policy)],
        }
    }
}

fn asks_for(definition: &SecurityPolicy, category: &str) -> bool {
    definition.rules.iter().filter(|rule| !rule.preview).any(|rule| {
        let Condition::Expression(expression) = &rule.condition else { return false };
        let mut asks = false;
        expression.typed.walk(&mut |node| {
            asks |= matches!(&node.kind, Kind::Waf(call) if call.set.category == category);
        });
        asks && matches!(rule.action, Action::Deny(_))
    })
}

fn load(subject: &Subject) -> Result<Loaded, Vec<Diagnostic>> {
    match subject {
        Subject::Config(file) => {
            let loaded = Origin::File(file.clone()).load().map_err(|report| report.problems)?;
            let (snapshot, _) = compile_for_trial(loaded).map_err(|report| report.problems)?;
            Ok(Loaded::Snapshot(Box::new(snapshot)))
        }
        Subject::Policy { file, lists } => {
            let text = fs::read_to_string(file).map_err(|error| {
                let message = format!("the policy `{}` cannot be read: {error}", file.display());
                vec![Diagnostic::error("file-unreadable", message)]
            })?;
            let source = SourceFile::new(file.display().to_string(), text);
            policy_alone(&source, lists).map(Loaded::from)
        }
        Subject::Expression(source) => policy_alone(source, &Default::default()).map(Loaded::from),
    }
}

fn of_case(loaded: &Loaded, case: &Case, is_over: &dyn Fn() -> bool) -> Outcome {
    if let Some(why) = case.skipped {
        return Outcome::Skipped(why);
    }
    let trial = loaded.trial();
    let mut now = BEGIN;
    for (index, step) in case.steps.iter().enumerate() {
        now = now.plus(step.wait);
        if let Err(why) = of_step(&trial, step, is_over, now) {
            let which =
                if case.steps.len() > 1 { format!("step {}: ", index + 1) } else { String::new() };
            return Outcome::Failed(format!("{which}{why}"));
        }
    }
    Outcome::Passed
}

/// Where a request is repeated, every one before the last must pass.
fn of_step(
    trial: &Trial<'_>,
    step: &Step,
    is_over: &dyn Fn() -> bool,
    now: Timestamp,
) -> Result<(), String> {
    for number in 1..step.repeat {
        if is_over() {
            return Err(format!("request {number} of {} was not asked any more", step.repeat));
        }
        let judged = trial.judge(&step.ask, now);
        if judged.answer.passes() != Some(true) {
            return Err(format!(
                "request {number} of {} must pass, got {}",
                step.repeat,
                words(&judged)
            ));
        }
    }
    let judged = trial.judge(&step.ask, now);
    compare(&step.expect, &judged)
}

fn compare(expect: &Expectation, judged: &Judged) -> Result<(), String> {
    let found = words(judged);
    if expect.error {
        let erred = judged.verdict().is_some_and(|verdict| !verdict.errors.is_empty());
        return if erred { Ok(()) } else { Err(format!("expected an error, got {found}")) };
    }
    if let Some(wanted) = &expect.verdict
        && !is_verdict(wanted, &judged.answer)
    {
        return Err(format!("expected {wanted}, got {found}"));
    }
    if let Some(rule) = expect.rule
        && judged.answer.rule() != Some(rule)
    {
        return Err(format!("expected rule {rule} to decide, got {found}"));
    }
    let Some(verdict) = judged.verdict() else {
        let nothing = expect.signatures.is_empty() && expect.previews.is_empty();
        return if nothing { Ok(()) } else { Err(format!("expected matches, got {found}")) };
    };
    let hits = || std::iter::once(&verdict.enforced).chain(&verdict.previews);
    for wanted in &expect.signatures {
        let has = |id: &String| id == wanted || id.contains(&format!("id{wanted}-"));
        if !hits().any(|hit| hit.preconfigured_expr_ids.iter().any(has)) {
            return Err(format!("expected signature {wanted}, got {found}"));
        }
    }
    for wanted in &expect.previews {
        if !verdict.previews.iter().any(|hit| hit.priority == *wanted) {
            return Err(format!("expected preview rule {wanted} to match, got {found}"));
        }
    }
    Ok(())
}

/// A word without a status is any status.
fn is_verdict(wanted: &str, answer: &Answer) -> bool {
    let found = answer.words();
    found == wanted || found.split('(').next() == Some(wanted)
}

fn words(judged: &Judged) -> String {
    let mut text = judged.answer.words();
    if let Some(verdict) = judged.verdict() {
        text.push_str(&format!(" by rule {}", verdict.enforced.priority));
        if !verdict.enforced.preconfigured_expr_ids.is_empty() {
            text.push_str(&format!(" ({})", verdict.enforced.preconfigured_expr_ids.join(", ")));
        }
        if !verdict.errors.is_empty() {
            text.push_str(&format!(", with errors in rules {:?}", verdict.errors));
        }
    }
    text
}

/// Every built-in attack of a category must be refused by every policy that inspects for it.
fn of_attacks(loaded: &Loaded, category: &str) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for (id, policy) in loaded.inspecting(category) {
        for attack in attacks::of(category) {
            let trial = Trial::small_of_policy(policy);
            let judged = trial.judge(&attack.ask("host.invalid"), BEGIN);
            let outcome = match judged.answer.passes() {
                Some(false) => Outcome::Passed,
                Some(true) | None => {
                    Outcome::Failed(format!("the attack is not refused: {}", words(&judged)))
                }
            };
            let name = format!("attack {category}: {} against {id}", attack.name);
            results.push(CaseResult { name, at: None, outcome });
        }
    }
    results
}
