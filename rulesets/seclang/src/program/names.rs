//! The names of `TX` variables that the rules write out, each given a slot at load.

use std::collections::HashMap;

/// The slot of a `TX` variable whose name the rules write out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TxId(pub(crate) u16);

/// `TX:0` to `TX:9` stand in the first ten slots, where `capture` writes them.
pub(crate) const CAPTURE_SLOTS: usize = 10;

/// Names to slots. Names are compared without letter case and shown as first written.
#[derive(Debug)]
pub(crate) struct TxNames {
    names: Vec<Box<[u8]>>,
    slots: HashMap<Box<[u8]>, TxId>,
}

impl TxNames {
    pub(crate) fn new() -> Self {
        let mut names = Self { names: Vec::new(), slots: HashMap::new() };
        for digit in 0..CAPTURE_SLOTS {
            names.intern(digit.to_string().as_bytes());
        }
        names
    }

    /// Gives a name its slot. A program names far fewer variables than slots exist; past the last
    /// slot the compiler refuses (see `compile`).
    pub(crate) fn intern(&mut self, name: &[u8]) -> TxId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = TxId(u16::try_from(self.names.len()).unwrap_or(u16::MAX));
        self.names.push(name.into());
        self.slots.insert(name.to_ascii_lowercase().into(), id);
        id
    }

    /// Finds a name's slot.
    pub(crate) fn find(&self, name: &[u8]) -> Option<TxId> {
        match self.slots.get(name) {
            Some(id) => Some(*id),
            None => self.slots.get(name.to_ascii_lowercase().as_slice()).copied(),
        }
    }

    pub(crate) fn name(&self, id: TxId) -> &[u8] {
        self.names.get(usize::from(id.0)).map_or(b"", |name| name)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
