//! From an accepted socket to Pingora: the PROXY header, the ClientHello, the handshake, the guard.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::apps::ServerApp;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::tls::TlsRef;
use pingora::protocols::tls::server::handshake;
use pingora::protocols::{Ssl, Stream};
use portcullis_config::Timestamp;
use portcullis_policy::ClientCertificate;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::accept::{Edge, Entrance};
use super::client_certificate;
use super::connection::{Connection, Manner};
use super::fingerprint::Fingerprints;
use super::framing::{HeadLimits, Malformed};
use super::guard::{Cut, Guard, Reports};
use super::h2_watch::error_name;
use super::hello::{self, HELLO_BYTES_MAX, Hello};
use super::permits::{Full, Permit};
use super::proxy_header::{self, Ends, PROXY_HEADER_BYTES_MAX, ProxyHeader};
use super::tls::Tls;
use crate::gate;

/// Why a connection ends before a request; the `cause` label of `edge_connections_refused_total`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    Flood,
    Full(Full),
    NoProxyHeader,
    ProxyHeaderTimeout,
    NotTls,
    HelloTimeout,
    HandshakeTimeout,
    HandshakeFailed,
    ClientCertificate,
    Proved,
    Gone,
}

impl Cause {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Full(full) => full.label(),
            Self::NoProxyHeader => "no_proxy_header",
            Self::ProxyHeaderTimeout => "proxy_header_timeout",
            Self::NotTls => "not_tls",
            Self::HelloTimeout => "client_hello_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::ClientCertificate => "client_certificate",
            Self::Proved => "acme_proof",
            Self::Gone => "gone",
        }
    }
}

/// An accepted connection.
pub(super) struct Arrived {
    pub(super) tcp: TcpStream,
    /// The other end as the kernel names it.
    pub(super) peer: SocketAddr,
    /// Of the peer, or of nobody yet if the connection is announced.
    pub(super) permit: Permit,
    /// Whether it begins with a header of the PROXY protocol.
    pub(super) is_announced: bool,
}

/// Serves one connection to its end.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    entrance: &Entrance,
    arrived: Arrived,
    stopping: &watch::Receiver<bool>,
) {
    let Arrived { tcp, peer, mut permit, is_announced } = arrived;
    let opened = async {
        let mut opening = Opening::new(edge, tcp, peer)?;
        if is_announced {
            opening.announced(edge, &mut permit).await?;
        }
        opening.established(edge, entrance).await
    };
    match opened.await {
        Ok(guard) => drop(edge.proxy.process_new(Box::new(guard), stopping).await),
        Err(cause) => {
            tracing::debug!(%peer, cause = cause.label(), "the connection ended before a request");
            edge.refuse(cause);
        }
    }
}

/// A connection on its way to the first request.
struct Opening {
    tcp: TcpStream,
    /// What was read of it and is the client's.
    read: Vec<u8>,
    ends: Ends,
    /// When the ClientHello has to be there, and what stands before it.
    hello_by: Instant,
}

impl Opening {
    fn new(edge: &Edge, tcp: TcpStream, peer: SocketAddr) -> Result<Self, Cause> {
        let server = tcp.local_addr().map_err(|_| Cause::Gone)?;
        tcp.set_nodelay(true).map_err(|_| Cause::Gone)?;
        let hello_by = Instant::now() + edge.deadlines.client_hello;
        Ok(Self { tcp, read: Vec::new(), ends: Ends { client: peer, server }, hello_by })
    }

    /// Reads the header of the PROXY protocol; from then on the connection is that of the client in it.
    async fn announced(&mut self, edge: &Edge, permit: &mut Permit) -> Result<(), Cause> {
        let header = timeout_at(self.hello_by, self.read_proxy_header());
        let told = header.await.map_err(|_| Cause::ProxyHeaderTimeout)??;
        self.ends = told.unwrap_or(self.ends);
        let address = self.ends.client.ip().to_canonical();
        if edge.is_flooded_by(address, 1) {
            return Err(Cause::Flood);
        }
        permit.name(address).map_err(Cause::Full)
    }

    async fn read_proxy_header(&mut self) -> Result<Option<Ends>, Cause> {
        loop {
            let count = self.read_up_to(PROXY_HEADER_BYTES_MAX).await?;
            match proxy_header::classify(&self.read) {
                ProxyHeader::Whole { bytes, ends } => {
                    self.read.drain(..bytes);
                    return Ok(ends);
                }
                ProxyHeader::Partial if count == 0 => return Err(Cause::Gone),
                ProxyHeader::Partial => {}
                ProxyHeader::Other => return Err(Cause::NoProxyHeader),
            }
        }
    }

    async fn established(self, edge: &Arc<Edge>, entrance: &Entrance) -> Result<Guard, Cause> {
        match entrance {
            Entrance::Plain(manner) => {
                let connection = Connection::new(self.ends.client, self.ends.server, *manner);
                guarded(edge, Box::new(self.into_stream()), connection)
            }
            Entrance::Tls(tls) => {
                let (stream, connection) = self.encrypted(edge, tls).await?;
                guarded(edge, stream, connection)
            }
        }
    }

