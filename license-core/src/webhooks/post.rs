//! One request to one receiver, bounded in time and size. Redirects are answers, not instructions.

use super::guard::{Guard, NoAuthorities};
use super::message::Message;
use super::target::{NoTarget, Target};
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long an attempt takes at most, from the look-up of the name to the head of the answer.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The largest head of an answer that is read; its body is not.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const AGENT: &str = concat!("license-core/", env!("CARGO_PKG_VERSION"));

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("the URL is not allowed: {0}")]
    Target(#[from] NoTarget),
    #[error("the host has no address")]
    Unresolved,
    #[error("the host leads to an address that is not public")]
    Forbidden,
    #[error("no connection")]
    Connect,
    #[error("no TLS: its certificate is not trusted or not of this name, or it speaks none")]
    Tls,
    #[error(transparent)]
    NoAuthorities(#[from] NoAuthorities),
    #[error("the answer is broken")]
    Broken,
    #[error("no answer within 15 seconds")]
    TimedOut,
    #[error("status {0}")]
    Status(u16),
    #[error("a redirect (status {0}), and none is followed")]
    Redirect(u16),
    #[error("the secret cannot be opened with this wrapping key")]
    Secret,
}

impl NotTaken {
    /// Returns the metric's label.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Target(_) | Self::Forbidden => "forbidden",
            Self::Unresolved => "unresolved",
            Self::Connect => "connect",
            Self::Tls | Self::NoAuthorities(_) => "tls",
            Self::Broken => "broken",
            Self::TimedOut => "timed_out",
            Self::Status(_) => "status",
            Self::Redirect(_) => "redirect",
            Self::Secret => "secret",
        }
    }
}

/// Sends a message; it is taken where the receiver answers 2xx.
pub(super) async fn post(url: &str, message: Message, guard: &Guard) -> Result<(), NotTaken> {
    tokio::time::timeout(ATTEMPT, exchange(url, message, guard))
        .await
        .unwrap_or(Err(NotTaken::TimedOut))
}

async fn exchange(url: &str, message: Message, guard: &Guard) -> Result<(), NotTaken> {
    let target = Target::parse(url, guard)?;
    let stream = connect(&target, guard).await?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|_| NotTaken::Broken)?;
    let request = request(&target, message)?;
    let status = tokio::select! {
        answer = sender.send_request(request) => answer.map_err(|_| NotTaken::Broken)?.status(),
        _ = connection => return Err(NotTaken::Broken),
    };
    // What else the receiver says is not read: the connection ends here.
    match status.as_u16() {
        200..=299 => Ok(()),
        status @ 300..=399 => Err(NotTaken::Redirect(status)),
        status => Err(NotTaken::Status(status)),
    }
}

fn request(target: &Target, message: Message) -> Result<Request<Full<Bytes>>, NotTaken> {
    Request::post(&target.path)
        .header(HOST, &target.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.timestamp)
        .header("webhook-signature", message.signature)
        .body(Full::new(Bytes::from(message.body)))
        .map_err(|_| NotTaken::Target(NoTarget::Form))
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(target: &Target, guard: &Guard) -> Result<Box<dyn Stream>, NotTaken> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let found: Vec<SocketAddr> = found.map_err(|_| NotTaken::Unresolved)?.collect();
    if found.is_empty() {
        return Err(NotTaken::Unresolved);
    }
    let admitted: Vec<SocketAddr> =
        found.into_iter().filter(|one| guard.admits(one.ip())).collect();
    if admitted.is_empty() {
        return Err(NotTaken::Forbidden);
    }
    let stream = TcpStream::connect(admitted.as_slice()).await.map_err(|_| NotTaken::Connect)?;
    if !target.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|_| NotTaken::Tls)?;
    let connector = tokio_rustls::TlsConnector::from(guard.tls()?);
    Ok(Box::new(connector.connect(name, stream).await.map_err(|_| NotTaken::Tls)?))
}
