//! A native policy as Google takes it: what can be said in its limits is rewritten, the rest is told rule by rule.

use std::collections::BTreeMap;

use super::lint::{Strictness, lint_policy};
use super::write::write_with;
use super::{Action, Condition, Expression, Rule, SecurityPolicy, parse};
use crate::expr::{Attribute, Kind, Literal, Node};
use crate::{Diagnostic, SourceFile};

/// Ranges that a rule of Google's may have.
const RANGES_MAX: usize = 10;
/// Characters of a description that Google's documentation allows.
const DESCRIPTION_CHARS_MAX: usize = 64;

/// A policy for `gcloud compute security-policies import`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The policy, as YAML.
    pub yaml: String,
    /// What was written otherwise, a sentence each. None of them changes what the policy does.
    pub changes: Vec<String>,
}

/// Writes a policy in Google's limits.
///
/// # Errors
/// Every rule that has no equal there, and why.
pub fn export(policy: &SecurityPolicy) -> Result<Exported, Vec<Diagnostic>> {
    let mut changes = Vec::new();
    let mut rewritten = policy.clone();
    split_ranges(&mut rewritten, &mut changes);
    for rule in &mut rewritten.rules {
        shorten(rule, &mut changes);
    }
    let texts = memberships(&rewritten, &mut changes);
    let yaml = write_with(&rewritten, &|rule, expression| {
        let replaced = texts.get(&rule.priority).cloned();
        replaced.unwrap_or_else(|| expression.typed.text.to_string())
    });
    let (again, _) = parse(&SourceFile::new("exported", yaml.clone()))?;
    let beyond: Vec<Diagnostic> = lint_policy(&again, Strictness::Gcp)
        .into_iter()
        .filter(Diagnostic::is_error)
        // The place is in a text that nobody has; the message names the rule.
        .map(|problem| Diagnostic { at: place(policy, &problem), ..problem })
        .collect();
    if beyond.is_empty() { Ok(Exported { yaml, changes }) } else { Err(beyond) }
}

/// Returns where the rule that a lint names stands in the policy as it was read.
fn place(policy: &SecurityPolicy, problem: &Diagnostic) -> Option<crate::Location> {
    let priority = problem.message.strip_prefix("rule ")?.split(':').next()?.parse().ok()?;
    let above = |rule: &&Rule| rule.priority <= priority;
    policy.rules.iter().rfind(above).map(|rule| rule.at.clone())
}

/// Rules of many ranges become several, at priorities that are free. A limit stays whole: its parts would count apart.
fn split_ranges(policy: &mut SecurityPolicy, changes: &mut Vec<String>) {
    let taken: Vec<u32> = policy.rules.iter().map(|rule| rule.priority).collect();
    let mut rules = Vec::with_capacity(policy.rules.len());
    for rule in &policy.rules {
        let Condition::SourceRanges(nets) = &rule.condition else {
            rules.push(rule.clone());
            continue;
        };
        let parts = nets.chunks(RANGES_MAX);
        let counts = matches!(rule.action, Action::Throttle(_) | Action::RateBasedBan(_));
        let room = (1..parts.len()).all(|offset| {
            u32::try_from(offset).is_ok_and(|offset| !taken.contains(&(rule.priority + offset)))
        });
        if parts.len() <= 1 || counts || !room {
            rules.push(rule.clone());
            continue;
        }
        changes.push(format!(
            "rule {}: {} ranges become {} rules",
            rule.priority,
            nets.len(),
            parts.len()
        ));
        rules.extend((rule.priority..).zip(parts).map(|(priority, nets)| Rule {
            priority,
            condition: Condition::SourceRanges(nets.to_vec()),
            ..rule.clone()
        }));
    }
    policy.rules = rules;
}

fn shorten(rule: &mut Rule, changes: &mut Vec<String>) {
    let length = rule.description.chars().count();
    if length > DESCRIPTION_CHARS_MAX {
        rule.description = rule.description.chars().take(DESCRIPTION_CHARS_MAX).collect();
        changes.push(format!(
            "rule {}: the description is cut after {DESCRIPTION_CHARS_MAX} characters",
            rule.priority
        ));
    }
}

/// Returns the expressions whose `in` could be written with what Google has, by priority.
fn memberships(policy: &SecurityPolicy, changes: &mut Vec<String>) -> BTreeMap<u32, String> {
    let mut texts = BTreeMap::new();
    for rule in &policy.rules {
        let Condition::Expression(expression) = &rule.condition else { continue };
        let text = without_in(expression);
        if *text != *expression.typed.text {
            changes.push(format!("rule {}: `in` is written with what Google has", rule.priority));
            texts.insert(rule.priority, text);
        }
    }
    texts
}

