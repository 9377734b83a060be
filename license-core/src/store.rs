//! Where leases are kept: the port, and what goes through it.
//!
//! Every operation is one transaction. A denial is an answer; [`StoreError`] says that there is none, and nothing of
//! the operation happened or its outcome is not known, so that the client may ask again.

pub(crate) mod accelerator;
pub(crate) mod data_keys;
pub(crate) mod erasure;
pub(crate) mod office;
pub(crate) mod outbox;
pub(crate) mod postgres;
pub(crate) mod retention;
mod rows;
pub(crate) mod sqlite;

use crate::clock::Timestamp;
use crate::domain::audit::{Event, Linked, Veil};
use crate::domain::denial::Denial;
use crate::domain::key::KeyHash;
use crate::domain::lease::Session;
use crate::domain::license::{License, NewLicense, Standing};
use crate::domain::names::{HardwareId, LicenseName, SubjectId, TenantId};
use crate::signing::{Algorithm, Use};
use async_trait::async_trait;
pub(crate) use data_keys::{DataKey, DataKeys};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use uuid::{NoContext, Uuid};

/// The most idempotency keys of one user within the time that answers are kept.
pub(crate) const KEYS_MAX: i64 = 1000;

/// An answer of the store: granted or denied.
pub(crate) type Answer<T> = Result<Result<T, Denial>, StoreError>;

/// The store has no answer. The cause is in the log where it arose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database does not serve now.
    #[error("the store is unavailable")]
    Unavailable,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its lock cannot be made.
    #[error("`{path}` cannot be opened")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another service runs on this file.
    #[error("`{0}` is in use by another license service")]
    InUse(PathBuf),
    /// The database refuses.
    #[error("the database cannot be opened")]
    Database(#[from] sqlx::Error),
    /// The schema cannot be brought to this program's version.
    #[error("the database's schema cannot be migrated")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The schema was not brought to this program's version yet.
    #[error(
        "the database's schema is older than this program: run `license-core migrate` as its owner first"
    )]
    SchemaTooOld,
    /// The accelerator cannot be used as the settings have it.
    #[error("the accelerator cannot be used")]
    Accelerator(#[source] redis::RedisError),
    /// The accelerator forgets what it chooses.
    #[error(
        "the accelerator's `maxmemory-policy` is `{0}`: set `noeviction`, as it must not forget by itself"
    )]
    Evicts(String),
    /// The login could see past the tenants' isolation.
    #[error(
        "the service must log in as a plain member of `license_core_app`, not as a superuser or the schema's owner"
    )]
    Privileged,
}

/// Who opens a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A service; it also makes good the time that none ran.
    Server,
    /// An operator's command, beside a server or without.
    Command,
}

/// A request for a seat.
#[derive(Clone, Debug)]
pub(crate) struct Acquire {
    pub(crate) tenant: TenantId,
    pub(crate) subject: SubjectId,
    pub(crate) license: Named,
    pub(crate) hardware: HardwareId,
    /// As it is to stand in the store: a mail address, or one that was sealed.
    pub(crate) user_email: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The session whose seat is to be taken when no other is free.
    pub(crate) take_over: Option<Uuid>,
    /// The license of which a receipt proves that the same user held a seat on the same machine until now.
    pub(crate) proven: Option<Uuid>,
}

/// How a license is named by who asks for its seat.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    Key(KeyHash),
    Id(Uuid),
}

/// A seat that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) session: Session,
    pub(crate) fresh: Fresh,
    pub(crate) seats: Seats,
}

/// Whether a grant made a session or found one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fresh {
    New,
    Renewed,
}

/// How many seats of a license are leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seats {
    pub(crate) used: u32,
    pub(crate) total: u32,
}

/// The connections to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Connections {
    pub(crate) in_use: u32,
    pub(crate) idle: u32,
    /// The most that are opened.
    pub(crate) limit: u32,
}

impl Connections {
    fn of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        let limit = pool.options().get_max_connections();
        Self { in_use: pool.size().saturating_sub(idle), idle, limit }
    }
}

/// A session as its own subject names it.
#[derive(Clone, Debug)]
pub(crate) struct SessionRef {
    pub(crate) tenant: TenantId,
    pub(crate) subject: SubjectId,
    pub(crate) id: Uuid,
}

/// Why an operator's command was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Conflict {
    /// There is no such tenant.
    NoTenant,
    /// There is no such license.
    NoLicense,
    /// The tenant has a license of that name.
    NameTaken,
    /// Somebody else changed it meanwhile.
    Changed,
    /// There is no policy of that name.
    NoPolicy,
}

/// What the HTTP service needs.
#[async_trait]
pub(crate) trait Leases: Send + Sync {
    /// Grants a seat, or renews the one that the same subject holds on the same machine.
    async fn acquire(&self, wanted: Acquire) -> Answer<Granted>;
    /// Extends a live lease.
    async fn heartbeat(&self, session: SessionRef) -> Answer<Session>;
    /// Gives a seat back. A session that ended before is given back already.
    async fn release(&self, session: SessionRef) -> Answer<()>;
    /// Reads a license of the tenant, with its seats.
    async fn license(&self, tenant: TenantId, id: Uuid) -> Answer<(License, Seats)>;
    /// Ends at most `limit` sessions whose leases ran out, and returns how many it ended.
    async fn sweep(&self, limit: u32) -> Result<u64, StoreError>;
    /// Returns the time by which leases live.
    async fn now(&self) -> Result<Timestamp, StoreError>;
    /// Returns how the connections to the database stand.
    fn connections(&self) -> Connections;
    /// Answers when the store can, and remembers that the service runs.
    async fn ready(&self) -> Result<(), StoreError>;
    /// Finishes what is in hand and lets go of the database.
    async fn close(&self);
}

