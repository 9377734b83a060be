//! A certificate authority of a test, and what trusts it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority that lives as long as its test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
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
        Self::of(CertificateParams::default())
    }

    /// Makes one with a common name.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::of(named(name))
    }

    fn of(mut params: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("the key signs");
        let (root, root_pem) = (root.der().clone(), root.pem());
        Self { issuer: Issuer::new(params, key), root, root_pem }
    }

    /// Writes a certificate for `names`, and its key readable by the owner only.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn write(&self, names: &[&str], cert: &Path, key: &Path) {
        self.write_with(&KeyPair::generate().expect("a key can be made"), names, cert, key);
    }

    /// Writes a certificate of an RSA key for `names`, and the key.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn write_rsa(&self, names: &[&str], cert: &Path, key: &Path) {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key can be made");
        self.write_with(&pair, names, cert, key);
    }

    fn write_with(&self, pair: &KeyPair, names: &[&str], cert: &Path, key: &Path) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are names");
        // As a public authority's: it says where one may ask whether it is revoked.
        let uris = vec!["http://ca.test/list.crl".to_owned()];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        let signed = params.signed_by(pair, &self.issuer).expect("the authority signs");
        fs::write(cert, signed.pem()).expect("the certificate can be written");
        write_secret(key, &pair.serialize_pem());
    }

    /// Certifies somebody's key for `names` from a time on, in seconds since the Unix epoch; returns the chain in PEM.
    ///
    /// # Panics
    ///
    /// When the names are none.
    #[must_use]
    pub(crate) fn certify(
        &self,
        key: &impl PublicKeyData,
        names: &[String],
        from_secs: u64,
        lifetime: Duration,
    ) -> String {
        let mut params = CertificateParams::new(names).expect("the names are names");
        params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(from_secs);
        params.not_after = params.not_before + lifetime;
        params.signed_by(key, &self.issuer).expect("the authority signs").pem() + &self.root_pem
    }

    /// Writes the authority's own certificate.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn write_root(&self, path: &Path) {
        fs::write(path, &self.root_pem).expect("the root can be written");
    }

    /// Makes a server with a certificate for `names`; with `clients` it takes only clients of that authority.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn server(
        &self,
        names: &[&str],
        alpn: &[&str],
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        let pair = KeyPair::generate().expect("a key can be made");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("the names are names");
        let signed = params.signed_by(&pair, &self.issuer).expect("the authority signs");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider speaks them");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let roots = authority.roots().into();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
            }
        };
        let key = PrivateKeyDer::try_from(pair.serialize_der()).expect("a key in PKCS#8");
        let mut config = builder
            .with_single_cert(vec![signed.der().clone()], key)
            .expect("the key is the certificate's");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
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
        self.client_with(rustls::crypto::aws_lc_rs::default_provider(), alpn, versions)
    }

    /// Makes a client that trusts this authority and shows a certificate of `clients`: the common name is `node`, and so is
    /// the end of the URI `spiffe://test/…`. It is valid until the end of the century.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn client_of(
        &self,
        clients: &Self,
        node: &str,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let pair = KeyPair::generate().expect("a key can be made");
        let mut params = named(node);
        let uri = format!("spiffe://test/{node}").try_into().expect("a URI is ASCII");
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial(node));
        params.not_after = date_time_ymd(2100, 1, 1);
        let signed = params.signed_by(&pair, &clients.issuer).expect("the authority signs");
        let key = PrivateKeyDer::try_from(pair.serialize_der()).expect("a key in PKCS#8");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider speaks them")
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![signed.der().clone()], key)
            .expect("the key is the certificate's");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Writes a revocation list with the certificates of these nodes, up to 2 January of a year.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn write_crl(&self, path: &Path, nodes: &[&str], next_update_year: i32) {
        let revoked = |node: &&str| RevokedCertParams {
            serial_number: serial(node),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(next_update_year, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: nodes.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("the authority signs");
        fs::write(path, list.pem().expect("a list is PEM")).expect("the list can be written");
    }

    /// Returns a store with nothing but this authority.
    ///
    /// # Panics
    ///
    /// Never: its certificate is one.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("the root is a certificate");
        roots
    }

    /// Makes a client that can what this provider can.
    ///
    /// # Panics
    ///
    /// When the versions do not go with the provider.
    #[must_use]
    pub fn client_with(
        &self,
        provider: CryptoProvider,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(versions)
            .expect("the provider speaks them")
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// The serial number of a node's certificate: its name, at most 20 bytes.
fn serial(node: &str) -> SerialNumber {
    SerialNumber::from_slice(node.as_bytes())
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
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
