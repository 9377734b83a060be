//! Certificates that this process orders: by ACME (RFC 8555), proved over HTTP (section 8.3) or in a handshake (RFC 8737).
//!
//! A compilation reads the kept certificates like any other file, so that a new one is published with a whole snapshot.
//! The keeper orders what is missing or due, proves the names, keeps what it was given and asks for a reload. Whatever
//! goes wrong on the way leaves the last good certificate where it is. Everything that is asked of an authority goes
//! through the egress guard: the URLs that it answers with are judged like those of the configuration.

mod account;
mod client;
mod keeper;
mod kept;
mod order;
mod proofs;

use std::io;

use portcullis_config::model::{Acme, Config, ListenerCertificate, ListenerKind};

pub(crate) use client::BYTES_MAX;
pub use keeper::AcmeKeeper;
pub use kept::Unusable;
pub(crate) use kept::{Issued, Kept};
pub(crate) use proofs::ALPN;
pub use proofs::{Failure, Proofs};

/// Why no certificate was had.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority could not be asked, or its answer is none.
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// The authority does not believe that a name is ours.
    #[error("`{name}` is not proved: {why}")]
    Unproved {
        /// The name.
        name: String,
        /// What the authority says.
        why: String,
    },
    /// The proof cannot be made.
    #[error("the proof for `{name}` cannot be made: {source}")]
    Proof {
        /// The name.
        name: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was issued cannot be served.
    #[error("what was issued cannot be served: {0}")]
    Issued(#[from] Unusable),
    /// The file of the account is damaged.
    #[error("the account's file `{path}` is damaged, remove it for another account: {source}")]
    Account {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A file cannot be read or written.
    #[error("a file of the account or the certificate: {0}")]
    Disk(#[from] io::Error),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    TimedOut(std::time::Duration),
}

impl AcmeError {
    /// Returns the metric's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Authority(_) => "authority",
            Self::Unproved { .. } | Self::Proof { .. } => "unproved",
            Self::Issued(_) => "issued",
            Self::Account { .. } | Self::Disk(_) => "disk",
            Self::TimedOut(_) => "timed_out",
        }
    }
}

/// Returns the certificates of a configuration that are ordered.
pub(crate) fn of(config: &Config) -> impl Iterator<Item = &Acme> {
    let certificates = config.listeners.iter().flat_map(|listener| match &listener.kind {
        ListenerKind::Tls(tls) => tls.certificates.as_slice(),
        ListenerKind::Plain | ListenerKind::RedirectToHttps { .. } => &[],
    });
    certificates.filter_map(|one| match one {
        ListenerCertificate::Acme(acme) => Some(acme),
        ListenerCertificate::Files { .. } => None,
    })
}
