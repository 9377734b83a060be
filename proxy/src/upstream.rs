//! Origins: which server of a backend is asked next, when none is, and what is remembered of each.
//!
//! What a snapshot says of a backend ([`Upstream`]) and how its servers stand ([`member`], [`breaker`], [`budget`]) are
//! two things: a reload replaces the first and keeps the second. The choice itself is pure ([`choose`]).

mod breaker;
mod budget;
mod choose;
mod member;
mod names;
mod peer;
mod probe;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use portcullis_config::model::{Backend, BackendId, Balance};
use smallvec::SmallVec;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::snapshot::{Snapshot, UpstreamTls};
use table::{Standings, Table};

pub(crate) use breaker::{Admission, Breaker, Full};
pub(crate) use choose::hash;
pub(crate) use member::{Member, Standing};
pub(crate) use peer::PeerError;

/// How often the published snapshot is looked at for backends that are new or changed.
const LOOK: Duration = Duration::from_secs(1);

/// A backend with its servers. One per backend and snapshot.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) id: BackendId,
    pub(crate) backend: Backend,
    pub(crate) breaker: Arc<Breaker>,
    /// How its servers stand, in the order of the configuration.
    pub(crate) members: Vec<Arc<Member>>,
    standings: Arc<Standings>,
    metrics: Metrics,
    tls: Option<Arc<UpstreamTls>>,
    /// The socket of the license service in this process.
    embedded: PathBuf,
    turn: AtomicU64,
}

impl Upstream {
    /// Chooses the server that is asked next: one that is up and was not `tried`; with a `key` always the same.
    pub(crate) fn choose(&self, key: Option<u64>, tried: &[usize], now: Duration) -> Option<usize> {
        let share = |(index, member): (usize, &Arc<Member>)| {
            let weight = self.backend.servers.get(index).map_or(0, |one| u64::from(one.weight));
            let used = !tried.contains(&index);
            if used { weight * u64::from(member.share(self.backend.slow_start, now)) } else { 0 }
        };
        let shares: SmallVec<[u64; 8]> = self.members.iter().enumerate().map(share).collect();
        let member = |index: usize| self.members.get(index);
        if let Some(key) = key {
            return choose::by_hash(key, &shares, |index| member(index).map_or(0, |m| m.hash));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match self.backend.balance {
            Balance::RoundRobin => choose::by_turn(turn, &shares),
            Balance::LeastConnections => choose::by_load(turn, &shares, |index| {
                member(index).map_or(usize::MAX, |member| member.in_flight())
            }),
        }
    }

    /// Counts a request's first try.
    pub(crate) fn counts_request(&self, now: Duration) {
        self.standings.budget.request(now);
    }

    /// Takes a further try out of the budget, if it has one.
    pub(crate) fn grants_retry(&self, now: Duration) -> bool {
        let granted = self.standings.budget.take(self.backend.retries.budget_percent, now);
        let counter = if granted { &self.standings.retried } else { &self.standings.over_budget };
        counter.inc();
        granted
    }

    /// Notes an answer of a server: its time to the head, for the breaker.
    pub(crate) fn answered(&self, member: &Member, latency: Duration, now: Duration) {
        member.answered();
        let target = self.backend.capacity.as_ref().and_then(|capacity| capacity.latency_target);
        if let Some(target) = target {
            self.breaker.observe(latency, target, now);
        }
    }

    /// Notes a request that a server failed, and leaves the server out if it was one too many.
    pub(crate) fn failed(&self, member: &Member, now: Duration) {
        let outliers = self.backend.outliers.as_ref();
        if !member.failed(outliers) {
            return;
        }
        let Some(outliers) = outliers else { return };
        let out = self.members.iter().filter(|one| one.standing(now) == Standing::Ejected).count();
        let most = u64::from(outliers.max_percent) * self.members.len() as u64 / 100;
        if out as u64 >= most {
            return;
        }
        let span = member.eject(outliers, now);
        let (backend, server) = (self.id.as_str(), member.name.as_str());
        self.metrics.backend_ejections.with_label_values(&[backend, server]).inc();
        tracing::warn!(
            backend,
            server,
            secs = span.as_secs(),
            "a server is left out: it fails requests"
        );
    }
}

/// The backends of one snapshot.
#[derive(Debug)]
pub(crate) struct Upstreams {
    generation: u64,
    pub(crate) by_id: HashMap<String, Arc<Upstream>>,
}

impl Upstreams {
    fn new(snapshot: &Snapshot, table: &Table, metrics: &Metrics) -> Self {
        let config = &snapshot.config;
        let upstream = |(id, backend): (&String, &Backend)| {
            let standings = table.backend(id);
            let servers = backend.servers.iter();
            let members = servers.map(|one| table.member(id, &standings, &one.server)).collect();
            let upstream = Upstream {
                id: BackendId::new(id),
                backend: backend.clone(),
                breaker: Arc::clone(&standings.breaker),
                members,
                standings,
                metrics: metrics.clone(),
                tls: snapshot.upstream_tls.get(id.as_str()).cloned(),
                embedded: config.license.socket.clone(),
                turn: AtomicU64::new(0),
            };
            (id.clone(), Arc::new(upstream))
        };
        let by_id = config.backends.iter().map(upstream).collect();
        Self { generation: snapshot.generation, by_id }
    }

    /// Finds a backend by its id.
    pub(crate) fn get(&self, id: &BackendId) -> Option<Arc<Upstream>> {
        self.by_id.get(id.as_str()).cloned()
    }

    fn names(&self, backend: &str, server: &str) -> bool {
        let upstream = self.by_id.get(backend);
        upstream.is_some_and(|one| one.members.iter().any(|member| member.name == server))
    }
}

/// Keeps the backends of the snapshot of the moment; a new snapshot starts new turns with the same standings.
#[derive(Debug)]
pub(crate) struct Turns {
    current: ArcSwapOption<Upstreams>,
    table: Arc<Table>,
    metrics: Metrics,
}

impl Turns {
    /// Starts with no backend.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let table = Arc::new(Table::new(metrics.clone()));
        Self { current: ArcSwapOption::empty(), table, metrics: metrics.clone() }
    }

    /// Returns the backends of `snapshot`. A request that still holds an older snapshot gets turns of its own.
    pub(crate) fn of(&self, snapshot: &Snapshot) -> Arc<Upstreams> {
        let current = self.current.load_full();
        if let Some(current) = &current
            && current.generation == snapshot.generation
        {
            return Arc::clone(current);
        }
        let fresh = Arc::new(Upstreams::new(snapshot, &self.table, &self.metrics));
        if current.is_none_or(|current| current.generation < snapshot.generation) {
            self.current.store(Some(Arc::clone(&fresh)));
        }
        fresh
    }
}

/// Probes servers and looks their names up, until `stopping`.
pub(crate) async fn attend(
    shared: Arc<Shared>,
    turns: Arc<Turns>,
    stopping: watch::Receiver<bool>,
) {
    let naming = names::refresh_forever(Arc::clone(&turns.table), stopping.clone());
    tokio::join!(naming, probe::forever(shared, turns, stopping));
}
