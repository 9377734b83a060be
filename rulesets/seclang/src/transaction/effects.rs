//! What a link does for each value that it matches.

use super::state::State;
use crate::program::{
    Control, Effect, Expansion, Link, Program, RuleIndex, SetVar, Slot, TargetSource, TxId, Update,
};
use crate::variable::Variable;

impl State {
    /// Runs the effects of a link, in order.
    pub(crate) fn run_effects(&mut self, program: &Program, at: RuleIndex, link: &Link) {
        for effect in &link.effects {
            match effect {
                Effect::SetVar(set) => self.set_var(program, at, set),
                Effect::Control(control) => self.control(program, control),
                Effect::InitCollection(collection, key) => {
                    self.init_collection(program, at, *collection, key);
                }
                Effect::Expire(collection, name, seconds) => {
                    self.expire(program, at, *collection, name, seconds);
                }
            }
        }
    }

    fn set_var(&mut self, program: &Program, at: RuleIndex, set: &SetVar) {
        if let Slot::Tx(id) = set.slot
            && self.set_tx_number(program, at, id, &set.update)
        {
            return;
        }
        let mut name = std::mem::take(&mut self.scratch.name);
        let mut value = std::mem::take(&mut self.scratch.text);
        name.clear();
        value.clear();
        let sign = match &set.update {
            Update::Set(text) => {
                self.expand(program, at, text, &mut value);
                None
            }
            Update::Add(text) => Some(self.expanded_number(program, at, text)),
            Update::Subtract(text) => Some(-self.expanded_number(program, at, text)),
            Update::Remove => None,
        };
        let var = match &set.slot {
            Slot::Tx(id) => self.tx.slot_mut(*id),
            Slot::TxNamed(text) => {
                self.expand(program, at, text, &mut name);
                self.tx.named_mut(&program.tx_names, &name)
            }
            Slot::Persistent(collection, text) => {
                self.expand(program, at, text, &mut name);
                self.persistent.find_mut(*collection, &name)
            }
        };
        if let Some(var) = var {
            match (&set.update, sign) {
                (Update::Remove, _) => var.unset(),
                (_, Some(delta)) => var.set_number(var.number().saturating_add(delta)),
                (_, None) => var.set(&value),
            }
        }
        if let Slot::Persistent(collection, _) = set.slot {
            self.persistent.save(collection, &name, self.store.as_deref());
        }
        self.scratch.name = name;
        self.scratch.text = value;
    }

    /// The common case, without text: a sum in a slot. Says whether it was that.
    fn set_tx_number(
        &mut self,
        program: &Program,
        at: RuleIndex,
        id: TxId,
        update: &Update,
    ) -> bool {
        let delta = match update {
            Update::Add(text) => self.expanded_number(program, at, text),
            Update::Subtract(text) => -self.expanded_number(program, at, text),
            Update::Set(_) | Update::Remove => return false,
        };
        if let Some(var) = self.tx.slot_mut(id) {
            let before = if var.is_set() { var.number() } else { 0 };
            var.set_number(before.saturating_add(delta));
        }
        true
    }

    fn control(&mut self, program: &Program, control: &Control) {
        match control {
            Control::RemoveRules(rules) => rules.iter().for_each(|rule| self.remove_rule(*rule)),
            Control::RemoveTarget(row) => {
                if !self.removals.contains(row) {
                    self.removals.push(*row);
                    let source = program.removals.get(*row).map(|row| row.exclusion.source);
                    self.any_tx_removed |=
                        matches!(source, Some(TargetSource::Tx | TargetSource::TxSlot(_)));
                }
            }
            Control::Engine(mode) => self.mode = *mode,
            Control::BodyProcessor(kind) => {
                self.body.force(*kind);
                self.values.set(Variable::ReqbodyProcessor, super::body::name(*kind));
            }
            Control::ForceBodyVariable(on) => self.body.force_variable(*on),
            Control::RequestBody(on) => self.body.set_request_access(*on),
            Control::ResponseBody(on) => self.body.set_response_access(*on),
            Control::RequestBodyLimit(limit) => {
                self.body.set_request_limit((*limit).min(program.settings.request_body_limit));
            }
            Control::ResponseBodyLimit(limit) => {
                self.body.set_response_limit((*limit).min(program.settings.response_body_limit));
            }
        }
    }

    /// Opens the record of a collection that this key names.
    fn init_collection(&mut self, program: &Program, at: RuleIndex, of: Variable, key: &Expansion) {
        let mut text = Vec::new();
        self.expand(program, at, key, &mut text);
        self.persistent.open(of, &text, self.store.as_deref());
    }

    fn expire(
        &self,
        program: &Program,
        at: RuleIndex,
        collection: Variable,
        name: &Expansion,
        seconds: &Expansion,
    ) {
        let (Some(store), Some(key)) = (&self.store, self.persistent.key(collection)) else {
            return;
        };
        let mut text = Vec::new();
        self.expand(program, at, name, &mut text);
        let seconds = u64::try_from(self.expanded_number(program, at, seconds)).unwrap_or(0);
        store.expire(collection, key, &text, seconds);
    }
}
