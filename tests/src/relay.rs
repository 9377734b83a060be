//! What a test puts in the edge's place to see whether it bites: TLS off, and every byte on as it comes.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::{Authority, Client, Manner, client};

/// A byte relay before an origin.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    authority: Authority,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Starts a relay to `origin`.
    ///
    /// # Panics
    ///
    /// When loopback cannot be had.
    pub async fn start(origin: SocketAddr) -> Self {
        let (directory, authority) = (TempDir::new().unwrap(), Authority::new());
        let (cert, key) = (directory.path().join("crt"), directory.path().join("key"));
        authority.write(&["edge.test"], &cert, &key);
        let cert = CertificateDer::from_pem_file(cert).expect("it was written");
        let key = PrivateKeyDer::from_pem_file(key).expect("it was written");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks them")
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .expect("the pair matches");
        let listener = crate::listening();
        let address = listener.local_addr().expect("a bound socket has an address");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(acceptor.clone(), stream, origin));
            }
        });
        Self { address, authority, task }
    }

    /// Opens an HTTP/1.1 connection through it.
    ///
    /// # Panics
    ///
    /// When the handshake fails.
    pub async fn client(&self) -> Client {
        let config = self.authority.client(&[], rustls::DEFAULT_VERSIONS);
        let stream = client::tls(self.address, &Manner::default(), config).await;
        Client::new(stream.expect("a handshake"))
    }
}

async fn relay(acceptor: TlsAcceptor, stream: TcpStream, origin: SocketAddr) -> Option<()> {
    let mut client = acceptor.accept(stream).await.ok()?;
    let mut origin = TcpStream::connect(origin).await.ok()?;
    tokio::io::copy_bidirectional(&mut client, &mut origin).await.ok().map(|_| ())
}
