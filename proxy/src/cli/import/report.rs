//! What an import found, for people and for programs.

use portcullis_config::armor::import::{Finding, Grade, Import, Plan, Twice, explanation, twice};
use serde_json::{Value, json};

use super::written::Place;
use super::{Outcome, at};
use crate::cli::table;

/// Draws the whole report: policies, findings from the gravest, definitions beside each other, what would change.
pub(super) fn drawn(found: &Import, outcomes: &[Outcome], with_fix: bool) -> String {
    let mut text = String::new();
    for policy in &found.policies {
        let (rules, broken) =
            (policy.policy.rules.len() + policy.broken.len(), policy.broken.len());
        text.push_str(&format!(
            "policy {} at {}: {rules} rules",
            policy.policy.name, policy.policy.at
        ));
        text.push_str(&if broken == 0 {
            "\n".to_owned()
        } else {
            format!(", {broken} of which cannot be loaded\n")
        });
    }
    draw_plan(&mut text, &found.plan);
    for finding in &found.findings {
        draw(&mut text, finding);
    }
    for pair in twice(found) {
        draw_pair(&mut text, &pair);
    }
    if with_fix {
        for outcome in outcomes {
            text.push_str(&format!("\nthe fix of {}:\n", outcome.name));
            outcome.changes.iter().for_each(|change| text.push_str(&format!("  {change}\n")));
        }
    }
    text.push_str(&format!("\n{}\n", counts(&found.findings)));
    text
}

fn draw_plan(text: &mut String, plan: &Plan) {
    if plan.hosts.is_empty() && plan.backends.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = plan
        .hosts
        .iter()
        .flat_map(|host| host.routes.iter().map(move |(path, backend)| (host, path, backend)))
        .map(|(host, path, backend)| {
            let policy = plan.backends.get(backend).and_then(|known| known.policy.clone());
            vec![
                host.name.clone(),
                path.clone(),
                backend.clone(),
                policy.unwrap_or_else(|| "none".to_owned()),
            ]
        })
        .collect();
    if rows.is_empty() {
        let ids: Vec<&str> = plan.backends.keys().map(String::as_str).collect();
        text.push_str(&format!("backends: {}\n", ids.join(", ")));
        return;
    }
    text.push('\n');
    text.push_str(&table::draw(&["HOST", "PATH", "BACKEND", "POLICY"], &rows));
}

fn draw(text: &mut String, finding: &Finding) {
    let one = &finding.diagnostic;
    let place = one.at.as_ref().map(|at| format!("  {at}")).unwrap_or_default();
    text.push_str(&format!(
        "\n{} [{}]{place}\n  {}\n",
        finding.grade.as_str(),
        one.code,
        one.message
    ));
    let why = explanation(one.code);
    if !why.is_empty() && one.help.as_deref() != Some(why) {
        text.push_str(&format!("  why: {why}\n"));
    }
    if let Some(fix) = &one.help {
        text.push_str(&format!("  fix: {fix}\n"));
    }
}

fn draw_pair(text: &mut String, pair: &Twice) {
    text.push_str(&format!(
        "\n`{}` is defined twice; the definitions are not merged:\n",
        pair.name
    ));
    let [first, other] = &pair.places;
    let rows: Vec<Vec<String>> = pair
        .rules
        .iter()
        .map(|row| {
            let [first, other] = &row.rules;
            vec![row.priority.to_string(), cut(first), cut(other)]
        })
        .collect();
    text.push_str(&table::draw(&["PRIORITY", first, other], &rows));
}

/// Columns in which a rule's words are shown; `--json` has all of them.
const RULE_CHARS: usize = 60;

fn cut(words: &str) -> String {
    if words.chars().count() <= RULE_CHARS {
        return words.to_owned();
    }
    words.chars().take(RULE_CHARS - 1).chain(['…']).collect()
}

fn counts(findings: &[Finding]) -> String {
    let grades = [Grade::Error, Grade::Critical, Grade::High, Grade::Warning, Grade::Info];
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let parts: Vec<String> =
        grades.into_iter().map(|grade| format!("{} {}", count(grade), grade.as_str())).collect();
    format!("{} findings: {}", findings.len(), parts.join(", "))
}

/// The same as JSON.
pub(super) fn json(found: &Import, outcomes: &[Outcome], place: Option<&Place>) -> Value {
    let finding = |finding: &Finding| {
        let one = &finding.diagnostic;
        json!({
            "severity": finding.grade.as_str(), "id": one.code, "policy": finding.policy,
            "message": one.message, "why": explanation(one.code), "fix": one.help,
            "at": one.at.as_ref().map(at),
        })
    };
    let policies: Vec<Value> = found
        .policies
        .iter()
        .zip(outcomes)
        .map(|(policy, outcome)| {
            json!({
                "address": policy.address, "name": policy.policy.name, "at": at(&policy.policy.at),
                "rules": policy.policy.rules.len(),
                "notLoaded": policy.broken.iter().map(|broken| broken.priority).collect::<Vec<_>>(),
                "changes": outcome.changes, "lists": outcome.lists, "yaml": outcome.yaml,
            })
        })
        .collect();
    let pair = |pair: &Twice| {
        let rules: Vec<Value> = pair
            .rules
            .iter()
            .map(|row| json!({ "priority": row.priority, "first": row.rules[0], "other": row.rules[1] }))
            .collect();
        json!({ "name": pair.name, "first": pair.places[0], "other": pair.places[1], "rules": rules })
    };
    let backends: Vec<Value> = found
        .plan
        .backends
        .iter()
        .map(|(id, backend)| {
            json!({
                "id": id, "server": backend.server, "policy": backend.policy,
                "timeoutSec": backend.timeout_secs, "drainSec": backend.drain_secs, "notes": backend.notes,
            })
        })
        .collect();
    let hosts: Vec<Value> = found
        .plan
        .hosts
        .iter()
        .map(|host| json!({ "host": host.name, "routes": host.routes.iter().map(|(path, backend)| json!({ "path": path, "backend": backend })).collect::<Vec<_>>() }))
        .collect();
    json!({
        "policies": policies,
        "findings": found.findings.iter().map(finding).collect::<Vec<_>>(),
        "definedTwice": twice(found).iter().map(pair).collect::<Vec<_>>(),
        "backends": backends, "hosts": hosts,
        "problems": found.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "written": place.map(|place| place.files.clone()),
    })
}
