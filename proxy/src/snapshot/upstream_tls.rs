//! TLS to the servers of a backend, loaded.

use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::CertKey;

/// What a connection to a backend's servers is verified with, and what the edge shows.
#[derive(Debug)]
pub struct UpstreamTls {
    /// The name that the certificate must be for; none means each server's own host.
    pub(crate) name: Option<String>,
    /// Whose certificates are believed; none means those that the system believes.
    pub(crate) ca: Option<Arc<CaType>>,
    /// The edge's own certificate.
    pub(crate) certificate: Option<Arc<CertKey>>,
    /// Connections are shared within this group only.
    pub(crate) group: u64,
}
