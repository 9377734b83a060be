//! `tune`: the exclusions that would clear the false positives of a log, or of a capture.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::requests::Requests;
use super::{Done, Failed, eval, say, say_json, table};
use crate::replay::Kind;
use crate::trial::Trial;
use crate::tune::{Gathered, Proposal, Tuning};

#[derive(Args, Debug)]
pub(super) struct Tune {
    #[command(flatten)]
    requests: Requests,
    /// The configuration whose preview rules are tuned; without it the embedded default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(tune: &Tune) -> Done {
    let snapshot = eval::snapshot(tune.config.as_deref())?;
    let source = tune.requests.open()?;
    let mut gathered = Gathered::default();
    match source.kind {
        Kind::Ours => {
            for entry in source {
                gathered.add(&entry.map_err(|error| Failed::because(&error, None))?);
            }
        }
        Kind::Capture => {
            let trial = Trial::of_snapshot(&snapshot).traced();
            for entry in source {
                let entry = entry.map_err(|error| Failed::because(&error, None))?;
                gathered.add_whole(entry, &trial);
            }
        }
        Kind::Google | Kind::Har => return Err(says_no_field(source.kind)),
    }
    let tuning = gathered.rank(&snapshot);
    if tune.json {
        say_json(&as_json(&tuning))?;
    } else {
        say(&drawn(&tuning))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn says_no_field(kind: Kind) -> Failed {
    Failed::Said(format!(
        "error: {} does not say what preview rules matched in which field\n  help: tune from our own request log, or from a capture",
        kind.as_str()
    ))
}

fn drawn(tuning: &Tuning) -> String {
    let mut text = format!(
        "{} requests; {} passed that a preview rule would have refused\n",
        tuning.requests, tuning.false_positives
    );
    if tuning.not_clearable > 0 {
        text.push_str(&format!(
            "{} of them no exclusion clears: what matched is a name, a body or a method\n",
            tuning.not_clearable
        ));
    }
    if tuning.beyond > 0 {
        text.push_str(&format!(
            "{} requests were of too many kinds and are left out\n",
            tuning.beyond
        ));
    }
    if tuning.proposals.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = tuning.proposals.iter().map(row).collect();
    text.push('\n');
    text.push_str(&table::draw(
        &["CLEARS", "RULE", "FIELD", "SIGNATURES", "LETS THROUGH", "REFUSED BEFORE"],
        &rows,
    ));
    for proposal in &tuning.proposals {
        text.push_str(&format!(
            "\nrule {}, under `preconfiguredWafConfig: exclusions:`\n  - {}\n",
            proposal.place.rule,
            written(proposal)
        ));
        for sample in &proposal.samples {
            text.push_str(&format!("    # {sample}\n"));
        }
    }
    text
}

fn row(proposal: &Proposal) -> Vec<String> {
    let attacks = match proposal.lets_through.as_slice() {
        [] => "no built-in attack".to_owned(),
        names => names.join(", "),
    };
    vec![
        proposal.clears.to_string(),
        proposal.place.rule.to_string(),
        format!("{} `{}`", proposal.place.field.as_str(), proposal.place.name),
        ids(proposal),
        attacks,
        proposal.refused_before.to_string(),
    ]
}

fn ids(proposal: &Proposal) -> String {
    proposal.signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn written(proposal: &Proposal) -> String {
    let quoted: Vec<String> = proposal.signatures.iter().map(|id| format!("\"{id}\"")).collect();
    let name = Value::String(proposal.place.name.clone());
    format!(
        "{{ targetRuleSet: {}, targetRuleIds: [{}], {}: [{{ op: EQUALS, val: {name} }}] }}",
        proposal.place.set,
        quoted.join(", "),
        proposal.place.field.key()
    )
}

fn as_json(tuning: &Tuning) -> Value {
    let one = |proposal: &Proposal| {
        json!({
            "clears": proposal.clears, "rule": proposal.place.rule, "set": proposal.place.set,
            "field": proposal.place.field.as_str(), "name": proposal.place.name,
            "signatures": proposal.signatures, "letsThrough": proposal.lets_through,
            "refusedBefore": proposal.refused_before, "exclusion": written(proposal),
            "samples": proposal.samples,
        })
    };
    json!({
        "requests": tuning.requests, "falsePositives": tuning.false_positives,
        "notClearable": tuning.not_clearable, "leftOut": tuning.beyond,
        "proposals": tuning.proposals.iter().map(one).collect::<Vec<_>>(),
    })
}
