//! `TX`: the variables that rules set. Names that the rules write out have slots; names made at run
//! time stand in a bounded list beside them.

use std::collections::HashMap;

use super::values::decimal;
use crate::program::{CAPTURE_SLOTS, TxId, TxNames};

/// Variables with names made at run time; further ones are dropped and the overflow is told.
const NAMED_MAX: usize = 4096;

/// Names made at run time that are looked through one by one; more have an index.
const FEW: usize = 16;

/// One variable: text, or a number that is written out when it is read as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Var {
    kind: Kind,
    number: i64,
    text: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Kind {
    #[default]
    Unset,
    Number,
    Text,
}

impl Var {
    pub(crate) fn is_set(&self) -> bool {
        self.kind != Kind::Unset
    }

    pub(crate) fn unset(&mut self) {
        self.kind = Kind::Unset;
    }

    pub(crate) fn set(&mut self, text: &[u8]) {
        self.kind = Kind::Text;
        self.text.clear();
        self.text.extend_from_slice(text);
    }

    pub(crate) fn set_number(&mut self, number: i64) {
        self.kind = Kind::Number;
        self.number = number;
    }

    /// As a number; 0 when it is unset or does not start with digits.
    pub(crate) fn number(&self) -> i64 {
        match self.kind {
            Kind::Unset => 0,
            Kind::Number => self.number,
            Kind::Text => leading_number(&self.text),
        }
    }

    /// Appends it as text.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Unset => {}
            Kind::Text => out.extend_from_slice(&self.text),
            Kind::Number => {
                if self.number < 0 {
                    out.push(b'-');
                }
                let mut digits = [0_u8; 20];
                out.extend_from_slice(decimal(self.number.unsigned_abs(), &mut digits));
            }
        }
    }
}

/// The number that a text starts with, after white space and a sign; 0 without one. Saturates.
pub(crate) fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number =
        digits.fold(0_i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    if negative { -number } else { number }
}

/// The `TX` collection of one transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    slots: Vec<Var>,
    named: Vec<(Vec<u8>, Var)>,
    by_name: HashMap<Vec<u8>, usize>,
    overflowed: bool,
}

impl Tx {
    pub(crate) fn new(names: &TxNames) -> Self {
        let slots = vec![Var::default(); names.len()];
        Self { slots, named: Vec::new(), by_name: HashMap::new(), overflowed: false }
    }

    pub(crate) fn reset(&mut self) {
        self.slots.iter_mut().for_each(Var::unset);
        self.named.clear();
        self.by_name.clear();
        self.overflowed = false;
    }

    pub(crate) fn slot(&self, id: TxId) -> Option<&Var> {
        self.slots.get(usize::from(id.0)).filter(|var| var.is_set())
    }

    pub(crate) fn slot_mut(&mut self, id: TxId) -> Option<&mut Var> {
        self.slots.get_mut(usize::from(id.0))
    }

    /// Clears what `capture` wrote, before a new capture.
    pub(crate) fn clear_captures(&mut self) {
        self.slots.iter_mut().take(CAPTURE_SLOTS).for_each(Var::unset);
    }

    /// Sets `TX:0` to `TX:9`.
    pub(crate) fn set_capture(&mut self, index: usize, text: &[u8]) {
        if let Some(var) = self.slots.get_mut(index).filter(|_| index < CAPTURE_SLOTS) {
            var.set(text);
        }
    }

    /// The variable of a name made at run time; made when it is not there. Nothing past the limit.
    pub(crate) fn named_mut(&mut self, names: &TxNames, name: &[u8]) -> Option<&mut Var> {
        if let Some(id) = names.find(name) {
            return self.slot_mut(id);
        }
        let at = match self.named_at(name) {
            Some(at) => at,
            None if self.named.len() >= NAMED_MAX => {
                self.overflowed = true;
                return None;
            }
            None => {
                self.named.push((name.to_vec(), Var::default()));
                self.index();
                self.named.len() - 1
            }
        };
        self.named.get_mut(at).map(|(_, var)| var)
    }

    /// Finds a set variable by name.
    pub(crate) fn find(&self, names: &TxNames, name: &[u8]) -> Option<&Var> {
        if let Some(id) = names.find(name) {
            return self.slot(id);
        }
        let at = self.named_at(name)?;
        self.named.get(at).map(|(_, var)| var).filter(|var| var.is_set())
    }

    fn named_at(&self, name: &[u8]) -> Option<usize> {
        if self.named.len() <= FEW {
            return self.named.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        }
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// Keeps the index over names, from the point on where looking through them costs more.
    fn index(&mut self) {
        let first = match self.named.len() {
            few if few <= FEW => return,
            few if few == FEW + 1 => 0,
            many => many - 1,
        };
        for (at, (name, _)) in self.named.iter().enumerate().skip(first) {
            self.by_name.insert(name.to_ascii_lowercase(), at);
        }
    }

    /// The set variables among some slots, and every set variable with a name made at run time.
    pub(crate) fn among<'a>(
        &'a self,
        names: &'a TxNames,
        slots: &'a [TxId],
    ) -> impl Iterator<Item = (&'a [u8], &'a Var, bool)> {
        let slots = slots.iter().filter_map(|id| Some((names.name(*id), self.slot(*id)?, true)));
        let named = self.named.iter().map(|(name, var)| (name.as_slice(), var, false));
        slots.chain(named.filter(|(_, var, _)| var.is_set()))
    }

    /// Every set variable with its name.
    pub(crate) fn iter<'a>(
        &'a self,
        names: &'a TxNames,
    ) -> impl Iterator<Item = (&'a [u8], &'a Var)> {
        let ids = (0_u16..).map(TxId);
        let slots = ids.zip(&self.slots).map(|(id, var)| (names.name(id), var));
        let named = self.named.iter().map(|(name, var)| (name.as_slice(), var));
        slots.chain(named).filter(|(_, var)| var.is_set())
    }

    /// Whether a variable was dropped.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }
}
