//! `policy ls`, `policy diff`, `policy rollback`.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use portcullis_config::armor::{self, RuleChange, SecurityPolicy};
use portcullis_config::{SourceFile, Style, render_all};
use serde_json::json;

use super::socket::{Target, ask};
use super::status::short;
use super::{Done, Failed, say, say_json, table};
use crate::admin::{PolicyView, ReloadView, StatusView};

#[derive(Subcommand, Debug)]
pub(super) enum Policy {
    /// Show the policies that are served, with their rules and routes.
    Ls(Target),
    /// Compare two policies rule by rule. Exit 1 where they differ.
    Diff(Diff),
    /// Go back to the generation before. The files stay as they are.
    Rollback(Rollback),
}

#[derive(Args, Debug)]
pub(super) struct Diff {
    /// The old policy: a file, or `served:ID` for what the running process serves.
    old: String,
    /// The new policy, likewise.
    new: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Rollback {
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(policy: Policy) -> Done {
    match policy {
        Policy::Ls(target) => ls(&target),
        Policy::Diff(diff) => compare(&diff),
        Policy::Rollback(rollback) => roll_back(&rollback.target),
    }
}

fn served(target: &Target) -> Result<StatusView, Failed> {
    ask(target.client()?.get("/v1/status"))
}

fn ls(target: &Target) -> Done {
    let status = served(target)?;
    if target.json {
        say_json(&status.policies)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |view: &PolicyView| {
        let routes =
            if view.routes.is_empty() { "none".to_owned() } else { view.routes.join(", ") };
        let (rules, previews) = (view.rules.to_string(), view.previews.to_string());
        vec![view.id.clone(), rules, previews, view.source.clone(), routes]
    };
    let rows: Vec<Vec<String>> = status.policies.iter().map(row).collect();
    say(&table::draw(&["POLICY", "RULES", "PREVIEW", "SOURCE", "ROUTES"], &rows))?;
    let previous = match status.previous_generation {
        Some(previous) => format!("; `policy rollback` goes back to {previous}"),
        None => String::new(),
    };
    let fingerprint = short(&status.fingerprint);
    say(&format!("generation {} ({fingerprint}){previous}\n", status.generation))?;
    Ok(ExitCode::SUCCESS)
}

fn compare(diff: &Diff) -> Done {
    let (old, new) = (read(&diff.old, &diff.target)?, read(&diff.new, &diff.target)?);
    let changes = armor::changes(&old, &new);
    if diff.target.json {
        say_json(&changes.iter().map(view).collect::<Vec<_>>())?;
    } else if changes.is_empty() {
        say("no difference\n")?;
    } else {
        say(&changes.iter().map(drawn).collect::<String>())?;
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a policy from a file, or from the running process by `served:ID`.
fn read(name: &str, target: &Target) -> Result<SecurityPolicy, Failed> {
    let text = match name.strip_prefix("served:") {
        Some(id) => {
            let found = served(target)?.policies.into_iter().find(|policy| policy.id == id);
            let none = || Failed::Said(format!("error: no policy `{id}` is served\n  help: `portcullis policy ls` lists them"));
            found.ok_or_else(none)?.text
        }
        None => fs::read_to_string(Path::new(name)).map_err(|error| {
            Failed::Said(format!("error: `{name}` cannot be read: {error}\n  help: name a policy file, or `served:ID`"))
        })?,
    };
    let style = if std::io::stderr().is_terminal() { Style::Colour } else { Style::Plain };
    let refused = |problems: Vec<_>| {
        Failed::Said(format!(
            "{}error: `{name}` is no policy that loads",
            render_all(&problems, style)
        ))
    };
    armor::parse(&SourceFile::new(name, text)).map(|(policy, _)| policy).map_err(refused)
}

/// A change as `diff` writes it.
fn drawn(change: &RuleChange) -> String {
    let marked = |mark: char, text: &str| {
        text.lines().map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    let mut text = format!("{}\n", change.what);
    text.push_str(&change.old.as_deref().map_or_else(String::new, |old| marked('-', old)));
    text.push_str(&change.new.as_deref().map_or_else(String::new, |new| marked('+', new)));
    text
}

fn view(change: &RuleChange) -> serde_json::Value {
    json!({
        "what": change.what, "priority": change.priority, "old": change.old, "new": change.new,
    })
}

fn roll_back(target: &Target) -> Done {
    let view: ReloadView = ask(target.client()?.post("/v1/rollback", &json!({})))?;
    if target.json {
        say_json(&view)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!(
        "the configuration before is served again, as generation {} ({})\nthe files hold what was gone back from: mend them, then `portcullis reload`\n",
        view.generation,
        short(&view.fingerprint)
    ))?;
    Ok(ExitCode::SUCCESS)
}
