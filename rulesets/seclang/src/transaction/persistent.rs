//! Persistent collections as one transaction sees them. Their content comes from and goes to the
//! caller's store; without one they start empty.

use super::tx::Var;
use crate::variable::Variable;

/// Variables over all persistent collections of one transaction.
const VARS_MAX: usize = 256;

/// What `initcol` opened and what rules wrote.
#[derive(Debug, Default)]
pub(crate) struct Persistent {
    vars: Vec<(Variable, Vec<u8>, Var)>,
}

impl Persistent {
    pub(crate) fn reset(&mut self) {
        self.vars.clear();
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
}
