//! Secrets that the store keeps for others, sealed: those that webhooks are signed with, and what stands in the
//! accelerator.

use super::wrapping::{WrappingKey, WrappingKeyError};
use crate::settings::Settings;
use zeroize::Zeroizing;

/// Seals and opens secrets, each under the name of what it belongs to. The first key seals; each opens.
pub(crate) struct SecretBox(Vec<WrappingKey>);

/// A secret that cannot be sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the keys of the settings do not open the secret")]
pub(crate) struct NotOpened;

impl SecretBox {
    /// Reads the keys: those of `secrets`, then the wrapping key, which the signing keys made. `None` where the settings
    /// have neither.
    pub(crate) fn open(settings: &Settings) -> Result<Option<Self>, WrappingKeyError> {
        let mut keys = vec![];
        if let Some(secrets) = &settings.secrets {
            keys.push(WrappingKey::of(&secrets.key, "secrets.key")?);
            if let Some(former) = &secrets.former_key {
                keys.push(WrappingKey::of(former, "secrets.former_key")?);
            }
        }
        if let Some(path) = &settings.wrapping_key {
            keys.push(WrappingKey::open(path, false)?);
        }
        Ok((!keys.is_empty()).then_some(Self(keys)))
    }

    /// Seals a secret.
    pub(crate) fn seal(&self, secret: &[u8], name: &str) -> Result<Vec<u8>, NotOpened> {
        let key = self.0.first().ok_or(NotOpened)?;
        key.seal(secret, name).map_err(|_| NotOpened)
    }

    /// Opens what [`Self::seal`] made under the same name.
    pub(crate) fn unseal(
        &self,
        sealed: &[u8],
        name: &str,
    ) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        self.0.iter().find_map(|key| key.unseal(sealed, name).ok()).ok_or(NotOpened)
    }
}
