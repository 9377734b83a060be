//! One request over HTTP/1.1 on a connection of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HOST, IF_NONE_MATCH,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use portcullis_config::model::Url;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{EgressError, Fetched, Request};

/// All headers of an answer together.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// The longest tag that is sent back.
const ETAG_BYTES_MAX: usize = 256;

fn broken(error: impl std::fmt::Display) -> EgressError {
    EgressError::Broken(error.to_string())
}

/// Speaks TLS as a client that knows whom it wants.
pub(super) async fn handshake(
    stream: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, EgressError> {
    let name = ServerName::try_from(host.to_owned()).map_err(broken)?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|source| EgressError::Tls { host: host.to_owned(), source })
}

/// Asks, and reads the answer whole.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<'_>,
) -> Result<Fetched, EgressError> {
    let (answer, running) = send(stream, asked(request)?).await?;
    let fetched = read(answer, request).await;
    drop(running);
    fetched
}

/// Asks what a caller has made, and reads the answer whole, whatever its status but for a redirect.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Response<Bytes>, EgressError> {
    let is_head = request.method() == Method::HEAD;
    let (answer, running) = send(stream, request).await?;
    let has_body = !is_head && answer.status() != StatusCode::NO_CONTENT;
    if answer.status().is_redirection() {
        return Err(EgressError::Redirect(answer.status().as_u16()));
    }
    let (head, body) = answer.into_parts();
    let bytes = if has_body { whole(&head.headers, body, bytes_max).await? } else { Bytes::new() };
    drop(running);
    Ok(Response::from_parts(head, bytes))
}

/// Sends a request; the connection lives as long as what stands beside the answer.
async fn send<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: http::Request<B>,
) -> Result<(Response<Incoming>, Abort), EgressError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // The connection runs beside the request and ends with it, also when the time is up.
    let running = Abort(tokio::spawn(async move { connection.await.unwrap_or_default() }));
    let answer = sender.send_request(request).await.map_err(broken)?;
    Ok((answer, running))
}

struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What follows the scheme in a URL that names its port only where it is unusual: the value of `Host`.
pub(super) fn host(url: &Url) -> String {
    let host =
        if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let usual = if url.is_https() { 443 } else { 80 };
    if url.port() == usual { host } else { format!("{host}:{}", url.port()) }
}

fn asked(request: Request<'_>) -> Result<http::Request<Empty<Bytes>>, EgressError> {
    let url = request.url;
    let mut asked = http::Request::get(url.target())
        .header(HOST, host(url))
        .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    if let Some(etag) = request.etag {
        asked = asked.header(IF_NONE_MATCH, etag);
    }
    asked.body(Empty::new()).map_err(broken)
}

async fn read(answer: Response<Incoming>, request: Request<'_>) -> Result<Fetched, EgressError> {
    let status = answer.status();
    if status == StatusCode::NOT_MODIFIED && request.etag.is_some() {
        return Ok(Fetched::NotModified);
    }
    if status.is_redirection() {
        return Err(EgressError::Redirect(status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(EgressError::Status(status.as_u16()));
    }
    let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
    let etag = etag.filter(|etag| etag.len() <= ETAG_BYTES_MAX).map(str::to_owned);
    let (head, body) = answer.into_parts();
    let bytes = whole(&head.headers, body, request.bytes_max).await?;
    Ok(Fetched::Body { bytes: bytes.into(), etag })
}

/// Reads a body to the end that its headers tell.
async fn whole(
    headers: &HeaderMap,
    body: Incoming,
    bytes_max: usize,
) -> Result<Bytes, EgressError> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(broken("it is compressed"));
    }
    // A body that ends with the connection may be cut anywhere and look whole.
    if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
        return Err(broken("it does not say where it ends"));
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(EgressError::TooLarge(bytes_max)),
        Err(error) => Err(broken(error)),
    }
}
