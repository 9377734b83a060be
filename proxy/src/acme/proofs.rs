//! What requests and handshakes are answered while names are proved, and what the keeper remembers of its failures.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use instant_acme::KeyAuthorization;
use portcullis_config::Timestamp;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The protocol of a handshake that asks for a proof (RFC 8737, section 4).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";
/// Where HTTP asks for one (RFC 8555, section 8.3).
const WELL_KNOWN: &[u8] = b"/.well-known/acme-challenge/";

/// The wait after a first failure; it doubles with each further one. Four fall into the first hour: the best known
/// authority allows five failed proofs of a name per hour.
const RETRY: Duration = Duration::from_secs(5 * 60);
/// The longest wait.
const RETRY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// What is being proved, and what went wrong. Asking it takes no lock.
#[derive(Default)]
pub struct Proofs {
    answers: ArcSwap<Answers>,
    failures: Mutex<BTreeMap<PathBuf, Failure>>,
}

/// How often in a row a certificate was not had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// How often.
    pub count: u32,
    /// When it is tried again.
    pub retry: Timestamp,
    /// What went wrong the last time.
    pub why: String,
}

#[derive(Clone, Default)]
struct Answers {
    /// The key authorization by its token.
    http: HashMap<String, String>,
    /// The certificate by the name that it proves.
    tls: HashMap<String, Arc<CertifiedKey>>,
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proofs")
    }
}

impl Proofs {
    /// Returns what a path on a plain listener is answered, if it asks for a proof that is being made.
    pub(crate) fn http(&self, path: &[u8]) -> Option<String> {
        let token = std::str::from_utf8(path.strip_prefix(WELL_KNOWN)?).ok()?;
        self.answers.load().http.get(token).cloned()
    }

    /// Says whether a handshake may ask for a proof at all.
    pub(crate) fn awaits_handshakes(&self) -> bool {
        !self.answers.load().tls.is_empty()
    }

    /// Returns the certificate that proves a server name.
    pub(crate) fn tls(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        self.answers.load().tls.get(&server_name.to_ascii_lowercase()).cloned()
    }

    /// Answers a token until what is returned goes.
    pub(super) fn answer_http(&self, token: &str, proof: &KeyAuthorization) -> Standing<'_> {
        let text = proof.as_str();
        self.change(|answers| drop(answers.http.insert(token.to_owned(), text.to_owned())));
        Standing { proofs: self, token: Some(token.to_owned()), name: None }
    }

    /// Answers handshakes for a name until what is returned goes.
    pub(super) fn answer_tls(
        &self,
        name: &str,
        proof: &KeyAuthorization,
    ) -> Result<Standing<'_>, Box<dyn std::error::Error + Send + Sync>> {
        let key = Arc::new(certificate(name, proof)?);
        self.change(|answers| drop(answers.tls.insert(name.to_owned(), Arc::clone(&key))));
        Ok(Standing { proofs: self, token: None, name: Some(name.to_owned()) })
    }

    fn change(&self, change: impl Fn(&mut Answers)) {
        self.answers.rcu(|answers| {
            let mut changed = Answers::clone(answers);
            change(&mut changed);
            changed
        });
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what went wrong with the certificate in a file; none if the last order was good.
    #[must_use]
    pub fn failure(&self, path: &Path) -> Option<Failure> {
        self.held().get(path).cloned()
    }

    /// Notes a failure, and when to try again.
    pub(super) fn failed(&self, path: &Path, why: String, now: Timestamp) -> Failure {
        let mut failures = self.held();
        let before = failures.get(path).map_or(0, |failure| failure.count);
        let wait = RETRY.saturating_mul(1 << before.min(16)).min(RETRY_MAX);
        let failure = Failure { count: before.saturating_add(1), retry: now.plus(wait), why };
        failures.insert(path.to_owned(), failure.clone());
        failure
    }

    /// Forgets the failures of all but some.
    pub(super) fn keep_failures(&self, keep: impl Fn(&Path) -> bool) {
        self.held().retain(|path, _| keep(path));
    }
}

/// A proof that stands; it is taken back with the value.
pub(super) struct Standing<'p> {
    proofs: &'p Proofs,
    token: Option<String>,
    name: Option<String>,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.proofs.change(|answers| {
            if let Some(token) = &self.token {
                answers.http.remove(token);
            }
            if let Some(name) = &self.name {
                answers.tls.remove(name);
            }
        });
    }
}

/// Makes the certificate of RFC 8737, section 3: self-signed, for the one name, with the digest of the key authorization.
fn certificate(
    name: &str,
    proof: &KeyAuthorization,
) -> Result<CertifiedKey, Box<dyn std::error::Error + Send + Sync>> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(proof.digest().as_ref())];
    let made = params.self_signed(&pair)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
    Ok(CertifiedKey::new(vec![made.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_less_and_less_often() {
        let proofs = Proofs::default();
        let (path, other) = (Path::new("a.pem"), Path::new("b.pem"));
        let now = Timestamp::from_secs(1_000);
        let mut waits = Vec::new();
        for _ in 0..20 {
            let failure = proofs.failed(path, "down".to_owned(), now);
            waits.push(failure.retry.since(now).as_secs() / 60);
        }
        assert_eq!(waits[..8], [5, 10, 20, 40, 80, 160, 320, 640]);
        assert!(waits[8..].iter().all(|minutes| *minutes == 720), "{waits:?}");
        assert_eq!(proofs.failure(other), None);
        proofs.keep_failures(|kept| kept != path);
        assert_eq!(proofs.failed(path, "down".to_owned(), now).count, 1, "a good order forgets");
    }

    #[test]
    fn only_what_is_proved_is_answered() {
        let proofs = Proofs::default();
        proofs.change(|answers| drop(answers.http.insert("t0ken".to_owned(), "proof".to_owned())));
        for (path, expected) in [
            ("/.well-known/acme-challenge/t0ken", Some("proof")),
            ("/.well-known/acme-challenge/t0ke", None),
            ("/.well-known/acme-challenge/t0ken/", None),
            ("/.well-known/acme-challenge/", None),
            ("/.well-known/acme-challenge/../acme-challenge/t0ken", None),
            ("/t0ken", None),
        ] {
            assert_eq!(proofs.http(path.as_bytes()).as_deref(), expected, "{path}");
        }
        assert!(!proofs.awaits_handshakes());
        drop(Standing { proofs: &proofs, token: Some("t0ken".to_owned()), name: None });
        assert_eq!(proofs.http(b"/.well-known/acme-challenge/t0ken"), None, "it is taken back");
    }
}
