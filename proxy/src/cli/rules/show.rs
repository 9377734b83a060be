//! `rules show`: everything about one rule.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use portcullis_rulesets::{Category, Cost, RuleInfo, RuleSet};

use super::{Set, level_word, ls, severity_word};
use crate::cli::{Done, Failed, say, say_json};

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The rule's id.
    id: u32,
    #[command(flatten)]
    set: Set,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(show: &Show) -> Done {
    let set = show.set.load()?;
    let Some((_, rule)) = set.program().rule(show.id) else {
        return Err(unknown(show, &set));
    };
    if show.json {
        say_json(&ls::as_json(&set, rule))?;
    } else {
        say(&drawn(&set, rule))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(show: &Show, set: &RuleSet) -> Failed {
    let ids = set.program().rules().iter().map(|rule| rule.id);
    let near = ids.min_by_key(|id| id.abs_diff(show.id));
    let near = near.map(|id| format!("; the nearest is {id}")).unwrap_or_default();
    let (id, name) = (show.id, &show.set.name);
    Failed::Said(format!(
        "error: `{name}` has no rule {id}{near}\n  help: `portcullis rules ls --rules {name}` lists them"
    ))
}

fn drawn(set: &RuleSet, rule: &RuleInfo) -> String {
    let category = set.category(rule.id).map_or("-", Category::as_str);
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<10} {value}").expect("a string takes all text");
    };
    line("rule", &rule.id.to_string());
    line("message", if rule.msg.is_empty() { "-" } else { &rule.msg });
    line("phase", &rule.phase.to_string());
    line("level", &level_word(rule.paranoia));
    line("category", category);
    line("severity", severity_word(rule.severity));
    line("cost", Cost::of(rule).as_str());
    line("logs", if rule.log { "yes" } else { "no" });
    line("tags", &if rule.tags.is_empty() { "-".to_owned() } else { rule.tags.join(" ") });
    line("version", rule.version.as_deref().unwrap_or("-"));
    line("stands in", &format!("{}:{}", rule.file, rule.line));
    for (at, link) in rule.links.iter().enumerate() {
        line(&format!("link {}", at + 1), "");
        line("  targets", &or_dash(&link.targets, "|"));
        line("  operator", if link.operator.is_empty() { "-" } else { &link.operator });
        line("  after", &or_dash(&link.transformations, ", "));
        line("  spared by", &link.prefilter);
    }
    text
}

fn or_dash(words: &[String], between: &str) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(between) }
}
