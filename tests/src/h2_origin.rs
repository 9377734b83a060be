//! An origin that speaks HTTP/2 and nothing else: it records, sends a request's body back, and ends with trailers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One request, as the origin saw it.
#[derive(Clone, Debug)]
pub struct H2Seen {
    /// Method, target and authority.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// An origin that speaks HTTP/2.
#[derive(Debug)]
pub struct H2Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<H2Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl H2Origin {
    /// Starts one, with TLS or by prior knowledge.
    ///
    /// # Panics
    ///
    /// When loopback cannot be had.
    pub async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = crate::listening();
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, Arc::clone(&seen), tls.map(TlsAcceptor::from)));
        Self { address, seen, task }
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns every request that came whole.
    #[must_use]
    pub fn seen(&self) -> Vec<H2Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<H2Seen>>>, tls: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (seen, tls) = (Arc::clone(&seen), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, seen).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, seen).await,
                    Err(_) => None,
                },
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seen: Arc<Mutex<Vec<H2Seen>>>,
) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, Arc::clone(&seen)));
    }
    None
}

/// Sends each piece of the body back as it comes, then the trailers of a gRPC call that went well.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: Arc<Mutex<Vec<H2Seen>>>,
) -> Option<()> {
    let (head, mut body) = request.into_parts();
    let response = Response::builder().status(200).header("content-type", "application/grpc");
    let mut sender = respond.send_response(response.body(()).ok()?, false).ok()?;
    let mut whole = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        whole.extend_from_slice(&chunk);
        body.flow_control().release_capacity(chunk.len()).ok()?;
        sender.send_data(chunk, false).ok()?;
    }
    let authority = head.uri.authority().map(ToString::to_string).unwrap_or_default();
    let line = format!("{} {} {authority}", head.method, head.uri.path());
    seen.lock().unwrap().push(H2Seen { line, headers: head.headers, body: whole });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().ok()?);
    sender.send_trailers(trailers).ok()
}
