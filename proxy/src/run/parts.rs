//! Everything that runs in one process, started in an order in which each part finds what it needs, and stopped in the
//! opposite one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use license_core::Service;
use portcullis_config::model::{Backend, ListenerCertificate, ListenerKind};
use portcullis_config::{Config, Diagnostic};
use portcullis_identity::{OwnerIndex, TokenCache};
use portcullis_policy::{CountSecret, Limits, State};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{StartError, Started, assertion};
use crate::acme::{AcmeKeeper, Proofs};
use crate::admin::{AdminServer, Operator};
use crate::api_keys::KeyBook;
use crate::atomic_file;
use crate::audit::Audit;
use crate::bans::{Allowances, BanKeeper, BanStore};
use crate::capture::Capture;
use crate::clock::{Clock, System};
use crate::compile::compile;
use crate::dev::{self, Demo};
use crate::edge;
use crate::events::{Events, Inbox};
use crate::exposition::{Exposition, LicensePage};
use crate::feeds::{self, FeedKeeper};
use crate::incidents::{
    Desk, DeskSettings, EventLines, IncidentStore, LicensePort, Rotation, Tightened,
};
use crate::key_sets::KeyKeeper;
use crate::lockdown::Lockdowns;
use crate::log::RequestLog;
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::recent::Recent;
use crate::reload::{Reloader, Watch, probe};
use crate::revocations::RevocationBook;
use crate::shared::{OWNED_MAX, Shared, TOKENS_MAX};
use crate::signing::Signing;
use crate::snapshot::Snapshot;
use crate::tickets::Tickets;
use crate::upgrade::{
    Handed, Inheritance, Invocation, Shown, SocketName, Successor, UpgradeError, UpgradeRequest,
};

/// How long the admin and metrics listeners get to finish an answer.
const GRACE: Duration = Duration::from_secs(1);

/// How late an unconfirmed reload may be taken back.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The running parts.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) reloader: Arc<Reloader>,
    /// What `/readyz` answers.
    pub(super) ready: Arc<AtomicBool>,
    pub(super) upgrades: mpsc::Receiver<UpgradeRequest>,
    edge: edge::Running,
    license: Option<license_core::Running>,
    license_page: LicensePage,
    bans: Arc<BanKeeper>,
    desk: Desk,
    audit: Arc<Audit>,
    /// The way of responses to the license service.
    port: LicensePort,
    watch: Option<Watch>,
    exposed: Option<Exposed>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

