//! Certificates and their keys, from PEM to what the handshake takes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_config::Diagnostic;
use portcullis_config::model::{
    Acme, CertificateRef, Config, Listener, ListenerCertificate, ListenerKind,
};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::ocsp::{self, Standing};
use super::sources::Sources;
use crate::acme::{Issued, Kept};
use crate::snapshot::{Certificate, Certificates, Choices, Stapled};

/// Loads the certificates of every listener, in the order of the configuration; a plain listener has none.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Vec<Option<Arc<Certificates>>> {
    let hosts: Vec<&str> = config.hosts.iter().map(|host| host.name.as_str()).collect();
    let state_dir = &config.state_dir;
    let listeners = config.listeners.iter();
    listeners.map(|listener| of_listener(listener, state_dir, &hosts, sources)).collect()
}

fn of_listener(
    listener: &Listener,
    state_dir: &Path,
    hosts: &[&str],
    sources: &mut Sources,
) -> Option<Arc<Certificates>> {
    let ListenerKind::Tls(tls) = &listener.kind else { return None };
    let load = |one: &ListenerCertificate| match one {
        ListenerCertificate::Files { pair, ocsp } => load_one(pair, ocsp.as_deref(), sources),
        ListenerCertificate::Acme(acme) => issued(state_dir, acme, sources),
    };
    let keys: Vec<_> = tls.certificates.iter().filter_map(load).collect();
    let mut by_host = HashMap::new();
    for host in hosts {
        let for_host = keys.iter().filter(|key| is_for(&key.bare, host)).cloned().collect();
        match Choices::new(for_host) {
            Some(choices) => drop(by_host.insert((*host).into(), choices)),
            // Where a certificate did not load, that is the error to read.
            None if keys.len() == tls.certificates.len() => {
                sources.problems.push(uncovered(host, listener));
            }
            None => {}
        }
    }
    Some(Arc::new(Certificates::new(for_nobody(&keys, hosts)?, by_host)))
}

/// What a client without a name is shown: the first certificate, and those for the same host beside it.
fn for_nobody(keys: &[Arc<Certificate>], hosts: &[&str]) -> Option<Choices> {
    let first = keys.first()?;
    let host = hosts.iter().find(|host| is_for(&first.bare, host));
    let beside = |key: &&Arc<Certificate>| {
        Arc::ptr_eq(key, first) || host.is_some_and(|host| is_for(&key.bare, host))
    };
    Choices::new(keys.iter().filter(beside).cloned().collect())
}

fn uncovered(host: &str, listener: &Listener) -> Diagnostic {
    let address = listener.address;
    let message = format!("no certificate of the listener `{address}` is for the host `{host}`");
    Diagnostic::warning("host-without-certificate", message)
        .help("clients will refuse the connection; add a certificate whose names include the host")
}

/// Says whether the leaf names `host` (a DNS name or an address), wildcards included.
fn is_for(key: &CertifiedKey, host: &str) -> bool {
    // A pattern is covered by a certificate for any name below its domain.
    let any = host.strip_prefix("*.").map(|domain| format!("any.{domain}"));
    let host = any.as_deref().unwrap_or(host);
    let (Some(leaf), Ok(name)) = (key.cert.first(), ServerName::try_from(host)) else {
        return false;
    };
    ParsedCertificate::try_from(leaf).is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
}

/// Reads a certificate that this process orders, as it was kept. It is no file of the operator's: whoever changes it asks
/// for a reload. Without one the edge serves what else it has.
fn issued(state_dir: &Path, acme: &Acme, sources: &mut Sources) -> Option<Arc<Certificate>> {
    let kept = Kept::of(state_dir, acme);
    let path = kept.path().display().to_string();
    let read = kept.read().map_err(|error| error.to_string()).and_then(|bytes| match bytes {
        Some(bytes) => {
            sources.hash(path.as_bytes(), &bytes);
            Issued::read(&bytes, &acme.names).map(Some).map_err(|unusable| unusable.to_string())
        }
        None => Ok(None),
    });
    let names = acme.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let why = match read {
        Ok(Some(issued)) => {
            return Some(Arc::new(Certificate { bare: Arc::new(issued.key), stapled: None }));
        }
        Ok(None) => format!("the certificate for {names} has not been issued yet"),
        Err(why) => format!("the kept certificate `{path}` cannot be served: {why}"),
    };
    let problem = Diagnostic::warning("certificate-not-issued", why);
    sources.problems.push(problem.help(
        "the running process orders it; until then its names get the listener's first certificate, and no handshake where there is none",
    ));
    None
}

fn load_one(
    reference: &CertificateRef,
    ocsp: Option<&Path>,
    sources: &mut Sources,
) -> Option<Arc<Certificate>> {
    let bare = load_pair(reference, sources);
    let response = match ocsp {
        Some(path) => Some((path, sources.read("the certificate's OCSP response", path)?)),
        None => None,
    };
    let bare = bare?;
    let stapled = response.and_then(|(path, response)| {
        let stapled = staple(reference, path, &bare, response);
        stapled.map_err(|problem| sources.report(problem, path)).ok()
    });
    Some(Arc::new(Certificate { bare, stapled }))
}

