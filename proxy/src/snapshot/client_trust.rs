//! Whose certificates the clients of a host show.

use std::sync::Arc;

use http::HeaderName;
use rustls::server::danger::ClientCertVerifier;

/// What verifies the certificates of one host's clients.
#[derive(Clone, Debug)]
pub struct ClientTrust {
    /// Verifies a chain against the authorities; without a certificate it ends the handshake, or lets it be.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// SHA-256 of the host, the mode, the authorities and their revocation lists. What a connection was verified by counts for a request only
    /// while it is still the same.
    pub digest: TrustDigest,
    /// The header that tells origins of the certificate.
    pub header: Option<HeaderName>,
}

/// Names a [`ClientTrust`].
pub type TrustDigest = [u8; 32];
