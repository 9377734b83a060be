//! The service as a whole: start, run, end; and the operator's port to it.

mod audit;
mod backups;
mod data_keys;
mod operator;
mod signing_keys;
mod webhook_desk;

pub use data_keys::Resealed;
pub use operator::{CreatedLicense, Operator, OperatorError};

use crate::assertion::{KeySetError, KeySource};
use crate::clock::{Clock, Timestamp};
use crate::domain::license::LeaseTerms;
use crate::http::listener::Listener;
use crate::http::rates::Counts;
use crate::http::{Api, metrics_router, router};
use crate::metrics::{Metrics, MetricsPage};
use crate::settings::{Database, Listen, Retention, Settings};
use crate::signing::{Ring, SecretBox, Signer, SigningError, Use};
use crate::store::accelerator::Accelerator;
use crate::store::postgres::{self, Postgres};
use crate::store::retention::DataClass;
use crate::store::sqlite::Sqlite;
use crate::store::{OpenError, Role, Store, StoreError};
use crate::vault::{Vault, VaultError};
use crate::webhooks::{Deliverer, Guard};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often leases that ran out are ended when nobody asks for their seats. Seats never wait for it.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How often the service says that it runs; much more often than an absence is long.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// The most audit events that are linked in one transaction.
const AUDIT_EVENTS_MAX: u32 = 5_000;
/// Every so many rounds of [`stay_alive`] chains that went on are looked for, to sign their heads, and what lives is
/// counted.
const MINUTE_ROUNDS: u64 = 12;
const SWEEP_SESSIONS_MAX: u32 = 10_000;
/// The most rows of one class of data that a round forgets.
const FORGOTTEN_ROWS_MAX: u32 = 10_000;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The edge's keys cannot be used.
    #[error("the edge's keys cannot be used")]
    EdgeKeys(#[from] KeySetError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The signing keys cannot be used.
    #[error("the signing keys cannot be used")]
    Signing(#[from] SigningError),
    /// Personal data cannot be sealed or opened.
    #[error("personal data cannot be sealed or opened")]
    Vault(#[from] VaultError),
    /// The address cannot be bound.
    #[error("`{address}` cannot be bound")]
    Bind {
        /// The address or the socket's path.
        address: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// Where a running service listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocalAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP address with its port as bound.
    Tcp(SocketAddr),
}

/// The license service.
#[derive(Debug)]
pub struct Service;

/// A service that runs until [`Running::shutdown`]. Dropping it leaves its tasks running.
#[derive(Debug)]
pub struct Running {
    address: LocalAddress,
    metrics_address: Option<LocalAddress>,
    metrics: Arc<Metrics>,
    operator: Operator,
    /// A second handle to the socket, for a successor.
    handle: OwnedFd,
    end: watch::Sender<End>,
    tasks: Vec<JoinHandle<()>>,
}

/// Whether a service runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It does.
    No,
    /// It ends, and its socket goes with it.
    Stopped,
    /// It ends, and a successor serves its socket.
    HandedOver,
}

impl Service {
    /// Opens the store and the socket and serves. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the keys, the store or the address cannot be used; then nothing is left running.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
        Self::start_on(settings, clock, None).await
    }

    /// Like [`Self::start`], on the socket that a service before has handed over, if one has: its clients never find
    /// the address unbound.
    ///
    /// # Errors
    /// When the keys, the store or the address cannot be used; then nothing is left running.
    pub async fn start_on(
        settings: Settings,
        clock: Arc<dyn Clock>,
        inherited: Option<UnixListener>,
    ) -> Result<Running, StartError> {
        let keys = Arc::new(KeySource::open(&settings.edge_keys)?);
        let metrics = Arc::new(Metrics::new());
        let opened = open(&settings, Role::Server, clock.clone(), &metrics).await?;
        let store = opened.store.clone();
        let signer =
            Signer::open(&settings, store.clone(), clock.clone(), metrics.signing.clone()).await;
        let signer = match signer {
            Ok(signer) => signer.map(Arc::new),
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };
        let secrets = match secrets(&settings) {
            Ok(secrets) => secrets,
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };
        if let (Some(accelerator), Some(secrets)) = (&opened.accelerator, &secrets) {
            accelerator.seal_with(secrets.clone());
        }
        let allowed = settings.webhooks.allow.clone();
        let guard = Arc::new(Guard::new(allowed, settings.webhooks.ca.clone()));
        let vault = match Vault::open(settings.personal_data.as_ref(), store.clone()).await {
            Ok(vault) => vault.map(Arc::new),
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };
        let bound = async {
            let listener = listener(&settings.listen, inherited).await?;
            let handle = listener.handle().map_err(|source| unbound(&settings.listen, source))?;
            let metrics = match settings.metrics {
                None => None,
                Some(address) => Some(bind(&Listen::Tcp(address)).await?),
            };
            Ok::<_, StartError>((listener, handle, metrics))
        };
        let (listener, handle, metrics_listener) = match bound.await {
            Ok(bound) => bound,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        let (end, ended) = watch::channel(End::No);
        let (address, metrics_address) =
            (listener.address(), metrics_listener.as_ref().map(Listener::address));
        let api = Api {
            store: store.clone(),
            keys,
            clock: clock.clone(),
            lease: settings.lease,
            signer: signer.clone(),
            secrets: secrets.clone(),
            guard: guard.clone(),
            counts: Arc::new(Counts::new(settings.rates)),
            vault: vault.clone(),
            metrics: metrics.clone(),
        };
        let mut tasks = vec![
            tokio::spawn(listener.serve(router(api), ended.clone())),
            tokio::spawn(sweep(store.clone(), settings.retention, metrics.clone(), ended.clone())),
            tokio::spawn(stay_alive(store.clone(), metrics.clone(), ended.clone())),
            tokio::spawn(signing_keys::keep(signer, metrics.clone(), ended.clone())),
            tokio::spawn(read_data_keys(vault, ended.clone())),
        ];
        if let Some(schedule) = settings.backups {
            let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
            tasks.push(tokio::spawn(backups::keep(store, schedule, clock, metrics, ended.clone())));
        }
        if let Some(secrets) = secrets {
            let (store, metrics) = (store.clone(), metrics.clone());
            let deliverer = Deliverer { store, secrets, guard, clock, metrics };
            tasks.push(tokio::spawn(deliverer.run(ended.clone())));
        }
        if let Some(listener) = metrics_listener {
            tasks.push(tokio::spawn(listener.serve(metrics_router(metrics.clone()), ended)));
        }
        Ok(Running {
            address,
            metrics_address,
            metrics,
            operator: Operator::over(store),
            handle,
            end,
            tasks,
        })
    }
}

async fn listener(
    listen: &Listen,
    inherited: Option<UnixListener>,
) -> Result<Listener, StartError> {
    match (inherited, listen) {
        (Some(socket), Listen::Unix(path)) => {
            Listener::inherit(socket, path).map_err(|source| unbound(listen, source))
        }
        (Some(_), Listen::Tcp(_)) | (None, _) => bind(listen).await,
    }
}

async fn bind(listen: &Listen) -> Result<Listener, StartError> {
    Listener::bind(listen).await.map_err(|source| unbound(listen, source))
}

fn unbound(listen: &Listen, source: std::io::Error) -> StartError {
    StartError::Bind { address: written(listen), source }
}

/// Brings the database's schema to this program's version. SQLite needs no such call.
pub(crate) async fn migrate(settings: &Settings) -> Result<(), MigrateError> {
    match &settings.database {
        Database::Sqlite(_) => Err(MigrateError::Sqlite),
        Database::Postgres(database) => {
            Ok(postgres::migrate(database.owner_url.as_ref().ok_or(MigrateError::NoOwner)?).await?)
        }
    }
}

/// Why a schema was not migrated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    #[error("a SQLite database is migrated by whoever opens it")]
    Sqlite,
    #[error("the settings have no `owner_url` to migrate with")]
    NoOwner,
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Running {
    /// Returns where the service listens.
    #[must_use]
    pub const fn address(&self) -> &LocalAddress {
        &self.address
    }

    /// Returns where Prometheus reads the metrics, when the settings say that it does.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<&LocalAddress> {
        self.metrics_address.as_ref()
    }

    /// Returns what the service counts, for a listener that is not its own.
    #[must_use]
    pub fn metrics(&self) -> MetricsPage {
        MetricsPage(self.metrics.clone())
    }

    /// Returns the operator's port to this service's store.
    #[must_use]
    pub const fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Returns a second handle to the socket, for [`Service::start_on`] of a successor.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn socket(&self) -> std::io::Result<OwnedFd> {
        self.handle.try_clone()
    }

    /// Takes no more requests, finishes those in hand (at most 10 s) and closes the store.
    pub async fn shutdown(self) {
        self.end(End::Stopped).await;
    }

    /// Like [`Self::shutdown`], and leaves the socket where it is: requests wait in it for the successor.
    pub async fn hand_over(self) {
        self.end(End::HandedOver).await;
    }

    async fn end(self, how: End) {
        self.end.send_replace(how);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the service did not end well");
            }
        }
        self.operator.close().await;
    }
}

