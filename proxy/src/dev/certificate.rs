//! A certificate that vouches for itself: for a developer's machine, and for nothing else.

use std::path::Path;

use portcullis_config::Config;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::files::{self, DevError};

/// Names that every development certificate is for.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The names of a development certificate: this machine, and the configured hosts.
pub(super) fn names(config: &Config) -> Vec<String> {
    let hosts = config.hosts.iter().map(|host| host.name.as_str());
    let mut names: Vec<String> = LOCAL_NAMES.into_iter().chain(hosts).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Makes a certificate for `names` (DNS names and addresses) and its key, the key with mode 0600.
///
/// # Errors
/// When a name is none, or a file cannot be written.
pub fn make_certificate(cert: &Path, key: &Path, names: &[String]) -> Result<(), DevError> {
    let crypto = |error: rcgen::Error| DevError::Crypto(error.to_string());
    let mut params = CertificateParams::new(names.to_vec()).map_err(crypto)?;
    params.distinguished_name.push(DnType::CommonName, "Portcullis development certificate");
    let pair = KeyPair::generate().map_err(crypto)?;
    let made = params.self_signed(&pair).map_err(crypto)?;
    files::write(key, pair.serialize_pem().as_bytes(), files::SECRET)?;
    files::write(cert, made.pem().as_bytes(), files::PUBLIC)
}
