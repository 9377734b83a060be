//! What the operator writes for `license-core serve`, and what the edge fills in when it embeds the service.
//!
//! ```yaml
//! version: 1
//! listen: { unix: /run/license-core/license.sock }      # or { tcp: 127.0.0.1:8000 }
//! database: { sqlite: /var/lib/license-core/license.db }
//! # database: { postgres: { url: file:/etc/license-core/url, owner_url: env:OWNER_URL, connections: 16 } }
//! edge_keys: /etc/license-core/edge.jwks
//! signing: { wrapping_key: /etc/license-core/wrapping.key }   # optional: signed lease receipts
//! # signing: { pkcs11: { module: /usr/lib/hsm.so, token: license, pin: file:/etc/license-core/pin } }
//! # signing: { google_kms: { receipts: projects/P/locations/L/keyRings/R/cryptoKeys/K, credentials: metadata } }
//! #   with `algorithms: { receipts: EdDSA, files: RS512 }` in `signing`: each `EdDSA`, `ES256` or `RS512`
//! secrets: { key: file:/etc/license-core/secrets.key }         # optional: seals webhooks' secrets and the accelerator
//! personal_data: { key: file:/etc/license-core/personal.key }  # optional: what is known of people, sealed at rest
//! metrics: 127.0.0.1:9444                                     # optional: Prometheus, apart from the API
//! webhooks: { allow: [10.1.0.0/16] }                          # optional: private networks that webhooks may lead to
//! backups: { directory: /var/backups/license-core, every: 1d, keep: 30 } # optional: copies of a SQLite store
//! accelerator: { url: env:REDIS_URL, ahead: 180s }             # optional, with PostgreSQL: heartbeats from Redis or Valkey
//! retention: { audit: 400d, sessions: 90d, denials: 400d, answers: 1d } # optional: how long what is over is kept
//! rates: { acquire: 10/1m, heartbeat: 20/1m }                 # optional: per user and process, where no edge counts
//! lease: { ttl: 360s, heartbeat: 180s, age_max: 7d, offline_max: 0s }   # offline_max: up to 7d of borrowing
//! ```

mod accelerator;
mod algorithms;
mod backups;
mod key_place;
mod personal_data;
mod rates;
mod retention;
mod secrets;
mod source;
mod span;
mod webhooks;

pub use accelerator::Accelerator;
pub use algorithms::Algorithms;
pub use backups::Backups;
pub use key_place::{Endpoint, GoogleCredentials, GoogleKms, KeyPlace, Pkcs11, ServiceAccount};
pub use personal_data::PersonalData;
pub use rates::{Rate, Rates};
pub use retention::Retention;
pub use secrets::Secrets;
pub use span::{NoSpan, Span};
pub use webhooks::Webhooks;

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The service's settings, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the leases are kept.
    pub database: Database,
    /// Where requests come in.
    pub listen: Listen,
    /// JWKS file with the edge's public Ed25519 keys; read again when it changes.
    pub edge_keys: PathBuf,
    /// How long leases last.
    pub lease: Lease,
    /// File of the key that seals the signing keys in the store; made with mode 0600 at the first start. Without it
    /// and without `key_place` the service gives no receipts and has no key set.
    pub wrapping_key: Option<PathBuf>,
    /// What new signing keys sign with.
    pub algorithms: Algorithms,
    /// What webhooks' secrets and the accelerator are sealed under. Without it, `wrapping_key`; without either there are
    /// neither of them.
    pub secrets: Option<Secrets>,
    /// Where new signing keys are made instead. Those that `wrapping_key` seals sign on until their successors do.
    pub key_place: Option<KeyPlace>,
    /// What personal data is sealed under at rest. Without it, it stands in the clear.
    pub personal_data: Option<PersonalData>,
    /// Where Prometheus reads the service's metrics, apart from the API.
    pub metrics: Option<SocketAddr>,
    /// Where webhooks may lead.
    pub webhooks: Webhooks,
    /// When copies of a SQLite store are made.
    pub backups: Option<Backups>,
    /// How long what is over is kept.
    pub retention: Retention,
    /// How often one user may ask of this process.
    pub rates: Rates,
    /// What heartbeats are answered from, beside PostgreSQL.
    pub accelerator: Option<Accelerator>,
}

/// Where the leases are kept.
#[derive(Clone, Debug)]
pub enum Database {
    /// One file, written by this process only. Made with mode 0600 when absent.
    Sqlite(PathBuf),
    /// A PostgreSQL database, for any number of services.
    Postgres(Postgres),
}

/// A PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Connection URL of a plain member of the role `license_core_app`.
    pub url: Secret,
    /// Connection URL of the schema's owner, which only `license-core migrate` uses.
    pub owner_url: Option<Secret>,
    /// The most connections of this process.
    pub connections: u32,
}

/// A text that is shown nowhere and wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where requests come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listen {
    /// A Unix socket of mode 0600. A socket that nobody listens on any more is replaced.
    Unix(PathBuf),
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
}

/// How long leases last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// How long a seat stays leased without a heartbeat.
    pub ttl: Duration,
    /// How often clients are told to heartbeat.
    pub heartbeat: Duration,
    /// How long a session lasts at most; then the client acquires anew.
    pub age_max: Duration,
    /// How long a seat may be taken offline by a borrow token; zero is not at all.
    pub offline_max: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(360),
            heartbeat: Duration::from_secs(180),
            age_max: Duration::from_secs(7 * 86_400),
            offline_max: Duration::ZERO,
        }
    }
}

/// Why settings cannot be used. The text shows the place with a caret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file is not what it should be.
    #[error("{0}")]
    Source(String),
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says no.
    #[error("`{path}` cannot be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than such a file can be.
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
}

const FILE_BYTES_MAX: u64 = 256 * 1024;

impl Settings {
    /// Settings with the default lease.
    #[must_use]
    pub fn new(database: Database, listen: Listen, edge_keys: PathBuf) -> Self {
        Self {
            database,
            listen,
            edge_keys,
            lease: Lease::default(),
            wrapping_key: None,
            algorithms: Algorithms::default(),
            secrets: None,
            key_place: None,
            personal_data: None,
            metrics: None,
            webhooks: Webhooks::default(),
            backups: None,
            retention: Retention::default(),
            rates: Rates::default(),
            accelerator: None,
        }
    }

    /// Reads a YAML file. Relative paths in it are relative to the file's directory.
    ///
    /// # Errors
    /// When the file cannot be read or says something this version does not know.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = read_limited(path, FILE_BYTES_MAX)?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        source::parse(&text, &path.display().to_string(), base)
    }
}

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(ReadError::TooLarge { path: path.to_owned(), limit })
    }
}
