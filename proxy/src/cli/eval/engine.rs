//! The request through each rule set of the configuration: which rules matched on what, what they scored, what they
//! cost. Every (rule, variable) match stands here, not only those that the policy asked for.

use std::fmt::Write as _;
use std::sync::Arc;

use portcullis_config::Config;
use portcullis_config::model::RuleSetSource;
use portcullis_rulesets::ftw::Request;
use portcullis_rulesets::{Clock as RuleClock, RanRule, RuleSet, Source, Trace};
use serde_json::{Value, json};

use crate::cli::Failed;
use crate::clock::{Clock, System};
use crate::log::Escaped;
use crate::trial::{Ask, Body};

/// How many of the dearest rules are shown.
const DEAREST: usize = 5;

/// One rule set's part.
pub(super) struct Part {
    set: Arc<RuleSet>,
    trace: Trace,
}

/// The engine's view of the shell's clock.
#[derive(Debug)]
struct Nanos(System);

impl RuleClock for Nanos {
    fn nanos(&self) -> u64 {
        u64::try_from(self.0.monotonic().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Runs a request through every rule set, rules up to `level`.
pub(super) fn run(config: &Config, ask: &Ask, level: u8) -> Result<Vec<Part>, Failed> {
    let body = match &ask.body {
        Body::Whole(bytes) => bytes.clone(),
        Body::Unknown => Vec::new(),
    };
    let request = Request {
        method: ask.method.clone(),
        uri: ask.target.clone(),
        version: ask.version.clone(),
        headers: ask.headers.clone(),
        body,
        raw: None,
    };
    let clock: Arc<dyn RuleClock> = Arc::new(Nanos(System::new()));
    let mut parts = Vec::new();
    for (name, source) in &config.rulesets {
        let source = match source {
            RuleSetSource::Crs(path) => Source::Crs(path.clone()),
            RuleSetSource::Builtin(name) => Source::Builtin(name.clone()),
        };
        let loaded = RuleSet::load(name, &source, level).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failed::Said(all.join("\n\n"))
        })?;
        let trace = loaded.set.trace(&request, ask.client, Some(Arc::clone(&clock)));
        parts.push(Part { set: loaded.set, trace });
    }
    Ok(parts)
}

/// For people: what matched, the scores, the dearest rules.
pub(super) fn drawn(parts: &[Part]) -> String {
    let mut text = String::new();
    parts.iter().for_each(|part| draw_part(&mut text, part));
    text
}

fn draw_part(text: &mut String, Part { set, trace }: &Part) {
    let ran = trace.ran.len();
    let matched = trace.ran.iter().filter(|ran| ran.matched).count();
    let (name, level, steps) = (set.name(), set.run_level(), trace.steps);
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all text");
    line(format!(
        "\nrules    {name} up to level {level}: {ran} ran, {matched} matched, {steps} steps"
    ));
    if trace.gave_up {
        line("limit    not every value was inspected".to_owned());
    }
    if let Some((rule, status)) = trace.verdict {
        line(format!("refuses  rule {rule} alone would answer {status}"));
    }
    for found in trace.matches.iter().filter(|found| found.logs) {
        let (variable, value) = (found.variable, Escaped(&found.value));
        let name = if found.name.is_empty() {
            String::new()
        } else {
            format!(":{}", Escaped(&found.name))
        };
        let more = found.value_bytes.saturating_sub(found.value.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} bytes more") };
        let (id, link) = (found.id, found.link);
        line(format!("match    {id} link {link} in {variable}{name}: `{value}`{more}"));
    }
    for (name, value) in &trace.scores {
        line(format!("score    {name} = {value}"));
    }
    for ran in dearest(&trace.ran) {
        let micros = ran.nanos.unwrap_or(0) as f64 / 1000.0;
        line(format!("time     {micros:>8.1} µs  {}", ran.id));
    }
}

fn dearest(ran: &[RanRule]) -> Vec<&RanRule> {
    let mut all: Vec<&RanRule> = ran.iter().collect();
    all.sort_by_key(|ran| std::cmp::Reverse(ran.nanos));
    all.truncate(DEAREST);
    all
}

/// For programs: everything.
pub(super) fn as_json(parts: &[Part]) -> Value {
    parts.iter().map(part_json).collect()
}

fn part_json(Part { set, trace }: &Part) -> Value {
    let ran = trace.ran.iter().map(|ran| {
        json!({
            "rule": ran.id, "phase": ran.phase, "matched": ran.matched, "steps": ran.steps,
            "nanos": ran.nanos,
        })
    });
    let matches = trace.matches.iter().map(|found| {
        json!({
            "rule": found.id, "link": found.link, "variable": found.variable,
            "name": Escaped(&found.name).to_string(), "value": Escaped(&found.value).to_string(),
            "valueBytes": found.value_bytes, "logs": found.logs,
        })
    });
    let verdict = trace.verdict.map(|(rule, status)| json!({"rule": rule, "status": status}));
    json!({
        "ruleset": set.name(),
        "level": set.run_level(),
        "ran": ran.collect::<Vec<_>>(),
        "matches": matches.collect::<Vec<_>>(),
        "scores": trace.scores.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "verdict": verdict,
        "steps": trace.steps,
        "gaveUp": trace.gave_up,
    })
}
