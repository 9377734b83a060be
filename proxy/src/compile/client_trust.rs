//! The authorities of clients' certificates, per host.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderName;
use portcullis_config::Diagnostic;
use portcullis_config::model::{ClientCertificates, Config, Host, WithoutCertificate};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

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
    let crl = match &wanted.crl {
        Some(path) => revoked(path, sources)?,
        None => Revoked::default(),
    };
    match build(host, wanted, &pem, crl) {
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

/// The revocation lists of a host's authorities.
#[derive(Default)]
struct Revoked {
    pem: Vec<u8>,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

fn revoked(path: &Path, sources: &mut Sources) -> Option<Revoked> {
    let pem = sources.read("the revocation lists of a host's clients", path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let why = match lists {
        Ok(lists) if lists.is_empty() => "there is no `BEGIN X509 CRL` in it".to_owned(),
        Ok(lists) => match lists.iter().find(|list| !is_list(list)) {
            Some(_) => "one of them is damaged".to_owned(),
            None => return Some(Revoked { pem, lists }),
        },
        Err(error) => error.to_string(),
    };
    let message = format!("`{}` is no revocation list: {why}", path.display());
    let problem = Diagnostic::error("crl-invalid", message);
    sources.report(problem.help("give the authorities' lists in PEM"), path);
    None
}

fn is_list(der: &[u8]) -> bool {
    CertificateRevocationList::from_der(der).is_ok_and(|(rest, _)| rest.is_empty())
}

fn build(
    host: &Host,
    wanted: &ClientCertificates,
    pem: &[u8],
    revoked: Revoked,
) -> Result<ClientTrust, String> {
    let mut roots = RootCertStore::empty();
    for authority in chain(pem)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
    // Without lists the two say nothing.
    let builder = builder.with_crls(revoked.lists).enforce_revocation_expiration();
    let builder = match wanted.without {
        WithoutCertificate::Refuse => builder,
        WithoutCertificate::Admit => builder.allow_unauthenticated(),
    };
    let verifier = builder.build().map_err(|error| error.to_string())?;
    let header = wanted.header.as_deref().map(|name| HeaderName::from_bytes(name.as_bytes()));
    let header = header.transpose().map_err(|error| error.to_string())?;
    let digest = digest(host, wanted.without, [pem, &revoked.pem]);
    Ok(ClientTrust { verifier, digest, header })
}

fn digest(host: &Host, without: WithoutCertificate, files: [&[u8]; 2]) -> TrustDigest {
    let mut digest = Context::new(&SHA256);
    digest.update(host.name.as_str().as_bytes());
    digest.update(&[0, u8::from(without == WithoutCertificate::Refuse)]);
    for file in files {
        digest.update(&(file.len() as u64).to_be_bytes());
        digest.update(file);
    }
    let mut bytes = TrustDigest::default();
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}
