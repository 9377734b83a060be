//! A judgement for people and for programs: the verdict, every rule, every match.

use std::fmt::Write as _;

use portcullis_config::armor::{self, ExclusionField, ExclusionOperator};
use portcullis_policy::{Hit, RuleTrace, Trace, TracedMatch, Verdict};
use serde_json::{Value, json};

use super::route;
use crate::cli::table;
use crate::log::Escaped;
use crate::snapshot::Snapshot;
use crate::trial::Judged;

/// Repetitions with one answer, one after another.
#[derive(Debug)]
pub(super) struct Runs {
    runs: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    first: u32,
    last: u32,
    words: String,
    rule: Option<u32>,
}

impl Runs {
    pub(super) fn new(judged: &Judged) -> Self {
        Self {
            runs: vec![Run {
                first: 1,
                last: 1,
                words: judged.answer.words(),
                rule: judged.answer.rule(),
            }],
        }
    }

    /// Adds the answer to the next repetition.
    pub(super) fn add(&mut self, judged: &Judged) {
        let (words, rule) = (judged.answer.words(), judged.answer.rule());
        let Some(run) = self.runs.last_mut() else { return };
        let next = run.last + 1;
        if run.words == words && run.rule == rule {
            run.last = next;
        } else {
            self.runs.push(Run { first: next, last: next, words, rule });
        }
    }

    fn are_many(&self) -> bool {
        self.runs.last().is_some_and(|run| run.last > 1)
    }
}

/// Draws it; of repetitions the last one is drawn whole.
pub(super) fn text(snapshot: &Snapshot, judged: &Judged, runs: &Runs) -> String {
    let mut text = format!("route    {}\ntoken    {}\n", route(judged), judged.token);
    if runs.are_many() {
        for run in &runs.runs {
            let by = run.rule.map(|rule| format!(" by rule {rule}")).unwrap_or_default();
            put(
                &mut text,
                format_args!("requests {} to {}: {}{by}\n", run.first, run.last, run.words),
            );
        }
    }
    put(&mut text, format_args!("verdict  {}\n", judged.answer.words()));
    if let Some(verdict) = judged.verdict() {
        hits(&mut text, verdict);
    }
    if let Some(trace) = judged.trace.as_ref().filter(|trace| !trace.rules.is_empty()) {
        rules(&mut text, trace);
        matches(&mut text, trace);
        exclusions(&mut text, snapshot, judged);
    }
    text
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes all text");
}

fn hits(text: &mut String, verdict: &Verdict) {
    hit(text, "by", &verdict.enforced);
    for preview in &verdict.previews {
        hit(text, "preview", preview);
    }
    if !verdict.errors.is_empty() {
        put(text, format_args!("errors   in the conditions of rules {:?}\n", verdict.errors));
    }
    put(text, format_args!("body     {} bytes inspected\n", verdict.inspected_body_bytes));
}

fn hit(text: &mut String, word: &str, hit: &Hit) {
    let (action, outcome) = (hit.configured_action.as_str(), hit.outcome.as_str());
    put(text, format_args!("{word:<8} {} rule {} {action}: {outcome}", hit.policy, hit.priority));
    if !hit.preconfigured_expr_ids.is_empty() {
        put(text, format_args!(" by {}", hit.preconfigured_expr_ids.join(", ")));
    }
    if let Some(field) = &hit.matched_field {
        let (kind, name, value) = (field.field_type, Escaped(&field.name), Escaped(&field.value));
        put(text, format_args!(" in {kind} `{name}`: `{value}`"));
    }
    if let Some(rate) = &hit.rate_limit {
        put(text, format_args!(" for `{}`: {}", rate.key.escape_debug(), rate.outcome.as_str()));
    }
    text.push('\n');
}

fn rules(text: &mut String, trace: &Trace) {
    let row = |rule: &RuleTrace| {
        let word = rule.result.as_str();
        let result = rule
            .result
            .outcome()
            .map_or_else(|| word.to_owned(), |outcome| format!("{word}: {}", outcome.as_str()));
        let mode = if rule.preview { "preview" } else { "" };
        vec![rule.priority.to_string(), rule.action.as_str().to_owned(), mode.to_owned(), result]
    };
    let rows: Vec<Vec<String>> = trace.rules.iter().map(row).collect();
    text.push('\n');
    text.push_str(&table::draw(&["RULE", "ACTION", "MODE", "RESULT"], &rows));
}

