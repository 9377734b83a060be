//! What the service signs with: its own keys (Ed25519, and RSA-4096 for license files, unless the settings say
//! otherwise), rotated by its own schedule, wherever they live: sealed in the store, in a hardware module, or in a cloud.
//!
//! A key is published (`pending`) for a day before it signs (`active`), verifies what it signed for eight days after
//! its successor took over (`verify_only`), and then is `retired`; `revoked` ends it at once. Nothing but times is
//! stored, so that every process and every reader sees the same state at the same moment.

mod algorithm;
mod breaker;
mod checkpoint;
mod desk;
mod jws;
mod kms;
mod license_file;
mod local;
mod offline;
mod pair;
mod pkcs11;
mod port;
mod receipt;
mod response;
mod ring;
mod secret;
mod wrapping;

pub use algorithm::Algorithm;
pub(crate) use algorithm::Use;
pub(crate) use checkpoint::verify_checkpoint;
pub(crate) use desk::NotSigned;
pub use jws::KeySet;
pub(crate) use kms::metadata_server;
pub use license_file::{LicenseFile, verify_license_file};
pub use offline::{Memory, verify_offline};
pub use port::PortError;
pub(crate) use receipt::Kind;
pub use receipt::{Receipt, Unverified, verify, verify_return};
pub use response::{BadResponse, Exchange, SignedResponse, verify_response};
pub(crate) use response::{
    CONTENT_DIGEST, Component, Input, SIGNATURE, SIGNATURE_INPUT, Value, base, digest_of,
    signature_field,
};
pub(crate) use ring::{KeyState, Ring};
pub(crate) use secret::SecretBox;
pub use wrapping::WrappingKeyError;

use crate::clock::{Clock, Timestamp};
use crate::domain::lease::Session;
use crate::domain::license::License;
use crate::domain::names::TenantId;
use crate::metrics;
use crate::settings::{Algorithms, KeyPlace, Settings};
use crate::store::office::Scope;
use crate::store::{SealedKey, Store, StoreError};
use desk::{Active, DEADLINE, Desk, LEASE_WAITS};
use jws::Head;
use local::Local;
use port::KeyPort;
use ring::Home;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

/// Why the service cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The wrapping key cannot be used.
    #[error("the wrapping key cannot be used")]
    Wrapping(#[from] WrappingKeyError),
    /// Where the signing keys live, something is wrong.
    #[error("the signing key `{key}` cannot be used")]
    Port {
        /// The key, or its algorithm while there is none.
        key: String,
        /// What is wrong.
        #[source]
        source: PortError,
    },
    /// Nothing can be signed now.
    #[error("nothing can be signed now")]
    NotSigned,
    /// The store does not serve.
    #[error("the store is unavailable")]
    Store,
}

impl SigningError {
    /// Returns the text and its cause's, as the log writes them.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(deeper) = cause {
            text.push_str(&format!(": {deeper}"));
            cause = deeper.source();
        }
        text
    }

    /// Says whether it may be otherwise later without a hand.
    const fn passes(&self) -> bool {
        match self {
            Self::Port { source: PortError::Down(_), .. } | Self::NotSigned | Self::Store => true,
            Self::Wrapping(_) | Self::Port { .. } => false,
        }
    }
}

impl From<StoreError> for SigningError {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

/// The service's signing keys.
pub(crate) struct Signer {
    /// Keys of this process: where new ones are made, or were before the settings named another place.
    local: Option<Local>,
    /// Where new keys are made instead, when the settings say so.
    place: Option<Box<dyn KeyPort>>,
    store: Arc<dyn Store>,
    algorithms: Algorithms,
    active: RwLock<HashMap<Use, Arc<Active>>>,
    /// Held while the first key for license files is made, which may take seconds.
    making: Mutex<()>,
    responses: Semaphore,
    desk: Desk,
    metrics: metrics::Signing,
}

/// How much of a chain no checkpoint vouches for.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3600);
/// How long the making of a key may take: a module is slow at RSA-4096.
const MAKING: Duration = Duration::from_secs(60);
/// The most responses that a signer outside this process signs at once: fewer than it signs receipts.
const RESPONSES_MAX: usize = 4;

impl Signer {
    /// Reads the keys and makes the first one when there is none; `None` where the settings name no place for keys.
    /// The wrapping key's file is made too when there is neither. A place that does not answer now stops nothing:
    /// leases go on, and it is asked again.
    pub(crate) async fn open(
        settings: &Settings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: metrics::Signing,
    ) -> Result<Option<Self>, SigningError> {
        let place: Option<Box<dyn KeyPort>> = match &settings.key_place {
            None => None,
            Some(KeyPlace::Pkcs11(settings)) => {
                let named = settings.clone();
                let opened = local::blocking(move || pkcs11::Module::open(&named));
                let opened = in_time(MAKING, async { opened.await? }).await;
                Some(Box::new(opened.map_err(|source| SigningError::Port {
                    key: settings.key_label.clone(),
                    source,
                })?))
            }
            Some(KeyPlace::GoogleKms(settings)) => {
                Some(Box::new(kms::Kms::open(settings, clock.clone())))
            }
        };
        let local = match &settings.wrapping_key {
            None => None,
            Some(path) => {
                let is_first = store.signing_keys().await?.0.iter().all(local::lives_elsewhere);
                Some(Local::open(path, is_first)?)
            }
        };
        if local.is_none() && place.is_none() {
            return Ok(None);
        }
        let (desk, active) = (Desk::new(clock, metrics.clone()), RwLock::new(HashMap::new()));
        let (making, responses) = (Mutex::new(()), Semaphore::new(RESPONSES_MAX));
        let algorithms = settings.algorithms;
        let signer =
            Self { local, place, store, algorithms, active, making, responses, desk, metrics };
        match signer.refresh().await {
            Err(error) if error.passes() => {
                let error = error.with_causes();
                tracing::error!(error, "nothing is signed yet, leases go on");
            }
            other => other?,
        }
        Ok(Some(signer))
    }

