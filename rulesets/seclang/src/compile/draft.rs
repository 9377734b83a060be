//! A rule between syntax and program: its parts are cut, updates may still change them.

use std::rc::Rc;

use super::action::Acts;
use super::{Compiler, Item, RULES_MAX};
use crate::Diagnostic;
use crate::syntax::{
    ActionSyntax, Directive, OperatorSyntax, Place, TargetSyntax, Text, actions, operator, targets,
};

/// A rule as drafted.
pub(super) struct Draft {
    pub(super) id: u32,
    pub(super) id_at: Place,
    pub(super) phase: u8,
    pub(super) place: Place,
    pub(super) links: Vec<LinkDraft>,
    /// `SecDefaultAction` of its phase where the rule stands.
    pub(super) defaults: Vec<ActionSyntax>,
    pub(super) removed: bool,
}

/// One link as drafted.
pub(super) struct LinkDraft {
    pub(super) targets: Vec<TargetSyntax>,
    /// Nothing for `SecAction`.
    pub(super) operator: Option<OperatorSyntax>,
    pub(super) actions: Vec<ActionSyntax>,
}

impl Draft {
    /// The first value of an action of its first link.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &Text> {
        let first = self.links.first().into_iter().flat_map(|link| &link.actions);
        first.filter(move |action| action.name.is(name)).filter_map(|action| action.value.as_ref())
    }

    pub(super) fn has_tag(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.values("tag").any(|tag| wanted(tag.bytes()))
    }
}

impl Compiler<'_> {
    /// `SecRule TARGETS OPERATOR [ACTIONS]`.
    pub(super) fn rule(&mut self, directive: &Directive) -> Result<(), Diagnostic> {
        let (target_text, operator_text, action_text) = match directive.words.as_slice() {
            [targets, operator] => (targets, operator, None),
            [targets, operator, actions] => (targets, operator, Some(actions)),
            _ => {
                self.chain_open = false;
                let help = "it is `SecRule TARGETS \"OPERATOR\" \"ACTIONS\"`";
                let message = "`SecRule` takes two or three arguments";
                return Err(directive.name.place().error_with(message, help));
            }
        };
        let targets = targets(target_text);
        let operator = operator(operator_text);
        let actions = action_text.map_or(Ok(Vec::new()), actions);
        // All three parts are read before the first error leaves, so that each is reported.
        let (targets, operator, actions) =
            (self.keep(targets), self.keep(operator), self.keep(actions));
        let (Some(targets), Some(operator), Some(actions)) = (targets, operator, actions) else {
            self.chain_open = false;
            return Ok(());
        };
        self.link(directive, LinkDraft { targets, operator: Some(operator), actions })
    }

    /// `SecAction ACTIONS`.
    pub(super) fn action(&mut self, directive: &Directive) -> Result<(), Diagnostic> {
        let [text] = directive.words.as_slice() else {
            return Err(directive.name.place().error("`SecAction` takes one argument"));
        };
        let actions = actions(text)?;
        self.link(directive, LinkDraft { targets: Vec::new(), operator: None, actions })
    }

    fn link(&mut self, directive: &Directive, link: LinkDraft) -> Result<(), Diagnostic> {
        let continues = std::mem::take(&mut self.chain_open);
        self.chain_open = link.actions.iter().any(|action| action.name.is("chain"));
        if continues {
            Acts::refuse_in_later_link(&link.actions)?;
            if let Some(draft) = self.drafts_mut().last() {
                draft.links.push(link);
            }
            return Ok(());
        }
        let place = directive.name.place();
        if self.items.len() >= RULES_MAX {
            return Err(place.error(format!("more than {RULES_MAX} rules")));
        }
        let (id, id_at) = Acts::id(&link.actions, &place)?;
        let phase = Acts::phase(&link.actions)?;
        let defaults = self.defaults.get(usize::from(phase) - 1).cloned().unwrap_or_default();
        let links = vec![link];
        let draft = Draft { id, id_at, phase, place, links, defaults, removed: false };
        self.items.push(Item::Rule(Rc::new(draft)));
        Ok(())
    }
}
