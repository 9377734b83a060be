//! A raw HTTP/1.1 client: bytes in, bytes out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Answer, within};

/// How a client connects.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The address it comes from; all of 127.0.0.0/8 is the machine's own.
    pub from: IpAddr,
    /// The server name it asks for.
    pub server_name: String,
}

impl Default for Manner {
    fn default() -> Self {
        Self { from: Ipv4Addr::LOCALHOST.into(), server_name: "edge.test".to_owned() }
    }
}

/// Opens a TCP connection from a chosen address.
pub(crate) async fn tcp(to: SocketAddr, from: IpAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket can be had");
    socket.bind(SocketAddr::new(from, 0)).expect("loopback addresses are ours");
    let stream = within("connecting", socket.connect(to)).await.expect("the edge listens");
    stream.set_nodelay(true).expect("a socket can be told");
    stream
}

/// Tries to open an HTTP/1.1 connection, or one on which the test speaks HTTP/2 in bytes, to an edge that is not of this
/// process.
///
/// # Errors
///
/// The handshake's.
pub async fn connect(
    to: SocketAddr,
    manner: &Manner,
    config: Arc<ClientConfig>,
) -> std::io::Result<Client> {
    tls(to, manner, config).await.map(Client::new)
}

/// Opens a TLS connection; an error is the handshake's.
pub(crate) async fn tls(
    to: SocketAddr,
    manner: &Manner,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(manner.server_name.clone()).expect("a server name");
    let stream = tcp(to, manner.from).await;
    within("the handshake", TlsConnector::from(config).connect(name, stream)).await
}

/// One HTTP/1.1 connection.
#[derive(Debug)]
pub struct Client {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) const fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Returns the certificate that the edge showed, in DER.
    ///
    /// # Panics
    ///
    /// When it showed none.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        let chain = self.stream.get_ref().1.peer_certificates().expect("a certificate");
        chain[0].to_vec()
    }

    /// Returns what the handshake agreed on.
    #[must_use]
    pub fn tls(&self) -> &rustls::ClientConnection {
        self.stream.get_ref().1
    }

    /// Sends bytes as they are. What the edge no longer reads is not the client's failure.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        drop(within("sending", sent).await);
    }

    /// Sends bytes and reads one answer.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).await;
        self.answer().await
    }

    /// Reads one answer, informational ones included.
    ///
    /// # Panics
    ///
    /// When the connection ends before it is whole.
    pub async fn answer(&mut self) -> Answer {
        within("an answer", self.read_answer()).await.expect("a whole answer")
    }

    /// Reads one answer; `None` when the connection ends first.
    pub async fn maybe_answer(&mut self) -> Option<Answer> {
        within("an answer or the end", self.read_answer()).await
    }

    /// Waits until the edge closes the connection; returns what came before.
    pub async fn closed(&mut self) -> Vec<u8> {
        within("the close", async { while self.more().await.is_some() {} }).await;
        std::mem::take(&mut self.unread)
    }

    /// Reads this many bytes as they come.
    ///
    /// # Panics
    ///
    /// When the connection ends before.
    pub async fn bytes(&mut self, length: usize) -> Vec<u8> {
        within("bytes", self.exactly(length)).await.expect("the connection stands")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head: String = self.unread.drain(..end).map(char::from).collect();
        let mut answer = parse(&head);
        if answer.status >= 200 && answer.status != 204 && answer.status != 304 {
            answer.body = self.read_body(&answer).await?;
        }
        Some(answer)
    }

    async fn read_body(&mut self, answer: &Answer) -> Option<Vec<u8>> {
        if answer.header("transfer-encoding").is_some() {
            return self.read_chunks().await;
        }
        let length: usize =
            answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.exactly(length).await
    }

    async fn read_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let at = loop {
                if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                self.more().await?;
            };
            let line: String = self.unread.drain(..at + 2).map(char::from).collect();
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let chunk = self.exactly(length + 2).await?;
            if length == 0 {
                return Some(body);
            }
            body.extend_from_slice(chunk.strip_suffix(b"\r\n")?);
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Some(self.unread.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        self.stream.read_buf(&mut self.unread).await.ok().filter(|read| *read > 0).map(|_| ())
    }
}

/// Reads one answer of a plain connection that ends behind it.
pub(crate) async fn plain(to: SocketAddr, request: &str) -> Answer {
    let mut stream = tcp(to, Manner::default().from).await;
    stream.write_all(request.as_bytes()).await.expect("the listener reads");
    let mut bytes = Vec::new();
    within("a plain answer", async {
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let body = bytes.split_off(end);
    let head: String = bytes.into_iter().map(char::from).collect();
    Answer { body, ..parse(&head) }
}

fn parse(head: &str) -> Answer {
    let mut lines = head.trim_end().lines();
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let fields = lines.filter_map(|line| line.split_once(':'));
    Answer {
        status: status.expect("a status line"),
        headers: fields
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        ..Answer::default()
    }
}
