//! A service on a Unix socket of its own, with a clock that the test moves and edge keys that the test made.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use license_core::settings::{Database, Listen};
use license_core::{
    Clock, CreatedLicense, Leasing, NewLicense, Running, Service, Settings, TenantId, Timestamp,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tokio::net::UnixStream;

pub const START: u64 = 1_800_000_000_000;

/// A clock that stands still until the test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn at(millis: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(millis)))
    }

    pub fn advance_secs(&self, secs: u64) {
        self.0.fetch_add(secs * 1000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// The edge's signing key.
pub struct Edge {
    pair: Ed25519KeyPair,
    x: String,
}

impl Edge {
    pub fn new() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = B64.encode(pair.public_key().as_ref());
        Self { pair, x }
    }

    pub fn jwks(&self) -> String {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.kid()}]})
            .to_string()
    }

    fn kid(&self) -> String {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x);
        B64.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// Signs for one request.
    pub fn assertion(
        &self,
        who: Who<'_>,
        method: &str,
        target: &str,
        body: &[u8],
        now_secs: u64,
    ) -> String {
        let header = json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": self.kid()});
        let mut claims = json!({"iss": "portcullis", "aud": "license-core", "sub": who.subject, "roles": ["member"],
            "iat": now_secs, "exp": now_secs + 60, "jti": "test", "htm": method, "htu": target,
            "bh": B64.encode(digest(&SHA256, body))});
        if let Some(tenant) = who.tenant {
            claims["tenant"] = json!(tenant);
        }
        let signed =
            format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        format!("{signed}.{}", B64.encode(self.pair.sign(signed.as_bytes())))
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub tenant: Option<&'a str>,
    pub subject: &'a str,
}

pub const fn user<'a>(tenant: &'a str, subject: &'a str) -> Who<'a> {
    Who { tenant: Some(tenant), subject }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {self:?}"))
    }

    /// Holds a refusal to the one shape.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.text("error")), (status, code), "{self:?}");
        assert_eq!(self.text("message"), self.text("detail"));
        assert_eq!(self.text("source"), "license");
        assert!(!self.text("request_id").is_empty());
        assert!(self.body["retryable"].is_boolean() && self.body["conclusive"].is_boolean());
        assert!(self.body["details"].is_object());
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

/// One connection to a service.
pub struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    pub async fn try_send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// A running service and everything around it.
pub struct World {
    pub running: Option<Running>,
    pub clock: Arc<ManualClock>,
    pub edge: Edge,
    dir: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let edge = Edge::new();
        std::fs::write(dir.path().join("edge.jwks"), edge.jwks()).unwrap();
        let mut world = Self { running: None, clock: ManualClock::at(START), edge, dir };
        world.start().await;
        world
    }

    pub fn settings(&self) -> Settings {
        let at = |name: &str| self.dir.path().join(name);
        Settings::new(
            Database::Sqlite(at("license.db")),
            Listen::Unix(self.socket()),
            at("edge.jwks"),
        )
    }

    pub async fn start(&mut self) {
        self.running = Some(Service::start(self.settings(), self.clock.clone()).await.unwrap());
    }

    pub async fn stop(&mut self) {
        self.running.take().unwrap().shutdown().await;
    }

    pub fn socket(&self) -> PathBuf {
        self.path("license.sock")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn license(&self, tenant: &str, name: &str, seats: u32) -> CreatedLicense {
        self.license_by(tenant, name, seats, Leasing::PerMachine).await
    }

    pub async fn license_by(
        &self,
        tenant: &str,
        name: &str,
        seats: u32,
        leasing: Leasing,
    ) -> CreatedLicense {
        let operator = self.running.as_ref().unwrap().operator();
        let tenant: TenantId = tenant.parse().unwrap();
        operator.create_tenant(&tenant).await.unwrap();
        let new = NewLicense {
            tenant,
            name: name.parse().unwrap(),
            product: "Editor".parse().unwrap(),
            seats,
            leasing,
            key_prefix: "TEST".parse().unwrap(),
            expires_at: None,
        };
        operator.create_license(new).await.unwrap()
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.socket()).await
    }

    /// Makes a request with its assertion.
    pub fn request(
        &self,
        who: Who<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let now = self.clock.now().as_secs();
        let assertion = self.edge.assertion(who, method.as_str(), target, body, now);
        self.bare(method, target, body, &[("x-edge-assertion", &assertion)])
    }

    /// Makes a request without one.
    pub fn bare(
        &self,
        method: Method,
        target: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(target).header("host", "license");
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    pub async fn ask(&self, who: Who<'_>, method: Method, target: &str, body: &[u8]) -> Answer {
        self.client().await.send(self.request(who, method, target, body)).await
    }

    pub async fn acquire(&self, who: Who<'_>, key: &str, hardware: &str) -> Answer {
        let body = json!({"license_key": key, "hardware_id": hardware}).to_string();
        self.ask(who, Method::POST, "/api/v1/license/acquire", body.as_bytes()).await
    }

    pub async fn heartbeat(&self, who: Who<'_>, session: &str) -> Answer {
        self.ask(who, Method::PATCH, &format!("/api/v1/license/sessions/{session}/heartbeat"), b"")
            .await
    }

    pub async fn release(&self, who: Who<'_>, session: &str) -> Answer {
        self.ask(who, Method::DELETE, &format!("/api/v1/license/sessions/{session}"), b"").await
    }
}
