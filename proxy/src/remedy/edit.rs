//! A change of one rule in the text of its policy: comments and order stay.
//!
//! Every edit is read back: the policy must load, and the rule must have what was asked for. Where the text is written in
//! a way that cannot be added to, the whole policy is written anew, and its comments go.

use portcullis_config::armor::{self, Condition, Rule, SecurityPolicy};
use portcullis_config::yaml::{self, Node, Value};
use portcullis_config::{Diagnostic, SourceFile};

use super::{Change, Field};

/// Why a policy is not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It does not load as it is.
    #[error("the policy does not load as it is")]
    Broken(Vec<Diagnostic>),
    /// It has no such rule.
    #[error("the policy has no rule {0}")]
    NoRule(u32),
    /// Its text cannot be changed in place.
    #[error("the text of rule {0} cannot be added to: write it in block style, a key a line")]
    Shape(u32),
}

/// Changes a rule of a policy's text.
///
/// # Errors
/// When the policy does not load, has no such rule, or is written in a way that cannot be added to.
pub fn apply(name: &str, text: &str, rule: u32, changes: &[Change]) -> Result<String, EditError> {
    load(name, text)?;
    let mut text = text.to_owned();
    for change in changes {
        let changed = one(&text, rule, change)?;
        let again = load(name, &changed)?;
        if !holds(&again, rule, change) {
            return Err(EditError::Shape(rule));
        }
        text = changed;
    }
    Ok(text)
}

fn load(name: &str, text: &str) -> Result<SecurityPolicy, EditError> {
    let loaded = armor::parse(&SourceFile::new(name, text));
    loaded.map(|(policy, _)| policy).map_err(EditError::Broken)
}

fn one(text: &str, rule: u32, change: &Change) -> Result<String, EditError> {
    let source = SourceFile::new("policy", text);
    let (root, _) = yaml::read(&source);
    let root = root.ok_or(EditError::NoRule(rule))?;
    let node = rule_node(&root, rule).ok_or(EditError::NoRule(rule))?;
    match change {
        Change::Exclude { set, signatures, field, name } => {
            let item = exclusion(set, signatures, *field, name);
            exclude(text, node, &item).ok_or(EditError::Shape(rule))
        }
        Change::Keep { priority, expression, .. } => {
            keep(text, rule, node, *priority, expression).ok_or(EditError::Shape(rule))
        }
        Change::Condition { expression } => {
            recondition(text, node, expression).ok_or(EditError::Shape(rule))
        }
    }
}

/// Writes the rule's own lines once more above it, with another priority and condition.
fn keep(text: &str, rule: u32, node: &Node, priority: u32, expression: &str) -> Option<String> {
    let (first, last) = extent(node)?;
    let start = line_start(text, first);
    if text.get(start..first)?.trim() != "-" {
        return None;
    }
    let end = line_end(text, text.get(..last)?.trim_end().len());
    let block = text.get(start..end)?;
    let block = if block.ends_with('\n') { block.to_owned() } else { format!("{block}\n") };
    let doubled = insert(text, start, &block)?;
    // The copy is the first of two rules with this priority.
    let copy = |text: &str| yaml::read(&SourceFile::new("policy", text)).0;
    let conditioned = recondition(&doubled, rule_node(&copy(&doubled)?, rule)?, expression)?;
    let root = copy(&conditioned)?;
    let number = rule_node(&root, rule)?.get("priority")?.span.clone();
    let mut changed = conditioned;
    changed.replace_range(number, &priority.to_string());
    Some(changed)
}

/// Where a mapping's first key begins, and where the last value in it ends.
fn extent(node: &Node) -> Option<(usize, usize)> {
    let Value::Map(entries) = &node.value else { return None };
    let first = entries.iter().map(|entry| entry.span.start).min()?;
    Some((first, entries.iter().map(|entry| end_of(&entry.node)).max()?))
}

fn end_of(node: &Node) -> usize {
    let within = match &node.value {
        Value::Map(entries) => entries.iter().map(|entry| end_of(&entry.node)).max(),
        Value::List(items) => items.iter().map(end_of).max(),
        Value::Null | Value::Scalar { .. } => Some(node.span.end),
    };
    within.unwrap_or(node.span.end)
}

