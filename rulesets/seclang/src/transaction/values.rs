//! The values of a request: one arena of bytes, and for each variable which spans of it it holds.
//! Filled before a phase, never changed in place: a new content is a new value.

use std::ops::Range;

use crate::variable::{COUNT, Variable};

/// A value's place in the arena of its transaction.
pub(crate) type ValueId = u32;

/// The empty value: what a variable with one value holds before it is set.
pub(crate) const EMPTY: ValueId = 0;

/// Values of one transaction; past it further ones are dropped and the overflow is told.
const VALUES_MAX: usize = 50_000;

#[derive(Clone, Debug, Default)]
struct Entry {
    name: Range<u32>,
    value: Range<u32>,
}

/// The values of one transaction.
#[derive(Debug)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    lists: Vec<Vec<ValueId>>,
    scalars: Vec<ValueId>,
    overflowed: bool,
}

impl Values {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: vec![Entry::default()],
            lists: vec![Vec::new(); COUNT],
            scalars: vec![EMPTY; COUNT],
            overflowed: false,
        }
    }

    /// Forgets everything, keeps the memory.
    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        self.entries.truncate(1);
        self.lists.iter_mut().for_each(Vec::clear);
        self.scalars.fill(EMPTY);
        self.overflowed = false;
    }

    /// Adds a named value to a collection. Both halves may come from anywhere but this arena.
    pub(crate) fn add(&mut self, list: Variable, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let value = self.store(value);
        self.add_entry(list, name, value);
    }

    /// Adds a value whose name is itself: `ARGS_NAMES`, `REQUEST_HEADERS_NAMES`.
    pub(crate) fn add_name_of_last(&mut self, list: Variable) {
        let name = self.entries.last().map(|entry| entry.name.clone()).unwrap_or_default();
        self.add_entry(list, name.clone(), name);
    }

    /// Gives a variable its one value.
    pub(crate) fn set(&mut self, variable: Variable, value: &[u8]) {
        let value = self.store(value);
        if let (Some(id), Some(slot)) =
            (self.push(Entry { name: 0..0, value }), self.scalars.get_mut(variable.index()))
        {
            *slot = id;
        }
    }

    /// Gives a variable a number as its one value.
    pub(crate) fn set_number(&mut self, variable: Variable, number: usize) {
        let mut digits = [0_u8; 20];
        self.set(variable, decimal(number as u64, &mut digits));
    }

    /// Gives a variable the value of another.
    pub(crate) fn alias(&mut self, variable: Variable, of: Variable) {
        let id = self.scalar(of);
        if let Some(slot) = self.scalars.get_mut(variable.index()) {
            *slot = id;
        }
    }

    /// Gives a variable a part of another's value, without a copy.
    pub(crate) fn set_part(&mut self, variable: Variable, of: Variable, part: Range<usize>) {
        let id = self.scalar(of);
        let Some(whole) = self.entries.get(id as usize) else { return };
        let length = whole.value.len();
        let (start, end) = (part.start.min(length), part.end.min(length));
        let base = whole.value.start;
        let value = base + narrow(start)..base + narrow(end.max(start));
        if let (Some(id), Some(slot)) =
            (self.push(Entry { name: 0..0, value }), self.scalars.get_mut(variable.index()))
        {
            *slot = id;
        }
    }

    /// Empties a collection.
    pub(crate) fn clear(&mut self, list: Variable) {
        if let Some(list) = self.lists.get_mut(list.index()) {
            list.clear();
        }
    }

    /// The values of a collection, in the order in which they came.
    pub(crate) fn list(&self, list: Variable) -> &[ValueId] {
        self.lists.get(list.index()).map_or(&[], Vec::as_slice)
    }

    /// The one value of a variable.
    pub(crate) fn scalar(&self, variable: Variable) -> ValueId {
        self.scalars.get(variable.index()).copied().unwrap_or(EMPTY)
    }

    pub(crate) fn value(&self, id: ValueId) -> &[u8] {
        self.entries.get(id as usize).map_or(b"", |entry| self.slice(&entry.value))
    }

    pub(crate) fn name(&self, id: ValueId) -> &[u8] {
        self.entries.get(id as usize).map_or(b"", |entry| self.slice(&entry.name))
    }

    /// The bytes of a variable with one value.
    pub(crate) fn text(&self, variable: Variable) -> &[u8] {
        self.value(self.scalar(variable))
    }

    /// The number of values, the empty one included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether values were dropped.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    fn add_entry(&mut self, list: Variable, name: Range<u32>, value: Range<u32>) {
        if let (Some(id), Some(list)) =
            (self.push(Entry { name, value }), self.lists.get_mut(list.index()))
        {
            list.push(id);
        }
    }

    fn push(&mut self, entry: Entry) -> Option<ValueId> {
        if self.entries.len() >= VALUES_MAX {
            self.overflowed = true;
            return None;
        }
        self.entries.push(entry);
        Some(narrow(self.entries.len() - 1))
    }

    fn store(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.bytes.len();
        if bytes.len() > (u32::MAX as usize).saturating_sub(start) {
            self.overflowed = true;
            return 0..0;
        }
        self.bytes.extend_from_slice(bytes);
        narrow(start)..narrow(self.bytes.len())
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        self.bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

/// A place in the arena; the arena never grows past what fits (see `store`).
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Writes a number in decimal and gives its digits.
pub(crate) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = at;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}