/// The metrics listener.
struct Exposed {
    /// A second handle to its socket, for a successor.
    handed: Handed,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl Parts {
    /// Starts all parts. Where a process before hands over, it has let go of everything only after all that may fail
    /// here has been done.
    pub(super) async fn start(
        origin: Origin,
        inheritance: &mut Option<Inheritance>,
    ) -> Result<(Self, Started), StartError> {
        let generation = inheritance.as_ref().map_or(0, Inheritance::generation) + 1;
        let (snapshot, warnings, signing) = configure(&origin, generation).await?;
        let config = Arc::clone(&snapshot.config);
        let admin = match inheritance {
            None => Some(AdminServer::bind(&config.admin.socket).await?),
            Some(_) => None,
        };
        let bound = edge::bind(&config, inheritance.as_mut()).await;
        let bound = bound.map_err(|error| StartError::Listen {
            address: error.address,
            what: "an address of `listeners`",
            source: error.source,
        })?;
        let exposition = expose(&config, inheritance.as_mut()).await?;
        let audit = open_audit(&config.state_dir.join("audit.jsonl"))?;
        let secret = inheritance.as_ref().map_or_else(CountSecret::random, Inheritance::secret);
        let lockdowns = open_lockdowns(&config.state_dir.join("lockdowns.json"))?;
        let tickets = inheritance.as_mut().map(Inheritance::tickets).unwrap_or_default();
        let tickets = Tickets::new(tickets);
        let revocations = open_revocations(&config.state_dir.join("revocations.json"))?;
        let api_keys = open_api_keys(&config.state_dir.join("api-keys.json"))?;
        let kept = (lockdowns, revocations, api_keys);
        let (shared, inbox) = share(snapshot, signing, secret, kept, tickets)?;
        let shared = Arc::new(shared);
        let mut keys = KeyKeeper::new(Arc::clone(&shared));
        keys.prime().await;
        ready(inheritance, &shared).await?;
        let store = BanStore::open(&config.state_dir.join("bans.redb"))?;
        let socket = inheritance.as_mut().and_then(|passed| passed.license(&config.license.socket));
        let license = start_license(&config, socket).await?;
        let license_page = Arc::new(ArcSwapOption::new(page_of(license.as_ref())));
        let demo = match (&origin, &license) {
            (Origin::Embedded { .. }, Some(license)) => {
                Some(Demo::open(license.operator(), &config.state_dir).await?)
            }
            (Origin::Embedded { .. } | Origin::File(_), _) => None,
        };
        let bans = BanKeeper::start(Arc::clone(&shared), store).map_err(StartError::Thread)?;
        let bans = Arc::new(bans);
        let port = LicensePort::new();
        port.lead_to(license.as_ref());
        let settings = desk_settings(&shared, &audit, &port)?;
        let desk = Desk::start(Arc::clone(&shared), inbox, settings).map_err(StartError::Thread)?;
        let reloader = Reloader::new(Arc::clone(&shared), origin, Arc::clone(&audit));
        let reloader = Arc::new(reloader.map_err(StartError::Thread)?);
        let watch = start_watch(&reloader);
        let admin = match admin {
            Some(admin) => admin,
            None => AdminServer::succeed(&config.admin.socket)?,
        };
        let edge = edge::serve(Arc::clone(&shared), bound)?;
        let (stop, stopping) = watch::channel(false);
        let ready = Arc::new(AtomicBool::new(false));
        let exposed = exposition.map(|(exposition, address, handed)| {
            let (stop, stopping) = watch::channel(false);
            let (ready, page) = (Arc::clone(&ready), Arc::clone(&license_page));
            let desk = desk.handle();
            let served = exposition.serve(Arc::clone(&shared), ready, page, desk, stopping);
            Exposed { handed, address, stop, task: tokio::spawn(served) }
        });
        let metrics = exposed.as_ref().map(|exposed| exposed.address);
        let (asked, upgrades) = mpsc::channel(1);
        let operator = Arc::new(Operator {
            shared: Arc::clone(&shared),
            reloader: Arc::clone(&reloader),
            bans: Arc::clone(&bans),
            incidents: desk.handle(),
            audit: Arc::clone(&audit),
            turns: edge.turns(),
            started: shared.clock.now(),
            listeners: edge.local_addrs().iter().map(ToString::to_string).collect(),
            metrics,
            upgrades: asked,
        });
        let feeds = FeedKeeper::new(Arc::clone(&shared), Arc::clone(&reloader));
        let certificates = AcmeKeeper::new(Arc::clone(&shared), Arc::clone(&reloader));
        let tasks = vec![
            tokio::spawn(admin.serve(operator, stopping.clone())),
            tokio::spawn(feeds.run(stopping.clone())),
            tokio::spawn(certificates.run(stopping.clone())),
            tokio::spawn(keys.run(stopping.clone())),
            tokio::spawn(take_back(Arc::clone(&reloader), stopping)),
        ];
        let started = Started {
            listeners: edge.local_addrs().to_vec(),
            metrics,
            socket: config.admin.socket.clone(),
            certificate: certificate(&config),
            generation: shared.snapshot.load().generation,
            warnings,
            demo,
            shared: Arc::clone(&shared),
        };
        let parts = Self {
            shared,
            reloader,
            ready,
            upgrades,
            edge,
            license,
            license_page,
            bans,
            desk,
            audit,
            port,
            watch,
            exposed,
            stop,
            tasks,
        };
        Ok((parts, started))
    }

    /// Puts a successor in the place of this process; then this one has to stop. Returns the successor's process id and
    /// generation.
    ///
    /// # Errors
    /// When no successor serves; then this process goes on as before.
    pub(super) async fn hand_over(
        &mut self,
        invocation: Invocation,
    ) -> Result<(u32, u64), UpgradeError> {
        let sockets = self.sockets().map_err(UpgradeError::Socket)?;
        let shown = Shown {
            generation: self.shared.snapshot.load().generation,
            secret: self.shared.state.secret(),
            tickets: self.shared.tickets.drawn(),
        };
        let start = move || Successor::start(&invocation, &sockets, shown);
        let successor = blocking(start).await?;
        let pid = successor.pid();
        let license = self.let_go().await;
        let shared = Arc::clone(&self.shared);
        let go = move || successor.go(&shared.state.export_counts(shared.clock.now()));
        match blocking(go).await {
            Ok(generation) => {
                if let Some(exposed) = &self.exposed {
                    exposed.stop.send_replace(true);
                }
                Ok((pid, generation))
            }
            Err(error) => {
                self.take_again(license).await;
                Err(error)
            }
        }
    }

    fn sockets(&self) -> io::Result<Vec<Handed>> {
        let license = match &self.license {
            Some(license) => {
                let path = self.shared.snapshot.load().config.license.socket.clone();
                Some((SocketName::License(path), license.socket()?))
            }
            None => None,
        };
        let clone = |(name, socket): &Handed| Ok((name.clone(), socket.try_clone()?));
        let exposed = self.exposed.iter().map(|exposed| &exposed.handed);
        let others = self.edge.handed().iter().chain(exposed).map(clone);
        others.chain(license.into_iter().map(Ok)).collect()
    }

    /// Lets go of what only one process can hold. Clients wait in the sockets' backlog meanwhile. Returns the license
    /// service's socket.
    async fn let_go(&mut self) -> Option<OwnedFd> {
        self.edge.pause(true);
        let socket = match self.license.take() {
            Some(license) => {
                let socket = license.socket().ok();
                license.hand_over().await;
                socket
            }
            None => None,
        };
        tokio::task::block_in_place(|| {
            self.bans.stop();
            self.leave_incidents();
        });
        socket
    }

    /// Leaves incidents to a successor. What the requests still in work raise is written down.
    fn leave_incidents(&self) {
        let Some((inbox, lines)) = self.desk.stop() else { return };
        let settings = DeskSettings {
            lines,
            store: None,
            audit: Arc::clone(&self.audit),
            license: self.port.clone(),
            evidence: evidence(&self.shared),
        };
        if let Err(error) = self.desk.resume(Arc::clone(&self.shared), inbox, settings) {
            tracing::error!(%error, "the last events are not written");
        }
    }

    /// Takes incidents back from a successor that failed.
    fn take_incidents_again(&self) {
        let Some((inbox, _)) = self.desk.stop() else { return };
        let settings = desk_settings(&self.shared, &self.audit, &self.port);
        let started = settings.and_then(|settings| {
            let shared = Arc::clone(&self.shared);
            self.desk.resume(shared, inbox, settings).map_err(StartError::Thread)
        });
        if let Err(error) = started {
            tracing::error!(%error, "events are not correlated any more");
        }
    }

    /// Takes again what was let go of for a successor that failed.
    async fn take_again(&mut self, license: Option<OwnedFd>) {
        let config = Arc::clone(&self.shared.snapshot.load().config);
        match BanStore::open(&config.state_dir.join("bans.redb")) {
            Ok(store) => {
                if let Err(error) = self.bans.resume(Arc::clone(&self.shared), store) {
                    tracing::error!(%error, "bans are not stored any more");
                }
            }
            Err(error) => tracing::error!(%error, "bans are not stored any more"),
        }
        if let Some(socket) = license {
            match start_license(&config, Some(socket.into())).await {
                Ok(license) => {
                    self.license_page.store(page_of(license.as_ref()));
                    self.license = license;
                }
                Err(error) => tracing::error!(%error, "the license service does not start again"),
            }
        }
        self.port.lead_to(self.license.as_ref());
        tokio::task::block_in_place(|| self.take_incidents_again());
        self.edge.pause(false);
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
        let mut tasks = self.tasks;
        if let Some(exposed) = self.exposed {
            exposed.stop.send_replace(true);
            tasks.push(exposed.task);
        }
        for task in tasks {
            match tokio::time::timeout(GRACE, task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::error!(%error, "a listener broke off"),
                Ok(Err(error)) => tracing::error!(%error, "a listener's task broke off"),
                Err(_) => tracing::debug!("an operator's connection was cut"),
            }
        }
        let (bans, desk, shared) = (self.bans, self.desk, self.shared);
        let runtime = tokio::runtime::Handle::current();
        let written = tokio::task::spawn_blocking(move || {
            bans.stop();
            shared.requests.flush();
            if let Some((_, mut lines)) = desk.stop() {
                lines.finish(&runtime);
            }
            shared.capture.iter().for_each(Capture::flush);
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "bans and logs may lack their last lines");
        }
    }
}

/// Runs what blocks beside the worker threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UpgradeError> + Send + 'static,
) -> Result<T, UpgradeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(UpgradeError::Link(io::Error::other(error))),
    }
}