/// Opens the store that the settings name.
async fn open(
    settings: &Settings,
    role: Role,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<Opened, OpenError> {
    let terms = LeaseTerms { ttl: settings.lease.ttl, age_max: settings.lease.age_max };
    Ok(match &settings.database {
        Database::Sqlite(path) => {
            let store = Arc::new(Sqlite::open(path, role, terms, clock).await?);
            Opened { store, accelerator: None }
        }
        Database::Postgres(postgres) => {
            let accelerator = settings.accelerator.as_ref();
            let accelerator = accelerator.map(|one| (one, metrics.accelerated.clone()));
            let store = Postgres::open(postgres, role, terms, accelerator).await?;
            let accelerator = store.accelerator();
            Opened { store: Arc::new(store), accelerator }
        }
    })
}

/// A store, and the accelerator before it.
struct Opened {
    store: Arc<dyn Store>,
    accelerator: Option<Arc<Accelerator>>,
}

fn secrets(settings: &Settings) -> Result<Option<Arc<SecretBox>>, SigningError> {
    Ok(SecretBox::open(settings)?.map(Arc::new))
}

fn written(listen: &Listen) -> String {
    match listen {
        Listen::Unix(path) => path.display().to_string(),
        Listen::Tcp(address) => address.to_string(),
    }
}

/// Remembers in the store, every few seconds, that the service runs: what it was away for is made good by this. Links
/// the audit trail too.
async fn stay_alive(store: Arc<dyn Store>, metrics: Arc<Metrics>, mut ended: watch::Receiver<End>) {
    let mut ticks = tokio::time::interval(ALIVE_EVERY);
    let mut rounds = 0_u64;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                round(store.as_ref(), &metrics).await;
                if rounds.is_multiple_of(MINUTE_ROUNDS) {
                    count(store.as_ref(), &metrics).await;
                }
                rounds += 1;
            }
            () = told_to_end(&mut ended) => return,
        }
    }
}

