//! Secrets that the store keeps for others, sealed with the wrapping key: those that webhooks are signed with.

use super::wrapping::{WrappingKey, WrappingKeyError};
use std::path::Path;
use zeroize::Zeroizing;

/// Seals and opens secrets, each under the name of what it belongs to.
pub(crate) struct SecretBox(WrappingKey);

/// A secret that cannot be sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the wrapping key does not open the secret")]
pub(crate) struct NotOpened;

impl SecretBox {
    /// Reads the wrapping key, which the signing keys made.
    pub(crate) fn open(path: &Path) -> Result<Self, WrappingKeyError> {
        WrappingKey::open(path, false).map(Self)
    }

    /// Seals a secret.
    pub(crate) fn seal(&self, secret: &[u8], name: &str) -> Result<Vec<u8>, NotOpened> {
        self.0.seal(secret, name).map_err(|_| NotOpened)
    }

    /// Opens what [`Self::seal`] made under the same name.
    pub(crate) fn unseal(
        &self,
        sealed: &[u8],
        name: &str,
    ) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        self.0.unseal(sealed, name).map_err(|_| NotOpened)
    }
}
