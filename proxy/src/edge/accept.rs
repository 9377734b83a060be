//! Binding the listeners and accepting on them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use pingora::proxy::HttpProxy;
use portcullis_config::model::{Config, Listener, ListenerKind};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::flood::{Arrival, Floods};
use super::handshakes::Handshakes;
use super::open::{Arrived, Cause};
use super::permits::{Caps, Permit, Permits};
use super::tls::Tls;
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
    tcp_keepalive: Duration,
    proxies: Vec<IpNet>,
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
        bound.push(bind_one(index, listener, inherited).map_err(error)?);
    }
    Ok(bound)
}

fn bind_one(
    index: usize,
    listener: &Listener,
    inherited: Option<std::net::TcpListener>,
) -> io::Result<Bound> {
    let socket = match inherited {
        Some(socket) => {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)?
        }
        None => listen(listener)?,
    };
    let address = socket.local_addr()?;
    let handle = socket.as_fd().try_clone_to_owned()?;
    let passed_on = (SocketName::Listener(listener.address), handle);
    Ok(Bound {
        listener: socket,
        passed_on,
        address,
        kind: listener.kind.clone(),
        tcp_keepalive: listener.tcp_keepalive,
        proxies: listener.proxy_protocol.clone(),
        index,
    })
}

fn listen(listener: &Listener) -> io::Result<TcpListener> {
    let address = listener.address;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(listener.reuse_port)?;
    socket.bind(address)?;
    socket.listen(listener.backlog)
}

/// What every connection of one edge needs.
pub(super) struct Edge {
    pub(super) shared: Arc<Shared>,
    pub(super) proxy: Arc<HttpProxy<Gate>>,
    pub(super) permits: Arc<Permits>,
    pub(super) floods: Arc<Floods>,
    pub(super) handshakes: Handshakes,
    pub(super) deadlines: Deadlines,
}

/// How clients come in at a listener.
pub(super) struct Door {
    pub(super) entrance: Entrance,
    /// After how much silence the system asks whether a client is still there.
    keepalive: TcpKeepalive,
    /// Networks whose connections begin with a header of the PROXY protocol.
    proxies: Vec<IpNet>,
}

/// Bytes of answers that wait in the system for one client, besides those that are on their way. Without a bound the system
/// takes up to 4 MiB for each: a client who reads nothing of an answer is then not seen to, and its memory is ours to pay.
/// Enough that a fast client never waits for us.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;
/// Questions without an answer after which a connection is gone.
const KEEPALIVE_QUESTIONS: u32 = 3;

impl Door {
    fn new(entrance: Entrance, after: Duration, proxies: Vec<IpNet>) -> Self {
        let keepalive = TcpKeepalive::new()
            .with_time(after)
            .with_interval(after.min(Duration::from_secs(15)))
            .with_retries(KEEPALIVE_QUESTIONS);
        Self { entrance, keepalive, proxies }
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&address))
    }
}

/// What is spoken there.
pub(super) enum Entrance {
    Tls(Tls),
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
            Caps {
                all: limits.connections,
                address: limits.connections_per_address,
                network: limits.connections_per_network,
            },
            shared.metrics.connections.clone(),
        ),
        floods: Floods::new(
            limits.connection_rate,
            limits.flood_ban,
            shared.metrics.connections_untracked.clone(),
        ),
        handshakes: Handshakes::among(tokio::runtime::Handle::current().metrics().num_workers()),
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
        let entrance = match &one.kind {
            ListenerKind::Tls(tls) => {
                Entrance::Tls(Tls::new(&edge.shared, one.index, tls.versions)?)
            }
            ListenerKind::Plain => Entrance::Plain(Manner::Serve),
            ListenerKind::RedirectToHttps { status } => {
                Entrance::Plain(Manner::RedirectToHttps { status: *status, port: https_port })
            }
        };
        handed.push(one.passed_on);
        let door = Arc::new(Door::new(entrance, one.tcp_keepalive, one.proxies));
        let signals = (stopping.clone(), paused.clone());
        listeners.spawn(accept(Arc::clone(&edge), one.listener, door, signals));
    }
    Ok(Running { addresses, proxy, turns, stop, pause, listeners, left: Vec::new(), handed })
}

impl Edge {
    /// Lets a connection of `address` in, unless the address is under a flood ban or holds too many.
    fn permit(&self, address: IpAddr) -> Result<Permit, Cause> {
        if self.is_flooded_by(address, 1) {
            return Err(Cause::Flood);
        }
        self.permits.enter(address).map_err(Cause::Full)
    }

    /// Counts a connection that ends before a request.
    pub(super) fn refuse(&self, cause: Cause) {
        self.shared.metrics.connections_refused.with_label_values(&[cause.label()]).inc();
    }

    /// Counts a new connection and says whether its address is under a flood ban. Trusted hops open connections for many.
    pub(super) fn is_flooded_by(&self, address: IpAddr, connections: u32) -> bool {
        let hops = &self.shared.snapshot.load().config.trusted_hops;
        if hops.iter().any(|net| net.contains(&address)) {
            return false;
        }
        match self.floods.counts(address, connections, self.shared.clock.monotonic()) {
            Arrival::Admitted => false,
            Arrival::Banned => true,
            Arrival::BeginsBan => {
                tracing::warn!(%address, "too many new connections, or faults on them: a flood ban begins");
                true
            }
        }
    }
}

/// How long accepting rests when the process has no descriptors left.
const REST: Duration = Duration::from_millis(50);

/// Accepts until told to stop, but for pauses; gives back the connections that still run.
async fn accept(
    edge: Arc<Edge>,
    listener: TcpListener,
    door: Arc<Door>,
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
                Ok((tcp, peer)) => admit(&edge, &mut connections, tcp, peer, &door, &stopping),
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
    door: &Arc<Door>,
    stopping: &watch::Receiver<bool>,
) {
    let address = peer.ip().to_canonical();
    let is_announced = door.is_proxy(address);
    // A proxy's connections count for the clients that they are of, which its header tells.
    let permit = if is_announced {
        edge.permits.enter_unnamed().map_err(Cause::Full)
    } else {
        edge.permit(address)
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(cause) => return edge.refuse(cause),
    };
    let socket = SockRef::from(&tcp);
    if let Err(error) = socket.set_tcp_keepalive(&door.keepalive) {
        tracing::debug!(%error, "no keepalive");
    }
    if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "the system keeps what clients do not read");
    }
    let (edge, door, stopping) = (Arc::clone(edge), Arc::clone(door), stopping.clone());
    let arrived = Arrived { tcp, peer, permit, is_announced };
    connections.spawn(async move { open::serve(&edge, &door.entrance, arrived, &stopping).await });
}