fn rule_node(root: &Node, rule: u32) -> Option<&Node> {
    let is_it = |node: &&Node| {
        let priority = node.get("priority").and_then(Node::as_text);
        priority.is_some_and(|text| text.parse() == Ok(rule))
    };
    root.get("rules")?.as_list()?.iter().find(is_it)
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

fn exclusion(set: &str, signatures: &[u32], field: Field, name: &str) -> String {
    let ids: Vec<String> = signatures.iter().map(|id| quoted(&id.to_string())).collect();
    format!(
        "{{ targetRuleSet: {set}, targetRuleIds: [{}], {}: [{{ op: EQUALS, val: {} }}] }}",
        ids.join(", "),
        field.key(),
        quoted(name)
    )
}

/// Adds an item to the rule's exclusions, or the whole key below the line of `priority`.
fn exclude(text: &str, node: &Node, item: &str) -> Option<String> {
    let known = node.get("preconfiguredWafConfig").and_then(|config| config.get("exclusions"));
    if let Some(list) = known {
        let first = list.as_list()?.first()?;
        let line = line_start(text, first.span.start);
        let indent = text.get(line..)?.split('-').next()?;
        if !indent.bytes().all(|byte| byte == b' ') {
            return None;
        }
        return insert(text, line, &format!("{indent}- {item}\n"));
    }
    let indent = own_column(text, node)?;
    let end = line_end(text, node.get("priority")?.span.end);
    let lines =
        format!("{indent}preconfiguredWafConfig:\n{indent}  exclusions:\n{indent}  - {item}\n");
    insert(text, end, &lines)
}

/// Returns the indentation of a block mapping's keys; `None` where `priority` shares its line with another key.
fn own_column(text: &str, node: &Node) -> Option<String> {
    let Value::Map(entries) = &node.value else { return None };
    let priority = entries.iter().find(|entry| entry.key == "priority")?;
    let line = line_start(text, priority.span.start);
    let before = text.get(line..priority.span.start)?;
    let own = |byte: u8| byte == b' ' || byte == b'-';
    let end = line_end(text, priority.node.span.end);
    let after = text.get(priority.node.span.end..end)?.trim();
    let alone = before.bytes().all(own) && (after.is_empty() || after.starts_with('#'));
    alone.then(|| " ".repeat(before.chars().count()))
}

/// Puts the expression in the place of the old one, or of `versionedExpr` and its ranges.
fn recondition(text: &str, node: &Node, expression: &str) -> Option<String> {
    let found = node.get("match")?;
    if let Some(old) = found.get("expr").and_then(|expr| expr.get("expression")) {
        // From the key on: a block scalar begins with a header (`>-`) on the key's line.
        let kept = text.get(old.span.clone())?.trim_end();
        let span = old.key.clone()?.end..old.span.start + kept.len();
        let mut changed = text.to_owned();
        changed.replace_range(span, &format!(": {}", quoted(expression)));
        return Some(changed);
    }
    let Value::Map(entries) = &found.value else { return None };
    let versioned = entries.iter().find(|entry| entry.key == "versionedExpr")?;
    let config = entries.iter().find(|entry| entry.key == "config")?;
    let same_line = line_start(text, versioned.span.start) == line_start(text, config.span.start);
    let inner = format!("expr: {{ expression: {} }}", quoted(expression));
    if same_line {
        // `match: { versionedExpr: …, config: { … } }`
        let mut changed = text.to_owned();
        changed.replace_range(found.span.clone(), &format!("{{ {inner} }}"));
        return Some(changed);
    }
    let line = line_start(text, versioned.span.start);
    let indent = text.get(line..versioned.span.start)?.to_owned();
    let ranges = config.node.get("srcIpRanges")?;
    let last = ranges.as_list()?.last()?;
    let end = line_end(text, ranges.span.end.max(last.span.end));
    let mut changed = text.to_owned();
    changed.replace_range(line..end, &format!("{indent}{inner}\n"));
    Some(changed)
}

fn insert(text: &str, at: usize, what: &str) -> Option<String> {
    let (before, after) = text.split_at_checked(at)?;
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    Some(format!("{before}{gap}{what}{after}"))
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |newline| at + newline + 1)
}

/// Whether the rule has what was asked for.
fn holds(policy: &SecurityPolicy, rule: u32, change: &Change) -> bool {
    let found = policy.rules.iter().find(|one: &&Rule| one.priority == rule);
    let Some(found) = found else { return false };
    match change {
        Change::Exclude { set, signatures, .. } => found
            .exclusions
            .iter()
            .any(|exclusion| exclusion.set == *set && exclusion.signatures == *signatures),
        Change::Keep { priority, expression, .. } => policy
            .rules
            .iter()
            .any(|one| one.priority == *priority && is_condition(one, expression)),
        Change::Condition { expression } => is_condition(found, expression),
    }
}