/// Tells the process before that this one is ready, waits until it has let go, and takes its rate counters.
async fn ready(
    inheritance: &mut Option<Inheritance>,
    shared: &Arc<Shared>,
) -> Result<(), StartError> {
    let Some(mut passed) = inheritance.take() else { return Ok(()) };
    let shared = Arc::clone(shared);
    let waited = blocking(move || {
        let counts = passed.ready()?;
        if let Err(error) = shared.state.import_counts(&counts, shared.clock.now()) {
            tracing::warn!("rate limits start afresh: {error}");
        }
        Ok(passed)
    });
    *inheritance = Some(waited.await.map_err(StartError::Upgrade)?);
    Ok(())
}

/// Loads and compiles the configuration, and makes what it says is to be made.
async fn configure(
    origin: &Origin,
    generation: u64,
) -> Result<(Snapshot, Vec<Diagnostic>, Signing), StartError> {
    let unusable = |report| StartError::Config(Box::new(report));
    let loaded = origin.load().map_err(unusable)?;
    let state_dir = loaded.config.state_dir.clone();
    atomic_file::private_directory(&state_dir)
        .map_err(|source| StartError::Directory { path: state_dir, source })?;
    if matches!(origin, Origin::Embedded { .. }) {
        dev::prepare(&loaded.config, System::new().now())?;
    }
    feeds::prime(&loaded.config, System::new().now()).await;
    let (snapshot, warnings) = compile(loaded, generation).map_err(unusable)?;
    let probed = probe(&snapshot, &System::new());
    for wrong in &probed.wrong {
        tracing::warn!("a reload would refuse this configuration: {wrong}");
    }
    let snapshot = Snapshot { tested: probed.tested, ..snapshot };
    let signing = assertion::open(&snapshot.config.identity.assertion)?;
    Ok((snapshot, warnings, signing))
}

