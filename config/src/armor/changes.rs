//! What differs between two policies, rule by rule.

use std::collections::{BTreeMap, BTreeSet};

use super::{SecurityPolicy, write};

/// One difference. The texts are what [`super::write`] writes, so that spelling and order of a file do not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleChange {
    /// What has changed, as a heading: `rule 100: changed`.
    pub what: String,
    /// The rule's priority; none where it is not a rule.
    pub priority: Option<u32>,
    /// The old text; none where there was none.
    pub old: Option<String>,
    /// The new text; none where there is none.
    pub new: Option<String>,
}

/// Returns the differences: the policy's own fields first, then rules by priority, which is what identifies one.
#[must_use]
pub fn changes(old: &SecurityPolicy, new: &SecurityPolicy) -> Vec<RuleChange> {
    let mut changes = Vec::new();
    let (before, after) = (write::head(old), write::head(new));
    if before != after {
        let what = "the policy: changed".to_owned();
        changes.push(RuleChange { what, priority: None, old: Some(before), new: Some(after) });
    }
    let (before, after) = (rules(old), rules(new));
    let priorities: BTreeSet<u32> = before.keys().chain(after.keys()).copied().collect();
    for priority in priorities {
        let (old, new) = (before.get(&priority), after.get(&priority));
        if old == new {
            continue;
        }
        let how = match (old, new) {
            (None, _) => "new",
            (_, None) => "gone",
            (Some(_), Some(_)) => "changed",
        };
        changes.push(RuleChange {
            what: format!("rule {priority}: {how}"),
            priority: Some(priority),
            old: old.cloned(),
            new: new.cloned(),
        });
    }
    changes
}

fn rules(policy: &SecurityPolicy) -> BTreeMap<u32, String> {
    policy.rules.iter().map(|rule| (rule.priority, write::rule_text(rule))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::SourceFile;

    fn policy(rules: &str) -> SecurityPolicy {
        let last = "{ priority: 2147483647, action: allow, match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } } }";
        let text = format!("name: tested\nrules: [{rules} {last}]\n");
        parse(&SourceFile::new("tested.yaml", text)).unwrap().0
    }

    fn rule(priority: u32, path: &str) -> String {
        format!(
            "{{ priority: {priority}, action: deny(403), match: {{ expr: {{ expression: \"request.path == '{path}'\" }} }} }},"
        )
    }

    #[test]
    fn rules_are_compared_by_priority_and_meaning() {
        let old = policy(&(rule(1, "/a") + &rule(2, "/b") + &rule(3, "/c")));
        let spelled = policy(&(rule(3, "/c") + &rule(2, "/b") + &rule(1, "/a")));
        assert!(changes(&old, &spelled).is_empty());
        let new = policy(&(rule(1, "/a") + &rule(3, "/changed") + &rule(4, "/new")));
        let changed = changes(&old, &new);
        let what: Vec<&str> = changed.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(what, ["rule 2: gone", "rule 3: changed", "rule 4: new"]);
        assert!(changed[1].old.as_deref().unwrap().contains("'/c'"));
        assert!(changed[1].new.as_deref().unwrap().contains("'/changed'"));
    }

    #[test]
    fn the_policys_own_fields_count_as_well() {
        let (old, mut new) = (policy(""), policy(""));
        new.description = "other".to_owned();
        let changed = changes(&old, &new);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].priority, None);
    }
}
