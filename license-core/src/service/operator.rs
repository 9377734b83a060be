//! What operators do to tenants, licenses and sessions, whoever stands in front: the command line, the edge's first
//! run, a test.

use super::webhook_desk::WebhookDesk;
use crate::clock::{Clock, Timestamp};
use crate::domain::key::LicenseKey;
use crate::domain::license::{NewLicense, Standing};
use crate::domain::names::{LicenseName, NameError, SubjectId, TenantId};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::signing::{KeyState, Ring, Signer, SigningError, Use, WrappingKeyError};
use crate::store::erasure::{Erased, erase};
use crate::store::office::{Burst, LicenseChange, Scope, Which};
use crate::store::{Change, Conflict, OpenError, Role, Store, StoreError, Stranded};
use crate::vault::VaultError;
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Why an operator's command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NoTenant,
    /// There is no such license in the tenant.
    #[error("the tenant has no such license")]
    NoLicense,
    /// There is no such live session in the tenant.
    #[error("the tenant has no such live session")]
    NoSession,
    /// There is no such signing key, or it was revoked before.
    #[error("there is no such signing key to revoke")]
    NoKey,
    /// The tenant has a license of that name.
    #[error("the tenant has a license of that name")]
    NameTaken,
    /// Somebody else changed it meanwhile.
    #[error("somebody else changed it meanwhile, look at it again")]
    Changed,
    /// The tenant has no policy of that name.
    #[error("the tenant has no policy of that name")]
    NoPolicy,
    /// The backup's file cannot be made; it must be a new one.
    #[error("`{path}` cannot be made")]
    Backup {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The database has its own backups.
    #[error(
        "PostgreSQL is backed up by its own means: `pg_dump` as the schema's owner, or its archive for a point in time"
    )]
    OwnMeans,
    /// A name is not in its form.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store does not serve; the cause is in the log.
    #[error("the store is unavailable")]
    Unavailable,
    /// Personal data cannot be sealed or opened.
    #[error("personal data cannot be sealed or opened")]
    Vault(#[from] VaultError),
    /// The user has a seat offline, whose token goes on.
    #[error(
        "the user has a seat offline: it is returned, or its token ends, before the user is erased"
    )]
    Offline,
    /// The settings have no `signing`.
    #[error("the settings name no place for signing keys: `signing` is missing")]
    NoSigner,
    /// The signing keys cannot be used.
    #[error("the signing keys cannot be used")]
    Signing(#[from] SigningError),
    /// The system gave no randomness for a key.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// There is no such webhook in the tenant, or it is disabled.
    #[error("the tenant has no such active webhook")]
    NoWebhook,
    /// The tenant has as many webhooks as it may.
    #[error("the tenant has ten webhooks already")]
    TooManyWebhooks,
    /// Secrets cannot be sealed.
    #[error(
        "webhooks need `secrets` or `signing.wrapping_key` in the settings, which seals their secrets"
    )]
    NoSecretsKey,
    /// The wrapping key cannot be used; the service makes it at its first start.
    #[error("the wrapping key cannot be used; the service makes it at its first start")]
    WrappingKey(#[from] WrappingKeyError),
    /// A webhook may not have this URL.
    #[error("`{url}`: {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<Conflict> for OperatorError {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::NoTenant => Self::NoTenant,
            Conflict::NoLicense => Self::NoLicense,
            Conflict::NameTaken => Self::NameTaken,
            Conflict::Changed => Self::Changed,
            Conflict::NoPolicy => Self::NoPolicy,
        }
    }
}

/// A license that was just created, with its key: the only time the key can be read.
pub struct CreatedLicense {
    /// The license's id, as `GET /api/v1/licenses/{id}/` takes it.
    pub id: String,
    /// The license key, a secret.
    pub key: Zeroizing<String>,
}

impl fmt::Debug for CreatedLicense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedLicense").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A license as operators see it.
#[derive(Clone, Debug)]
pub(crate) struct LicenseLine {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) product: String,
    pub(crate) status: &'static str,
    pub(crate) leasing: &'static str,
    pub(crate) seats_used: u32,
    pub(crate) seats_total: u32,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A live session as operators see it.
#[derive(Clone, Debug)]
pub(crate) struct SessionLine {
    pub(crate) id: Uuid,
    pub(crate) subject: String,
    pub(crate) hardware: String,
    pub(crate) started_at: Timestamp,
    pub(crate) last_heartbeat_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A signing key as operators see it.
#[derive(Clone, Debug)]
pub(crate) struct KeyLine {
    pub(crate) kid: String,
    pub(crate) usage: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) state: KeyState,
    pub(crate) created_at: Timestamp,
    pub(crate) active_at: Timestamp,
}