fn share(
    snapshot: Snapshot,
    signing: Signing,
    secret: CountSecret,
    (lockdowns, revocations, api_keys): (Lockdowns, RevocationBook, KeyBook),
    tickets: Tickets,
) -> Result<(Shared, Inbox), StartError> {
    let metrics = Metrics::new();
    let (events, inbox) = Events::new(&metrics);
    let config = Arc::clone(&snapshot.config);
    let limits = Limits {
        keys_max: usize::try_from(config.limits.rate_keys).unwrap_or(usize::MAX),
        bans_max: usize::try_from(config.limits.bans).unwrap_or(usize::MAX),
        collection_bytes_max: usize::try_from(config.limits.collection_bytes).unwrap_or(usize::MAX),
    };
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let shared = Shared {
        snapshot: ArcSwap::from_pointee(snapshot),
        state: State::with_secret(limits, secret),
        allowances: Allowances::default(),
        tokens: TokenCache::new(TOKENS_MAX),
        owners: OwnerIndex::new(OWNED_MAX),
        revocations,
        api_keys,
        sign_ins: crate::sign_in::SignIns::new(),
        logins: crate::login::Logins::new(),
        report_rate: crate::csp::ReportRate::default(),
        lockdowns,
        signing,
        tickets,
        proofs: Proofs::default(),
        clock,
        recent: Recent::new(usize::try_from(config.limits.recent_decisions).unwrap_or(usize::MAX)),
        requests: RequestLog::open((&config.log.requests).into(), &metrics)?,
        tightened: Tightened::default(),
        events,
        capture: match &config.log.capture {
            Some(settings) => Some(Capture::start(settings, &metrics)?),
            None => None,
        },
        metrics,
    };
    Ok((shared, inbox))
}

