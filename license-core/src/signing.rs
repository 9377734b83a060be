//! What the service signs with: its own Ed25519 keys, sealed in the store, rotated by its own schedule.
//!
//! A key is published (`pending`) for a day before it signs (`active`), verifies what it signed for eight days after
//! its successor took over (`verify_only`), and then is `retired`; `revoked` ends it at once. Nothing but times is
//! stored, so that every process and every reader sees the same state at the same moment.

mod offline;
mod receipt;
mod ring;
mod wrapping;

pub use offline::{Memory, verify_offline};
pub(crate) use receipt::Kind;
pub use receipt::{KeySet, Receipt, Unverified, verify, verify_return};
pub(crate) use ring::{KeyState, Ring};
pub use wrapping::WrappingKeyError;

use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::domain::names::TenantId;
use crate::store::{SealedKey, Store, StoreError};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use wrapping::WrappingKey;

/// Why the service cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The wrapping key cannot be used.
    #[error("the wrapping key cannot be used")]
    Wrapping(#[from] WrappingKeyError),
    /// A signing key in the store was sealed with another wrapping key, or was tampered with.
    #[error("the wrapping key does not open the signing key `{0}`")]
    Sealed(String),
    /// The system gave no randomness for a key.
    #[error("no signing key could be made")]
    NoKey,
    /// The store does not serve.
    #[error("the store is unavailable")]
    Store,
}

impl From<StoreError> for SigningError {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl From<Unspecified> for SigningError {
    fn from(_: Unspecified) -> Self {
        Self::NoKey
    }
}

/// The key that signs, by its name.
type Active = Option<(String, Arc<Ed25519KeyPair>)>;

/// The service's signing keys.
pub(crate) struct Signer {
    wrapping: WrappingKey,
    store: Arc<dyn Store>,
    active: RwLock<Active>,
}

impl Signer {
    /// Reads the keys and makes the first one when there is none. The wrapping key's file is made too when there is
    /// neither.
    pub(crate) async fn open(
        wrapping_key: &Path,
        store: Arc<dyn Store>,
    ) -> Result<Self, SigningError> {
        let is_first = store.signing_keys().await?.0.is_empty();
        let wrapping = WrappingKey::open(wrapping_key, is_first)?;
        let signer = Self { wrapping, store, active: RwLock::new(None) };
        signer.refresh().await?;
        Ok(signer)
    }

    /// Reads the keys again and makes the next one when its time has come. To be called every few seconds: a
    /// revocation anywhere takes effect with the next call.
    pub(crate) async fn refresh(&self) -> Result<(), SigningError> {
        let (mut keys, mut now) = self.store.signing_keys().await?;
        if let Some(active_at) = Ring::new(keys).next_due(now) {
            self.add(active_at, now).await?;
        }
        (keys, now) = self.store.signing_keys().await?;
        let ring = Ring::new(keys);
        let active = match ring.active(now) {
            None => None,
            Some(key) => Some((key.kid.clone(), self.pair(key)?)),
        };
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = active;
        Ok(())
    }

    /// Makes the key of the next generation. Another process may be faster: then its key stands.
    async fn add(&self, active_at: Timestamp, now: Timestamp) -> Result<(), SigningError> {
        let (keys, _) = self.store.signing_keys().await?;
        let generation = keys.iter().map(|key| key.generation).max().unwrap_or(0) + 1;
        let pair = Ed25519KeyPair::generate()?;
        let public = pair.public_key().as_ref().to_vec();
        let kid = crate::assertion::thumbprint(&URL_SAFE_NO_PAD.encode(&public));
        let sealed = self.wrapping.seal(pair.to_pkcs8()?.as_ref(), &kid)?;
        let key = SealedKey {
            generation,
            kid,
            public,
            sealed,
            created_at: now,
            active_at,
            revoked_at: None,
        };
        tracing::info!(kid = key.kid, generation, "a signing key was made");
        self.store.add_signing_key(key).await?;
        Ok(())
    }

    fn active(&self) -> Active {
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pair(&self, key: &SealedKey) -> Result<Arc<Ed25519KeyPair>, SigningError> {
        if let Some((kid, pair)) = self.active()
            && kid == key.kid
        {
            return Ok(pair);
        }
        let sealed = || SigningError::Sealed(key.kid.clone());
        let private = self.wrapping.unseal(&key.sealed, &key.kid).map_err(|_| sealed())?;
        let pair = Ed25519KeyPair::from_pkcs8(&private).map_err(|_| sealed())?;
        if pair.public_key().as_ref() == key.public { Ok(Arc::new(pair)) } else { Err(sealed()) }
    }

    /// Says whether a key signs now.
    pub(crate) fn is_ready(&self) -> bool {
        self.active().is_some()
    }

    /// Signs what is so of a session; `None` while no key may sign, which no lease waits for.
    pub(crate) fn sign(&self, kind: Kind, tenant: &TenantId, session: &Session) -> Option<String> {
        let (kid, pair) = self.active()?;
        Some(receipt::mint(kind, tenant, session, &kid, &pair))
    }

    /// Returns the JWKS of every key that signs, will sign or signed what may still be shown.
    pub(crate) async fn jwks(&self) -> Result<serde_json::Value, StoreError> {
        let (keys, now) = self.store.signing_keys().await?;
        Ok(Ring::new(keys).jwks(now))
    }
}
