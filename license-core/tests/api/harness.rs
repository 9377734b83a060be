//! A service on a Unix socket of its own, with a clock that the test moves and edge keys that the test made.

use crate::cluster::TestDatabase;
use crate::contract;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use license_core::client::{ClientError, Connection};
use license_core::settings::{
    Accelerator, Algorithms, Database, KeyPlace, Lease, Listen, PersonalData, Rates, Retention,
    Secrets, Webhooks,
};
use license_core::{
    Clock, CreatedLicense, Leasing, NewLicense, Running, Service, Settings, TenantId, Timestamp,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixStream;

pub(crate) const START: u64 = 1_800_000_000_000;

/// A clock that stands still until the test moves it.
#[derive(Debug)]
pub(crate) struct ManualClock {
    wall: AtomicU64,
    uptime: AtomicU64,
}

impl ManualClock {
    pub(crate) fn at(millis: u64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicU64::new(millis), uptime: AtomicU64::new(millis) })
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime.load(Ordering::SeqCst))
    }
}

/// The edge's signing key.
pub(crate) struct Edge {
    pair: Ed25519KeyPair,
    x: String,
}

impl Edge {
    pub(crate) fn new() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = B64.encode(pair.public_key().as_ref());
        Self { pair, x }
    }

    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.kid()}]})
            .to_string()
    }

    fn kid(&self) -> String {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x);
        B64.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// Signs for one request.
    pub(crate) fn assertion(
        &self,
        who: Who<'_>,
        method: &str,
        target: &str,
        body: &[u8],
        now_secs: u64,
    ) -> String {
        let header = json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": self.kid()});
        let mut claims = json!({"iss": "portcullis", "aud": "license-core", "sub": who.subject, "roles": [who.role],
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
pub(crate) struct Who<'a> {
    pub(crate) tenant: Option<&'a str>,
    pub(crate) subject: &'a str,
    pub(crate) role: &'a str,
}

pub(crate) const fn user<'a>(tenant: &'a str, subject: &'a str) -> Who<'a> {
    Who { tenant: Some(tenant), subject, role: "member" }
}

pub(crate) const fn admin(tenant: &str) -> Who<'_> {
    Who { tenant: Some(tenant), subject: "ada", role: "license-admin" }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {self:?}"))
    }

    /// Holds a refusal to the one shape.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
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

/// Runs every test once on SQLite and once on PostgreSQL.
macro_rules! on_both_stores {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::harness::World::new().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() {
                if let Some(world) = crate::harness::World::on_postgres().await {
                    super::$name(world).await;
                }
            })*
        }
    };
}
pub(crate) use on_both_stores;

/// One connection to a service.
pub(crate) struct Client(Connection);

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        Self(Connection::over(stream).await.unwrap())
    }

    /// Connects; `None` where nobody listens.
    pub(crate) async fn try_connect(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).await.ok()?;
        Some(Self(Connection::over(stream).await.ok()?))
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// Returns the answer as it came: status, headers, bytes.
    pub(crate) async fn send_for_bytes(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> (u16, HeaderMap, Vec<u8>) {
        let answer = self.0.send(request).await.unwrap();
        (answer.status.as_u16(), answer.headers, answer.body.to_vec())
    }

    pub(crate) async fn try_send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ClientError> {
        let license_core::client::Answer { status, headers, body } = self.0.send(request).await?;
        let body =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Ok(Answer { status, headers, body })
    }
}

/// Makes a request without one.
pub(crate) fn bare(
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

/// A running service and everything around it.
pub(crate) struct World {
    pub(crate) running: Option<Running>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) edge: Edge,
    pub(crate) postgres: Option<TestDatabase>,
    pub(crate) lease: Lease,
    /// Whether the service signs receipts.
    pub(crate) signs: bool,
    pub(crate) webhooks: Webhooks,
    pub(crate) rates: Rates,
    pub(crate) retention: Retention,
    pub(crate) accelerator: Option<Accelerator>,
    /// Where its keys live, when not in its store.
    pub(crate) key_place: Option<KeyPlace>,
    /// What its personal data is sealed under.
    pub(crate) personal_data: Option<PersonalData>,
    /// What its keys sign with.
    pub(crate) algorithms: Algorithms,
    /// What secrets are sealed under; then it has no wrapping key.
    pub(crate) secrets: Option<Secrets>,
    dir: TempDir,
}

impl World {
    /// A world on SQLite.
    pub(crate) async fn new() -> Self {
        let mut world = Self::stopped();
        world.start().await;
        world
    }

    /// A world on PostgreSQL, where there is one.
    pub(crate) async fn on_postgres() -> Option<Self> {
        let mut world = Self::stopped();
        world.postgres = Some(TestDatabase::make(world.dir.path()).await?);
        world.start().await;
        Some(world)
    }