/// Staples a response that says that the certificate is good. One that says something else is a warning: a renewed
/// response comes by itself, and until then clients can ask the responder.
fn staple(
    reference: &CertificateRef,
    path: &Path,
    bare: &CertifiedKey,
    response: Vec<u8>,
) -> Result<Stapled, Diagnostic> {
    let (cert, shown) = (reference.cert.display().to_string(), path.display());
    let leaf = bare.cert.first().map_or(&[][..], |leaf| leaf);
    let said = ocsp::read(&response, leaf).map_err(|why| {
        let message = format!("`{shown}` is no staple for `{cert}`: {why}");
        Diagnostic::error("ocsp-invalid", message)
            .help("fetch a response for this certificate, as by `openssl ocsp -respout FILE`")
    })?;
    let standing = match said.standing {
        Standing::Good => return Ok(Stapled::new(cert, bare, response, said.next_update)),
        Standing::Revoked => "revoked",
        Standing::Unknown => "unknown to the responder",
    };
    let message = format!("`{shown}` says that the certificate `{cert}` is {standing}");
    Err(Diagnostic::warning("ocsp-not-good", message).help(
        "it is not sent; clients that ask the responder themselves will refuse the certificate",
    ))
}

fn load_pair(reference: &CertificateRef, sources: &mut Sources) -> Option<Arc<CertifiedKey>> {
    let chain = sources.read("the certificate", &reference.cert);
    let secret = sources.read_secret("the certificate's key", &reference.key);
    match build(reference, &chain?, secret?.expose()) {
        Ok(key) => Some(Arc::new(key)),
        Err(problem) => {
            sources.report(problem, &reference.cert);
            None
        }
    }
}

/// Makes a pair of certificate and key, or says what is wrong with it.
pub(super) fn build(
    reference: &CertificateRef,
    chain: &[u8],
    key: &[u8],
) -> Result<CertifiedKey, Diagnostic> {
    let (cert, key_name) = (reference.cert.display(), &reference.key);
    let no_chain = |why: String| {
        Diagnostic::error("certificate-invalid", format!("`{cert}` is no certificate chain: {why}"))
            .help("give the chain in PEM, leaf first")
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| no_chain(error.to_string()))?;
    let Some(leaf) = chain.first() else {
        return Err(no_chain("there is no `BEGIN CERTIFICATE` in it".to_owned()));
    };
    ParsedCertificate::try_from(leaf).map_err(|error| no_chain(error.to_string()))?;
    let no_key = |why: String| {
        Diagnostic::error("key-invalid", format!("`{key_name}` is no private key: {why}"))
            .help("give an unencrypted key in PEM: PKCS#8, PKCS#1 or SEC1")
    };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| no_key(error.to_string()))?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|error| no_key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(_) => Err(mismatch(reference)),
    }
}

fn mismatch(reference: &CertificateRef) -> Diagnostic {
    let (cert, key) = (reference.cert.display(), &reference.key);
    let message = format!("the key `{key}` does not belong to the certificate `{cert}`");
    Diagnostic::error("certificate-key-mismatch", message)
        .help("the two files were made for different keys; give the pair that was issued together")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::SecretRef;

    fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn reference() -> CertificateRef {
        CertificateRef { cert: "a.crt".into(), key: SecretRef::File("a.key".into()) }
    }

    #[test]
    fn a_pair_serves_the_names_of_its_certificate() {
        let (cert, key) = pair(&["a.test", "*.w.test", "127.0.0.1"]);
        let key = build(&reference(), cert.as_bytes(), key.as_bytes()).unwrap();
        for (host, expected) in [
            ("a.test", true),
            ("b.test", false),
            ("x.w.test", true),
            ("x.y.w.test", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
        ] {
            assert_eq!(is_for(&key, host), expected, "{host}");
        }
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let (cert, key) = pair(&["a.test"]);
        let (_, other) = pair(&["a.test"]);
        for (cert, key, code) in [
            (cert.as_str(), other.as_str(), "certificate-key-mismatch"),
            (cert.as_str(), "", "key-invalid"),
            (cert.as_str(), cert.as_str(), "key-invalid"),
            ("", key.as_str(), "certificate-invalid"),
            (key.as_str(), key.as_str(), "certificate-invalid"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                key.as_str(),
                "certificate-invalid",
            ),
        ] {
            let error = build(&reference(), cert.as_bytes(), key.as_bytes()).unwrap_err();
            assert_eq!(error.code, code, "{error}");
            assert!(error.help.is_some());
        }
        assert!(build(&reference(), cert.as_bytes(), key.as_bytes()).is_ok());
    }
}