fn without_in(expression: &Expression) -> String {
    let mut replacements = Vec::new();
    expression.typed.walk(&mut |node| {
        if let Some(text) = membership(node, &expression.typed.text) {
            replacements.push((node.span.start..node.span.end, text));
        }
    });
    let mut text = expression.typed.text.to_string();
    replacements.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    for (span, replacement) in replacements {
        if text.get(span.clone()).is_some() {
            text.replace_range(span, &replacement);
        }
    }
    text
}

/// A list of countries is one subexpression as a text that holds the code between spaces: every code has two letters,
/// so that nothing else in the text is one. The guard is for the unknown country, which every text contains.
fn membership(node: &Node, text: &str) -> Option<String> {
    let Kind::In { needle, haystack } = &node.kind else { return None };
    let Kind::List(items) = &haystack.kind else { return None };
    let written = text.get(needle.span.start..needle.span.end)?;
    if let Kind::Attribute(Attribute::OriginRegionCode) = &needle.kind {
        let codes: Option<Vec<&str>> = items.iter().map(code).collect();
        let codes = codes?.join(" ");
        return Some(format!("({written} != '' && '[{codes}]'.contains({written}))"));
    }
    let one = |item: &Literal| match item {
        Literal::String(value) if !value.contains(['\'', '\\']) => {
            Some(format!("{written} == '{value}'"))
        }
        Literal::Int(value) => Some(format!("{written} == {value}")),
        Literal::String(_) | Literal::Bool(_) | Literal::Double(_) => None,
    };
    let parts: Option<Vec<String>> = items.iter().map(one).collect();
    let parts = parts.filter(|parts| !parts.is_empty())?;
    Some(format!("({})", parts.join(" || ")))
}

fn code(item: &Literal) -> Option<&str> {
    match item {
        Literal::String(code)
            if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) =>
        {
            Some(code)
        }
        Literal::String(_) | Literal::Bool(_) | Literal::Int(_) | Literal::Double(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> SecurityPolicy {
        let default = "  - { priority: 2147483647, action: allow, match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } } }\n";
        let text = format!("name: p\nrules:\n{rules}{default}");
        parse(&SourceFile::new("p.yaml", text)).unwrap_or_else(|p| panic!("{p:?}")).0
    }

    #[test]
    fn lists_of_countries_and_many_ranges_are_written_in_googles_limits() {
        let ranges: Vec<String> = (0..23).map(|n| format!("'192.0.{n}.0/24'")).collect();
        let exported = export(&policy(&format!(
            "  - {{ priority: 10, action: deny(403), match: {{ expr: {{ expression: \"origin.region_code != '' && !(origin.region_code in ['US', 'CA', 'GB', 'DE', 'FR', 'NL'])\" }} }} }}\n  \
             - {{ priority: 20, action: deny(403), match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: [{}] }} }} }}\n  \
             - {{ priority: 30, action: deny(404), match: {{ expr: {{ expression: \"request.method in ['PUT', 'PATCH']\" }} }} }}\n",
            ranges.join(", ")
        )))
        .unwrap();
        assert!(
            exported.yaml.contains("'[US CA GB DE FR NL]'.contains(origin.region_code)"),
            "{}",
            exported.yaml
        );
        assert!(exported.yaml.contains("request.method == 'PUT' || request.method == 'PATCH'"));
        for priority in ["priority: 20", "priority: 21", "priority: 22"] {
            assert!(exported.yaml.contains(priority), "{}", exported.yaml);
        }
        assert_eq!(exported.changes.len(), 3, "{:?}", exported.changes);
    }

    #[test]
    fn what_google_has_not_is_told_rule_by_rule() {
        let rule = "  - { priority: 10, action: throttle, match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }, \
                    rateLimitOptions: { rateLimitThreshold: { count: 5, intervalSec: 60 }, conformAction: continue, exceedAction: deny(429), enforceOnKey: TENANT } }\n  \
                    - { priority: 20, action: log, match: { expr: { expression: \"token.valid\" } } }\n";
        let problems = export(&policy(rule)).unwrap_err();
        let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        for part in [
            "rule 10: `conformAction: continue`",
            "rule 10: a key that Google has not",
            "rule 20: `action: log`",
        ] {
            assert!(told.contains(&part), "{told:?}");
        }
        assert!(problems.iter().all(|problem| problem.at.is_some()), "{problems:?}");
    }
}
