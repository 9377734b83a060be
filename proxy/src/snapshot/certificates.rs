//! The certificates of one listener, found by server name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

/// The certificates of one TLS listener. The first one answers clients that send no name or an unknown one.
#[derive(Clone)]
pub struct Certificates {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// `*.example.com` as `example.com`; a wildcard stands for exactly one label.
    by_parent: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Certificates {
    /// Makes the table of one listener: each certificate with the DNS names it is for.
    #[must_use]
    pub fn new(
        first: (Arc<CertifiedKey>, Vec<String>),
        rest: Vec<(Arc<CertifiedKey>, Vec<String>)>,
    ) -> Self {
        let default = Arc::clone(&first.0);
        let mut table = Self { by_name: HashMap::new(), by_parent: HashMap::new(), first: default };
        for (key, names) in std::iter::once(first).chain(rest) {
            for name in names {
                table.insert(&name.to_ascii_lowercase(), &key);
            }
        }
        table
    }

    /// The first certificate for a name keeps it.
    fn insert(&mut self, name: &str, key: &Arc<CertifiedKey>) {
        let (table, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.by_parent, parent),
            None => (&mut self.by_name, name),
        };
        table.entry(name.to_owned()).or_insert_with(|| Arc::clone(key));
    }

    /// Chooses the certificate for a server name as sent: exact, then wildcard, then the first.
    #[must_use]
    pub fn resolve(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        server_name.and_then(|name| self.named(name)).unwrap_or_else(|| Arc::clone(&self.first))
    }

    /// Says whether some certificate is for `server_name`.
    #[must_use]
    pub fn covers(&self, server_name: &str) -> bool {
        self.named(server_name).is_some()
    }

    fn named(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wild = || self.by_parent.get(name.split_once('.')?.1);
        self.by_name.get(&name).or_else(wild).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("names", &self.by_name.keys()).finish_non_exhaustive()
    }
}
