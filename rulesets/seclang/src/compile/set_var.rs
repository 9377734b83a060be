//! `setvar`, `expirevar`, `initcol`: which variable, and what becomes of it.

use super::Compiler;
use super::expansion::has_macro;
use crate::Diagnostic;
use crate::program::{Effect, Expansion, Piece, SetVar, Slot, Update};
use crate::syntax::Text;
use crate::variable::{Home, Variable};

impl Compiler<'_> {
    /// `[!]collection.name[=[+|-]value]`.
    pub(super) fn set_var(&mut self, text: &Text) -> Result<Effect, Diagnostic> {
        let removed = text.byte(0) == Some(b'!');
        let text = text.slice(usize::from(removed), text.len());
        let (place, value) = match text.split_once(b'=') {
            Some((place, value)) => (place.trim(), Some(value)),
            None => (text, None),
        };
        let slot = self.slot(&place)?;
        let update = match value {
            _ if removed => Update::Remove,
            // `setvar:tx.name` alone sets 1.
            None => Update::Set(Expansion { pieces: vec![Piece::Literal(b"1".as_slice().into())] }),
            Some(value) => match value.byte(0) {
                Some(b'+') => Update::Add(self.expansion(&value.slice(1, value.len()))?),
                Some(b'-') => Update::Subtract(self.expansion(&value.slice(1, value.len()))?),
                Some(_) | None => Update::Set(self.expansion(&value)?),
            },
        };
        Ok(Effect::SetVar(SetVar { slot, update }))
    }

    /// `collection.name=seconds`.
    pub(super) fn expire_var(&mut self, text: &Text) -> Result<Effect, Diagnostic> {
        let Some((place, seconds)) = text.split_once(b'=') else {
            return Err(text.place().error("`expirevar` is `collection.name=seconds`"));
        };
        match self.slot(&place.trim())? {
            Slot::Persistent(collection, name) => {
                Ok(Effect::Expire(collection, name, self.expansion(&seconds)?))
            }
            Slot::Tx(_) | Slot::TxNamed(_) => {
                Err(place.place().error("only persistent collections expire"))
            }
        }
    }

    /// `collection=key`.
    pub(super) fn init_collection(&mut self, text: &Text) -> Result<Effect, Diagnostic> {
        let Some((name, key)) = text.split_once(b'=') else {
            return Err(text.place().error("`initcol` is `collection=key`"));
        };
        let variable = persistent(&name.trim())?;
        self.open_collection(variable, &key)
    }

    /// Opens the record of a collection that `key` names.
    pub(super) fn open_collection(
        &mut self,
        variable: Variable,
        key: &Text,
    ) -> Result<Effect, Diagnostic> {
        self.used.insert(variable);
        Ok(Effect::InitCollection(variable, self.expansion(key)?))
    }

    fn slot(&mut self, place: &Text) -> Result<Slot, Diagnostic> {
        let cut = place.split_once(b'.').or_else(|| place.split_once(b':'));
        let Some((collection, name)) = cut.filter(|(_, name)| !name.is_empty()) else {
            return Err(place.place().error("expected `collection.name`"));
        };
        if !collection.is("TX") {
            let variable = persistent(&collection)?;
            return Ok(Slot::Persistent(variable, self.expansion(&name)?));
        }
        if has_macro(name.bytes()) {
            return Ok(Slot::TxNamed(self.expansion(&name)?));
        }
        Ok(Slot::Tx(self.tx_names.intern(name.bytes())))
    }
}

fn persistent(name: &Text) -> Result<Variable, Diagnostic> {
    match Variable::find(name.bytes()) {
        Some(variable) if variable.home() == Home::Persistent => Ok(variable),
        Some(_) | None => {
            let help = "one of `TX`, `IP`, `GLOBAL`, `SESSION`, `USER`, `RESOURCE`";
            Err(name.place().error_with("not a collection that rules can write", help))
        }
    }
}
