//! A steady load: so many requests per second, whatever the answers take, by hyper's ordinary pooled client, which sends
//! again what a closing connection did not take. Over TLS half of them go by HTTP/1.1 and half by HTTP/2, without it all by
//! HTTP/1.1.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls;

/// The longest that an answer may take before it counts as failed.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What is asked, of whom, and how often.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Where the connections go.
    pub address: SocketAddr,
    /// The URL of each request; its host is the server's name.
    pub url: String,
    /// Requests per second.
    pub per_second: u32,
    /// What the server's certificate is checked against; without one there is no TLS.
    pub cert: Option<&'a Path>,
}

/// What became of the requests of a load.
#[derive(Debug, Default)]
pub struct Seen {
    /// How long each 200 took from being sent to its last byte; sorted.
    pub times: Vec<Duration>,
    /// How often what else happened: a status, or an error.
    pub failures: BTreeMap<String, u64>,
}

impl Seen {
    /// The time that `share` of the answered requests stayed under.
    pub fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count of requests"
        )]
        let at = (self.times.len() as f64 * share) as usize;
        self.times.get(at).or_else(|| self.times.last()).copied().unwrap_or_default()
    }

    fn add(&mut self, (took, outcome): (Duration, Result<(), String>)) {
        match outcome {
            Ok(()) => self.times.push(took),
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }
}

/// A load that runs until it is told to stop.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Seen>>,
}

impl Running {
    /// Ends the load and waits for its last answers.
    ///
    /// # Errors
    /// When the load could not be run.
    pub fn finish(self) -> io::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the load generator broke"))?
    }
}

/// Starts the load on a thread of its own.
///
/// # Errors
/// When the certificate cannot be read.
pub fn start(load: Load<'_>) -> io::Result<Running> {
    let stop = Arc::new(AtomicBool::new(false));
    let Load { address, url, per_second, cert } = load;
    let clients = match cert {
        Some(cert) => {
            let speaking = |protocol| tls::client(cert, protocol).map(|tls| Arc::new(tls).into());
            vec![
                client(address, Some(speaking(b"http/1.1")?)),
                client(address, Some(speaking(b"h2")?)),
            ]
        }
        None => vec![client(address, None)],
    };
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let url = url.parse().map_err(io::Error::other)?;
        Ok(runtime.block_on(drive(&url, per_second, &clients, &stopped)))
    });
    Ok(Running { stop, thread })
}

type Asking = Client<Connector, Empty<Bytes>>;

fn client(address: SocketAddr, tls: Option<TlsConnector>) -> Asking {
    Client::builder(TokioExecutor::new()).build(Connector { address, tls })
}

async fn drive(url: &Uri, per_second: u32, clients: &[Asking], stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut asking = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    for client in clients.iter().cycle() {
        ticks.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        asking.spawn(timed(client.clone(), url.clone()));
        while let Some(Ok(asked)) = asking.try_join_next() {
            seen.add(asked);
        }
    }
    while let Some(Ok(asked)) = asking.join_next().await {
        seen.add(asked);
    }
    seen.times.sort();
    seen
}

async fn timed(client: Asking, url: Uri) -> (Duration, Result<(), String>) {
    let begun = now();
    let outcome = tokio::time::timeout(ANSWER_MAX, ask(&client, url)).await;
    (begun.elapsed(), outcome.unwrap_or_else(|_| Err("no answer in time".to_owned())))
}

async fn ask(client: &Asking, url: Uri) -> Result<(), String> {
    let answer = client.get(url).await.map_err(|error| describe(&error))?;
    let status = answer.status();
    answer.into_body().collect().await.map_err(|error| describe(&error))?;
    if status == 200 { Ok(()) } else { Err(status.as_u16().to_string()) }
}

/// The error with what caused it.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", describe(cause)),
        None => error.to_string(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a load generator measures time")]
fn now() -> Instant {
    Instant::now()
}

/// Connects to one address, whatever the URL's host, and asks for the one protocol that its configuration offers.
#[derive(Clone)]
struct Connector {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Self { address, tls } = self.clone();
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = tls else { return Ok(Stream::Plain(TokioIo::new(tcp))) };
            let host = url.host().unwrap_or_default().to_owned();
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(Stream::Tls(Box::new(TokioIo::new(tls.connect(name, tcp).await?))))
        })
    }
}

/// A connection; one of TLS says whether HTTP/2 was agreed on.
enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(tls) if tls.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Tls(_) | Self::Plain(_) => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(context),
        }
    }
}
