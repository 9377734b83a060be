//! Everything that runs in one process, started in an order in which each part finds what it needs, and stopped in the
//! opposite one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use license_core::settings::{Database, Listen};
use license_core::{Service, Settings};
use portcullis_config::model::{Backend, ListenerKind};
use portcullis_config::{Config, Diagnostic};
use portcullis_policy::{Limits, State};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{StartError, Started, assertion};
use crate::admin::{AdminServer, Operator};
use crate::atomic_file;
use crate::audit::Audit;
use crate::bans::{BanKeeper, BanStore};
use crate::clock::{Clock, System};
use crate::compile::compile;
use crate::dev::{self, Demo};
use crate::edge;
use crate::exposition::Exposition;
use crate::log::{EventLog, RequestLog};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::reload::{Reloader, Watch, probe};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// How long the admin and metrics listeners get to finish an answer.
const GRACE: Duration = Duration::from_secs(1);

/// The running parts.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) reloader: Arc<Reloader>,
    /// What `/readyz` answers.
    pub(super) ready: Arc<AtomicBool>,
    edge: edge::Running,
    license: Option<license_core::Running>,
    bans: BanKeeper,
    watch: Option<Watch>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl Parts {
    /// Starts all parts.
    pub(super) async fn start(origin: Origin) -> Result<(Self, Started), StartError> {
        let (snapshot, warnings, assertion_key) = configure(&origin)?;
        let config = Arc::clone(&snapshot.config);
        let admin = AdminServer::bind(&config.admin.socket).await?;
        let bound = edge::bind(&config).await.map_err(|error| StartError::Listen {
            address: error.address,
            what: "an address of `listeners`",
            source: error.source,
        })?;
        let exposition = expose(&config).await?;
        let store = BanStore::open(&config.state_dir.join("bans.redb"))?;
        let audit = open_audit(&config.state_dir.join("audit.jsonl"))?;
        let shared = Arc::new(share(snapshot, assertion_key)?);
        let license = start_license(&config).await?;
        let demo = match (&origin, &license) {
            (Origin::Embedded { .. }, Some(license)) => {
                Some(Demo::open(license.operator(), &config.state_dir).await?)
            }
            (Origin::Embedded { .. } | Origin::File(_), _) => None,
        };
        let bans = BanKeeper::start(Arc::clone(&shared), store).map_err(StartError::Thread)?;
        let reloader = Reloader::new(Arc::clone(&shared), origin, Arc::clone(&audit));
        let reloader = Arc::new(reloader.map_err(StartError::Thread)?);
        let watch = start_watch(&reloader);
        let edge = edge::serve(Arc::clone(&shared), bound)?;
        let (stop, stopping) = watch::channel(false);
        let ready = Arc::new(AtomicBool::new(false));
        let metrics = match &exposition {
            Some(exposition) => exposition.local_addr().ok(),
            None => None,
        };
        let operator = Arc::new(Operator {
            shared: Arc::clone(&shared),
            reloader: Arc::clone(&reloader),
            audit,
            started: shared.clock.now(),
            listeners: edge.local_addrs().iter().map(ToString::to_string).collect(),
            metrics,
        });
        let mut tasks = vec![tokio::spawn(admin.serve(operator, stopping.clone()))];
        if let Some(exposition) = exposition {
            let served = exposition.serve(Arc::clone(&shared), Arc::clone(&ready), stopping);
            tasks.push(tokio::spawn(served));
        }
        let started = Started {
            listeners: edge.local_addrs().to_vec(),
            metrics,
            socket: config.admin.socket.clone(),
            certificate: certificate(&config),
            generation: shared.snapshot.load().generation,
            warnings,
            demo,
        };
        let parts = Self { shared, reloader, ready, edge, license, bans, watch, stop, tasks };
        Ok((parts, started))
    }

    /// Stops all parts: no new connection, requests in work get their backends' drain time, then the rest ends.
    pub(super) async fn stop(self) {
        self.ready.store(false, Ordering::Release);
        drop(self.watch);
        let config = Arc::clone(&self.shared.snapshot.load().config);
        let drain = config.backends.values().map(|backend: &Backend| backend.drain).max();
        self.edge.stop(drain.unwrap_or_default()).await;
        if let Some(license) = self.license {
            license.shutdown().await;
        }
        self.stop.send_replace(true);
        for task in self.tasks {
            match tokio::time::timeout(GRACE, task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::error!(%error, "a listener broke off"),
                Ok(Err(error)) => tracing::error!(%error, "a listener's task broke off"),
                Err(_) => tracing::debug!("an operator's connection was cut"),
            }
        }
        let (bans, shared) = (self.bans, self.shared);
        let written = tokio::task::spawn_blocking(move || {
            bans.stop();
            shared.requests.flush();
            shared.events.flush();
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "bans and logs may lack their last lines");
        }
    }
}

