//! `why`: why a request was refused, and the narrowest change that would let it pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_config::{SourceFile, render_all};

use super::socket::{Target, ask};
use super::{Done, Failed, ban, say, say_json, style};
use crate::admin::{DecisionView, RuleView, WhyView};
use crate::atomic_file;
use crate::remedy::{Change, Edit, EditError, apply};
use crate::trial::attacks::{Attack, newly_passing};
use crate::trial::policy_alone;

#[derive(Args, Debug)]
pub(super) struct Why {
    /// A request's id, a client's address, a tenant or a user (`tenant:NAME`, `user:NAME`).
    #[arg(value_name = "REQUEST_ID|IP|TENANT")]
    about: String,
    /// Change the policy's file by the narrowest fix of the newest refusal, and write a test of it beside the policy.
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(why: &Why) -> Done {
    let client = why.target.client()?;
    let path = format!("/v1/why?about={}", ban::encode(&why.about));
    let view: WhyView = ask(client.get(&path))?;
    if why.fix {
        return fix(&view, why.target.json);
    }
    if why.target.json {
        say_json(&view)?;
    } else {
        say(&drawn(&view))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn drawn(view: &WhyView) -> String {
    let mut text = String::new();
    // Decisions about one client are much alike: the newest is drawn whole, and the others in a line.
    if let Some(newest) = view.decisions.first() {
        text.push_str(&whole(newest, view.generation));
    }
    for decision in view.decisions.iter().skip(1) {
        let rule = decision.rule.as_ref().map(|rule| format!(" by rule {}", rule.priority));
        text.push_str(&format!(
            "{}  {}  {}{}  {}\n",
            decision.time,
            decision.request_id,
            decision.status,
            rule.unwrap_or_default(),
            decision.request
        ));
    }
    for ban in &view.bans {
        let end = ban
            .remaining_secs
            .map_or_else(|| "for good".to_owned(), |secs| format!("for {secs} s more"));
        text.push_str(&format!("ban      {} {end}: {}\n", ban.key, ban.reason));
    }
    text
}

fn whole(decision: &DecisionView, generation: u64) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:<8} {value}\n"));
    line("request", &decision.request);
    line("id", &format!("{} at {}", decision.request_id, decision.time));
    let country = if decision.country.is_empty() {
        String::new()
    } else {
        format!(" ({})", decision.country)
    };
    line("client", &format!("{}{country}", decision.client));
    if let Some(tenant) = &decision.tenant {
        line("tenant", tenant);
    }
    let reason = decision.reason.as_deref().unwrap_or("let through");
    line("answer", &format!("{} {reason}", decision.status));
    if let Some(detail) = &decision.detail {
        line("detail", detail);
    }
    if let Some(rule) = &decision.rule {
        line("rule", &of_rule(rule));
        for field in &rule.fields {
            line("field", &format!("{} `{}` by {}", field.field_type, field.name, field.signature));
        }
        if let Some(value) = &rule.value {
            line("value", value);
        }
        if let Some(counter) = &rule.counter {
            line("counter", counter);
        }
    }
    for preview in &decision.previews {
        line("preview", &of_rule(preview));
    }
    let since = if decision.generation == generation {
        "still served".to_owned()
    } else {
        format!("{generation} is served now")
    };
    line("decided", &format!("by generation {}; {since}", decision.generation));
    if let Some(fix) = &decision.fix {
        line("fix", &fix.words);
        if let Some(command) = &fix.command {
            line("do", command);
        }
        if fix.edit.is_some() {
            line("do", &format!("portcullis why {} --fix", decision.request_id));
        }
    }
    text
}

fn of_rule(rule: &RuleView) -> String {
    let place = rule.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let description = if rule.description.is_empty() {
        String::new()
    } else {
        format!(", “{}”", rule.description)
    };
    format!(
        "{} of {}{place}{description}: {} {}",
        rule.priority, rule.policy, rule.action, rule.outcome
    )
}

/// Writes the fix of the newest refusal that has one.
fn fix(view: &WhyView, json: bool) -> Done {
    let fixable = view.decisions.iter().find_map(|decision| {
        let edit = decision.fix.as_ref()?.edit.as_ref()?;
        Some((decision, edit))
    });
    let Some((decision, edit)) = fixable else {
        let words = view.decisions.first().and_then(|decision| decision.fix.as_ref());
        let words = words.map_or("nothing was refused", |fix| fix.words.as_str());
        return Err(Failed::Said(format!(
            "error: there is no change of a policy that helps\n  help: {words}"
        )));
    };
    write_policy(edit)?;
    let test = write_test(decision, edit)?;
    if json {
        say_json(&serde_json::json!({ "policy": edit.file, "test": test, "edit": edit }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let changes: String =
        edit.changes.iter().map(|change: &Change| format!("  {}\n", change.words())).collect();
    say(&format!(
        "changed: {}, rule {}:\n{changes}written: {}\nnext: portcullis test {}\nthen: portcullis reload\n",
        edit.file.display(),
        edit.rule,
        test.display(),
        test.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write_policy(edit: &Edit) -> Result<(), Failed> {
    let file = &edit.file;
    let text = fs::read_to_string(file).map_err(|error| {
        Failed::Said(format!("error: `{}` cannot be read: {error}", file.display()))
    })?;
    let changed = apply(&file.display().to_string(), &text, edit.rule, &edit.changes);
    let changed = changed.map_err(|error| match &error {
        EditError::Broken(problems) => {
            Failed::Said(format!("{}error: {error}", render_all(problems, style())))
        }
        EditError::NoRule(_) | EditError::Shape(_) => {
            let words: Vec<String> = edit.changes.iter().map(Change::words).collect();
            Failed::because(&error, Some(words.join("; ")))
        }
    })?;
    refuse_new_holes(edit, &text, &changed)?;
    // The running edge watches the file: it takes the change up by itself, and must never see half of it.
    let mode = fs::metadata(file).map_or(atomic_file::PUBLIC, |metadata| {
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    });
    atomic_file::replace(file, changed.as_bytes(), mode).map_err(|error| {
        Failed::Said(format!("error: `{}` cannot be written: {error}", file.display()))
    })
}

/// The built-in attacks that were refused, in the fields that the change leaves out too, are refused after it, or nothing
/// is written. The rule sets of the
/// configuration are not at hand here, so the built-in rules answer; the test that is written asks the real ones.
fn refuse_new_holes(edit: &Edit, before: &str, after: &str) -> Result<(), Failed> {
    let compiled = |text: &str| {
        let source = SourceFile::new(edit.file.display().to_string(), text);
        policy_alone(&source, &BTreeMap::new()).map_err(|problems| {
            Failed::Said(format!(
                "{}error: the changed policy does not load",
                render_all(&problems, style())
            ))
        })
    };
    let carried = |attack: &Attack| {
        let mut asks = vec![attack.ask("host.invalid")];
        for change in &edit.changes {
            if let Change::Exclude { field, name, .. } = change {
                asks.extend(["/", &edit.path].map(|path| field.carrying(attack, path, name)));
            }
        }
        asks
    };
    let holes = newly_passing(&compiled(before)?.policy, &compiled(after)?.policy, carried);
    if holes.is_empty() {
        return Ok(());
    }
    let names: Vec<String> =
        holes.iter().map(|attack| format!("{}: {}", attack.category, attack.name)).collect();
    Err(Failed::Said(format!(
        "error: attacks would newly pass, so nothing is written: {}\n  help: leave the rule as it is, and ask the client to send something else",
        names.join(", ")
    )))
}

fn write_test(decision: &DecisionView, edit: &Edit) -> Result<PathBuf, Failed> {
    let mut path = edit.file.clone();
    path.set_extension(format!("{}.test.yaml", decision.request_id));
    let text = decision.test.as_deref().unwrap_or_default();
    atomic_file::replace(&path, text.as_bytes(), atomic_file::PUBLIC).map_err(|error| {
        Failed::Said(format!("error: `{}` cannot be written: {error}", path.display()))
    })?;
    Ok(path)
}
