//! From a server to what Pingora connects to: its address, its protocol, TLS and the time it gets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use portcullis_config::model::{Protocol, Server};

use super::{Upstream, member};
use crate::snapshot::UpstreamTls;

/// How long a connection that nobody uses is kept. Below the usual keep-alive of origins, so that a request does not
/// meet one that is just being closed.
const POOLED_IDLE: Duration = Duration::from_secs(20);
/// Requests at one time on one HTTP/2 connection to a server.
const H2_STREAMS_MAX: usize = 100;
/// How often a server that speaks HTTP/2 is asked whether it is still there.
const H2_PING: Duration = Duration::from_secs(20);

/// A server that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// Every server is down.
    #[error("no server of `{backend}` is up")]
    NoneUp { backend: String },
    /// The name has no address.
    #[error("`{host}` does not resolve")]
    Unresolved { host: String },
    /// The socket's path is not one.
    #[error("`{}` is no socket path", path.display())]
    BadPath { path: PathBuf },
}

impl Upstream {
    /// Makes the peer of a server, which may be silent for `silence`; says its address for the log.
    pub(crate) async fn peer(
        &self,
        index: usize,
        silence: Duration,
    ) -> Result<(HttpPeer, String), PeerError> {
        let none = || PeerError::NoneUp { backend: self.id.to_string() };
        let server = &self.backend.servers.get(index).ok_or_else(none)?.server;
        let tls = self.tls.as_ref();
        let (mut peer, name) = match server {
            Server::Tcp(address) => tcp(*address, tls, || address.ip().to_string()),
            Server::Name { host, .. } => {
                let unresolved = || PeerError::Unresolved { host: host.clone() };
                let name = self.members.get(index).and_then(|member| member.resolved.as_ref());
                let name = name.ok_or_else(unresolved)?;
                tcp(name.address().await.ok_or_else(unresolved)?, tls, || host.clone())
            }
            Server::Unix(path) => unix(path, tls)?,
            Server::EmbeddedLicense => unix(&self.embedded, tls)?,
        };
        self.set_options(&mut peer, silence);
        Ok((peer, name))
    }

    fn set_options(&self, peer: &mut HttpPeer, silence: Duration) {
        let options = &mut peer.options;
        options.connection_timeout = Some(self.backend.connect_timeout);
        options.total_connection_timeout = Some(self.backend.connect_timeout);
        options.read_timeout = Some(silence);
        options.write_timeout = Some(self.backend.write_timeout);
        options.idle_timeout = Some(POOLED_IDLE);
        options.max_h2_streams = H2_STREAMS_MAX;
        match self.backend.protocol {
            Protocol::Http1 => options.alpn = ALPN::H1,
            Protocol::Http2 => {
                options.alpn = ALPN::H2;
                options.h2_ping_interval = Some(H2_PING);
            }
        }
        if self.backend.websocket.is_none() {
            options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        }
    }

    /// The host that a request of our own names.
    pub(super) fn host_of(&self, index: usize) -> String {
        if let Some(name) = self.tls.as_ref().and_then(|tls| tls.name.clone()) {
            return name;
        }
        match self.backend.servers.get(index).map(|one| &one.server) {
            Some(Server::Name { host, .. }) => host.clone(),
            Some(server @ Server::Tcp(_)) => member::name(server),
            Some(Server::Unix(_) | Server::EmbeddedLicense) | None => "localhost".to_owned(),
        }
    }
}

fn tcp(
    address: SocketAddr,
    tls: Option<&Arc<UpstreamTls>>,
    own: impl FnOnce() -> String,
) -> (HttpPeer, String) {
    let peer = HttpPeer::new(address, tls.is_some(), sni(tls, own));
    (with_tls(peer, tls), address.to_string())
}

fn unix(path: &Path, tls: Option<&Arc<UpstreamTls>>) -> Result<(HttpPeer, String), PeerError> {
    let bad = || PeerError::BadPath { path: path.to_owned() };
    let text = path.to_str().ok_or_else(bad)?;
    // The configuration demands a name where there is TLS: an empty one would turn verification off.
    if tls.is_some_and(|tls| tls.name.is_none()) {
        return Err(bad());
    }
    let peer = HttpPeer::new_uds(text, tls.is_some(), sni(tls, String::new)).map_err(|_| bad())?;
    Ok((with_tls(peer, tls), format!("unix:{text}")))
}

fn sni(tls: Option<&Arc<UpstreamTls>>, own: impl FnOnce() -> String) -> String {
    tls.map_or_else(String::new, |tls| tls.name.clone().unwrap_or_else(own))
}

fn with_tls(mut peer: HttpPeer, tls: Option<&Arc<UpstreamTls>>) -> HttpPeer {
    if let Some(tls) = tls {
        peer.options.ca.clone_from(&tls.ca);
        peer.client_cert_key.clone_from(&tls.certificate);
        // A connection that was verified for one backend is not another's.
        peer.group_key = tls.group;
    }
    peer
}
