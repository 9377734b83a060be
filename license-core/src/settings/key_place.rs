//! Where signing keys live, when that is not the store.

use super::Secret;
use std::path::PathBuf;

/// A place where signing keys are made and sign, and which they do not leave.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// A token that speaks PKCS#11.
    Pkcs11(Pkcs11),
    /// Google Cloud KMS.
    GoogleKms(GoogleKms),
}

/// A token that speaks PKCS#11.
#[derive(Clone, Debug)]
pub struct Pkcs11 {
    /// The vendor's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The PIN of the token's user.
    pub pin: Secret,
    /// The label of the service's keys (`CKA_LABEL`).
    pub key_label: String,
}

/// Keys in Google Cloud KMS.
#[derive(Clone, Debug)]
pub struct GoogleKms {
    /// The key for receipts, borrow tokens and checkpoints: its resource name. Its algorithm is `EC_SIGN_ED25519`.
    pub receipts: String,
    /// The key for license files; its algorithm is `RSA_SIGN_PKCS1_4096_SHA512`. Without it there are none.
    pub files: Option<String>,
    /// How the service says who it is.
    pub credentials: GoogleCredentials,
    /// The API.
    pub endpoint: Endpoint,
    /// A PEM file of the certificates that are trusted instead of the system's.
    pub roots: Option<PathBuf>,
}

/// How the service says to Google's APIs who it is.
#[derive(Clone, Debug)]
pub enum GoogleCredentials {
    /// By the metadata server of the machine that it runs on.
    Metadata(Endpoint),
    /// By the key of a service account.
    ServiceAccount(ServiceAccount),
}

/// The key of a service account, as its JSON file says it.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// Who it is.
    pub client_email: String,
    /// The key's name.
    pub private_key_id: String,
    /// The key, PKCS#8 in PEM.
    pub private_key: Secret,
}

/// A host that speaks HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Endpoint {
    /// Returns it as the header `Host` writes it.
    pub(crate) fn authority(&self) -> String {
        let port = if self.is_tls { 443 } else { 80 };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == port { host } else { format!("{host}:{}", self.port) }
    }
}