/// The operator's port to a store.
#[derive(Clone)]
pub struct Operator {
    store: Arc<dyn Store>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}

impl Operator {
    pub(super) fn over(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Opens the store for commands, beside a running service or without one.
    pub(crate) async fn open(
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let opened = super::open(settings, Role::Command, clock, &Metrics::new()).await?;
        Ok(Self::over(opened.store))
    }

    /// Returns the port to a tenant's webhooks.
    pub(crate) fn webhooks(&self, tenant: TenantId, settings: &Settings) -> WebhookDesk {
        WebhookDesk::over(self.store.clone(), tenant, settings)
    }

    /// Lets go of the store.
    pub(crate) async fn close(&self) {
        self.store.close().await;
    }

    /// Creates a tenant; one that is there stays as it is. Returns whether it was created.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn create_tenant(&self, tenant: &TenantId) -> Result<bool, OperatorError> {
        Ok(self.store.create_tenant(tenant.clone()).await?)
    }

    /// Creates a license and returns its key, this once.
    ///
    /// # Errors
    /// When the tenant is missing, the name is taken, or the store does not serve.
    pub async fn create_license(&self, new: NewLicense) -> Result<CreatedLicense, OperatorError> {
        let key = LicenseKey::generate(&new.key_prefix).map_err(|_| OperatorError::NoRandomness)?;
        let id = self.store.create_license(new, key.hash()).await??;
        Ok(CreatedLicense { id: id.to_string(), key: key.into_text() })
    }