fn is_condition(rule: &Rule, expression: &str) -> bool {
    match &rule.condition {
        Condition::Expression(known) => known.typed.text.trim() == expression.trim(),
        Condition::Any | Condition::SourceRanges(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "sqli-core-stable";

    fn change() -> Change {
        Change::Exclude {
            set: SET.to_owned(),
            signatures: vec![942_100],
            field: Field::Parameter,
            name: "q".to_owned(),
        }
    }

    fn policy(rule: &str) -> String {
        format!(
            "# Ours.\nname: p\nrules:\n{rule}  # The rest.\n  - priority: 2147483647\n    action: allow\n    match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ['*'] }} }}\n"
        )
    }

    const WAF: &str = "evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})";

    #[test]
    fn an_exclusion_is_added_and_comments_stay() {
        let rules = [
            format!(
                "  - priority: 10  # first\n    action: deny(403)\n    match: {{ expr: {{ expression: \"{WAF}\" }} }}\n"
            ),
            format!(
                "  - action: deny(403)\n    match:\n      expr:\n        expression: \"{WAF}\"\n    priority: 10\n"
            ),
            format!(
                "  - priority: 10\n    action: deny(403)\n    match: {{ expr: {{ expression: \"{WAF}\" }} }}\n    preconfiguredWafConfig:\n      exclusions:\n      - targetRuleSet: {SET}\n        requestCookiesToExclude: [{{ op: EQUALS, val: c }}]\n"
            ),
        ];
        for rule in rules {
            let changed = apply("p.yaml", &policy(&rule), 10, &[change()])
                .unwrap_or_else(|error| panic!("{error:?}\n{rule}"));
            assert!(changed.contains("# Ours.") && changed.contains("# The rest."), "{changed}");
            assert!(
                changed.contains("requestQueryParamsToExclude: [{ op: EQUALS, val: \"q\" }]"),
                "{changed}"
            );
        }
    }

    #[test]
    fn a_condition_is_replaced_however_it_was_written() {
        let wanted = "!inIpRange(origin.ip, '192.0.2.1/32') && (request.path == '/a')";
        let change = Change::Condition { expression: wanted.to_owned() };
        for written in [
            "    match: { expr: { expression: \"request.path == '/a'\" } }\n",
            "    match:\n      expr:\n        expression: >-\n          request.path\n          == '/a'\n",
            "    match:\n      expr:\n        expression: request.path == '/a'\n",
            "    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: [192.0.2.0/24] } }\n",
            "    match:\n      versionedExpr: SRC_IPS_V1\n      config:\n        srcIpRanges:\n        - 192.0.2.0/24\n        - 198.51.100.0/24\n",
        ] {
            let text = policy(&format!("  - priority: 10\n    action: deny(403)\n{written}"));
            let changed = apply("p.yaml", &text, 10, std::slice::from_ref(&change));
            let changed = changed.unwrap_or_else(|error| panic!("{error:?}\n{text}"));
            assert!(changed.contains("# The rest."), "{changed}");
        }
    }

    #[test]
    fn a_rule_is_kept_in_a_copy_above_it() {
        let keep = Change::Keep {
            priority: 9,
            expression: format!("(request.path != '/a') && ({WAF})"),
            but: "everything on /a".to_owned(),
        };
        for written in [
            format!(
                "  # Of ours.\n  - priority: 10\n    action: deny(403)\n    match: {{ expr: {{ expression: \"{WAF}\" }} }}\n"
            ),
            format!(
                "  - action: deny(403)\n    match:\n      expr:\n        expression: \"{WAF}\"\n    description: d\n    priority: 10 # ten\n"
            ),
        ] {
            let changes = [keep.clone(), change()];
            let changed = apply("p.yaml", &policy(&written), 10, &changes);
            let changed = changed.unwrap_or_else(|error| panic!("{error:?}\n{written}"));
            let policy = load("p.yaml", &changed).unwrap();
            let excluded: Vec<(u32, bool)> = policy
                .rules
                .iter()
                .map(|rule| (rule.priority, !rule.exclusions.is_empty()))
                .collect();
            assert_eq!(excluded, [(9, false), (10, true), (2_147_483_647, false)], "{changed}");
        }
    }

    #[test]
    fn what_cannot_be_added_to_is_left_alone() {
        let flow = policy(&format!(
            "  - {{ priority: 10, action: deny(403), match: {{ expr: {{ expression: \"{WAF}\" }} }} }}\n"
        ));
        assert!(matches!(apply("p", &flow, 10, &[change()]), Err(EditError::Shape(10))));
        assert!(matches!(apply("p", &flow, 11, &[change()]), Err(EditError::NoRule(11))));
        assert!(matches!(apply("p", "name: p\n", 10, &[change()]), Err(EditError::Broken(_))));
    }
}