/// Loads and compiles the configuration, and makes what it says is to be made.
fn configure(
    origin: &Origin,
) -> Result<(Snapshot, Vec<Diagnostic>, portcullis_identity::assertion::AssertionKey), StartError> {
    let unusable = |report| StartError::Config(Box::new(report));
    let loaded = origin.load().map_err(unusable)?;
    let state_dir = loaded.config.state_dir.clone();
    atomic_file::private_directory(&state_dir)
        .map_err(|source| StartError::Directory { path: state_dir, source })?;
    if matches!(origin, Origin::Embedded { .. }) {
        dev::prepare(&loaded.config)?;
    }
    let (snapshot, warnings) = compile(loaded, 1).map_err(unusable)?;
    if let Err(wrong) = probe(&snapshot) {
        tracing::warn!(
            "the configuration fails a probe that a reload would refuse it for: {}",
            wrong.join("; ")
        );
    }
    let key = assertion::open(&snapshot.config.identity.assertion)?;
    Ok((snapshot, warnings, key))
}

fn share(
    snapshot: Snapshot,
    assertion_key: portcullis_identity::assertion::AssertionKey,
) -> Result<Shared, StartError> {
    let metrics = Metrics::new();
    let config = Arc::clone(&snapshot.config);
    let limits = Limits {
        keys_max: usize::try_from(config.limits.rate_keys).unwrap_or(usize::MAX),
        bans_max: usize::try_from(config.limits.bans).unwrap_or(usize::MAX),
    };
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    Ok(Shared {
        snapshot: ArcSwap::from_pointee(snapshot),
        state: State::new(limits),
        assertion_key,
        clock,
        requests: RequestLog::open((&config.log.requests).into(), &metrics)?,
        events: EventLog::open((&config.log.events).into(), &metrics)?,
        metrics,
    })
}

async fn expose(config: &Config) -> Result<Option<Exposition>, StartError> {
    let Some(address) = config.admin.metrics else { return Ok(None) };
    let what = "`admin.metrics`";
    let bound = Exposition::bind(address).await;
    bound.map(Some).map_err(|source| StartError::Listen { address, what, source })
}

fn open_audit(path: &Path) -> Result<Arc<Audit>, StartError> {
    match Audit::open(path) {
        Ok(audit) => Ok(Arc::new(audit)),
        Err(source) => Err(StartError::Audit { path: path.to_owned(), source }),
    }
}

async fn start_license(config: &Config) -> Result<Option<license_core::Running>, StartError> {
    if !config.license.embedded {
        return Ok(None);
    }
    let mut settings = Settings::new(
        Database::Sqlite(config.license.database.clone()),
        Listen::Unix(config.license.socket.clone()),
        config.identity.assertion.jwks.clone(),
    );
    settings.lease.ttl = config.license.lease;
    settings.lease.heartbeat = config.license.lease / 2;
    let clock = Arc::new(license_core::SystemClock::new());
    Ok(Some(Service::start(settings, clock).await?))
}

/// Without a watch the edge serves all the same: SIGHUP and the command reload.
fn start_watch(reloader: &Arc<Reloader>) -> Option<Watch> {
    match Watch::start(Arc::clone(reloader)) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    }
}

fn certificate(config: &Config) -> Option<std::path::PathBuf> {
    config.listeners.iter().find_map(|listener| match &listener.kind {
        ListenerKind::Tls(tls) => tls.certificates.first().map(|first| first.cert.clone()),
        ListenerKind::RedirectToHttps { .. } => None,
    })
}
