//! The authorities of clients' certificates, per host.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use portcullis_config::Diagnostic;
use portcullis_config::model::{ClientCertificates, Config, Host, WithoutCertificate};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;

use super::sources::Sources;
use super::upstreams::chain;
use crate::snapshot::{ClientTrust, TrustDigest};

/// Loads what verifies the clients of each host that asks for certificates, by the host's name in lower case.
pub(super) fn load(config: &Config, sources: &mut Sources) -> HashMap<Box<str>, Arc<ClientTrust>> {
    let mut loaded = HashMap::new();
    for host in &config.hosts {
        let Some(wanted) = &host.client_certificates else { continue };
        if let Some(trust) = load_one(host, wanted, sources) {
            loaded.insert(host.name.as_str().into(), Arc::new(trust));
        }
    }
    loaded
}

fn load_one(
    host: &Host,
    wanted: &ClientCertificates,
    sources: &mut Sources,
) -> Option<ClientTrust> {
    let pem = sources.read("the authority of a host's clients", &wanted.ca)?;
    match build(host, wanted, &pem) {
        Ok(trust) => Some(trust),
        Err(why) => {
            let message = format!("`{}` is no list of authorities: {why}", wanted.ca.display());
            let problem = Diagnostic::error("certificate-invalid", message).help(
                "give the certificates of the authorities that sign clients' certificates, in PEM",
            );
            sources.report(problem, &wanted.ca);
            None
        }
    }
}

fn build(host: &Host, wanted: &ClientCertificates, pem: &[u8]) -> Result<ClientTrust, String> {
    let mut roots = RootCertStore::empty();
    for authority in chain(pem)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
    let builder = match wanted.without {
        WithoutCertificate::Refuse => builder,
        WithoutCertificate::Admit => builder.allow_unauthenticated(),
    };
    let verifier = builder.build().map_err(|error| error.to_string())?;
    Ok(ClientTrust { verifier, digest: digest(host, wanted.without, pem) })
}

fn digest(host: &Host, without: WithoutCertificate, pem: &[u8]) -> TrustDigest {
    let mut digest = Context::new(&SHA256);
    digest.update(host.name.as_str().as_bytes());
    digest.update(&[0, u8::from(without == WithoutCertificate::Refuse)]);
    digest.update(pem);
    let mut bytes = TrustDigest::default();
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}
