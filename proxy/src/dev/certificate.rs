//! A certificate that vouches for itself: for a developer's machine, and for nothing else.

use std::path::Path;
use std::time::Duration;

use portcullis_config::{Config, Timestamp};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use super::files::{self, DevError};

/// Names that every development certificate is for.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// From the begin to the end of a certificate: browsers take no more than 398 days (CA/Browser Forum, Baseline
/// Requirements §6.3.2).
const VALID: Duration = Duration::from_secs(397 * 24 * 60 * 60);
/// How long before now it begins, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// The names of a development certificate: this machine, and the configured hosts.
pub(super) fn names(config: &Config) -> Vec<String> {
    let hosts = config.hosts.iter().map(|host| host.name.as_str());
    let mut names: Vec<String> = LOCAL_NAMES.into_iter().chain(hosts).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Makes a certificate for `names` (DNS names and addresses) and its key, the key with mode 0600. It is valid from an
/// hour before `now`, for 397 days.
///
/// # Errors
/// When a name is none, or a file cannot be written.
pub fn make_certificate(
    cert: &Path,
    key: &Path,
    names: &[String],
    now: Timestamp,
) -> Result<(), DevError> {
    let crypto = |error: rcgen::Error| DevError::Crypto(error.to_string());
    let pair = KeyPair::generate().map_err(crypto)?;
    let made = params(names, now).and_then(|params| params.self_signed(&pair)).map_err(crypto)?;
    files::write(key, pair.serialize_pem().as_bytes(), files::SECRET)?;
    files::write(cert, made.pem().as_bytes(), files::PUBLIC)
}

fn params(names: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "Portcullis development certificate");
    let begin = Duration::from_secs(now.as_secs()).saturating_sub(BACKDATED);
    params.not_before = date_time_ymd(1970, 1, 1) + begin;
    params.not_after = params.not_before + VALID;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_holds_at_once_and_no_longer_than_browsers_take() {
        let now = Timestamp::from_secs(1_767_225_600);
        let params = params(&["localhost".to_owned()], now).unwrap();
        let begin_of_2026 = date_time_ymd(2026, 1, 1);
        assert!(params.not_before < begin_of_2026);
        assert!(params.not_after > begin_of_2026 + Duration::from_secs(396 * 24 * 60 * 60));
        assert!(params.not_after - params.not_before <= Duration::from_secs(397 * 24 * 60 * 60));
    }
}
