//! What signing keys sign with.

use crate::signing::{Algorithm, Use};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// What signing keys sign with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Algorithms {
    /// Receipts, borrow tokens, checkpoints and responses.
    pub receipts: Algorithm,
    /// License files.
    pub files: Algorithm,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self { receipts: Algorithm::EdDsa, files: Algorithm::Rs512 }
    }
}

impl Algorithms {
    pub(crate) const fn of(self, usage: Use) -> Algorithm {
        match usage {
            Use::Receipts => self.receipts,
            Use::Files => self.files,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    receipts: Option<Named>,
    files: Option<Named>,
}

struct Named(Algorithm);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Algorithm::from_name(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is not one of `EdDSA`, `ES256` and `RS512`"))
        })
    }
}

impl From<Source> for Algorithms {
    fn from(source: Source) -> Self {
        let default = Self::default();
        Self {
            receipts: source.receipts.map_or(default.receipts, |named| named.0),
            files: source.files.map_or(default.files, |named| named.0),
        }
    }
}