    fn stopped() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let edge = Edge::new();
        std::fs::write(dir.path().join("edge.jwks"), edge.jwks()).unwrap();
        Self {
            running: None,
            clock: ManualClock::at(START),
            edge,
            postgres: None,
            lease: Lease::default(),
            signs: false,
            webhooks: Webhooks::default(),
            rates: Rates::default(),
            retention: Retention::default(),
            accelerator: None,
            key_place: None,
            personal_data: None,
            algorithms: Algorithms::default(),
            secrets: None,
            dir,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        let database = match &self.postgres {
            Some(postgres) => Database::Postgres(postgres.settings.clone()),
            None => Database::Sqlite(self.path("license.db")),
        };
        let mut settings =
            Settings::new(database, Listen::Unix(self.socket()), self.path("edge.jwks"));
        settings.lease = self.lease;
        settings.webhooks = self.webhooks.clone();
        settings.rates = self.rates;
        settings.retention = self.retention;
        settings.accelerator.clone_from(&self.accelerator);
        let place = self.key_place.clone().or_else(|| crate::hsm::token_of(self.dir()));
        settings.algorithms = self.algorithms;
        settings.secrets.clone_from(&self.secrets);
        let is_sealed = self.signs && place.is_none() && self.secrets.is_none();
        settings.wrapping_key = is_sealed.then(|| self.path("wrapping.key"));
        settings.personal_data = self.personal_data.clone();
        settings.key_place = place.filter(|_| self.signs);
        settings
    }

    /// Lets time pass, for the service and for its database.
    pub(crate) async fn advance_secs(&self, secs: u64) {
        self.clock.wall.fetch_add(secs * 1000, Ordering::SeqCst);
        self.advance_leases_secs(secs).await;
    }

    /// Sets the service's wall clock; its time goes on as before.
    pub(crate) fn set_wall_by_secs(&self, secs: i64) {
        let wall = i64::try_from(self.clock.wall.load(Ordering::SeqCst)).unwrap() + secs * 1000;
        self.clock.wall.store(u64::try_from(wall).unwrap(), Ordering::SeqCst);
    }

    /// Lets the time pass by which leases live, but not that of assertions.
    pub(crate) async fn advance_leases_secs(&self, secs: u64) {
        self.clock.uptime.fetch_add(secs * 1000, Ordering::SeqCst);
        if let Some(postgres) = &self.postgres {
            postgres.advance_secs(secs, self.running.is_some()).await;
        }
    }

    pub(crate) async fn start(&mut self) {
        self.running = Some(Service::start(self.settings(), self.clock.clone()).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().shutdown().await;
    }

    /// Returns the time by which leases live, as answers write it.
    pub(crate) async fn database_now(&self) -> String {
        let millis = match &self.postgres {
            Some(postgres) => postgres.now_millis().await,
            None => i64::try_from(self.clock.uptime().as_millis()).unwrap(),
        };
        format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap())
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("license.sock")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn license(&self, tenant: &str, name: &str, seats: u32) -> CreatedLicense {
        self.license_by(tenant, name, seats, Leasing::PerMachine).await
    }

    pub(crate) async fn license_by(
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

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket()).await
    }

    /// Runs an operator's command beside the service: what it says, or why it fails.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = match &self.postgres {
            Some(postgres) => postgres.admin_command(self.dir()),
            None => {
                let yaml = "version: 1\nlisten: { unix: l.sock }\nedge_keys: edge.jwks\n\
                    database: { sqlite: license.db }\n";
                std::fs::write(self.path("sqlite.yaml"), yaml).unwrap();
                let mut command = Command::new(env!("CARGO_BIN_EXE_license-core"));
                command.args(["admin", "--config"]).arg(self.path("sqlite.yaml"));
                command
            }
        };
        command.args(arguments);
        // Off this thread, on which the service goes on.
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Makes a request with its assertion.
    pub(crate) fn request(
        &self,
        who: Who<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let now = self.clock.now().as_secs();
        let assertion = self.edge.assertion(who, method.as_str(), target, body, now);
        bare(method, target, body, &[("x-edge-assertion", &assertion)])
    }

    pub(crate) async fn ask(
        &self,
        who: Who<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Answer {
        let answer =
            self.client().await.send(self.request(who, method.clone(), target, body)).await;
        let document = self.document().await;
        let held = contract::hold(document, &method, target, answer.status.as_u16(), &answer.body);
        held.unwrap_or_else(|problem| panic!("not as `/openapi.json` says: {problem}\n{answer:?}"));
        answer
    }

    /// Returns the served document: the same from every service of one program.
    async fn document(&self) -> &'static Value {
        static DOCUMENT: OnceLock<Value> = OnceLock::new();
        if let Some(document) = DOCUMENT.get() {
            return document;
        }
        let served = self.client().await.send(bare(Method::GET, "/openapi.json", b"", &[])).await;
        DOCUMENT.get_or_init(|| served.body)
    }

    /// Asks with a JSON body, or with none when it is null.
    pub(crate) async fn call(
        &self,
        who: Who<'_>,
        method: &str,
        target: &str,
        body: Value,
    ) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(who, method.parse().unwrap(), target, body.as_bytes()).await
    }

    pub(crate) async fn acquire(&self, who: Who<'_>, key: &str, hardware: &str) -> Answer {
        let body = json!({"license_key": key, "hardware_id": hardware}).to_string();
        self.ask(who, Method::POST, "/api/v1/license/acquire", body.as_bytes()).await
    }

    pub(crate) async fn heartbeat(&self, who: Who<'_>, session: &str) -> Answer {
        self.ask(who, Method::PATCH, &format!("/api/v1/license/sessions/{session}/heartbeat"), b"")
            .await
    }

    pub(crate) async fn release(&self, who: Who<'_>, session: &str) -> Answer {
        self.ask(who, Method::DELETE, &format!("/api/v1/license/sessions/{session}"), b"").await
    }
}
