//! What every request on one client connection may know about it.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;
use portcullis_config::Timestamp;
use portcullis_policy::{ClientCertificate, Scheme};

use super::fingerprint::Fingerprints;
use crate::snapshot::TrustDigest;

/// One client connection, once it may carry requests.
///
/// It travels in the digest that Pingora keeps of a CONNECT proxy in front of a connection: the one slot of a stream
/// that is there with and without TLS, takes a value of ours, and is handed to every request and subrequest. We sit
/// behind no such proxy.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The other end as the kernel names it; IPv4 stands as IPv4 even on a dual-stack socket.
    pub(crate) peer: SocketAddr,
    /// Our end.
    pub(crate) server: SocketAddr,
    /// The server name of the ClientHello, lower case.
    pub(crate) sni: Option<String>,
    /// `TLSv1.3` or `TLSv1.2`; none on a plain listener.
    pub(crate) tls_version: Option<&'static str>,
    /// What the ClientHello says of the client's TLS library.
    pub(crate) fingerprints: Fingerprints,
    /// What the client's certificate says, if it showed one.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// Until when that certificate is valid.
    pub(crate) certificate_until: Option<Timestamp>,
    /// What verified the client, or would have: none where nobody asked for a certificate.
    pub(crate) trust: Option<TrustDigest>,
    /// What the listener does with requests.
    pub(crate) manner: Manner,
    active: AtomicUsize,
    begun: AtomicU64,
}

/// What a listener does with requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Judges and forwards them.
    Serve,
    /// Answers this status and the same target under `https`, on this port.
    RedirectToHttps { status: u16, port: u16 },
}

impl Connection {
    /// Makes a plain connection between two addresses; TLS adds what it knows.
    pub(super) fn new(peer: SocketAddr, server: SocketAddr, manner: Manner) -> Self {
        Self {
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            server: SocketAddr::new(server.ip().to_canonical(), server.port()),
            sni: None,
            tls_version: None,
            fingerprints: Fingerprints::default(),
            certificate: None,
            certificate_until: None,
            trust: None,
            manner,
            active: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
        }
    }

    /// Finds the connection that a session's request came on; `None` for a session that did not come through the edge.
    pub(crate) fn of(session: &Session) -> Option<Arc<Self>> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref::<Arc<Self>>().cloned()
    }

    /// The digest that carries it.
    pub(super) fn digest(self: &Arc<Self>) -> pingora::Result<Arc<ProxyDigest>> {
        let carried: Box<dyn Any + Send + Sync> = Box::new(Arc::clone(self));
        let head = ResponseHeader::build_no_case(200, Some(0))?;
        Ok(Arc::new(ProxyDigest::new(Box::new(head), Some(carried))))
    }

    /// `https` with TLS, `http` without.
    pub(crate) const fn scheme(&self) -> Scheme {
        if self.tls_version.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Marks the begin of a request; the mark ends with the value.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Whether a request is being worked on.
    pub(super) fn is_busy(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// How many requests began on this connection.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}

/// A request in flight on its connection.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
