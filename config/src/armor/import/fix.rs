//! The policy that was meant.

use super::ImportedPolicy;
use super::findings::region_list;
use crate::armor::lint::{asks_waf, decides, matches_all};
use crate::armor::{
    Action, Condition, Conform, DEFAULT_PRIORITY, JsonParsing, Rule, SecurityPolicy, write,
};

/// What happens to rules that the fix makes reachable for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They are put in preview.
    Preview,
    /// They are enforced.
    Enforce,
}

/// A fixed policy.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The policy, as YAML.
    pub yaml: String,
    /// What was changed, a sentence each.
    pub changes: Vec<String>,
    /// Address lists that the configuration has to declare.
    pub lists: Vec<String>,
}

/// Writes the policy that was meant: countries denied instead of let through, rates that go on, WAF rules reached and
/// at level 1, JSON parsed.
#[must_use]
pub fn fix(imported: &ImportedPolicy, reach: Reach) -> Fixed {
    let mut fix = Fixing {
        policy: imported.policy.clone(),
        changes: Vec::new(),
        lists: Vec::new(),
        texts: Vec::new(),
    };
    let shadow = fix
        .policy
        .rules
        .iter()
        .find(|rule| decides(rule) && matches_all(rule))
        .map(|rule| rule.priority);
    fix.countries();
    fix.rates();
    fix.sets();
    fix.broken(imported);
    fix.json();
    if let (Reach::Preview, Some(shadow)) = (reach, shadow) {
        fix.preview_below(shadow);
    }
    fix.finish()
}

struct Fixing {
    policy: SecurityPolicy,
    changes: Vec<String>,
    lists: Vec<String>,
    /// Expressions that take the place of rules' conditions, by priority; a text with no rule makes one.
    texts: Vec<(u32, String, String, bool)>,
}

impl Fixing {
    /// `allow` of listed countries above everything becomes `deny` of the others.
    fn countries(&mut self) {
        let mut texts = Vec::new();
        for rule in &mut self.policy.rules {
            let Some(listed) = region_list(rule) else { continue };
            if !matches!(rule.action, Action::Allow) || !decides(rule) {
                continue;
            }
            let quoted: Vec<String> = listed.iter().map(|code| format!("'{code}'")).collect();
            let text = format!(
                "origin.region_code != '' && !(origin.region_code in [{}])",
                quoted.join(", ")
            );
            texts.push((
                rule.priority,
                text,
                "Deny traffic from all but the listed countries".to_owned(),
                false,
            ));
            rule.action =
                super::super::rules::deny_status("deny(403)").map_or(Action::Allow, Action::Deny);
            self.changes
                .push(format!("rule {}: denies the countries that are not listed", rule.priority));
        }
        self.texts.extend(texts);
    }

    /// A match-all limit above refusals goes on when it conforms.
    fn rates(&mut self) {
        let below = |rules: &[Rule], priority: u32| {
            rules.iter().any(|rule| rule.priority > priority && rule.priority != DEFAULT_PRIORITY)
        };
        let rules = self.policy.rules.clone();
        for rule in &mut self.policy.rules {
            let stands_above = below(&rules, rule.priority);
            if let Action::Throttle(limit) | Action::RateBasedBan(limit) = &mut rule.action
                && limit.conform == Conform::Allow
                && stands_above
            {
                limit.conform = Conform::Continue;
                self.changes.push(format!(
                    "rule {}: a request within the limit goes on to the next rule",
                    rule.priority
                ));
            }
        }
    }

    /// The deprecated function and rule set 3.0 become the newest set at level 1, at which old opt-outs are moot.
    fn sets(&mut self) {
        for rule in &self.policy.rules {
            let Condition::Expression(expression) = &rule.condition else { continue };
            let crate::expr::Kind::Waf(call) = &expression.typed.root.kind else { continue };
            if !call.deprecated || !asks_waf(rule) {
                continue;
            }
            let text = format!(
                "evaluatePreconfiguredWaf('{}-v422-stable', {{'sensitivity': 1}})",
                call.set.category
            );
            self.changes
                .push(format!("rule {}: `{}` becomes {text}", rule.priority, call.set.name));
            self.texts.push((rule.priority, text, String::new(), false));
        }
    }

    /// A set that never existed and was to be known-bad addresses becomes a list of them.
    fn broken(&mut self, imported: &ImportedPolicy) {
        for broken in &imported.broken {
            let (Some(priority), Some(expression)) = (broken.priority, &broken.expression) else {
                continue;
            };
            if !expression.contains("project-shield") {
                self.changes.push(format!("rule {priority}: left out, it does not load"));
                continue;
            }
            let text = "evaluateAddressGroup('known-bad', origin.ip)".to_owned();
            self.changes
                .push(format!("rule {priority}: becomes {text}; declare the list `known-bad`"));
            self.lists.push("known-bad".to_owned());
            self.texts.push((priority, text, broken.description.clone(), true));
        }
    }

    fn json(&mut self) {
        if self.policy.advanced.json_parsing == JsonParsing::Disabled {
            self.policy.advanced.json_parsing = JsonParsing::Standard;
            self.changes.push("JSON bodies are parsed".to_owned());
        }
    }

    fn preview_below(&mut self, shadow: u32) {
        for rule in &mut self.policy.rules {
            if rule.priority > shadow && rule.priority != DEFAULT_PRIORITY && !rule.preview {
                rule.preview = true;
                self.changes.push(format!(
                    "rule {}: in preview, because it is reached for the first time",
                    rule.priority
                ));
            }
        }
    }

    /// Puts the new texts in the places of the old ones.
    fn finish(self) -> Fixed {
        let mut yaml = String::new();
        let whole = write(&self.policy);
        let mut chunks = whole.split("\n- priority: ");
        yaml.push_str(chunks.next().unwrap_or_default());
        let mut rules: Vec<(u32, String)> = chunks.filter_map(numbered).collect();
        let preview = self.changes.iter().any(|change| change.contains("in preview"));
        for (priority, text, description, is_new) in &self.texts {
            if *is_new {
                rules.push((*priority, new_rule(*priority, text, description, preview)));
            } else if let Some((_, rule)) = rules.iter_mut().find(|(known, _)| known == priority) {
                *rule = replaced(rule, text, description);
            }
        }
        rules.sort_by_key(|(priority, _)| *priority);
        for (_, rule) in rules {
            yaml.push_str("\n- priority: ");
            yaml.push_str(rule.trim_end());
        }
        yaml.push('\n');
        Fixed { yaml, changes: self.changes, lists: self.lists }
    }
}

fn numbered(chunk: &str) -> Option<(u32, String)> {
    let priority = chunk.lines().next()?.parse().ok()?;
    Some((priority, chunk.to_owned()))
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

fn new_rule(priority: u32, text: &str, description: &str, preview: bool) -> String {
    let preview = if preview { "  preview: true\n" } else { "" };
    format!(
        "{priority}\n  description: {}\n  action: deny(403)\n{preview}  match:\n    expr:\n      expression: {}",
        quoted(description),
        quoted(text)
    )
}

fn replaced(rule: &str, text: &str, description: &str) -> String {
    let line = |line: &str| {
        if line.trim_start().starts_with("expression: ") {
            format!("      expression: {}", quoted(text))
        } else if line.starts_with("  description: ") && !description.is_empty() {
            format!("  description: {}", quoted(description))
        } else {
            line.to_owned()
        }
    };
    rule.lines().map(line).collect::<Vec<_>>().join("\n")
}
