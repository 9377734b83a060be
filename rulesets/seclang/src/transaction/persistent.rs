//! Persistent collections as one transaction sees them. Their content comes from and goes to the
//! caller's store; without one they start empty.

use std::fmt::Debug;

use super::tx::Var;
use crate::variable::Variable;

/// Variables over all persistent collections of one transaction.
const VARS_MAX: usize = 256;

/// Bytes of a key; longer ones are cut.
const KEY_BYTES_MAX: usize = 512;

/// Keeps persistent collections between transactions. It bounds what it keeps and forgets by time; the
/// engine knows no clock.
pub trait Store: Debug + Send + Sync {
    /// The variables of one record, names and values.
    fn load(&self, collection: Variable, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Sets one variable of a record; nothing unsets it.
    fn save(&self, collection: Variable, key: &[u8], name: &[u8], value: Option<&[u8]>);

    /// Forgets one variable of a record after some seconds.
    fn expire(&self, collection: Variable, key: &[u8], name: &[u8], seconds: u64);
}

/// What `initcol` opened and what rules wrote.
#[derive(Debug, Default)]
pub(crate) struct Persistent {
    keys: Vec<(Variable, Vec<u8>)>,
    vars: Vec<(Variable, Vec<u8>, Var)>,
}

impl Persistent {
    pub(crate) fn reset(&mut self) {
        self.keys.clear();
        self.vars.clear();
    }

    /// Opens a record: gives the collection its key and what the store has of it. A collection is
    /// opened once.
    pub(crate) fn open(&mut self, collection: Variable, key: &[u8], store: Option<&dyn Store>) {
        if self.key(collection).is_some() {
            return;
        }
        let key = key.get(..KEY_BYTES_MAX).unwrap_or(key);
        self.keys.push((collection, key.to_vec()));
        for (name, value) in store.into_iter().flat_map(|store| store.load(collection, key)) {
            if let Some(var) = self.find_mut(collection, &name) {
                var.set(&value);
            }
        }
        if let Some(var) = self.find_mut(collection, b"KEY") {
            var.set(key);
        }
    }

    /// The key of an open collection.
    pub(crate) fn key(&self, collection: Variable) -> Option<&[u8]> {
        self.keys.iter().find(|row| row.0 == collection).map(|row| row.1.as_slice())
    }

    /// Finds a variable by collection and name, in any letter case.
    pub(crate) fn find(&self, collection: Variable, name: &[u8]) -> Option<&Var> {
        self.of(collection).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, var)| var)
    }

    /// Finds a variable or makes it; nothing past the limit.
    pub(crate) fn find_mut(&mut self, collection: Variable, name: &[u8]) -> Option<&mut Var> {
        let same = |row: &(Variable, Vec<u8>, Var)| {
            row.0 == collection && row.1.eq_ignore_ascii_case(name)
        };
        let at = match self.vars.iter().position(same) {
            Some(at) => at,
            None if self.vars.len() >= VARS_MAX => return None,
            None => {
                self.vars.push((collection, name.to_vec(), Var::default()));
                self.vars.len() - 1
            }
        };
        self.vars.get_mut(at).map(|row| &mut row.2)
    }

    /// The set variables of a collection.
    pub(crate) fn of(&self, collection: Variable) -> impl Iterator<Item = (&[u8], &Var)> {
        let rows = self.vars.iter().filter(move |row| row.0 == collection && row.2.is_set());
        rows.map(|row| (row.1.as_slice(), &row.2))
    }

    /// Tells the store what a variable came to.
    pub(crate) fn save(&self, collection: Variable, name: &[u8], store: Option<&dyn Store>) {
        let (Some(store), Some(key)) = (store, self.key(collection)) else { return };
        let value = self.find(collection, name).map(|var| {
            let mut text = Vec::new();
            var.write(&mut text);
            text
        });
        store.save(collection, key, name, value.as_deref());
    }
}
