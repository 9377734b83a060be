//! Origins: which server of a backend is asked next, and under which timeouts.

mod health;
mod probe;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::upstreams::peer::HttpPeer;
use portcullis_config::Config;
use portcullis_config::model::{Backend, BackendId, Server};

use crate::snapshot::Snapshot;

pub(crate) use probe::forever as probe_forever;

/// A backend with its turn. One per backend and snapshot.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) id: BackendId,
    pub(crate) backend: Backend,
    /// The socket of [`Server::EmbeddedLicense`].
    embedded: PathBuf,
    turn: AtomicUsize,
    health: Arc<health::Table>,
}

/// How long a connection that nobody uses is kept. Below the usual keep-alive of origins, so that a request does not
/// meet one that is just being closed.
const POOLED_IDLE: Duration = Duration::from_secs(20);

/// A server that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// Every server is down.
    #[error("no server of `{backend}` is up")]
    NoneUp { backend: String },
    /// The name does not resolve.
    #[error("`{host}` does not resolve")]
    Unresolved {
        host: String,
        #[source]
        source: io::Error,
    },
    /// The name resolves to nothing.
    #[error("`{host}` has no address")]
    NoAddress { host: String },
    /// The socket's path is not one.
    #[error("`{}` is no socket path", path.display())]
    BadPath { path: PathBuf },
}

impl Upstream {
    /// Chooses the next server in turn that is up, and says its name for the log.
    pub(crate) async fn next(&self) -> Result<(Box<HttpPeer>, String), PeerError> {
        let server =
            self.in_turn().ok_or_else(|| PeerError::NoneUp { backend: self.id.to_string() })?;
        let (mut peer, name) = self.peer(server).await?;
        let options = &mut peer.options;
        options.connection_timeout = Some(self.backend.connect_timeout);
        options.total_connection_timeout = Some(self.backend.connect_timeout);
        options.read_timeout = Some(self.backend.timeout);
        options.write_timeout = Some(self.backend.timeout);
        options.idle_timeout = Some(POOLED_IDLE);
        Ok((Box::new(peer), name))
    }

    fn in_turn(&self) -> Option<&Server> {
        let servers = &self.backend.servers;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % servers.len().max(1);
        let from_here = servers.iter().cycle().skip(turn).take(servers.len());
        let mut up = from_here.filter(|server| self.health.is_up(self.id.as_str(), server));
        if self.backend.health.is_none() { servers.get(turn) } else { up.next() }
    }

    async fn peer(&self, server: &Server) -> Result<(HttpPeer, String), PeerError> {
        match server {
            Server::Tcp(address) => Ok(tcp(*address)),
            Server::Name { host, port } => Ok(tcp(resolve(host, *port).await?)),
            Server::Unix(path) => unix(path),
            Server::EmbeddedLicense => unix(&self.embedded),
        }
    }
}

fn tcp(address: SocketAddr) -> (HttpPeer, String) {
    (HttpPeer::new(address, false, String::new()), address.to_string())
}

fn unix(path: &Path) -> Result<(HttpPeer, String), PeerError> {
    let bad = || PeerError::BadPath { path: path.to_owned() };
    let text = path.to_str().ok_or_else(bad)?;
    let peer = HttpPeer::new_uds(text, false, String::new()).map_err(|_| bad())?;
    Ok((peer, format!("unix:{text}")))
}

/// Asks the system's resolver each time, off the worker threads; it caches as the system is set up to.
async fn resolve(host: &str, port: u16) -> Result<SocketAddr, PeerError> {
    let unresolved = |source| PeerError::Unresolved { host: host.to_owned(), source };
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(unresolved)?;
    found.next().ok_or_else(|| PeerError::NoAddress { host: host.to_owned() })
}

/// The backends of one snapshot.
#[derive(Debug)]
pub(crate) struct Upstreams {
    generation: u64,
    by_id: HashMap<String, Arc<Upstream>>,
}

impl Upstreams {
    fn new(generation: u64, config: &Config, health: &Arc<health::Table>) -> Self {
        let upstream = |(id, backend): (&String, &Backend)| {
            let upstream = Upstream {
                id: BackendId::new(id),
                backend: backend.clone(),
                embedded: config.license.socket.clone(),
                turn: AtomicUsize::new(0),
                health: Arc::clone(health),
            };
            (id.clone(), Arc::new(upstream))
        };
        Self { generation, by_id: config.backends.iter().map(upstream).collect() }
    }

    /// Finds a backend by its id.
    pub(crate) fn get(&self, id: &BackendId) -> Option<Arc<Upstream>> {
        self.by_id.get(id.as_str()).cloned()
    }
}

/// Keeps the turns of the snapshot of the moment; a new snapshot starts new ones.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    current: ArcSwapOption<Upstreams>,
    health: Arc<health::Table>,
}

impl Turns {
    /// Returns the backends of `snapshot`. A request that still holds an older snapshot gets turns of its own.
    pub(crate) fn of(&self, snapshot: &Snapshot) -> Arc<Upstreams> {
        if let Some(current) = self.current.load_full() {
            if current.generation == snapshot.generation {
                return current;
            }
            if current.generation > snapshot.generation {
                return Arc::new(Upstreams::new(
                    snapshot.generation,
                    &snapshot.config,
                    &self.health,
                ));
            }
        }
        let fresh = Arc::new(Upstreams::new(snapshot.generation, &snapshot.config, &self.health));
        self.current.store(Some(Arc::clone(&fresh)));
        fresh
    }
}
