//! From an accepted socket to Pingora: the ClientHello, the handshake, the guard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::tls::server::handshake_with_callback;
use pingora::protocols::{Ssl, Stream};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::accept::Edge;
use super::connection::{AfterHandshake, Connection};
use super::guard::Guard;
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

/// Serves one TLS connection to its end.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    acceptor: &Acceptor,
    tcp: TcpStream,
    peer: SocketAddr,
    stopping: &watch::Receiver<bool>,
) {
    match established(edge, acceptor, tcp, peer).await {
        Ok(stream) => drop(edge.proxy.process_new(stream, stopping).await),
        Err(cause) => {
            tracing::debug!(%peer, cause = cause.label(), "the connection ended before a request");
            edge.shared.metrics.connections_refused.with_label_values(&[cause.label()]).inc();
        }
    }
}

async fn established(
    edge: &Edge,
    acceptor: &Acceptor,
    tcp: TcpStream,
    peer: SocketAddr,
) -> Result<Stream, Cause> {
    let server = tcp.local_addr().map_err(|_| Cause::Gone)?;
    tcp.set_nodelay(true).map_err(|_| Cause::Gone)?;
    let l4 = within(edge.deadlines.client_hello, Cause::HelloTimeout, read_hello(tcp)).await?;
    let made = AfterHandshake { peer, server };
    let handshake = async {
        handshake_with_callback(acceptor, l4, &made).await.map_err(|_| Cause::HandshakeFailed)
    };
    let tls = within(edge.deadlines.handshake, Cause::HandshakeTimeout, handshake).await?;
    let digest = tls.get_ssl_digest().ok_or(Cause::HandshakeFailed)?;
    let connection =
        digest.extension.get::<Arc<Connection>>().cloned().ok_or(Cause::HandshakeFailed)?;
    let malformed = {
        let (shared, connection) = (Arc::clone(&edge.shared), Arc::clone(&connection));
        Box::new(move || gate::malformed_answer(&shared, &connection))
    };
    Ok(Box::new(Guard::new(Box::new(tls), connection, edge.deadlines, malformed)))
}

async fn within<T>(
    limit: Duration,
    cause: Cause,
    step: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    timeout(limit, step).await.map_err(|_| cause)?
}

/// Reads a whole ClientHello and puts it back for the handshake.
async fn read_hello(mut tcp: TcpStream) -> Result<L4Stream, Cause> {
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
    Ok(stream)
}
