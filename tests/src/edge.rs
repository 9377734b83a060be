//! An edge in this process, and what a test does with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::acme::AcmeKeeper;
use portcullis::audit::Audit;
use portcullis::clock::{Clock, Manual};
use portcullis::edge::Running;
use portcullis::incidents::{Desk, LicensePort};
use portcullis::key_sets::KeyKeeper;
use portcullis::reload::Reloader;
use portcullis::shared::Shared;
use portcullis_incident::Incident;
use rustls::{ClientConfig, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::builder::{Builder, compile};
use crate::token::claims;
use crate::{
    Answer, Authority, BuildError, Claims, Client, H2Client, H2Raw, Issuer, Manner, Origin, client,
};

/// An edge in this process. Its connections are cut when it goes.
#[derive(Debug)]
pub struct Edge {
    shared: Arc<Shared>,
    running: Running,
    desk: Desk,
    license: LicensePort,
    clock: Arc<Manual>,
    authority: Authority,
    issuer: Issuer,
    directory: TempDir,
    lines: Arc<Mutex<Vec<u8>>>,
    events: Arc<Mutex<Vec<u8>>>,
}

impl Edge {
    /// Starts to describe an edge before `origin`, which serves `edge.test` and `other.test`.
    #[must_use]
    pub fn builder(origin: &Origin) -> Builder {
        Builder::new(origin.address())
    }

    /// Starts to describe an edge before a server at `origin`, which serves `edge.test` and `other.test`.
    #[must_use]
    pub fn before(origin: SocketAddr) -> Builder {
        Builder::new(origin)
    }

    pub(crate) const fn new(
        shared: Arc<Shared>,
        running: Running,
        desk: Desk,
        license: LicensePort,
        clock: Arc<Manual>,
        authority: Authority,
        issuer: Issuer,
        directory: TempDir,
        lines: Arc<Mutex<Vec<u8>>>,
        events: Arc<Mutex<Vec<u8>>>,
    ) -> Self {
        Self { shared, running, desk, license, clock, authority, issuer, directory, lines, events }
    }

    /// Returns where the first listener, the TLS one, listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.local_addrs()[0]
    }

    /// Returns where the plain listener listens.
    #[must_use]
    pub fn plain_address(&self) -> SocketAddr {
        self.running.local_addrs()[1]
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Returns the seconds of its clock.
    #[must_use]
    pub fn now_secs(&self) -> u64 {
        self.clock.now().as_secs()
    }

    /// Opens a TCP connection and says nothing.
    pub async fn tcp(&self) -> TcpStream {
        client::tcp(self.address(), Manner::default().from).await
    }

    /// Opens an HTTP/1.1 connection.
    pub async fn client(&self) -> Client {
        self.client_as(&Manner::default()).await
    }

    /// Opens an HTTP/1.1 connection in this manner.
    ///
    /// # Panics
    ///
    /// When the handshake fails.
    pub async fn client_as(&self, manner: &Manner) -> Client {
        self.handshake(manner, rustls::DEFAULT_VERSIONS).await.expect("a handshake")
    }

    /// Tries to open an HTTP/1.1 connection with these TLS versions.
    ///
    /// # Errors
    ///
    /// The handshake's.
    pub async fn handshake(
        &self,
        manner: &Manner,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<Client> {
        self.connect(manner, self.authority.client(&["http/1.1"], versions)).await
    }

    /// Tries to open an HTTP/1.1 connection of a client that a test has made.
    ///
    /// # Errors
    ///
    /// The handshake's.
    pub async fn connect(
        &self,
        manner: &Manner,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<Client> {
        client::tls(self.address(), manner, config).await.map(Client::new)
    }

    /// Returns the authority of its certificate.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Opens an HTTP/2 connection.
    pub async fn h2(&self) -> H2Client {
        self.h2_as(&Manner::default()).await
    }

    /// Opens a connection on which the test speaks HTTP/2 in bytes.
    ///
    /// # Panics
    ///
    /// When the handshake fails.
    pub async fn h2_bytes(&self) -> Client {
        self.try_h2_bytes().await.expect("a handshake")
    }

    /// Tries the same.
    ///
    /// # Errors
    ///
    /// The handshake's.
    pub async fn try_h2_bytes(&self) -> std::io::Result<Client> {
        let config = self.authority.client(&["h2"], rustls::DEFAULT_VERSIONS);
        client::tls(self.address(), &Manner::default(), config).await.map(Client::new)
    }

    /// Returns a ClientHello, for a client that says nothing after it.
    ///
    /// # Panics
    ///
    /// Never: a hello can be written to memory.
    #[must_use]
    pub fn client_hello(&self) -> Vec<u8> {
        let config = self.authority.client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
        let name = "edge.test".try_into().expect("a server name");
        let mut client = rustls::ClientConnection::new(config, name).expect("a client");
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("memory takes it");
        hello
    }

    /// Opens an HTTP/2 connection in this manner.
    ///
    /// # Panics
    ///
    /// When the handshake fails.
    pub async fn h2_as(&self, manner: &Manner) -> H2Client {
        let config = self.authority.client(&["h2"], rustls::DEFAULT_VERSIONS);
        self.h2_connect(manner, config).await.expect("a handshake")
    }

    /// Tries to open an HTTP/2 connection of a client that a test has made.
    ///
    /// # Errors
    ///
    /// The handshake's.
    pub async fn h2_connect(
        &self,
        manner: &Manner,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<H2Client> {
        let stream = client::tls(self.address(), manner, config).await?;
        Ok(H2Client::new(stream, &manner.server_name).await)
    }

    /// Opens an HTTP/2 connection on which everything can be sent.
    ///
    /// # Panics
    ///
    /// When the handshake fails.
    pub async fn h2_raw(&self) -> H2Raw {
        let config = self.authority.client(&["h2"], rustls::DEFAULT_VERSIONS);
        let stream = client::tls(self.address(), &Manner::default(), config).await;
        H2Raw::new(stream.expect("a handshake")).await
    }

    /// Asks for a path on a fresh HTTP/1.1 connection.
    pub async fn get(&self, path: &str) -> Answer {
        self.client().await.ask(format!("GET {path} HTTP/1.1\r\nHost: edge.test\r\n\r\n")).await
    }

    /// Asks the plain listener.
    pub async fn plain(&self, request: &str) -> Answer {
        client::plain(self.plain_address(), request).await
    }

    /// Makes a token that the route's provider accepts now.
    #[must_use]
    pub fn token(&self, subject: &str, tenant: &str) -> String {
        self.issuer.sign(&self.claims(subject, tenant))
    }

    /// Makes the claims of such a token.
    #[must_use]
    pub fn claims(&self, subject: &str, tenant: &str) -> Claims {
        claims(subject, Some(tenant), self.now_secs())
    }

    /// Signs any claims with the provider's key.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        self.issuer.sign(claims)
    }

    /// Returns the request log so far, one value per line.
    #[must_use]
    pub fn request_log(&self) -> Vec<Value> {
        self.shared.requests.flush();
        parse(&self.lines)
    }

    /// Waits for so many lines of the request log, and returns it: a line is written behind its answer.
    pub async fn logged(&self, lines: usize) -> Vec<Value> {
        loop {
            match self.request_log() {
                log if log.len() >= lines => return log,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    /// Returns the event log so far, one value per line.
    #[must_use]
    pub fn event_log(&self) -> Vec<Value> {
        self.shared.events.flush();
        parse(&self.events)
    }

    /// Returns the way of its responses to the license service: a test leads it to one.
    #[must_use]
    pub const fn license_port(&self) -> &LicensePort {
        &self.license
    }

    /// Returns the incidents, the oldest first.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.desk.incidents()
    }

    /// Says that an incident is over, as an operator does.
    ///
    /// # Panics
    ///
    /// When there is none such, or it was over before.
    pub fn resolve(&self, id: &str) {
        assert!(self.desk.resolve(id, "operator"), "{id}");
    }

    /// Returns the metrics in Prometheus' text format.
    ///
    /// # Panics
    ///
    /// When they are no text.
    #[must_use]
    pub fn metrics(&self) -> String {
        String::from_utf8(self.shared.metrics.text()).expect("metrics are text")
    }

    /// Waits until the metrics hold a line.
    pub async fn counts(&self, line: &str) {
        while !self.metrics().contains(line) {
            tokio::task::yield_now().await;
        }
    }

    /// What the edge shares with its shell.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Rewrites the policy and publishes the result as the next generation, as a reload does.
    ///
    /// # Errors
    ///
    /// Every problem; the snapshot that stands goes on.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn publish_policy(&self, text: &str) -> Result<(), BuildError> {
        std::fs::write(self.directory.path().join("policy.yaml"), text)
            .expect("the policy can be written");
        self.publish()
    }

    /// Makes what fetches and renews the keys of its providers. It does nothing by itself.
    #[must_use]
    pub fn key_keeper(&self) -> KeyKeeper {
        KeyKeeper::new(Arc::clone(&self.shared))
    }

    /// Makes what orders and renews its certificates, and publishes them by a reload. It does nothing by itself.
    ///
    /// # Panics
    ///
    /// When the system gives no thread, or the audit file does not open.
    #[must_use]
    pub fn acme_keeper(&self) -> AcmeKeeper {
        let audit = Audit::open(&self.directory.path().join("audit.jsonl")).expect("it opens");
        let file = portcullis::origin::Origin::File(self.directory.path().join("portcullis.yaml"));
        let reloader = Reloader::new(Arc::clone(&self.shared), file, Arc::new(audit));
        AcmeKeeper::new(Arc::clone(&self.shared), Arc::new(reloader.expect("a thread")))
    }

    /// Returns where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Rewrites the configuration, for [`Self::publish`] to take.
    ///
    /// # Panics
    ///
    /// When the file cannot be read and written.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let path = self.directory.path().join("portcullis.yaml");
        let text = std::fs::read_to_string(&path).expect("the configuration can be read");
        std::fs::write(path, change(text)).expect("the configuration can be written");
    }

    /// Compiles the configuration again and publishes it, as a reload does.
    ///
    /// # Errors
    ///
    /// Every problem; the snapshot that stands goes on.
    pub fn publish(&self) -> Result<(), BuildError> {
        let generation = self.shared.snapshot.load().generation + 1;
        let snapshot = compile(&self.directory.path().join("portcullis.yaml"), generation)?;
        self.shared.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// Makes a new certificate and publishes it, as a reload does.
    ///
    /// # Errors
    ///
    /// Every problem; the snapshot that stands goes on.
    pub fn renew_certificate(&self) -> Result<(), BuildError> {
        let path = |name: &str| self.directory.path().join(name);
        self.authority.write(&["edge.test"], &path("tls.crt"), &path("tls.key"));
        self.publish()
    }

    /// Stops the edge; requests in work get `grace`.
    pub async fn stop(self, grace: Duration) {
        self.running.stop(grace).await;
    }
}

fn parse(buffer: &Mutex<Vec<u8>>) -> Vec<Value> {
    let bytes = buffer.lock().unwrap().clone();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect()
}
