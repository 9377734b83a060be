//! `rules diff`: what changes between two sets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_rulesets::{Change, ChangeKind, RuleSet};
use serde_json::{Value, json};

use super::load;
use super::opt_outs::{self, OptOut};
use crate::cli::check::count;
use crate::cli::{Done, say, say_json};

#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// The set that is served: a name or a directory, as for `--rules`.
    old: String,
    /// The set that is to replace it.
    new: String,
    /// A configuration or a security policy whose opt-outs and exclusions are looked up in the new set.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(diff: &Diff) -> Done {
    let (old, new) = (load(&diff.old, 4)?, load(&diff.new, 4)?);
    let changes = old.changes_to(&new);
    let named = diff.config.as_deref().map(opt_outs::read).transpose()?.unwrap_or_default();
    let orphans: Vec<OptOut> =
        named.into_iter().filter(|named| !new.contains(named.rule_id)).collect();
    if diff.json {
        say_json(&json!({
            "changes": changes.iter().map(change).collect::<Vec<_>>(),
            "opt_outs_without_rule": orphans.iter().map(|orphan| orphan.to_json(&old)).collect::<Vec<_>>(),
        }))?;
    } else {
        say(&drawn(&changes, &orphans, &old))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn drawn(changes: &[Change], orphans: &[OptOut], old: &RuleSet) -> String {
    let mut text: String = changes.iter().map(|change| format!("{change}\n")).collect();
    for orphan in orphans {
        text.push_str(&orphan.drawn(old));
    }
    let changes = count(changes.len(), "change");
    let orphans = count(orphans.len(), "opt-out");
    text + &format!("{changes}; {orphans} without a rule in the new set\n")
}

fn change(change: &Change) -> Value {
    let (kind, detail) = match &change.kind {
        ChangeKind::New { msg, level } => ("new", json!({"msg": msg, "level": level})),
        ChangeKind::Gone { msg } => ("gone", json!({"msg": msg})),
        ChangeKind::LevelMoved { from, to } => ("level_moved", json!({"from": from, "to": to})),
        ChangeKind::CategoryMoved { from, to } => {
            let word = |category: &Option<portcullis_rulesets::Category>| {
                category.map(portcullis_rulesets::Category::as_str)
            };
            ("category_moved", json!({"from": word(from), "to": word(to)}))
        }
        ChangeKind::PhaseMoved { from, to } => ("phase_moved", json!({"from": from, "to": to})),
        ChangeKind::Retargeted { added, removed } => {
            ("retargeted", json!({"added": added, "removed": removed}))
        }
        ChangeKind::Rewritten => ("rewritten", json!({})),
    };
    json!({"rule": change.rule_id, "kind": kind, "detail": detail})
}
