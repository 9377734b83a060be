//! Two definitions of one policy, beside each other: by priority, what each one does there.

use std::collections::BTreeMap;

use super::{Import, ImportedPolicy};
use crate::armor::{Action, Condition, Rule};

/// A policy that was defined more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// Its name.
    pub name: String,
    /// Where the first and the other definition stand.
    pub places: [String; 2],
    /// The rules by priority.
    pub rules: Vec<Beside>,
}

/// What stands at one priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The priority.
    pub priority: u32,
    /// What the first and the other definition do there; empty where there is no rule.
    pub rules: [String; 2],
}

/// Returns every pair of definitions of one name. They are shown, never merged: their priorities mean different things.
#[must_use]
pub fn twice(import: &Import) -> Vec<Twice> {
    let mut pairs = Vec::new();
    for (index, other) in import.policies.iter().enumerate() {
        let same = |policy: &&ImportedPolicy| policy.policy.name == other.policy.name;
        if let Some(first) = import.policies.iter().take(index).find(same) {
            pairs.push(pair(first, other));
        }
    }
    pairs
}

fn pair(first: &ImportedPolicy, other: &ImportedPolicy) -> Twice {
    let mut rows: BTreeMap<u32, [String; 2]> = BTreeMap::new();
    for (side, imported) in [first, other].into_iter().enumerate() {
        for (priority, words) in words(imported) {
            if let Some(cell) = rows.entry(priority).or_default().get_mut(side) {
                *cell = words;
            }
        }
    }
    Twice {
        name: first.policy.name.clone(),
        places: [first.policy.at.to_string(), other.policy.at.to_string()],
        rules: rows.into_iter().map(|(priority, rules)| Beside { priority, rules }).collect(),
    }
}

fn words(imported: &ImportedPolicy) -> Vec<(u32, String)> {
    let loaded = imported.policy.rules.iter().map(|rule| (rule.priority, in_words(rule)));
    let broken = imported.broken.iter().filter_map(|broken| {
        let expression = broken.expression.clone().unwrap_or_default();
        Some((broken.priority?, format!("does not load: {}", one_line(&expression))))
    });
    loaded.chain(broken).collect()
}

/// Says in a line what a rule does.
fn in_words(rule: &Rule) -> String {
    let action = match &rule.action {
        Action::Allow => "allow".to_owned(),
        Action::Deny(status) => format!("deny({})", status.as_u16()),
        Action::Throttle(limit) => {
            format!("throttle {} in {} s", limit.threshold.count, limit.threshold.interval_secs)
        }
        Action::RateBasedBan(limit) => {
            format!(
                "rate_based_ban {} in {} s",
                limit.threshold.count, limit.threshold.interval_secs
            )
        }
        Action::Redirect(target) => format!("redirect to {target}"),
        Action::Log => "log".to_owned(),
    };
    let condition = match &rule.condition {
        Condition::Any => "*".to_owned(),
        Condition::SourceRanges(nets) => {
            nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        Condition::Expression(expression) => one_line(&expression.typed.text),
    };
    format!("{action}: {condition}")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
