//! The certificates of one listener, found by server name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use portcullis_config::model::HostName;
use rustls::sign::CertifiedKey;

/// The certificates of one TLS listener. The first one answers clients that send no name or one that is not served.
#[derive(Clone)]
pub struct Certificates {
    by_host: HashMap<Box<str>, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Certificates {
    /// Makes the table of one listener. `by_host` gives the served hosts, in lower case, that a certificate is for.
    #[must_use]
    pub fn new(first: Arc<CertifiedKey>, by_host: HashMap<Box<str>, Arc<CertifiedKey>>) -> Self {
        Self { by_host, first }
    }

    /// Chooses the certificate for a server name as sent: the served host's, or the first.
    #[must_use]
    pub fn resolve(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        let named = server_name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let pattern = || self.by_host.get(HostName::pattern_for(&name)?.as_str());
            self.by_host.get(name.as_str()).or_else(pattern)
        });
        Arc::clone(named.unwrap_or(&self.first))
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
