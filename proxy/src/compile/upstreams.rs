//! What TLS to the servers of backends needs: their authorities and the edge's certificates for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use portcullis_config::Diagnostic;
use portcullis_config::model::{BackendId, CertificateRef, Config, UpstreamTls as Wanted};
use rustls::server::ParsedCertificate;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificates;
use super::sources::Sources;
use crate::snapshot::UpstreamTls;

/// Loads what every backend with TLS names.
pub(super) fn load(
    config: &Config,
    sources: &mut Sources,
) -> BTreeMap<BackendId, Arc<UpstreamTls>> {
    let mut loaded = BTreeMap::new();
    for (id, backend) in &config.backends {
        let Some(wanted) = &backend.tls else { continue };
        if let Some(tls) = load_one(id, wanted, sources) {
            loaded.insert(BackendId::new(id), Arc::new(tls));
        }
    }
    loaded
}

fn load_one(id: &str, wanted: &Wanted, sources: &mut Sources) -> Option<UpstreamTls> {
    let mut group = Context::new(&SHA256);
    group.update(id.as_bytes());
    let ca = match &wanted.ca {
        Some(path) => Some(authorities(path, &mut group, sources)?),
        None => None,
    };
    let certificate = match &wanted.certificate {
        Some(reference) => Some(own(reference, &mut group, sources)?),
        None => None,
    };
    let digest = group.finish();
    let group = digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    Some(UpstreamTls { name: wanted.name.clone(), ca, certificate, group })
}

fn authorities(path: &Path, group: &mut Context, sources: &mut Sources) -> Option<Arc<CaType>> {
    let pem = sources.read("the authority of a backend's servers", path)?;
    group.update(&pem);
    match chain(&pem) {
        Ok(chain) => Some(chain.iter().map(wrapped).collect()),
        Err(why) => {
            let message = format!("`{}` is no list of certificates: {why}", path.display());
            let problem = Diagnostic::error("certificate-invalid", message);
            sources.report(problem.help("give the authorities' certificates in PEM"), path);
            None
        }
    }
}

fn own(
    reference: &CertificateRef,
    group: &mut Context,
    sources: &mut Sources,
) -> Option<Arc<CertKey>> {
    let pem = sources.read("the certificate for a backend's servers", &reference.cert);
    let secret = sources.read_secret("its key", &reference.key);
    let (pem, secret) = (pem?, secret?);
    group.update(&pem);
    // The same checks as for a listener's pair, so that nothing is left to fail at the first request.
    if let Err(problem) = certificates::build(reference, &pem, secret.expose()) {
        sources.report(problem, &reference.cert);
        return None;
    }
    let chain = chain(&pem).ok()?.into_iter().map(|der| der.to_vec()).collect();
    let key = PrivateKeyDer::from_pem_slice(secret.expose()).ok()?;
    Some(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}

/// The certificates of a PEM file, each looked at; at least one.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err("there is no `BEGIN CERTIFICATE` in it".to_owned());
    }
    for der in &chain {
        ParsedCertificate::try_from(der).map_err(|error| error.to_string())?;
    }
    Ok(chain)
}

fn wrapped(der: &CertificateDer<'static>) -> WrappedX509 {
    WrappedX509::new(der.to_vec(), parse_x509)
}