    /// Returns the id of the tenant's license of that name.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn find_license(
        &self,
        tenant: &TenantId,
        name: &LicenseName,
    ) -> Result<Option<String>, OperatorError> {
        let found = self.store.find_license(tenant.clone(), name.clone()).await?;
        Ok(found.map(|license| license.id.to_string()))
    }

    /// Suspends a tenant, or lets it work again.
    pub(crate) async fn set_tenant(
        &self,
        tenant: TenantId,
        standing: Standing,
    ) -> Result<(), OperatorError> {
        Ok(self.store.set_tenant(tenant, standing).await??)
    }

    /// Suspends a user, or lets them work again. A suspended user gets no heartbeat and no seat.
    ///
    /// # Errors
    /// When there is no such tenant, a name is not in its form, or the store does not serve.
    pub async fn set_suspended(
        &self,
        tenant: &str,
        subject: &str,
        is_suspended: bool,
    ) -> Result<(), OperatorError> {
        let standing = if is_suspended { Standing::Suspended } else { Standing::Active };
        self.set_subject(tenant.parse()?, subject.parse()?, standing).await
    }

    /// Gives a user's seats back but for those that are offline, and returns how many sessions were ended. `actor` is who
    /// the audit trail will say did it.
    ///
    /// # Errors
    /// When there is no such tenant, a name is not in its form, or the store does not serve.
    pub async fn release_sessions(
        &self,
        tenant: &str,
        subject: &str,
        actor: &str,
    ) -> Result<u64, OperatorError> {
        let scope = Scope { tenant: tenant.parse()?, actor: actor.to_owned() };
        let which = Which { license: None, subject: Some(subject.parse()?) };
        Ok(self.store.release_all(scope, which).await?)
    }

    /// Suspends a user, or lets them work again.
    pub(crate) async fn set_subject(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        standing: Standing,
    ) -> Result<(), OperatorError> {
        Ok(self.store.set_subject(tenant, subject, standing).await??)
    }

    /// Erases a user.
    pub(crate) async fn erase(
        &self,
        tenant: TenantId,
        subject: SubjectId,
    ) -> Result<Erased, OperatorError> {
        let scope = Scope { tenant, actor: "operator".to_owned() };
        erase(self.store.as_ref(), scope, subject).await?.ok_or(OperatorError::Offline)
    }

    /// Changes the license of that name.
    pub(crate) async fn change_license(
        &self,
        tenant: TenantId,
        name: LicenseName,
        change: Change,
    ) -> Result<(), OperatorError> {
        let license =
            self.store.find_license(tenant.clone(), name).await?.ok_or(OperatorError::NoLicense)?;
        Ok(self.store.change_license(tenant, license.id, change).await??)
    }

    /// Gives the license of that name more seats for a time.
    pub(crate) async fn burst(
        &self,
        tenant: TenantId,
        name: LicenseName,
        burst: Burst,
    ) -> Result<(), OperatorError> {
        let license =
            self.store.find_license(tenant.clone(), name).await?.ok_or(OperatorError::NoLicense)?;
        let change = LicenseChange { burst: Some(burst), ..LicenseChange::default() };
        let scope = Scope { tenant, actor: "operator".to_owned() };
        self.store.amend_license(scope, license.id, change).await??;
        Ok(())
    }

    /// Lists the tenant's licenses.
    pub(crate) async fn licenses(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<LicenseLine>, OperatorError> {
        let found = self.store.licenses(tenant).await?;
        let lines = found.into_iter().map(|(license, seats)| LicenseLine {
            id: license.id,
            name: license.name,
            product: license.product,
            status: license.standing.as_str(),
            leasing: license.leasing.as_str(),
            seats_used: seats.used,
            seats_total: seats.total,
            expires_at: license.expires_at,
        });
        Ok(lines.collect())
    }

    /// Lists who holds seats of the license of that name.
    pub(crate) async fn sessions(
        &self,
        tenant: TenantId,
        name: LicenseName,
    ) -> Result<Vec<SessionLine>, OperatorError> {
        let license =
            self.store.find_license(tenant.clone(), name).await?.ok_or(OperatorError::NoLicense)?;
        let found = self.store.sessions(tenant, license.id).await?;
        let lines = found.into_iter().map(|session| SessionLine {
            id: session.id,
            subject: session.subject,
            hardware: session.hardware,
            started_at: session.started_at,
            last_heartbeat_at: session.last_heartbeat_at,
            expires_at: session.expires_at,
        });
        Ok(lines.collect())
    }

    /// Lists the signing keys.
    pub(crate) async fn signing_keys(&self) -> Result<Vec<KeyLine>, OperatorError> {
        let (keys, now) = self.store.signing_keys().await?;
        let mut lines = vec![];
        for usage in Use::ALL {
            let ring = Ring::of(usage, &keys);
            lines.extend(ring.states(now).map(|(key, state)| KeyLine {
                kid: key.kid.clone(),
                usage: usage.as_str(),
                algorithm: key.algorithm.as_str(),
                state,
                created_at: key.created_at,
                active_at: key.active_at,
            }));
        }
        Ok(lines)
    }

    /// Says what the revocation of a signing key would strand, and changes nothing.
    pub(crate) async fn stranded_by(&self, kid: &str) -> Result<Stranded, OperatorError> {
        let (keys, now) = self.store.signing_keys().await?;
        let key = keys
            .iter()
            .find(|key| key.kid == kid && key.revoked_at.is_none())
            .ok_or(OperatorError::NoKey)?;
        if key.usage == Use::Files {
            // License files are not counted: whoever shows one fetches another.
            return Ok(Stranded { receipts: 0, borrow_tokens: 0 });
        }
        let (from, to) = Ring::of(key.usage, &keys).signs_between(key, now);
        Ok(self.store.signed_between(from, to).await?)
    }

    /// Ends a signing key for good: no receipt that it signed is believed any more.
    pub(crate) async fn revoke_signing_key(&self, kid: &str) -> Result<(), OperatorError> {
        if self.store.revoke_signing_key(kid.to_owned()).await? {
            Ok(())
        } else {
            Err(OperatorError::NoKey)
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Makes the next signing key of each use, where the settings want keys to live. It is published at
    /// once and signs a day later; what the present one signed verifies on. Returns how many were made.
    ///
    /// # Errors
    /// When the settings name no place for keys, or it cannot be used now.
    pub async fn rotate_signing_keys(
        &self,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<usize, OperatorError> {
        let metrics = Metrics::new().signing;
        let signer = Signer::open(settings, self.store.clone(), clock, metrics).await?;
        Ok(signer.ok_or(OperatorError::NoSigner)?.rotate().await?)
    }

    /// Writes a copy of the store into a new file that its owner alone reads.
    ///
    /// # Errors
    /// When the file is there, or the store does not serve or has backups of its own.
    pub async fn backup(&self, file: &Path) -> Result<(), OperatorError> {
        // SQLite fills an empty file, so that the copy is private from its first byte.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        made.map_err(|source| OperatorError::Backup { path: file.to_owned(), source })?;
        let written = self.store.backup(file.to_owned()).await;
        if !matches!(written, Ok(Some(()))) {
            // What is left of it is no backup; nobody needs to know that it could not be removed.
            drop(std::fs::remove_file(file));
        }
        written?.ok_or(OperatorError::OwnMeans)
    }

    /// Says that the store was restored from a backup.
    pub(crate) async fn restored(
        &self,
        hold: Option<Duration>,
        longest: Duration,
    ) -> Result<Timestamp, OperatorError> {
        Ok(self.store.restored(hold, longest).await?)
    }

    /// Takes a seat back.
    pub(crate) async fn revoke_session(
        &self,
        tenant: TenantId,
        id: Uuid,
    ) -> Result<(), OperatorError> {
        if self.store.revoke_session(tenant, id).await? {
            Ok(())
        } else {
            Err(OperatorError::NoSession)
        }
    }
}
