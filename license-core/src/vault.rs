//! Personal data at rest: sealed under data keys, which stand in the store sealed under a wrapping key, which does not.
//!
//! A value is sealed with AES-256-GCM under a key of its own, derived by HKDF-SHA256 from the data key, a random salt
//! and the place that the value stands in (column, tenant, row): it opens nowhere else, and no number of values wears
//! a data key out. It says by which generation it was sealed, so that data keys are rotated row by row, under load,
//! and values that were written before there was a key are read as they stand.

mod value;

pub(crate) use value::{Place, generation_of};

use crate::settings::{PersonalData, Secret};
use crate::store::{DataKey, Store, StoreError};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use value::ValueKey;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// Why personal data cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A wrapping key is none.
    #[error("`personal_data.{0}` must be 32 bytes in base64")]
    Form(&'static str),
    /// A data key was sealed with another wrapping key, or tampered with.
    #[error(
        "neither `key` nor `former_key` of `personal_data` opens the data key of generation {0}"
    )]
    Wrapped(i64),
    /// The store holds data keys, and the settings do not say what opens them.
    #[error("the store holds sealed personal data, and the settings have no `personal_data`")]
    NoKey,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// The store does not serve.
    #[error("the store is unavailable")]
    Store,
}

impl From<StoreError> for VaultError {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl From<Unspecified> for VaultError {
    fn from(_: Unspecified) -> Self {
        Self::NoRandomness
    }
}

/// Seals and opens personal data.
pub(crate) struct Vault {
    wrapping: Wrapping,
    store: Arc<dyn Store>,
    /// The data keys by their generations; the last one seals.
    keys: RwLock<BTreeMap<i64, Arc<ValueKey>>>,
}

/// The keys that data keys are sealed under: the present one, and the one before it while it is being replaced.
struct Wrapping {
    present: ValueKey,
    former: Option<ValueKey>,
}

impl Wrapping {
    fn read(settings: &PersonalData) -> Result<Self, VaultError> {
        Ok(Self {
            present: wrapping_key(&settings.key, "key")?,
            former: settings
                .former_key
                .as_ref()
                .map(|key| wrapping_key(key, "former_key"))
                .transpose()?,
        })
    }

    fn seal(&self, generation: i64, key: &[u8]) -> Result<String, VaultError> {
        Ok(self.present.seal(0, Place::data_key(generation), key)?)
    }

    /// Opens a data key, and says whether the present wrapping key does.
    fn open(&self, key: &DataKey) -> Result<(Zeroizing<Vec<u8>>, bool), VaultError> {
        let place = || Place::data_key(key.generation);
        if let Ok(bytes) = self.present.open(place(), &key.sealed) {
            return Ok((bytes, true));
        }
        let former = self.former.as_ref().and_then(|key_| key_.open(place(), &key.sealed).ok());
        former.map(|bytes| (bytes, false)).ok_or(VaultError::Wrapped(key.generation))
    }
}

fn wrapping_key(secret: &Secret, name: &'static str) -> Result<ValueKey, VaultError> {
    let bytes = STANDARD.decode(secret.reveal().trim()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| VaultError::Form(name))?;
    if bytes.len() == KEY_BYTES { Ok(ValueKey::new(&bytes)) } else { Err(VaultError::Form(name)) }
}

impl Vault {
    /// Opens the data keys and makes the first one when there is none; `None` where the settings say nothing of
    /// personal data and none was ever sealed.
    pub(crate) async fn open(
        settings: Option<&PersonalData>,
        store: Arc<dyn Store>,
    ) -> Result<Option<Self>, VaultError> {
        let there = store.data_keys().await?;
        let Some(settings) = settings else {
            return if there.is_empty() { Ok(None) } else { Err(VaultError::NoKey) };
        };
        let wrapping = Wrapping::read(settings)?;
        let vault = Self { wrapping, store, keys: RwLock::new(BTreeMap::new()) };
        if there.is_empty() {
            vault.add(1).await?;
        }
        vault.refresh().await?;
        Ok(Some(vault))
    }

    /// Reads the data keys again. To be called every few seconds: what a rotation made is used from then on.
    pub(crate) async fn refresh(&self) -> Result<(), VaultError> {
        let mut keys = BTreeMap::new();
        for key in self.store.data_keys().await? {
            let known = self.keys().get(&key.generation).cloned();
            let opened = match known {
                Some(known) => known,
                None => Arc::new(ValueKey::new(&self.wrapping.open(&key)?.0)),
            };
            keys.insert(key.generation, opened);
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn keys(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<i64, Arc<ValueKey>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a data key. Another process may be faster: then its key stands.
    async fn add(&self, generation: i64) -> Result<(), VaultError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new().fill(bytes.as_mut())?;
        let sealed = self.wrapping.seal(generation, bytes.as_slice())?;
        self.store.add_data_key(generation, sealed).await?;
        Ok(())
    }

    /// Makes the data key of the next generation, which seals from now on, and returns its generation.
    pub(crate) async fn rotate(&self) -> Result<i64, VaultError> {
        self.add(self.generation() + 1).await?;
        self.refresh().await?;
        Ok(self.generation())
    }

    /// Seals every data key under the present wrapping key that is not. Returns how many were not.
    pub(crate) async fn rewrap(&self) -> Result<u32, VaultError> {
        let mut rewrapped = 0;
        for key in self.store.data_keys().await? {
            let (bytes, is_present) = self.wrapping.open(&key)?;
            if !is_present {
                let sealed = self.wrapping.seal(key.generation, &bytes)?;
                self.store.rewrap_data_key(key.generation, sealed).await?;
                rewrapped += 1;
            }
        }
        Ok(rewrapped)
    }

    /// Returns the generation that seals.
    pub(crate) fn generation(&self) -> i64 {
        self.keys().keys().next_back().copied().unwrap_or(0)
    }

    /// Seals a value for its place.
    pub(crate) fn seal(&self, place: Place<'_>, clear: &[u8]) -> Result<String, VaultError> {
        let last =
            self.keys().iter().next_back().map(|(generation, key)| (*generation, key.clone()));
        let (generation, key) = last.ok_or(VaultError::NoKey)?;
        Ok(key.seal(generation, place, clear)?)
    }

    /// Opens a sealed value in its place; `None` when its key is gone or it was sealed for another place. A generation
    /// that is not known yet is one that a rotation made a moment ago.
    pub(crate) async fn unseal(
        &self,
        place: Place<'_>,
        sealed: &str,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let generation = generation_of(sealed)?;
        let known = self.keys().get(&generation).cloned();
        let key = match known {
            Some(key) => key,
            None => {
                if let Err(error) = self.refresh().await {
                    tracing::error!(%error, generation, "a data key was not read");
                }
                self.keys().get(&generation).cloned()?
            }
        };
        key.open(place, sealed).ok()
    }
}