    /// Reads the keys again and makes the next one when its time has come. To be called every few seconds: a
    /// revocation anywhere takes effect with the next call. Keys for license files are made once one was asked for.
    pub(crate) async fn refresh(&self) -> Result<(), SigningError> {
        let (keys, now) = self.store.signing_keys().await?;
        let mut first_error = None;
        for usage in Use::ALL {
            let ring = Ring::of(usage, &keys);
            let due = ring.next_due(now, |key| self.home(key));
            if let Some(active_at) = due.filter(|_| usage == Use::Receipts || !ring.is_empty())
                && let Err(error) = self.add(usage, active_at, now).await
            {
                first_error.get_or_insert(error);
            }
        }
        let (keys, now) = self.store.signing_keys().await?;
        let mut active = HashMap::new();
        for usage in Use::ALL {
            let ring = Ring::of(usage, &keys);
            let Some(key) = ring.active(now) else { continue };
            match self.opened(key).await {
                Ok(opened) => {
                    active.insert(usage, opened);
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        self.metrics.ready.set(i64::from(active.contains_key(&Use::Receipts)));
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = active;
        first_error.map_or(Ok(()), Err)
    }

    fn home(&self, key: &SealedKey) -> Home {
        let holds = |place: Option<&dyn KeyPort>| place.is_some_and(|place| place.holds(key));
        let local = self.local.as_ref().map(|local| local as &dyn KeyPort);
        match &self.place {
            Some(place) if place.holds(key) => self.here_if_wanted(key),
            Some(_) if holds(local) => Home::Elsewhere,
            None if holds(local) => self.here_if_wanted(key),
            Some(_) | None => Home::Lost,
        }
    }

    /// A key of another algorithm than the settings name is followed as one that lives where keys were made before.
    fn here_if_wanted(&self, key: &SealedKey) -> Home {
        if key.algorithm == self.algorithms.of(key.usage) { Home::Here } else { Home::Elsewhere }
    }

    /// Makes the key of the next generation. Another process may be faster: then its key stands.
    async fn add(
        &self,
        usage: Use,
        active_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), SigningError> {
        let algorithm = self.algorithms.of(usage);
        let (keys, _) = self.store.signing_keys().await?;
        let generation = keys.iter().map(|key| key.generation).max().unwrap_or(0) + 1;
        let place = self.place.as_deref();
        let place = place.or_else(|| self.local.as_ref().map(|local| local as &dyn KeyPort));
        let place = place.ok_or(SigningError::NotSigned)?;
        let made = in_time(MAKING, place.make(usage, algorithm, &keys)).await;
        let made = made
            .map_err(|source| SigningError::Port { key: algorithm.as_str().to_owned(), source })?;
        let key = SealedKey {
            generation,
            algorithm,
            usage,
            kid: algorithm.thumbprint(&made.public),
            public: made.public,
            sealed: made.sealed,
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

    fn active(&self, usage: Use) -> Option<Arc<Active>> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).get(&usage).cloned()
    }

    async fn opened(&self, key: &SealedKey) -> Result<Arc<Active>, SigningError> {
        if let Some(active) = self.active(key.usage)
            && active.kid == key.kid
        {
            return Ok(active);
        }
        let failed = |source| SigningError::Port { key: key.kid.clone(), source };
        let place = self.place.as_deref().filter(|place| place.holds(key));
        let local = self.local.as_ref().filter(|local| local.holds(key));
        let place = place.or_else(|| local.map(|local| local as &dyn KeyPort));
        let lost = || PortError::Refused("the settings do not name the place it lives in".into());
        let place = place.ok_or_else(|| failed(lost()))?;
        let opened = in_time(DEADLINE, place.open(key)).await.map_err(failed)?;
        Ok(Arc::new(Active {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            public: key.public.clone(),
            key: opened,
            is_local: local.is_some(),
        }))
    }

    /// Makes the next key of every use that has one. Returns how many it made.
    pub(crate) async fn rotate(&self) -> Result<usize, SigningError> {
        let mut made = 0;
        for usage in Use::ALL {
            let (keys, now) = self.store.signing_keys().await?;
            if !Ring::of(usage, &keys).is_empty() {
                self.add(usage, Ring::follows_at(now), now).await?;
                made += 1;
            }
        }
        Ok(made)
    }

    /// Signs what is so of a session, as part of a lease's answer: `None` when that does not go at once. No lease
    /// waits for it; the session's holder asks for its receipt later.
    pub(crate) async fn receipt(&self, tenant: &TenantId, session: &Session) -> Option<String> {
        self.session(Kind::Lease, tenant, session, LEASE_WAITS).await.ok()
    }

    /// Signs what is so of a session and is worth nothing without a signature.
    pub(crate) async fn sign(
        &self,
        kind: Kind,
        tenant: &TenantId,
        session: &Session,
    ) -> Result<String, SigningError> {
        self.session(kind, tenant, session, DEADLINE).await
    }

    async fn session(
        &self,
        kind: Kind,
        tenant: &TenantId,
        session: &Session,
        patience: Duration,
    ) -> Result<String, SigningError> {
        let active = self.active(Use::Receipts).ok_or(SigningError::NotSigned)?;
        let text = receipt::mint(kind, tenant, session, head(&active));
        self.signed(&active, text, patience).await
    }

    async fn signed(
        &self,
        active: &Arc<Active>,
        text: Option<String>,
        patience: Duration,
    ) -> Result<String, SigningError> {
        let text = text.ok_or(SigningError::NotSigned)?;
        let signed = self.desk.sign(active, text, patience).await;
        signed.map_err(|_| SigningError::NotSigned)
    }

    /// Signs a response: `text` makes of the key's name and algorithm what is signed. `None` where that does not go at once, and, so
    /// that strangers wear out no signer outside this process, for those that it knows nothing of.
    pub(crate) async fn response<T>(
        &self,
        is_admitted: bool,
        text: impl FnOnce(&str, Algorithm) -> Option<(T, String)>,
    ) -> Option<(T, Vec<u8>)> {
        let active = self.active(Use::Receipts)?;
        let _turn = match active.is_local {
            true => None,
            false if is_admitted => Some(self.responses.try_acquire().ok()?),
            false => return None,
        };
        let (made, text) = text(&active.kid, active.algorithm)?;
        let signed = self.desk.raw(&active, text.as_bytes(), LEASE_WAITS).await.ok()?;
        Some((made, signed))
    }

    /// Says whether a text that is worth nothing without its signature is worth beginning.
    pub(crate) fn may_sign(&self) -> bool {
        self.active(Use::Receipts).is_some_and(|active| !self.desk.is_closed_to(&active))
    }

    /// Signs a license file, off the threads that answer requests. The first one makes the key.
    pub(crate) async fn license_file(
        &self,
        license: License,
        entitlements: Vec<String>,
        now: Timestamp,
    ) -> Result<(Algorithm, String), SigningError> {
        if self.active(Use::Files).is_none() {
            let making = timeout(DEADLINE, self.making.lock()).await;
            let _making = making.map_err(|_| SigningError::NotSigned)?;
            let (keys, now) = self.store.signing_keys().await?;
            if Ring::of(Use::Files, &keys).active(now).is_none() {
                self.add(Use::Files, now, now).await?;
            }
            self.refresh().await?;
        }
        let active = self.active(Use::Files).ok_or(SigningError::NotSigned)?;
        let text = license_file::mint(&license, entitlements, head(&active), now);
        Ok((active.algorithm, self.signed(&active, text, DEADLINE).await?))
    }

    /// Signs the heads of chains that went on, an hour or more after the last time. Returns how many it signed.
    pub(crate) async fn checkpoint(&self) -> Result<u64, StoreError> {
        let mut signed = 0;
        for tenant in self.store.checkpoints_due(CHECKPOINT_EVERY).await? {
            let scope = Scope { tenant: tenant.clone(), actor: "service".to_owned() };
            let Some((chain, now)) = self.store.head(scope.clone()).await? else { continue };
            let Some(active) = self.active(Use::Receipts) else { return Ok(signed) };
            let text = checkpoint::mint(&tenant, chain, head(&active), now);
            // The signer is down: the next round will do it.
            let Ok(text) = self.signed(&active, text, DEADLINE).await else { return Ok(signed) };
            self.store.add_checkpoint(scope, chain, text).await?;
            signed += 1;
        }
        Ok(signed)
    }

    /// Returns the JWKS of every key that signs, will sign or signed what may still be shown.
    pub(crate) async fn jwks(&self) -> Result<serde_json::Value, StoreError> {
        let (keys, now) = self.store.signing_keys().await?;
        let shown = Use::ALL.into_iter().flat_map(|one| Ring::of(one, &keys).jwks(now));
        Ok(serde_json::json!({ "keys": shown.collect::<Vec<_>>() }))
    }
}

/// Waits for a place of keys, and for no longer than this.
async fn in_time<T>(
    longest: Duration,
    work: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    let late = |_| Err(PortError::Down("it does not answer in time".to_owned()));
    timeout(longest, work).await.unwrap_or_else(late)
}

fn head(active: &Active) -> Head<'_> {
    Head { algorithm: active.algorithm, kid: &active.kid }
}
