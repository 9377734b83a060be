//! A certificate authority of a test, and what trusts it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

/// A certificate authority that lives as long as its test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("the key signs").der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// Writes a certificate for `names`, and its key readable by the owner only.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn write(&self, names: &[&str], cert: &Path, key: &Path) {
        let pair = KeyPair::generate().expect("a key can be made");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("the names are names");
        let signed = params.signed_by(&pair, &self.issuer).expect("the authority signs");
        fs::write(cert, signed.pem()).expect("the certificate can be written");
        write_secret(key, &pair.serialize_pem());
    }

    /// Makes a client that trusts this authority and offers `alpn` with these TLS versions.
    ///
    /// # Panics
    ///
    /// When the versions do not go with the provider.
    #[must_use]
    pub fn client(
        &self,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("the root is a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider speaks them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Writes a file with mode 0600.
pub(crate) fn write_secret(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("the file can be made");
    file.write_all(text.as_bytes()).expect("the file can be written");
}