/// What the incident desk works with.
fn desk_settings(
    shared: &Shared,
    audit: &Arc<Audit>,
    port: &LicensePort,
) -> Result<DeskSettings, StartError> {
    let config = Arc::clone(&shared.snapshot.load().config);
    let store = IncidentStore::open(&config.state_dir.join("incidents.redb"))?;
    Ok(DeskSettings {
        lines: event_lines(&config, shared)?,
        store: Some(store),
        audit: Arc::clone(audit),
        license: port.clone(),
        evidence: evidence(shared),
    })
}

/// Where evidence is put.
fn evidence(shared: &Shared) -> PathBuf {
    shared.snapshot.load().config.state_dir.join("evidence")
}

fn event_lines(config: &Config, shared: &Shared) -> Result<EventLines, StartError> {
    let log = &config.log;
    let rotation = Rotation { file_max: log.events_file_max, files_max: log.events_files_max };
    Ok(EventLines::open((&log.events).into(), rotation, &shared.metrics)?)
}

async fn expose(
    config: &Config,
    inheritance: Option<&mut Inheritance>,
) -> Result<Option<(Exposition, SocketAddr, Handed)>, StartError> {
    let Some(address) = config.admin.metrics else { return Ok(None) };
    let inherited = inheritance.and_then(|passed| passed.metrics(address));
    let bound = async {
        let exposition = match inherited {
            Some(socket) => Exposition::inherit(socket)?,
            None => Exposition::bind(address).await?,
        };
        let handed = (SocketName::Metrics(address), exposition.handle()?);
        let local = exposition.local_addr()?;
        Ok((exposition, local, handed))
    };
    let what = "`admin.metrics`";
    bound.await.map(Some).map_err(|source| StartError::Listen { address, what, source })
}

fn open_audit(path: &Path) -> Result<Arc<Audit>, StartError> {
    match Audit::open(path) {
        Ok(audit) => Ok(Arc::new(audit)),
        Err(source) => Err(StartError::Audit { path: path.to_owned(), source }),
    }
}

fn open_lockdowns(path: &Path) -> Result<Lockdowns, StartError> {
    Lockdowns::open(path).map_err(|source| StartError::Lockdowns { path: path.to_owned(), source })
}

fn open_revocations(path: &Path) -> Result<RevocationBook, StartError> {
    RevocationBook::open(path)
        .map_err(|source| StartError::Revocations { path: path.to_owned(), source })
}

fn open_api_keys(path: &Path) -> Result<KeyBook, StartError> {
    KeyBook::open(path).map_err(|source| StartError::ApiKeys { path: path.to_owned(), source })
}

async fn start_license(
    config: &Config,
    inherited: Option<UnixListener>,
) -> Result<Option<license_core::Running>, StartError> {
    let Some(settings) = crate::license::settings(config) else { return Ok(None) };
    let clock = Arc::new(license_core::SystemClock::new());
    Ok(Some(Service::start_on(settings, clock, inherited).await?))
}

fn page_of(license: Option<&license_core::Running>) -> Option<Arc<license_core::MetricsPage>> {
    license.map(|license| Arc::new(license.metrics()))
}

/// Takes back what `reload --confirm` published, when its time is over.
async fn take_back(reloader: Arc<Reloader>, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    loop {
        tokio::select! {
            // An error means that the sender is gone, which stops us as well.
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let reloader = Arc::clone(&reloader);
        if let Err(error) = tokio::task::spawn_blocking(move || reloader.revert_if_due()).await {
            tracing::error!(%error, "what was to be taken back may still be served");
        }
    }
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

fn certificate(config: &Config) -> Option<PathBuf> {
    config.listeners.iter().find_map(|listener| match &listener.kind {
        ListenerKind::Tls(tls) => tls.certificates.iter().find_map(|one| match one {
            ListenerCertificate::Files { pair, ocsp: _ } => Some(pair.cert.clone()),
            ListenerCertificate::Acme(_) => None,
        }),
        ListenerKind::Plain | ListenerKind::RedirectToHttps { .. } => None,
    })
}