/// Takes up the data keys that a rotation makes.
async fn read_data_keys(vault: Option<Arc<Vault>>, mut ended: watch::Receiver<End>) {
    let Some(vault) = vault else { return };
    let mut ticks = tokio::time::interval(ALIVE_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => if let Err(error) = vault.refresh().await {
                tracing::error!(%error, "the data keys were not read, the last ones are used");
            },
            () = told_to_end(&mut ended) => return,
        }
    }
}

async fn round(store: &dyn Store, metrics: &Metrics) {
    metrics.connected(store.connections());
    if let Err(error) = store.ready().await {
        metrics.store_up.set(0);
        tracing::warn!(%error, "the store does not answer");
        return;
    }
    metrics.store_up.set(1);
    match store.link(AUDIT_EVENTS_MAX).await {
        Ok(linked) => metrics.linked.inc_by(linked),
        Err(error) => {
            tracing::warn!(%error, "audit events were not linked, the next round will do it")
        }
    }
}

/// Waits until the service is told to end, or nobody is left to tell it.
pub(crate) async fn told_to_end(ended: &mut watch::Receiver<End>) {
    drop(ended.wait_for(|ended| *ended != End::No).await);
}

async fn sweep(
    store: Arc<dyn Store>,
    retention: Retention,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<End>,
) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                sweep_once(store.as_ref(), &metrics).await;
                forget(store.as_ref(), retention, &metrics).await;
            }
            () = told_to_end(&mut ended) => return,
        }
    }
}

async fn sweep_once(store: &dyn Store, metrics: &Metrics) {
    let swept = async {
        let sessions = store.sweep(SWEEP_SESSIONS_MAX).await?;
        Ok::<_, StoreError>((sessions, store.now().await?))
    };
    match swept.await {
        Ok((sessions, now)) => {
            metrics.swept.inc_by(sessions);
            metrics.swept_at(now);
            if sessions > 0 {
                tracing::info!(sessions, "sessions ended whose leases ran out");
            }
        }
        Err(error) => tracing::warn!(%error, "the sweep failed, the next one will do its work"),
    }
}

/// Forgets a batch of each class of data that is old enough.
async fn forget(store: &dyn Store, retention: Retention, metrics: &Metrics) {
    for class in DataClass::ALL {
        let Some(age) = retention.of(class) else { continue };
        match store.forget(class, age, FORGOTTEN_ROWS_MAX).await {
            Ok(rows) => metrics.forgotten(class, rows),
            Err(error) => {
                let class = class.as_str();
                tracing::warn!(%error, class, "nothing was forgotten, a later round will do it");
            }
        }
    }
}

/// Counts what lives, and tells since when the keys sign. Every minute only: over a million leases it costs the database
/// a tenth of a second.
async fn count(store: &dyn Store, metrics: &Metrics) {
    let counted = async {
        let (keys, now) = store.signing_keys().await?;
        let live = store.signed_between(Timestamp::from_column(0), now.plus(ALIVE_EVERY)).await?;
        Ok::<_, StoreError>((keys, now, live))
    };
    match counted.await {
        Ok((keys, now, live)) => {
            metrics.live(live);
            let active = Use::ALL.map(|usage| Ring::of(usage, &keys).active(now).cloned());
            metrics.sign_since(active.iter().flatten());
        }
        Err(error) => tracing::warn!(%error, "live sessions were not counted"),
    }
}
