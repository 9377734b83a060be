//! What the service signs with: its own keys (Ed25519, and RSA-4096 for license files), sealed in the store, rotated by
//! its own schedule.
//!
//! A key is published (`pending`) for a day before it signs (`active`), verifies what it signed for eight days after
//! its successor took over (`verify_only`), and then is `retired`; `revoked` ends it at once. Nothing but times is
//! stored, so that every process and every reader sees the same state at the same moment.

mod algorithm;
mod checkpoint;
mod jws;
mod license_file;
mod offline;
mod receipt;
mod ring;
mod wrapping;

pub(crate) use algorithm::{Algorithm, Pair};
pub(crate) use checkpoint::verify_checkpoint;
pub use jws::KeySet;
pub use license_file::{LicenseFile, verify_license_file};
pub use offline::{Memory, verify_offline};
pub(crate) use receipt::Kind;
pub use receipt::{Receipt, Unverified, verify, verify_return};
pub(crate) use ring::{KeyState, Ring};
pub use wrapping::WrappingKeyError;

use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::domain::license::License;
use crate::domain::names::TenantId;
use crate::store::office::Scope;
use crate::store::{SealedKey, Store, StoreError};
use aws_lc_rs::error::Unspecified;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
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
type Active = Option<(String, Arc<Pair>)>;

/// The service's signing keys.
pub(crate) struct Signer {
    wrapping: WrappingKey,
    store: Arc<dyn Store>,
    active: RwLock<HashMap<Algorithm, (String, Arc<Pair>)>>,
    /// License files that are being signed: the work of each takes milliseconds of a thread of its own.
    files: Semaphore,
}

/// How much of a chain no checkpoint vouches for.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3600);
/// The most license files that are signed at once.
const FILES_MAX: usize = 2;

impl Signer {
    /// Reads the keys and makes the first one when there is none. The wrapping key's file is made too when there is
    /// neither.
    pub(crate) async fn open(
        wrapping_key: &Path,
        store: Arc<dyn Store>,
    ) -> Result<Self, SigningError> {
        let is_first = store.signing_keys().await?.0.is_empty();
        let wrapping = WrappingKey::open(wrapping_key, is_first)?;
        let signer = Self {
            wrapping,
            store,
            active: RwLock::new(HashMap::new()),
            files: Semaphore::new(FILES_MAX),
        };
        signer.refresh().await?;
        Ok(signer)
    }

    /// Reads the keys again and makes the next one when its time has come. To be called every few seconds: a
    /// revocation anywhere takes effect with the next call. RSA keys are made once one was asked for.
    pub(crate) async fn refresh(&self) -> Result<(), SigningError> {
        let (keys, now) = self.store.signing_keys().await?;
        for algorithm in Algorithm::ALL {
            let ring = Ring::of(algorithm, &keys);
            let due = ring.next_due(now);
            if let Some(active_at) =
                due.filter(|_| algorithm == Algorithm::EdDsa || !ring.is_empty())
            {
                self.add(algorithm, active_at, now).await?;
            }
        }
        let (keys, now) = self.store.signing_keys().await?;
        let mut active = HashMap::new();
        for algorithm in Algorithm::ALL {
            if let Some(key) = Ring::of(algorithm, &keys).active(now) {
                active.insert(algorithm, (key.kid.clone(), self.pair(key)?));
            }
        }
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = active;
        Ok(())
    }

    /// Makes the key of the next generation. Another process may be faster: then its key stands.
    async fn add(
        &self,
        algorithm: Algorithm,
        active_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), SigningError> {
        let (keys, _) = self.store.signing_keys().await?;
        let generation = keys.iter().map(|key| key.generation).max().unwrap_or(0) + 1;
        let made = tokio::task::spawn_blocking(move || Pair::generate(algorithm)).await;
        let pair = made.map_err(|_| SigningError::NoKey)??;
        let public = pair.public();
        let kid = algorithm.thumbprint(&public);
        let sealed = self.wrapping.seal(&pair.to_pkcs8()?, &kid)?;
        let key = SealedKey {
            generation,
            algorithm,
            kid,
            public,
            sealed,
            created_at: now,
            active_at,
            revoked_at: None,
        };
        tracing::info!(
            kid = key.kid,
            algorithm = algorithm.as_str(),
            generation,
            "a signing key was made"
        );
        self.store.add_signing_key(key).await?;
        Ok(())
    }

