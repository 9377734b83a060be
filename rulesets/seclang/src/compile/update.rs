//! `SecRuleRemove…`, `SecRuleUpdate…`: changes to rules that other files wrote.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::Compiler;
use super::draft::Draft;
use crate::Diagnostic;
use crate::syntax::{ActionSyntax, Place, TargetSyntax, Text, actions, targets};

/// One directive that changes rules.
pub(super) struct UpdateSyntax {
    place: Place,
    rules: RuleSelector,
    change: Change,
}

enum Change {
    Remove,
    Targets(Vec<TargetSyntax>),
    Actions(Vec<ActionSyntax>),
}

/// Which rules.
pub(super) enum RuleSelector {
    /// Inclusive ranges.
    Ids(Vec<(u32, u32)>),
    Tag(Box<Regex>),
    Msg(Box<Regex>),
}

/// Whether a selector names a rule.
pub(super) fn selected(selector: &RuleSelector, draft: &Draft) -> bool {
    match selector {
        RuleSelector::Ids(ranges) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&draft.id)),
        RuleSelector::Tag(pattern) => draft.has_tag(|tag| pattern.is_match(tag)),
        RuleSelector::Msg(pattern) => draft.values("msg").any(|msg| pattern.is_match(msg.bytes())),
    }
}

impl RuleSelector {
    /// `942100`, `942100-942199`, several with blanks or commas between.
    pub(super) fn ids(text: &Text) -> Result<Self, Diagnostic> {
        let parse = |word: &str| word.trim().parse::<u32>().ok();
        let mut ranges = Vec::new();
        let words = text.as_str()?.split([' ', ',']).filter(|word| !word.is_empty());
        for word in words {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            match (parse(first), parse(last)) {
                (Some(first), Some(last)) if first <= last => ranges.push((first, last)),
                _ => return Err(text.place().error("expected ids or ranges of ids")),
            }
        }
        Ok(Self::Ids(ranges))
    }

    /// Rules with a tag that the pattern finds.
    pub(super) fn tag(text: &Text) -> Result<Self, Diagnostic> {
        Ok(Self::Tag(Box::new(pattern(text)?)))
    }

    /// Rules whose message the pattern finds.
    pub(super) fn msg(text: &Text) -> Result<Self, Diagnostic> {
        Ok(Self::Msg(Box::new(pattern(text)?)))
    }
}

fn pattern(text: &Text) -> Result<Regex, Diagnostic> {
    let config = syntax::Config::new().unicode(false).utf8(false);
    let built = Regex::builder().syntax(config).build(text.as_str()?);
    built.map_err(|error| text.place().error(format!("not a regular expression: {error}")))
}

impl UpdateSyntax {
    /// Whether a directive, in lower case, is one of these.
    pub(super) fn is(name: &str) -> bool {
        name.starts_with("secruleremoveby") || name.starts_with("secruleupdate")
    }

    /// Reads one.
    pub(super) fn read(name: &str, at: &Text, words: &[Text]) -> Result<Self, Diagnostic> {
        let (rules, change) = match (name, words) {
            ("secruleremovebyid", [_, ..]) => {
                let mut all = Vec::new();
                for word in words {
                    if let RuleSelector::Ids(ranges) = RuleSelector::ids(word)? {
                        all.extend(ranges);
                    }
                }
                (RuleSelector::Ids(all), Change::Remove)
            }
            ("secruleremovebytag", [word]) => (RuleSelector::tag(word)?, Change::Remove),
            ("secruleremovebymsg", [word]) => (RuleSelector::msg(word)?, Change::Remove),
            ("secruleupdatetargetbyid", [rules, list]) => {
                (RuleSelector::ids(rules)?, Change::Targets(targets(list)?))
            }
            ("secruleupdatetargetbytag", [rules, list]) => {
                (RuleSelector::tag(rules)?, Change::Targets(targets(list)?))
            }
            ("secruleupdatetargetbymsg", [rules, list]) => {
                (RuleSelector::msg(rules)?, Change::Targets(targets(list)?))
            }
            ("secruleupdateactionbyid", [rules, list]) => {
                (RuleSelector::ids(rules)?, Change::Actions(actions(list)?))
            }
            _ => return Err(at.place().error("unknown directive, or wrong number of arguments")),
        };
        Ok(Self { place: at.place(), rules, change })
    }
}

impl Compiler<'_> {
    /// Applies every update to the rules of all files, wherever it stands.
    pub(super) fn apply_updates(&mut self) {
        for update in std::mem::take(&mut self.updates) {
            let mut reached = 0_usize;
            let rules = self.drafts_mut().filter(|draft| selected(&update.rules, draft));
            let mut problems = Vec::new();
            for draft in rules {
                reached += 1;
                problems.extend(apply(draft, &update.change).err());
            }
            self.problems.extend(problems);
            if reached == 0 {
                self.problems.push(update.place.note("names no rule of this set"));
            }
        }
    }
}

fn apply(draft: &mut Draft, change: &Change) -> Result<(), Diagnostic> {
    match change {
        Change::Remove => draft.removed = true,
        Change::Targets(list) => {
            if let Some(link) = draft.links.first_mut() {
                link.targets.extend(list.iter().cloned());
            }
        }
        Change::Actions(list) => {
            let fixed = ["id", "phase", "chain"];
            if let Some(action) = list.iter().find(|a| fixed.iter().any(|name| a.name.is(name))) {
                return Err(action.name.place().error("an update changes no id, phase or chain"));
            }
            if let Some(link) = draft.links.first_mut() {
                let disruptive = ["pass", "block", "deny", "drop", "allow", "redirect"];
                let is = |a: &ActionSyntax, names: &[&str]| names.iter().any(|n| a.name.is(n));
                if list.iter().any(|action| is(action, &disruptive)) {
                    link.actions.retain(|action| !is(action, &disruptive));
                }
                if list.iter().any(|action| action.name.is("t")) {
                    link.actions.retain(|action| !action.name.is("t"));
                }
                link.actions.extend(list.iter().cloned());
            }
        }
    }
    Ok(())
}