    async fn encrypted(mut self, edge: &Edge, tls: &Tls) -> Result<(Stream, Connection), Cause> {
        let hello = timeout_at(self.hello_by, self.read_hello());
        hello.await.map_err(|_| Cause::HelloTimeout)??;
        let Ends { client, server } = self.ends;
        let fingerprints = Fingerprints::of(&self.read);
        if let Some(acceptor) = tls.proving(&self.read) {
            let shaken = edge.handshakes.take(handshake(&acceptor, self.into_stream()));
            let shaken = timeout(edge.deadlines.handshake, shaken);
            let shaken = shaken.await.map_err(|_| Cause::HandshakeTimeout)?;
            return shaken.map_err(|_| Cause::HandshakeFailed).and(Err(Cause::Proved));
        }
        let asking = tls.asking(&self.read);
        let acceptor = asking.as_ref().map_or_else(|| tls.usual(), |asking| &asking.acceptor);
        let shaken = edge.handshakes.take(handshake(acceptor, self.into_stream()));
        let shaken = timeout(edge.deadlines.handshake, shaken);
        let tls = shaken.await.map_err(|_| Cause::HandshakeTimeout)?;
        let tls = tls.map_err(|error| failed(&error, asking.is_some()))?;
        let made = tls.get_ssl().ok_or(Cause::HandshakeFailed)?;
        let mut connection = Connection::new(client, server, Manner::Serve);
        connection.sni = made.server_name().map(str::to_ascii_lowercase);
        connection.fingerprints = fingerprints;
        if let Some(asking) = asking {
            connection.trust = Some(asking.trust);
            if let Some((certificate, until)) = shown(made)? {
                connection.certificate = Some(Arc::new(certificate));
                connection.certificate_until = Some(until);
            }
        }
        connection.tls_version = Some(made.version().unwrap_or("unknown"));
        Ok((Box::new(tls), connection))
    }

    /// Reads a whole ClientHello.
    async fn read_hello(&mut self) -> Result<(), Cause> {
        self.read.reserve(2048);
        loop {
            match hello::classify(&self.read) {
                Hello::Whole => return Ok(()),
                Hello::Partial => {}
                Hello::Other => return Err(Cause::NotTls),
            }
            if self.read_up_to(HELLO_BYTES_MAX).await? == 0 {
                return Err(Cause::Gone);
            }
        }
    }

    /// Reads what comes next, but no more than `most` bytes in all; 0 at the end.
    async fn read_up_to(&mut self, most: usize) -> Result<usize, Cause> {
        let room = most.saturating_sub(self.read.len());
        let mut limited = (&mut self.tcp).take(room as u64);
        limited.read_buf(&mut self.read).await.map_err(|_| Cause::Gone)
    }

    /// The connection, with what was read of it put back.
    fn into_stream(self) -> L4Stream {
        let mut stream = L4Stream::from(self.tcp);
        stream.rewind(&self.read);
        stream
    }
}

/// Why a handshake failed. Pingora keeps the words of rustls and not its error: a certificate was asked for, and none came
/// or one that does not hold.
fn failed(error: &pingora::Error, asks: bool) -> Cause {
    let words = error.to_string();
    let is_about_it = |about: &&str| words.contains(*about);
    if asks && ["invalid peer certificate", "peer sent no certificates"].iter().any(is_about_it) {
        return Cause::ClientCertificate;
    }
    Cause::HandshakeFailed
}

/// What the client's certificate says, if it showed one, and until when it is valid. It has been verified; one that cannot
/// be read all the same gets no connection, because nobody could say whose it is.
fn shown(made: &TlsRef) -> Result<Option<(ClientCertificate, Timestamp)>, Cause> {
    let Some(der) = made.peer_certificate_der() else { return Ok(None) };
    client_certificate::read(der).ok_or(Cause::HandshakeFailed).map(Some)
}

fn guarded(edge: &Arc<Edge>, stream: Stream, connection: Connection) -> Result<Guard, Cause> {
    let connection = Arc::new(connection);
    let reports = Reporter { edge: Arc::clone(edge), connection: Arc::clone(&connection) };
    let head = HeadLimits::of(&edge.shared.snapshot.load().config.limits);
    let guard = Guard::new(stream, connection, edge.deadlines, head, Box::new(reports));
    guard.map_err(|_| Cause::Gone)
}

/// A connection that the HTTP/2 codec ends for a fault of the client's counts as so many new ones, and a stream as one.
const ENDED_COUNTS_AS: u32 = 100;

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
        let counts_as = if stream == 0 { ENDED_COUNTS_AS } else { 1 };
        // Whether that begins a ban shows at the door.
        let _ = self.edge.is_flooded_by(self.connection.peer.ip(), counts_as);
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
