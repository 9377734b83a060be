//! `rules ls`: one line per rule.

use std::process::ExitCode;

use clap::Args;
use portcullis_rulesets::{Category, Cost, RuleInfo, RuleSet};
use serde_json::{Value, json};

use super::{Set, level_word, severity_word};
use crate::cli::{Done, Failed, say, say_json, table};

#[derive(Args, Debug)]
pub(crate) struct Ls {
    #[command(flatten)]
    set: Set,
    /// Only rules of this category: `sqli`, `xss`, `lfi`, …
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How much of the targets and of the message a line shows.
const CELL_CHARS_MAX: usize = 44;

pub(super) fn run(ls: &Ls) -> Done {
    let wanted = ls.category.as_deref().map(category).transpose()?;
    let set = ls.set.load()?;
    let rules: Vec<_> = set
        .program()
        .rules()
        .iter()
        .filter(|rule| wanted.is_none() || set.category(rule.id) == wanted)
        .collect();
    if ls.json {
        say_json(&rules.iter().map(|rule| as_json(&set, rule)).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let headings = ["ID", "PHASE", "LEVEL", "CATEGORY", "SEVERITY", "COST", "TARGETS", "MESSAGE"];
    let rows: Vec<Vec<String>> = rules.iter().map(|rule| row(&set, rule)).collect();
    say(&table::draw(&headings, &rows))?;
    say(&format!("{} rules, fingerprint {}\n", rows.len(), set.fingerprint()))?;
    Ok(ExitCode::SUCCESS)
}

fn category(word: &str) -> Result<Category, Failed> {
    Category::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = Category::all().map(Category::as_str).collect();
        let known = known.join(", ");
        Failed::Said(format!("error: `{word}` is no category\n  help: one of {known}"))
    })
}

fn row(set: &RuleSet, rule: &RuleInfo) -> Vec<String> {
    let targets = rule.links.first().map(|link| link.targets.join("|")).unwrap_or_default();
    let chain =
        if rule.links.len() > 1 { format!(" (+{})", rule.links.len() - 1) } else { String::new() };
    vec![
        rule.id.to_string(),
        rule.phase.to_string(),
        level_word(rule.paranoia),
        set.category(rule.id).map_or("-", Category::as_str).to_owned(),
        severity_word(rule.severity).to_owned(),
        Cost::of(rule).to_string(),
        cut(&targets) + &chain,
        cut(&rule.msg),
    ]
}

/// The start of a text; an ellipsis says that there is more.
fn cut(text: &str) -> String {
    if text.chars().count() <= CELL_CHARS_MAX {
        return if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// Everything that is known of a rule.
pub(super) fn as_json(set: &RuleSet, rule: &RuleInfo) -> Value {
    let links = rule.links.iter().map(|link| {
        json!({
            "targets": link.targets, "operator": link.operator,
            "transformations": link.transformations, "prefilter": link.prefilter,
        })
    });
    json!({
        "id": rule.id,
        "phase": rule.phase,
        "level": rule.paranoia,
        "category": set.category(rule.id).map(Category::as_str),
        "severity": rule.severity.map(|_| severity_word(rule.severity)),
        "cost": Cost::of(rule).as_str(),
        "msg": rule.msg,
        "tags": rule.tags,
        "version": rule.version,
        "log": rule.log,
        "file": rule.file,
        "line": rule.line,
        "links": links.collect::<Vec<_>>(),
    })
}
