//! What every request on one client connection may know about it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::protocols::tls::TlsRef;
use pingora::proxy::Session;

/// One client connection after its handshake. Carried in the TLS digest, so that every request finds it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The other end as the kernel names it; IPv4 stands as IPv4 even on a dual-stack socket.
    pub(crate) peer: SocketAddr,
    /// Our end.
    pub(crate) server: SocketAddr,
    /// The server name of the ClientHello, lower case.
    pub(crate) sni: Option<String>,
    /// `TLSv1.3` or `TLSv1.2`.
    pub(crate) tls_version: &'static str,
    active: AtomicUsize,
    begun: AtomicU64,
}

impl Connection {
    /// Finds the connection that a session's request came on; `None` for a session that did not come through the edge.
    pub(crate) fn of(session: &Session) -> Option<Arc<Self>> {
        let tls = session.digest()?.ssl_digest.as_ref()?;
        tls.extension.get::<Arc<Self>>().cloned()
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

/// Makes the [`Connection`] when the handshake is complete.
pub(super) struct AfterHandshake {
    pub(super) peer: SocketAddr,
    pub(super) server: SocketAddr,
}

impl fmt::Debug for AfterHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterHandshake").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[async_trait]
impl TlsAccept for AfterHandshake {
    async fn handshake_complete_callback(
        &self,
        tls: &TlsRef,
    ) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        let connection = Connection {
            peer: SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port()),
            server: SocketAddr::new(self.server.ip().to_canonical(), self.server.port()),
            sni: tls.server_name().map(str::to_ascii_lowercase),
            tls_version: tls.version().unwrap_or("unknown"),
            active: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
        };
        Some(Arc::new(Arc::new(connection)))
    }
}