fn matches(text: &mut String, trace: &Trace) {
    if trace.matches.is_empty() {
        return;
    }
    let row = |found: &TracedMatch| {
        vec![
            found.rule.to_string(),
            found.signature.clone(),
            found.field.as_str().to_owned(),
            Escaped(&found.name).to_string(),
            Escaped(&found.value).to_string(),
            if found.is_excluded { "left out" } else { "counts" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = trace.matches.iter().map(row).collect();
    text.push('\n');
    text.push_str(&table::draw(&["RULE", "SIGNATURE", "FIELD", "NAME", "VALUE", ""], &rows));
}

fn exclusions(text: &mut String, snapshot: &Snapshot, judged: &Judged) {
    let rows: Vec<Vec<String>> = written(snapshot, judged)
        .into_iter()
        .map(|(rule, exclusion)| vec![rule.to_string(), exclusion])
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table::draw(&["RULE", "EXCLUSION"], &rows));
    }
}

/// The exclusions of the policy, each with its rule.
fn written(snapshot: &Snapshot, judged: &Judged) -> Vec<(u32, String)> {
    let policy = judged.route.as_ref().and_then(|entry| entry.policy.as_ref());
    let Some(definition) = policy.and_then(|id| snapshot.definitions.get(id)) else {
        return Vec::new();
    };
    let of_rule = |rule: &armor::Rule| {
        let priority = rule.priority;
        rule.exclusions
            .iter()
            .map(move |exclusion| (priority, in_words(exclusion)))
            .collect::<Vec<_>>()
    };
    definition.rules.iter().flat_map(of_rule).collect()
}

fn in_words(exclusion: &armor::Exclusion) -> String {
    let ids = if exclusion.signatures.is_empty() {
        "every signature".to_owned()
    } else {
        exclusion.signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let field = |pattern: &armor::FieldPattern| {
        let kind = match pattern.field {
            ExclusionField::Header => "header",
            ExclusionField::Cookie => "cookie",
            ExclusionField::QueryParam => "parameter",
            ExclusionField::Uri => "URI",
        };
        match &pattern.operator {
            ExclusionOperator::Equals(name) => format!("{kind} `{name}`"),
            ExclusionOperator::StartsWith(name) => format!("{kind} `{name}…`"),
            ExclusionOperator::EndsWith(name) => format!("{kind} `…{name}`"),
            ExclusionOperator::Contains(name) => format!("{kind} `…{name}…`"),
            ExclusionOperator::Any => format!("any {kind}"),
        }
    };
    let fields: Vec<String> = exclusion.fields.iter().map(field).collect();
    format!("{}: {ids} in {}", exclusion.set, fields.join(", "))
}

/// The same as JSON.
pub(super) fn json(snapshot: &Snapshot, judged: &Judged, runs: &Runs) -> Value {
    let hit = |hit: &Hit| {
        json!({
            "policy": &*hit.policy, "priority": hit.priority,
            "configuredAction": hit.configured_action.as_str(), "outcome": hit.outcome.as_str(),
            "preview": hit.preview, "preconfiguredExprIds": hit.preconfigured_expr_ids,
            "rateLimitAction": hit.rate_limit.as_ref().map(|rate| json!({ "key": rate.key, "outcome": rate.outcome.as_str() })),
        })
    };
    let verdict = judged.verdict();
    let trace = judged.trace.as_ref();
    let rule = |rule: &RuleTrace| {
        let outcome = rule.result.outcome().map(|outcome| outcome.as_str());
        json!({
            "priority": rule.priority, "action": rule.action.as_str(), "preview": rule.preview,
            "result": rule.result.as_str(), "outcome": outcome,
        })
    };
    let found = |found: &TracedMatch| {
        json!({
            "rule": found.rule, "set": &*found.set, "signature": found.signature,
            "fieldType": found.field.as_str(), "fieldName": Escaped(&found.name).to_string(),
            "value": Escaped(&found.value).to_string(), "excluded": found.is_excluded,
        })
    };
    json!({
        "route": route(judged),
        "token": judged.token,
        "verdict": judged.answer.words(),
        "runs": runs.runs.iter().map(|run| json!({ "first": run.first, "last": run.last, "verdict": run.words, "rule": run.rule })).collect::<Vec<_>>(),
        "enforcedSecurityPolicy": verdict.map(|verdict| hit(&verdict.enforced)),
        "previewSecurityPolicies": verdict.map(|verdict| verdict.previews.iter().map(hit).collect::<Vec<_>>()),
        "errors": verdict.map(|verdict| verdict.errors.clone()),
        "inspectedBodySize": verdict.map(|verdict| verdict.inspected_body_bytes),
        "rules": trace.map(|trace| trace.rules.iter().map(rule).collect::<Vec<_>>()),
        "matches": trace.map(|trace| trace.matches.iter().map(found).collect::<Vec<_>>()),
        "exclusions": written(snapshot, judged).into_iter().map(|(rule, exclusion)| json!({ "rule": rule, "exclusion": exclusion })).collect::<Vec<_>>(),
    })
}
