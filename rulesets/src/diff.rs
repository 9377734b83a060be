//! What changes between two rule sets: what `portcullis rules diff` prints.

use crate::{Category, RuleSet};
use seclang::{LinkInfo, RuleInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One difference between two sets, about one rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The rule's id.
    pub rule_id: u32,
    /// What is different.
    pub kind: ChangeKind,
}

/// How a rule differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// Only the new set has it.
    New {
        /// Its message.
        msg: String,
        /// Its level, if it has one.
        level: Option<u8>,
    },
    /// Only the old set has it.
    Gone {
        /// Its message.
        msg: String,
    },
    /// It runs at another paranoia level.
    LevelMoved {
        /// The level in the old set.
        from: Option<u8>,
        /// The level in the new set.
        to: Option<u8>,
    },
    /// It is about something else.
    CategoryMoved {
        /// The category in the old set.
        from: Option<Category>,
        /// The category in the new set.
        to: Option<Category>,
    },
    /// It runs in another phase.
    PhaseMoved {
        /// The phase in the old set.
        from: u8,
        /// The phase in the new set.
        to: u8,
    },
    /// It looks at other targets.
    Retargeted {
        /// Targets that only the new rule has, in SecLang's spelling.
        added: Vec<String>,
        /// Targets that only the old rule had.
        removed: Vec<String>,
    },
    /// It looks for something else: another operator, argument, transformation or chain.
    Rewritten,
}

impl RuleSet {
    /// Returns what is different in `newer`, by id. A rule whose operator changed is [`ChangeKind::Rewritten`]
    /// beside whatever else moved.
    pub fn changes_to(&self, newer: &Self) -> Vec<Change> {
        let (old, new) = (by_id(self), by_id(newer));
        let ids: BTreeSet<u32> = old.keys().chain(new.keys()).copied().collect();
        let mut changes = Vec::new();
        for rule_id in ids {
            let kinds = match (old.get(&rule_id), new.get(&rule_id)) {
                (Some(old), Some(new)) => moved(self, old, newer, new),
                (Some(old), None) => vec![ChangeKind::Gone { msg: old.msg.clone() }],
                (None, Some(new)) => {
                    vec![ChangeKind::New { msg: new.msg.clone(), level: new.paranoia }]
                }
                (None, None) => Vec::new(),
            };
            changes.extend(kinds.into_iter().map(|kind| Change { rule_id, kind }));
        }
        changes
    }
}

fn by_id(set: &RuleSet) -> BTreeMap<u32, &RuleInfo> {
    set.program().rules().iter().map(|info| (info.id, info)).collect()
}

fn moved(old_set: &RuleSet, old: &RuleInfo, new_set: &RuleSet, new: &RuleInfo) -> Vec<ChangeKind> {
    let mut kinds = Vec::new();
    if old.paranoia != new.paranoia {
        kinds.push(ChangeKind::LevelMoved { from: old.paranoia, to: new.paranoia });
    }
    let (from, to) = (old_set.category(old.id), new_set.category(new.id));
    if from != to {
        kinds.push(ChangeKind::CategoryMoved { from, to });
    }
    if old.phase != new.phase {
        kinds.push(ChangeKind::PhaseMoved { from: old.phase, to: new.phase });
    }
    let (before, after) = (targets(old), targets(new));
    if before != after {
        let only = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect();
        let (added, removed) = (only(&after, &before), only(&before, &after));
        kinds.push(ChangeKind::Retargeted { added, removed });
    }
    let looks_for = |link: &LinkInfo| (link.operator.clone(), link.transformations.clone());
    if !old.links.iter().map(looks_for).eq(new.links.iter().map(looks_for)) {
        kinds.push(ChangeKind::Rewritten);
    }
    kinds
}

/// All targets of a rule; those of a chain's later links are written with their place.
fn targets(info: &RuleInfo) -> BTreeSet<String> {
    let links = info.links.iter().enumerate();
    let named = |(at, link): (usize, &LinkInfo)| -> Vec<String> {
        let place = if at == 0 { String::new() } else { format!("link {}: ", at + 1) };
        link.targets.iter().map(|target| format!("{place}{target}")).collect()
    };
    links.flat_map(named).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = |level: &Option<u8>| level.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let word = |category: &Option<Category>| category.map_or("none", Category::as_str);
        write!(f, "{}: ", self.rule_id)?;
        match &self.kind {
            ChangeKind::New { msg, level: own } => write!(f, "new at level {}: {msg}", level(own)),
            ChangeKind::Gone { msg } => write!(f, "gone: {msg}"),
            ChangeKind::LevelMoved { from, to } => {
                write!(f, "level {} is now {}", level(from), level(to))
            }
            ChangeKind::CategoryMoved { from, to } => {
                write!(f, "category {} is now {}", word(from), word(to))
            }
            ChangeKind::PhaseMoved { from, to } => write!(f, "phase {from} is now {to}"),
            ChangeKind::Retargeted { added, removed } => {
                let added = added.iter().map(|target| format!("+{target}"));
                let removed = removed.iter().map(|target| format!("-{target}"));
                let all: Vec<String> = added.chain(removed).collect();
                write!(f, "targets {}", all.join(" "))
            }
            ChangeKind::Rewritten => f.write_str("looks for something else"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    fn set(text: &str) -> std::sync::Arc<RuleSet> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.conf"), text).unwrap();
        RuleSet::load("x", &Source::Directory(folder.path().to_owned()), 1).unwrap().set
    }

    #[test]
    fn every_kind_of_change_is_told_and_nothing_else() {
        let old = set(
            "SecRule ARGS \"@contains a\" \"id:1,phase:2,pass,msg:'one',tag:'paranoia-level/1',tag:'attack-sqli'\"\n\
             SecRule ARGS \"@contains b\" \"id:2,phase:2,pass,msg:'two'\"\n\
             SecRule ARGS \"@contains c\" \"id:3,phase:2,pass\"\n",
        );
        let new = set(
            "SecRule ARGS|ARGS_NAMES \"@contains A\" \"id:1,phase:1,pass,msg:'one',tag:'paranoia-level/2',tag:'attack-xss'\"\n\
             SecRule ARGS \"@contains c\" \"id:3,phase:2,pass\"\n\
             SecRule ARGS \"@contains d\" \"id:4,phase:2,pass,msg:'four',tag:'paranoia-level/1'\"\n",
        );
        let shown: Vec<String> = old.changes_to(&new).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "1: level 1 is now 2",
                "1: category sqli is now xss",
                "1: phase 2 is now 1",
                "1: targets +ARGS_NAMES",
                "1: looks for something else",
                "2: gone: two",
                "4: new at level 1: four",
            ]
        );
        assert_eq!(old.changes_to(&old), []);
    }
}
