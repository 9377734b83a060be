//! The certificates of one listener, found by server name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use portcullis_config::model::HostName;
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

/// The certificates of one TLS listener. Those of the first one answer clients that send no name or one that is not
/// served.
#[derive(Clone)]
pub struct Certificates {
    by_host: HashMap<Box<str>, Choices>,
    first: Choices,
}

impl Certificates {
    /// Makes the table of one listener. `by_host` gives the served hosts, in lower case, that a certificate is for.
    #[must_use]
    pub fn new(first: Choices, by_host: HashMap<Box<str>, Choices>) -> Self {
        Self { by_host, first }
    }

    /// Chooses the certificate for a server name as sent, that of the served host or of the first, by the signatures
    /// that the client can check.
    #[must_use]
    pub fn resolve(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Arc<CertifiedKey> {
        let named = server_name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let pattern = || self.by_host.get(HostName::pattern_for(&name)?.as_str());
            self.by_host.get(name.as_str()).or_else(pattern)
        });
        named.unwrap_or(&self.first).choose(schemes)
    }

    /// Says whether some certificate is for the served host `name`, in lower case.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.by_host.contains_key(name)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("hosts", &self.by_host.keys()).finish_non_exhaustive()
    }
}

/// The certificates for one name, in the order in which they are tried. Never empty.
#[derive(Clone, Debug)]
pub struct Choices {
    preferred: Arc<CertifiedKey>,
    others: Box<[Arc<CertifiedKey>]>,
}

impl Choices {
    /// Orders certificates: elliptic curves before RSA, whose signatures cost the edge some twenty times as much; within
    /// one kind as they are given. `None` if there is none.
    #[must_use]
    pub fn new(mut certificates: Vec<Arc<CertifiedKey>>) -> Option<Self> {
        certificates.sort_by_key(|one| one.key.algorithm() == SignatureAlgorithm::RSA);
        let mut ordered = certificates.into_iter();
        Some(Self { preferred: ordered.next()?, others: ordered.collect() })
    }

    /// Chooses the first whose key makes a signature that the client can check. Where there is none the preferred one is
    /// shown, so that the handshake fails for its true reason.
    fn choose(&self, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let fits = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(schemes).is_some();
        let chosen = std::iter::once(&self.preferred).chain(&self.others).find(fits);
        Arc::clone(chosen.unwrap_or(&self.preferred))
    }
}
