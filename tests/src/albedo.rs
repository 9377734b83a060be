//! The origin that the OWASP CRS's suite asks for: a JSON body posted to `/reflect` says what it answers.

use std::convert::Infallible;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinHandle;

/// An origin that answers as it is told to.
#[derive(Debug)]
pub struct Albedo {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Albedo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Albedo {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When loopback cannot be had.
    pub async fn start() -> Self {
        let listener = crate::listening();
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let served = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await;
                    drop(served);
                });
            }
        });
        Self { address, task }
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let reflects = request.uri().path().starts_with("/reflect");
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let wanted: Value =
        if reflects { serde_json::from_slice(&body).unwrap_or_default() } else { Value::Null };
    Ok(reflected(&wanted).unwrap_or_default())
}

/// The answer that a body asks for; nothing where it asks for what is no answer.
fn reflected(wanted: &Value) -> Option<Response<Full<Bytes>>> {
    let status = wanted.get("status").and_then(Value::as_u64).unwrap_or(200);
    let mut response = Response::builder().status(u16::try_from(status).ok()?);
    let headers = wanted.get("headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        response = response.header(name, text);
    }
    let typed =
        headers.is_some_and(|all| all.keys().any(|k| k.eq_ignore_ascii_case("content-type")));
    if !typed {
        response = response.header("content-type", "text/plain; charset=utf-8");
    }
    let text = |name: &str| wanted.get(name).and_then(Value::as_str);
    let body = match (text("body"), text("encodedBody")) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD.decode(encoded).ok()?,
        (None, None) => Vec::new(),
    };
    response.body(Full::new(Bytes::from(body))).ok()
}
