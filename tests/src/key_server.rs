//! An issuer's server for key sets and discovery documents, over TLS on loopback, that behaves as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Authority;

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Bodies by path, each with further header lines; 404 for the others.
    Documents(Vec<(String, String, String)>),
    /// The same body for every path.
    Body(Vec<u8>),
    /// This status.
    Status(u16),
    /// A body of so many bytes, for as long as somebody reads.
    Endless(u64),
    /// Nothing, for as long as the client waits.
    Nothing,
    /// The end of the connection.
    Closes,
}

/// A server for key sets.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    authority: Authority,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    says: Mutex<Says>,
    asked: Mutex<Vec<String>>,
    bodies: Mutex<Vec<String>>,
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KeyServer {
    /// Starts one that closes connections until it is told something else.
    ///
    /// # Panics
    ///
    /// When there is no port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let authority = Authority::new();
        let tls = TlsAcceptor::from(authority.server(&["127.0.0.1"], &["http/1.1"], None));
        let state = Arc::new(State {
            says: Mutex::new(Says::Closes),
            asked: Mutex::default(),
            bodies: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, authority, state, task }
    }

    /// Returns the URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Returns the authority of its certificate.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Answers so from now on.
    ///
    /// # Panics
    ///
    /// When a connection has panicked.
    pub fn says(&self, says: Says) {
        *self.state.says.lock().unwrap() = says;
    }

    /// Returns the bodies that it was sent.
    ///
    /// # Panics
    ///
    /// When a connection has panicked.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.state.bodies.lock().unwrap().clone()
    }

    /// Returns the paths that it was asked for since this was asked last.
    ///
    /// # Panics
    ///
    /// When a connection has panicked.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }
}

/// Reads as much of a body as the head says.
async fn body(head: &str, stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let mut bytes = vec![0; length.parse().ok()?];
    stream.read_exact(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}

/// Answers one request. Whatever goes wrong is the client's to notice.
async fn serve(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) {
    let Ok(mut stream) = tls.accept(stream).await else { return };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("the edge asks in text");
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    state.asked.lock().unwrap().push(path.clone());
    if let Some(body) = body(&head, &mut stream).await {
        state.bodies.lock().unwrap().push(body);
    }
    let says = state.says.lock().unwrap().clone();
    let (status, headers, body) = match says {
        Says::Documents(documents) => {
            match documents.into_iter().find(|(known, ..)| *known == path) {
                Some((_, body, headers)) => (200, headers, body.into_bytes()),
                None => (404, String::new(), Vec::new()),
            }
        }
        Says::Body(body) => (200, String::new(), body),
        Says::Status(status) => (status, String::new(), Vec::new()),
        Says::Endless(bytes) => return endless(&mut stream, bytes).await,
        Says::Nothing => {
            // Until the client gives up.
            drop(stream.read_u8().await);
            return;
        }
        Says::Closes => return,
    };
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
    drop(stream.shutdown().await);
}

async fn endless(stream: &mut (impl AsyncWriteExt + Unpin), bytes: u64) {
    let head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x1_0000], b"\r\n"].concat();
    if stream.write_all(head).await.is_ok() {
        for _ in 0..bytes.div_ceil(0x1_0000) {
            if stream.write_all(&chunk).await.is_err() {
                return;
            }
        }
        drop(stream.write_all(b"0\r\n\r\n").await);
    }
}
