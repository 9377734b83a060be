//! Binding the listeners and accepting on them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::tls::Acceptor;
use pingora::proxy::HttpProxy;
use portcullis_config::model::{Config, Listener, ListenerKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::permits::Permits;
use super::{Deadlines, Manner, Running, open, tls};
use crate::gate::{self, Gate};
use crate::shared::Shared;
use crate::upgrade::{Handed, Inheritance, SocketName};
use crate::upstream::{Turns, attend};

/// A listener that holds its port and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// A second handle to the socket, for a successor.
    passed_on: Handed,
    address: SocketAddr,
    kind: ListenerKind,
    /// The place in the configuration's `listeners`.
    index: usize,
}

impl Bound {
    /// Returns the address that it is bound to; the port is the one that the system chose where the file says 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// A listener that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`")]
pub struct BindError {
    /// The address in the configuration.
    pub address: SocketAddr,
    /// What the system said: the port is in use, or a low port needs a privilege.
    #[source]
    pub source: io::Error,
}

/// Binds every listener of the configuration, but for those that the process before has passed on. A port in use is an
/// error here, before anything is served.
///
/// # Errors
///
/// The first address that cannot be bound.
pub async fn bind(
    config: &Config,
    mut inheritance: Option<&mut Inheritance>,
) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::with_capacity(config.listeners.len());
    let mut passed_on = |address| inheritance.as_mut().and_then(|passed| passed.listener(address));
    for (index, listener) in config.listeners.iter().enumerate() {
        let error = |source| BindError { address: listener.address, source };
        let inherited = passed_on(listener.address);
        bound.push(bind_one(index, listener, inherited).await.map_err(error)?);
    }
    Ok(bound)
}

async fn bind_one(
    index: usize,
    listener: &Listener,
    inherited: Option<std::net::TcpListener>,
) -> io::Result<Bound> {
    let socket = match inherited {
        Some(socket) => {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)?
        }
        None => TcpListener::bind(listener.address).await?,
    };
    let address = socket.local_addr()?;
    let handle = socket.as_fd().try_clone_to_owned()?;
    let passed_on = (SocketName::Listener(listener.address), handle);
    Ok(Bound { listener: socket, passed_on, address, kind: listener.kind.clone(), index })
}

/// What every connection of one edge needs.
pub(super) struct Edge {
    pub(super) shared: Arc<Shared>,
    pub(super) proxy: Arc<HttpProxy<Gate>>,
    pub(super) permits: Arc<Permits>,
    pub(super) deadlines: Deadlines,
}

/// How clients come in at a listener.
pub(super) enum Entrance {
    Tls(Acceptor),
    Plain(Manner),
}

/// Serves on the bound listeners, on the runtime of the caller, until [`Running::stop`].
///
/// # Errors
///
/// The TLS versions of a listener do not go together with the crypto provider.
pub fn serve(shared: Arc<Shared>, bound: Vec<Bound>) -> Result<Running, rustls::Error> {
    tls::install_provider();
    let limits = shared.snapshot.load().config.limits.clone();
    let (stop, stopping) = watch::channel(false);
    let (pause, paused) = watch::channel(false);
    let turns = Arc::new(Turns::new(&shared.metrics));
    let proxy = gate::proxy(&shared, &limits, &turns);
    let https_port = bound
        .iter()
        .find(|one| matches!(one.kind, ListenerKind::Tls(_)))
        .map_or(443, |one| one.address.port());
    let edge = Arc::new(Edge {
        permits: Permits::new(
            limits.connections,
            limits.connections_per_address,
            shared.metrics.connections.clone(),
        ),
        deadlines: Deadlines::of(&limits),
        proxy: Arc::clone(&proxy),
        shared,
    });
    let addresses = bound.iter().map(Bound::local_addr).collect();
    let mut listeners = JoinSet::new();
    let mut handed = Vec::with_capacity(bound.len());
    let attending = attend(Arc::clone(&edge.shared), Arc::clone(&turns), stopping.clone());
    listeners.spawn(async move {
        attending.await;
        JoinSet::new()
    });
    for one in bound {
        let entrance = Arc::new(match &one.kind {
            ListenerKind::Tls(tls) => {
                Entrance::Tls(tls::acceptor(&edge.shared, one.index, tls.versions)?)
            }
            ListenerKind::Plain => Entrance::Plain(Manner::Serve),
            ListenerKind::RedirectToHttps { status } => {
                Entrance::Plain(Manner::RedirectToHttps { status: *status, port: https_port })
            }
        });
        handed.push(one.passed_on);
        let signals = (stopping.clone(), paused.clone());
        listeners.spawn(accept(Arc::clone(&edge), one.listener, entrance, signals));
    }
    Ok(Running { addresses, proxy, turns, stop, pause, listeners, handed })
}

/// How long accepting rests when the process has no descriptors left.
const REST: Duration = Duration::from_millis(50);

/// Accepts until told to stop, but for pauses; gives back the connections that still run.
async fn accept(
    edge: Arc<Edge>,
    listener: TcpListener,
    entrance: Arc<Entrance>,
    (mut stopping, mut paused): (watch::Receiver<bool>, watch::Receiver<bool>),
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    loop {
        let is_paused = *paused.borrow_and_update();
        tokio::select! {
            biased;
            _ = stopping.changed() => return connections,
            Ok(()) = paused.changed() => {}
            Some(ended) = connections.join_next(), if !connections.is_empty() => log_panic(ended),
            accepted = listener.accept(), if !is_paused => match accepted {
                Ok((tcp, peer)) => admit(&edge, &mut connections, tcp, peer, &entrance, &stopping),
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task broke");
    }
}

/// Gives the connection a permit and a task, or closes it.
fn admit(
    edge: &Arc<Edge>,
    connections: &mut JoinSet<()>,
    tcp: TcpStream,
    peer: SocketAddr,
    entrance: &Arc<Entrance>,
    stopping: &watch::Receiver<bool>,
) {
    let permit = match edge.permits.enter(peer.ip().to_canonical()) {
        Ok(permit) => permit,
        Err(full) => {
            edge.shared.metrics.connections_refused.with_label_values(&[full.label()]).inc();
            return;
        }
    };
    let (edge, entrance, stopping) = (Arc::clone(edge), Arc::clone(entrance), stopping.clone());
    connections.spawn(async move {
        let _permit = permit;
        open::serve(&edge, &entrance, tcp, peer, &stopping).await;
    });
}
