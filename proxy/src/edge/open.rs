//! From an accepted socket to Pingora: the ClientHello, the handshake, the guard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::tls::server::handshake;
use pingora::protocols::{Ssl, Stream};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::accept::{Edge, Entrance};
use super::connection::{Connection, Manner};
use super::fingerprint::Fingerprints;
use super::framing::{HeadLimits, Malformed};
use super::guard::{Cut, Guard, Reports};
use super::h2_watch::error_name;
use super::hello::{HELLO_BYTES_MAX, Hello, classify};
use crate::gate;

/// Why a connection ends before a request; the `cause` label of `edge_connections_refused_total`.
#[derive(Clone, Copy, Debug)]
enum Cause {
    NotTls,
    HelloTimeout,
    HandshakeTimeout,
    HandshakeFailed,
    Gone,
}

impl Cause {
    const fn label(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::HelloTimeout => "client_hello_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::Gone => "gone",
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    entrance: &Entrance,
    tcp: TcpStream,
    peer: SocketAddr,
    stopping: &watch::Receiver<bool>,
) {
    match established(edge, entrance, tcp, peer).await {
        Ok(guard) => drop(edge.proxy.process_new(Box::new(guard), stopping).await),
        Err(cause) => {
            tracing::debug!(%peer, cause = cause.label(), "the connection ended before a request");
            edge.shared.metrics.connections_refused.with_label_values(&[cause.label()]).inc();
        }
    }
}

async fn established(
    edge: &Arc<Edge>,
    entrance: &Entrance,
    tcp: TcpStream,
    peer: SocketAddr,
) -> Result<Guard, Cause> {
    let server = tcp.local_addr().map_err(|_| Cause::Gone)?;
    tcp.set_nodelay(true).map_err(|_| Cause::Gone)?;
    match entrance {
        Entrance::Plain(manner) => {
            let connection = Connection::new(peer, server, *manner);
            guarded(edge, Box::new(L4Stream::from(tcp)), connection)
        }
        Entrance::Tls(acceptor) => {
            let (stream, connection) = encrypted(edge, acceptor, tcp, peer, server).await?;
            guarded(edge, stream, connection)
        }
    }
}

async fn encrypted(
    edge: &Edge,
    acceptor: &Acceptor,
    tcp: TcpStream,
    peer: SocketAddr,
    server: SocketAddr,
) -> Result<(Stream, Connection), Cause> {
    let hello = within(edge.deadlines.client_hello, Cause::HelloTimeout, read_hello(tcp));
    let (l4, fingerprints) = hello.await?;
    let shaken = async { handshake(acceptor, l4).await.map_err(|_| Cause::HandshakeFailed) };
    let tls = within(edge.deadlines.handshake, Cause::HandshakeTimeout, shaken).await?;
    let made = tls.get_ssl().ok_or(Cause::HandshakeFailed)?;
    let mut connection = Connection::new(peer, server, Manner::Serve);
    connection.sni = made.server_name().map(str::to_ascii_lowercase);
    connection.fingerprints = fingerprints;
    connection.tls_version = Some(made.version().unwrap_or("unknown"));
    Ok((Box::new(tls), connection))
}

fn guarded(edge: &Arc<Edge>, stream: Stream, connection: Connection) -> Result<Guard, Cause> {
    let connection = Arc::new(connection);
    let reports = Reporter { edge: Arc::clone(edge), connection: Arc::clone(&connection) };
    let head = HeadLimits::of(&edge.shared.snapshot.load().config.limits);
    let guard = Guard::new(stream, connection, edge.deadlines, head, Box::new(reports));
    guard.map_err(|_| Cause::Gone)
}

/// Counts and logs what the guard of a connection sees.
struct Reporter {
    edge: Arc<Edge>,
    connection: Arc<Connection>,
}

impl Reports for Reporter {
    fn malformed(&self, why: Malformed, start: &[u8]) -> Vec<u8> {
        gate::malformed_answer(&self.edge.shared, &self.connection, why, start)
    }

    fn gave_up(&self, stream: u32, code: u32) {
        gate::malformed_stream(&self.edge.shared, &self.connection, stream, error_name(code));
    }

    fn cut(&self, why: Cut) {
        let shared = &self.edge.shared;
        shared.metrics.connections_cut.with_label_values(&[why.label()]).inc();
        if why == Cut::Flood {
            let address = self.connection.peer.ip();
            self.edge.floods.ban(address, shared.clock.monotonic());
            tracing::warn!(%address, "a flood of HTTP/2 control frames: a flood ban begins");
        }
    }
}

async fn within<T>(
    limit: Duration,
    cause: Cause,
    step: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    timeout(limit, step).await.map_err(|_| cause)?
}

/// Reads a whole ClientHello, takes its fingerprints and puts it back for the handshake.
async fn read_hello(mut tcp: TcpStream) -> Result<(L4Stream, Fingerprints), Cause> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let room = HELLO_BYTES_MAX.saturating_sub(bytes.len());
        let read =
            (&mut tcp).take(room as u64).read_buf(&mut bytes).await.map_err(|_| Cause::Gone)?;
        match classify(&bytes) {
            Hello::Whole => break,
            Hello::Partial if read == 0 => return Err(Cause::Gone),
            Hello::Partial => {}
            Hello::Other => return Err(Cause::NotTls),
        }
    }
    let mut stream = L4Stream::from(tcp);
    stream.rewind(&bytes);
    Ok((stream, Fingerprints::of(&bytes)))
}
