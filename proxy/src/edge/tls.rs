//! TLS as we serve it: the versions of the listener, ALPN, and the certificate of the snapshot of the moment.
//!
//! Pingora's own settings fix TLS 1.2 + 1.3 and its provider; a `ServerConfig` of ours does neither. Its resolver asks
//! the published snapshot at each handshake, so a certificate is exchanged by publishing a snapshot, and connections
//! that stand are not touched. Session tickets are sealed and opened with the process's keys (`tickets`).

use std::fmt;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use portcullis_config::model::TlsVersions;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ConfigBuilder, ServerConfig, SupportedProtocolVersion, WantsVerifier};

use crate::acme::ALPN;
use crate::shared::Shared;
use crate::snapshot::{Stapled, TrustDigest};

const ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const FROM_12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Makes aws-lc-rs the process's provider. Pingora installs ring where none stands, so this runs before any of its TLS
/// calls; who comes second changes nothing.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none()
        && rustls::crypto::aws_lc_rs::default_provider().install_default().is_err()
    {
        tracing::debug!("another thread installed the crypto provider");
    }
}

/// TLS of one listener.
pub(super) struct Tls {
    shared: Arc<Shared>,
    /// The place in the configuration's `listeners`.
    listener: usize,
    versions: &'static [&'static SupportedProtocolVersion],
    usual: Acceptor,
}

/// How to shake hands with a client that is asked for a certificate.
pub(super) struct Asking {
    pub(super) acceptor: Acceptor,
    /// What verifies it.
    pub(super) trust: TrustDigest,
}

impl Tls {
    /// Prepares a listener.
    ///
    /// # Errors
    ///
    /// The versions do not go together with the crypto provider.
    pub(super) fn new(
        shared: &Arc<Shared>,
        listener: usize,
        versions: TlsVersions,
    ) -> Result<Self, rustls::Error> {
        let versions = match versions {
            TlsVersions::Tls13 => ONLY_13,
            TlsVersions::Tls12And13 => FROM_12,
        };
        let certificates = FromSnapshot { shared: Arc::clone(shared), listener };
        let mut config =
            builder(versions)?.with_no_client_auth().with_cert_resolver(Arc::new(certificates));
        config.ticketer = Arc::new(Ticketer { shared: Arc::clone(shared) });
        let usual = accepting(config);
        Ok(Self { shared: Arc::clone(shared), listener, versions, usual })
    }

    /// What serves clients that are not asked for a certificate.
    pub(super) const fn usual(&self) -> &Acceptor {
        &self.usual
    }

    /// Says how to shake hands with a client whose server name is that of a host which asks for certificates. `hello` holds
    /// its ClientHello, which is read by the library that will read it again, so that both find the same name in it.
    ///
    /// Nothing here writes or takes a ticket: a session that is resumed would bring a certificate that nobody verifies again.
    pub(super) fn asking(&self, hello: &[u8]) -> Option<Asking> {
        let snapshot = self.shared.snapshot.load();
        if snapshot.client_trust.is_empty() {
            return None;
        }
        let trust = snapshot.client_trust(&read(hello, server_name)?)?;
        let certificates =
            FromSnapshot { shared: Arc::clone(&self.shared), listener: self.listener };
        let mut config = builder(self.versions)
            .ok()?
            .with_client_cert_verifier(Arc::clone(&trust.verifier))
            .with_cert_resolver(Arc::new(certificates));
        config.send_tls13_tickets = 0;
        Some(Asking { acceptor: accepting(config), trust: trust.digest })
    }

    /// Says how to shake hands with an authority that asks for the proof of a name (RFC 8737): nothing is served behind it.
    /// `None` for everybody else.
    pub(super) fn proving(&self, hello: &[u8]) -> Option<Acceptor> {
        let proofs = &self.shared.proofs;
        if !proofs.awaits_handshakes() {
            return None;
        }
        let key = read(hello, |hello| {
            let mut offered = hello.alpn()?;
            let is_only = offered.next() == Some(ALPN) && offered.next().is_none();
            proofs.tls(hello.server_name().filter(|_| is_only)?)
        })?;
        let key = SingleCertAndKey::from(CertifiedKey::clone(&key));
        let mut config =
            builder(self.versions).ok()?.with_no_client_auth().with_cert_resolver(Arc::new(key));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Some(Acceptor::from_server_config(Arc::new(config)))
    }
}

fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)
}

fn accepting(mut config: ServerConfig) -> Acceptor {
    // Of the two ways to resume, tickets are the one that other processes and nodes know as well.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Acceptor::from_server_config(Arc::new(config))
}

fn server_name(hello: &ClientHello<'_>) -> Option<String> {
    hello.server_name().map(str::to_owned)
}

/// Looks something up in a ClientHello; none where it is no hello, whose handshake fails by itself.
fn read<T>(mut hello: &[u8], look: impl FnOnce(&ClientHello<'_>) -> Option<T>) -> Option<T> {
    let mut reader = rustls::server::Acceptor::default();
    while !hello.is_empty() {
        reader.read_tls(&mut hello).ok()?;
        if let Some(accepted) = reader.accept().ok()? {
            return look(&accepted.client_hello());
        }
    }
    None
}

/// Chooses the certificate by server name and signature schemes from the published snapshot.
struct FromSnapshot {
    shared: Arc<Shared>,
    /// The place in the configuration's `listeners`.
    listener: usize,
}

impl fmt::Debug for FromSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromSnapshot")
    }
}

impl FromSnapshot {
    /// Says whether a staple still holds. One that is too old is left out: a client takes none for a reason to ask the
    /// responder, and an old one for an attack.
    fn holds(&self, stapled: &Stapled) -> bool {
        if self.shared.clock.now() < stapled.next_update {
            return true;
        }
        self.shared.metrics.ocsp_staples_left_out.inc();
        if stapled.first_to_tell() {
            let certificate = &stapled.name;
            tracing::warn!(certificate, "the OCSP response is past its nextUpdate and is left out");
        }
        false
    }
}

impl ResolvesServerCert for FromSnapshot {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let snapshot = self.shared.snapshot.load();
        let certificates = snapshot.certificates.get(self.listener)?.as_ref()?;
        let chosen = certificates.resolve(hello.server_name(), hello.signature_schemes());
        let stapled = chosen.stapled.as_ref().filter(|stapled| self.holds(stapled));
        Some(Arc::clone(stapled.map_or(&chosen.bare, |stapled| &stapled.key)))
    }
}

/// Seals and opens tickets as the published snapshot says.
struct Ticketer {
    shared: Arc<Shared>,
}

impl Ticketer {
    fn count(&self, outcome: &str) {
        self.shared.metrics.session_tickets.with_label_values(&[outcome]).inc();
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let lifetime = self.shared.snapshot.load().config.session_tickets.lifetime;
        u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (snapshot, now) = (self.shared.snapshot.load(), self.shared.clock.now());
        let ticket = self.shared.tickets.seal(plain, snapshot.ticket_terms(), now)?;
        self.count("sealed");
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (snapshot, now) = (self.shared.snapshot.load(), self.shared.clock.now());
        let plain = self.shared.tickets.open(ticket, snapshot.ticket_terms(), now);
        self.count(if plain.is_some() { "opened" } else { "unknown" });
        plain
    }
}
