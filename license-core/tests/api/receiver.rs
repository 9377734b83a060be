//! A receiver of webhooks on a loopback port of its own: it remembers what it got and answers what the test says.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// The status that never comes: the receiver takes the message and does not answer.
pub(crate) const SILENT: u16 = 0;

/// A message that came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub(crate) fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }

    /// Says which of the secrets signed it, and that it carries as many signatures.
    pub(crate) fn is_signed_by(&self, secrets: &[&str]) -> bool {
        let field = |name: &str| self.headers[name].to_str().unwrap();
        let signed = format!("{}.{}.{}", self.id(), field("webhook-timestamp"), self.text);
        let signatures: Vec<&str> = field("webhook-signature").split(' ').collect();
        let of = |secret: &&str| {
            let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
            format!("v1,{}", STANDARD.encode(tag))
        };
        signatures == secrets.iter().map(of).collect::<Vec<_>>()
    }
}

struct Seen {
    status: AtomicU16,
    messages: Mutex<Vec<Received>>,
    came: Notify,
}

/// The receiver; it ends with its test.
pub(crate) struct Receiver {
    seen: Arc<Seen>,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            status: AtomicU16::new(204),
            messages: Mutex::default(),
            came: Notify::new(),
        });
        let task = tokio::spawn(accept(listener, tls, seen.clone()));
        Self { seen, address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn answers(&self, status: u16) {
        self.seen.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.seen.messages.lock().unwrap().clone()
    }

    /// Waits until `enough` says that it has come, for half a minute.
    pub(crate) async fn until(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let came = self.seen.came.notified();
                let all = self.all();
                if enough(&all) {
                    return all;
                }
                came.await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no such messages within 30 s: {:?}", self.all()))
    }

    pub(crate) async fn count(&self, messages: usize) -> Vec<Received> {
        self.until(|all| all.len() >= messages).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (seen, tls) = (seen.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, seen).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, seen).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/hook"));
            let text =
                String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            let body = serde_json::from_str(&text).unwrap();
            let status = seen.status.load(Ordering::SeqCst);
            seen.messages.lock().unwrap().push(Received { headers: parts.headers, text, body });
            seen.came.notify_one();
            if status == SILENT {
                std::future::pending::<()>().await;
            }
            let answer =
                Response::builder().status(status).header("location", "http://127.0.0.1:1/");
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::new())).unwrap())
        }
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
