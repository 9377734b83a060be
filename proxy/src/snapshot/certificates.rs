//! The certificates of one listener, found by server name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_config::Timestamp;
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
    pub fn resolve(&self, server_name: Option<&str>, schemes: &[SignatureScheme]) -> &Certificate {
        let named = server_name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let pattern = || self.by_host.get(HostName::pattern_for(&name)?.as_str());
            self.by_host.get(name.as_str()).or_else(pattern)
        });
        named.unwrap_or(&self.first).choose(schemes)
    }

    /// Returns every response that may be stapled, those of certificates for several hosts several times.
    pub fn staples(&self) -> impl Iterator<Item = &Stapled> {
        let choices = self.by_host.values().chain([&self.first]);
        choices.flat_map(Choices::all).filter_map(|one| one.stapled.as_ref())
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

/// A certificate with its key, and what is stapled to it.
#[derive(Debug)]
pub struct Certificate {
    /// The pair without a staple.
    pub bare: Arc<CertifiedKey>,
    /// The same pair with one.
    pub stapled: Option<Stapled>,
}

/// A certificate with an OCSP response that says that it is good.
#[derive(Debug)]
pub struct Stapled {
    /// The file of the certificate, for who reads a warning or a metric.
    pub name: String,
    /// The pair with the response.
    pub key: Arc<CertifiedKey>,
    /// From when on clients take the response no more.
    pub next_update: Timestamp,
    /// Whether its end has been told.
    is_told: AtomicBool,
}

impl Stapled {
    /// Staples a response to a pair.
    #[must_use]
    pub fn new(
        name: String,
        bare: &CertifiedKey,
        response: Vec<u8>,
        next_update: Timestamp,
    ) -> Self {
        let key = Arc::new(CertifiedKey { ocsp: Some(response), ..bare.clone() });
        Self { name, key, next_update, is_told: AtomicBool::new(false) }
    }

    /// Says whether nobody has been told yet of its end; from then on somebody has.
    pub fn first_to_tell(&self) -> bool {
        !self.is_told.swap(true, Ordering::Relaxed)
    }
}

/// The certificates for one name, in the order in which they are tried. Never empty.
#[derive(Clone, Debug)]
pub struct Choices {
    preferred: Arc<Certificate>,
    others: Box<[Arc<Certificate>]>,
}

impl Choices {
    /// Orders certificates: elliptic curves before RSA, whose signatures cost the edge some twenty times as much; within
    /// one kind as they are given. `None` if there is none.
    #[must_use]
    pub fn new(mut certificates: Vec<Arc<Certificate>>) -> Option<Self> {
        certificates.sort_by_key(|one| one.bare.key.algorithm() == SignatureAlgorithm::RSA);
        let mut ordered = certificates.into_iter();
        Some(Self { preferred: ordered.next()?, others: ordered.collect() })
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        std::iter::once(&self.preferred).chain(&self.others)
    }

    /// Chooses the first whose key makes a signature that the client can check. Where there is none the preferred one is
    /// shown, so that the handshake fails for its true reason.
    fn choose(&self, schemes: &[SignatureScheme]) -> &Certificate {
        let fits = |one: &&Arc<Certificate>| one.bare.key.choose_scheme(schemes).is_some();
        self.all().find(fits).unwrap_or(&self.preferred)
    }
}