/// What operators do.
#[async_trait]
pub(crate) trait Administration: Send + Sync {
    /// Creates a tenant; one that is there stays as it is. Returns whether it was created.
    async fn create_tenant(&self, tenant: TenantId) -> Result<bool, StoreError>;
    /// Suspends or reactivates a tenant.
    async fn set_tenant(
        &self,
        tenant: TenantId,
        standing: Standing,
    ) -> Result<Result<(), Conflict>, StoreError>;
    /// Suspends or reactivates a subject.
    async fn set_subject(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        standing: Standing,
    ) -> Result<Result<(), Conflict>, StoreError>;
    /// Creates a license under a key's hash.
    async fn create_license(
        &self,
        new: NewLicense,
        key: KeyHash,
    ) -> Result<Result<Uuid, Conflict>, StoreError>;
    /// Finds a license by its name.
    async fn find_license(
        &self,
        tenant: TenantId,
        name: LicenseName,
    ) -> Result<Option<License>, StoreError>;
    /// Lists the tenant's licenses by name, at most 10 000.
    async fn licenses(&self, tenant: TenantId) -> Result<Vec<(License, Seats)>, StoreError>;
    /// Changes a license's standing or number of seats. Fewer seats than are leased end no lease; nobody gets a new
    /// one until enough came back.
    async fn change_license(
        &self,
        tenant: TenantId,
        id: Uuid,
        change: Change,
    ) -> Result<Result<(), Conflict>, StoreError>;
    /// Lists the live sessions of a license, oldest first, at most 10 000.
    async fn sessions(&self, tenant: TenantId, license: Uuid) -> Result<Vec<Session>, StoreError>;
    /// Writes a copy of the store into a new file, while it serves. `None` where the database has its own means.
    async fn backup(&self, file: PathBuf) -> Result<Option<()>, StoreError>;
    /// Says that the store was restored from a backup: fencing epochs jump past whatever was lost, and new seats are
    /// held for `hold`, or for the longest lease that a policy or `longest` allows. Returns when the hold is over.
    async fn restored(
        &self,
        hold: Option<Duration>,
        longest: Duration,
    ) -> Result<Timestamp, StoreError>;
    /// Takes a seat back. Returns whether a live session was ended.
    async fn revoke_session(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError>;
}

/// A change of a license.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Seats(u32),
    Standing(Standing),
}

/// A signing key as the store holds it: the private part sealed.
#[derive(Clone, Debug)]
pub(crate) struct SealedKey {
    pub(crate) generation: i64,
    pub(crate) algorithm: Algorithm,
    pub(crate) usage: Use,
    pub(crate) kid: String,
    pub(crate) public: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Timestamp,
    pub(crate) active_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// What the revocation of a key would leave without a signature that is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stranded {
    pub(crate) receipts: u32,
    pub(crate) borrow_tokens: u32,
}

/// Where the service's signing keys are kept. They are no tenant's.
#[async_trait]
pub(crate) trait Keys: Send + Sync {
    /// Returns all keys, and the time by which they are judged.
    async fn signing_keys(&self) -> Result<(Vec<SealedKey>, Timestamp), StoreError>;
    /// Adds a key, unless there is one of its generation. Returns whether it was added.
    async fn add_signing_key(&self, key: SealedKey) -> Result<bool, StoreError>;
    /// Ends a key for good. Returns whether there is one of that name that was not ended before.
    async fn revoke_signing_key(&self, kid: String) -> Result<bool, StoreError>;
    /// Counts, over all tenants, the live leases that were renewed within a time and the borrow tokens in use that were
    /// given in it.
    async fn signed_between(&self, from: Timestamp, to: Timestamp) -> Result<Stranded, StoreError>;
}

/// The audit trail.
#[async_trait]
pub(crate) trait Audit: Send + Sync {
    /// Links events that are not linked yet, at most `limit` (of each tenant), and returns how many it linked.
    async fn link(&self, limit: u32) -> Result<u64, StoreError>;
    /// Returns tenants whose last checkpoint is older than this and whose chain went on since, at most 1000.
    async fn checkpoints_due(&self, age: Duration) -> Result<Vec<TenantId>, StoreError>;
    /// Returns at most `limit` of the tenant's linked events after a position.
    async fn linked(
        &self,
        tenant: TenantId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError>;
}

/// A store serves all.
pub(crate) trait Store:
    Leases
    + Administration
    + Keys
    + DataKeys
    + Audit
    + office::Office
    + outbox::Outbox
    + retention::Forgets
{
}
impl<T> Store for T where
    T: Leases
        + Administration
        + Keys
        + DataKeys
        + Audit
        + office::Office
        + outbox::Outbox
        + retention::Forgets
{
}

/// Commits to the persons of an event that is about to be linked.
fn veiled(event: Event) -> Result<Event, sqlx::Error> {
    let veil = Veil::over(&event.actor, &event.detail)
        .map_err(|_| sqlx::Error::Protocol("the system gives no randomness".to_owned()))?;
    Ok(Event { veil: Some(veil), ..event })
}

/// A random id that sorts by time (version 7), so that new rows stand together in the index.
pub(crate) fn fresh_id(now: Timestamp) -> Uuid {
    let millis = u32::try_from(now.as_millis() % 1000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now.as_secs(), millis * 1_000_000))
}

/// Writes a session's metadata as the column holds it.
fn metadata_column(session: &Session) -> String {
    serde_json::to_string(&session.metadata).expect("a map of texts is JSON")
}

/// A length of time as the databases hold it.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Records the cause where it arose, and leaves the caller with what it may know.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: sqlx::Error) -> StoreError {
    tracing::error!(%error, "the database failed");
    StoreError::Unavailable
}
