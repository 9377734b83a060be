//! The names of `TX` variables that the rules write out, each given a slot at load.

/// The slot of a `TX` variable whose name the rules write out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TxId(pub(crate) u16);

/// `TX:0` to `TX:9` stand in the first ten slots, where `capture` writes them.
pub(crate) const CAPTURE_SLOTS: usize = 10;

impl TxId {
    /// Whether it is one of `TX:0` to `TX:9`.
    pub(crate) const fn is_capture(self) -> bool {
        (self.0 as usize) < CAPTURE_SLOTS
    }
}

/// Names to slots. Names are compared without letter case and shown as first written.
#[derive(Debug)]
pub(crate) struct TxNames {
    names: Vec<Box<[u8]>>,
    /// Places of names by the hash of their lower case. The names come from rules, so that nobody can
    /// aim at collisions; what a request looks up only reads.
    buckets: Vec<Vec<TxId>>,
}

const BUCKETS: usize = 1024;

fn bucket(name: &[u8]) -> usize {
    let mix = |hash: u32, byte: &u8| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    };
    name.iter().fold(0x811c_9dc5, mix) as usize % BUCKETS
}

impl TxNames {
    pub(crate) fn new() -> Self {
        let mut names = Self { names: Vec::new(), buckets: vec![Vec::new(); BUCKETS] };
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
        if let Some(row) = self.buckets.get_mut(bucket(name)) {
            row.push(id);
        }
        id
    }

    /// Finds a name's slot.
    pub(crate) fn find(&self, name: &[u8]) -> Option<TxId> {
        let row = self.buckets.get(bucket(name))?;
        row.iter().copied().find(|id| self.name(*id).eq_ignore_ascii_case(name))
    }

    /// Every name with its slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TxId, &[u8])> {
        (0_u16..).map(TxId).zip(self.names.iter().map(AsRef::as_ref))
    }

    pub(crate) fn name(&self, id: TxId) -> &[u8] {
        self.names.get(usize::from(id.0)).map_or(b"", |name| name)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