    fn active(&self, algorithm: Algorithm) -> Active {
        self.active.read().unwrap_or_else(PoisonError::into_inner).get(&algorithm).cloned()
    }

    fn pair(&self, key: &SealedKey) -> Result<Arc<Pair>, SigningError> {
        if let Some((kid, pair)) = self.active(key.algorithm)
            && kid == key.kid
        {
            return Ok(pair);
        }
        let sealed = || SigningError::Sealed(key.kid.clone());
        let private = self.wrapping.unseal(&key.sealed, &key.kid).map_err(|_| sealed())?;
        let pair = Pair::from_pkcs8(key.algorithm, &private).map_err(|_| sealed())?;
        if pair.public() == key.public { Ok(Arc::new(pair)) } else { Err(sealed()) }
    }

    /// Says whether a key signs now.
    pub(crate) fn is_ready(&self) -> bool {
        self.active(Algorithm::EdDsa).is_some()
    }

    /// Signs what is so of a session; `None` while no key may sign, which no lease waits for.
    pub(crate) fn sign(&self, kind: Kind, tenant: &TenantId, session: &Session) -> Option<String> {
        let (kid, pair) = self.active(Algorithm::EdDsa)?;
        receipt::mint(kind, tenant, session, &kid, &pair)
    }

    /// Signs a license file, off the threads that answer requests. The first one makes the key.
    pub(crate) async fn license_file(
        &self,
        license: License,
        entitlements: Vec<String>,
        now: Timestamp,
    ) -> Result<String, SigningError> {
        let _turn = self.files.acquire().await.map_err(|_| SigningError::NoKey)?;
        if self.active(Algorithm::Rs512).is_none() {
            let (keys, now) = self.store.signing_keys().await?;
            if Ring::of(Algorithm::Rs512, &keys).active(now).is_none() {
                self.add(Algorithm::Rs512, now, now).await?;
            }
            self.refresh().await?;
        }
        let (kid, pair) = self.active(Algorithm::Rs512).ok_or(SigningError::NoKey)?;
        let sign = move || license_file::mint(&license, entitlements, &kid, &pair, now);
        let signed = tokio::task::spawn_blocking(sign).await.map_err(|_| SigningError::NoKey)?;
        signed.ok_or(SigningError::NoKey)
    }

    /// Signs the heads of chains that went on, an hour or more after the last time. Returns how many it signed.
    pub(crate) async fn checkpoint(&self) -> Result<u64, StoreError> {
        let mut signed = 0;
        for tenant in self.store.checkpoints_due(CHECKPOINT_EVERY).await? {
            let scope = Scope { tenant: tenant.clone(), actor: "service".to_owned() };
            let Some((head, now)) = self.store.head(scope.clone()).await? else { continue };
            let Some((kid, pair)) = self.active(Algorithm::EdDsa) else { return Ok(signed) };
            let Some(text) = checkpoint::mint(&tenant, head, &kid, &pair, now) else { continue };
            self.store.add_checkpoint(scope, head, text).await?;
            signed += 1;
        }
        Ok(signed)
    }

    /// Returns the JWKS of every key that signs, will sign or signed what may still be shown.
    pub(crate) async fn jwks(&self) -> Result<serde_json::Value, StoreError> {
        let (keys, now) = self.store.signing_keys().await?;
        let shown = Algorithm::ALL.into_iter().flat_map(|one| Ring::of(one, &keys).jwks(now));
        Ok(serde_json::json!({ "keys": shown.collect::<Vec<_>>() }))
    }
}
