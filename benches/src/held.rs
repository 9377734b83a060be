//! Connections that are opened and held: idle ones, and HTTP/2 connections full of requests that never end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::edge::HOST;
use crate::tls;

/// Handshakes at one time: fewer than a listener's backlog.
const AT_ONCE: usize = 64;
/// The longest time that one step of a connection may take.
const STEP_MAX: Duration = Duration::from_secs(20);

/// The HTTP/2 preface and empty SETTINGS (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

type Connected = TlsStream<TcpStream>;

/// Where the connections go, and how.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Target {
    /// Connections to `address` by one protocol, whose certificate is checked against `cert`.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn new(address: SocketAddr, cert: &Path, protocol: &[u8]) -> io::Result<Self> {
        Ok(Self { address, tls: Arc::new(tls::client(cert, protocol)?).into() })
    }

    /// Opens so many connections.
    ///
    /// # Errors
    /// When one of them does not come about.
    pub async fn open(&self, count: usize) -> io::Result<Vec<Connected>> {
        let mut opening = JoinSet::new();
        let mut open = Vec::with_capacity(count);
        for _ in 0..count {
            if opening.len() == AT_ONCE {
                open.extend(next(&mut opening).await?);
            }
            let target = self.clone();
            opening.spawn(async move { target.connect().await });
        }
        while let Some(connected) = next(&mut opening).await? {
            open.push(connected);
        }
        Ok(open)
    }

    async fn connect(&self) -> io::Result<Connected> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        tokio::time::timeout(STEP_MAX, self.tls.connect(name, tcp)).await?
    }

    /// Holds one connection with `streams` requests whose bodies never come, and opens another when it is closed.
    pub async fn hold_streams(self, streams: u32) {
        let opening = unfinished(streams);
        loop {
            let Ok(mut connected) = self.connect().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if connected.write_all(&opening).await.is_ok() {
                read_to_end(&mut connected).await;
            }
        }
    }
}

async fn next(opening: &mut JoinSet<io::Result<Connected>>) -> io::Result<Option<Connected>> {
    match opening.join_next().await {
        Some(connected) => connected.map_err(io::Error::other)?.map(Some),
        None => Ok(None),
    }
}

/// Asks once on each connection and reads the head of its answer.
///
/// # Errors
/// When one is not answered with 200.
pub async fn ask_each(open: &mut [Connected]) -> io::Result<()> {
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    for connected in open {
        connected.write_all(request.as_bytes()).await?;
        let mut answer = [0; 4096];
        let read = tokio::time::timeout(STEP_MAX, connected.read(&mut answer)).await??;
        let answer = answer.get(..read).unwrap_or_default();
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(answer.escape_ascii().to_string()));
        }
    }
    Ok(())
}

async fn read_to_end(connected: &mut Connected) {
    let mut piece = [0; 4096];
    while matches!(connected.read(&mut piece).await, Ok(read) if read > 0) {}
}

/// The opening of a connection and `streams` POSTs without END_STREAM.
fn unfinished(streams: u32) -> Vec<u8> {
    // `:method: POST`, `:scheme: https`, `:path: /`, `:authority: HOST`, by HPACK's static table.
    let mut block = vec![0x83, 0x87, 0x84, 0x41];
    block.extend(u8::try_from(HOST.len()));
    block.extend(HOST.bytes());
    let length = u32::try_from(block.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = PREFACE.to_vec();
    for n in 0..streams {
        bytes.extend(length.iter().skip(1));
        bytes.extend([1, 4]);
        bytes.extend((2 * n + 1).to_be_bytes());
        bytes.extend(&block);
    }
    bytes
}
