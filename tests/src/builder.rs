//! Makes an edge from a configuration that a test writes in YAML, the way an operator would.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use portcullis::audit::Audit;
use portcullis::clock::Manual;
use portcullis::events::Events;
use portcullis::incidents::{Desk, DeskSettings, EventLines, IncidentStore, LicensePort, Rotation};
use portcullis::lockdown::Lockdowns;
use portcullis::log::{RequestLog, Target};
use portcullis::metrics::Metrics;
use portcullis::revocations::RevocationBook;
use portcullis::shared::{OWNED_MAX, Shared, TOKENS_MAX};
use portcullis::signing::Signing;
use portcullis::tickets::Tickets;
use portcullis_config::Timestamp;
use portcullis_identity::assertion::AssertionKey;
use portcullis_identity::{OwnerIndex, TokenCache};
use portcullis_policy::{Limits, State};
use tempfile::TempDir;

use crate::token::{AUDIENCE, ISSUER};
use crate::{Authority, Edge, Issuer};

/// When every test begins: 2026-01-01T00:00:00Z.
pub(crate) const BEGIN_SECS: u64 = 1_767_225_600;

/// What a test may decide about its edge; the rest is as in the embedded default.
#[derive(Debug)]
pub struct Builder {
    origin: String,
    listeners: String,
    routes: String,
    host: String,
    backend: String,
    top: String,
    providers: String,
    identity: String,
    policy: Option<String>,
    lists: Vec<(String, String)>,
    state_dir: String,
    environment: &'static str,
}

/// Why an edge does not come up; the text names every problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError(pub String);

/// The names of its certificate.
const NAMES: &[&str] = &["edge.test", "other.test", "*.wild.test"];
const TLS: &str = "certificates: [{ cert: file:tls.crt, key: file:tls.key }]";

impl Builder {
    pub(crate) fn new(origin: SocketAddr) -> Self {
        Self {
            origin: origin.to_string(),
            listeners: format!("  - {{ address: '127.0.0.1:0', tls: {{ {TLS} }} }}\n"),
            routes: "      - { path: /, backend: origin, identity: none }\n".to_owned(),
            host: String::new(),
            backend: String::new(),
            top: String::new(),
            providers: String::new(),
            identity: String::new(),
            policy: None,
            lists: Vec::new(),
            state_dir: ".".to_owned(),
            environment: "development",
        }
    }

    /// Offers these TLS versions instead of 1.3 alone: the list as in the file.
    #[must_use]
    pub fn tls_versions(mut self, versions: &str) -> Self {
        self.listeners =
            format!("  - {{ address: '127.0.0.1:0', tls: {{ versions: {versions}, {TLS} }} }}\n");
        self
    }

    /// Shows these certificates: the list as in the file, without its brackets.
    #[must_use]
    pub fn certificates(mut self, certificates: &str) -> Self {
        self.listeners = format!(
            "  - {{ address: '127.0.0.1:0', tls: {{ certificates: [{certificates}] }} }}\n"
        );
        self
    }

    /// Is for this environment.
    #[must_use]
    pub const fn environment(mut self, environment: &'static str) -> Self {
        self.environment = environment;
        self
    }

    /// Keeps its state in a directory that outlives it.
    #[must_use]
    pub fn state_dir(mut self, directory: &Path) -> Self {
        self.state_dir = directory.display().to_string();
        self
    }

    /// Offers these TLS versions, and beside the certificate one of an RSA key for the same names, listed first.
    #[must_use]
    pub fn rsa_beside(mut self, versions: &str) -> Self {
        self.listeners = format!(
            "  - {{ address: '127.0.0.1:0', tls: {{ versions: {versions}, certificates: [\
             {{ cert: file:rsa.crt, key: file:rsa.key }}, {{ cert: file:tls.crt, key: file:tls.key }}] }} }}\n"
        );
        self
    }

    /// Adds a plain listener that redirects.
    #[must_use]
    pub fn plain_listener(mut self) -> Self {
        self.listeners.push_str("  - { address: '127.0.0.1:0', redirect_to_https: 308 }\n");
        self
    }

    /// Adds a listener: a YAML flow mapping.
    #[must_use]
    pub fn listener(mut self, listener: &str) -> Self {
        self.listeners.push_str(&format!("  - {listener}\n"));
        self
    }

    /// Adds a plain listener that serves.
    #[must_use]
    pub fn plain_serving(mut self) -> Self {
        self.listeners.push_str("  - { address: '127.0.0.1:0', plain: true }\n");
        self
    }

    /// Replaces the routes of `edge.test`: one YAML flow mapping per route.
    #[must_use]
    pub fn routes(mut self, routes: &[&str]) -> Self {
        self.routes = routes.iter().map(|route| format!("      - {route}\n")).collect();
        self
    }

    /// Adds keys to the host `edge.test`: a YAML line.
    #[must_use]
    pub fn host(mut self, line: &str) -> Self {
        self.host = format!("    {line}\n");
        self
    }

    /// Names another server for the backend `origin`, as in the file: `unix:PATH`.
    #[must_use]
    pub fn server(mut self, server: &str) -> Self {
        server.clone_into(&mut self.origin);
        self
    }

    /// Adds keys to the backend `origin`, as YAML flow entries: `assertion: true, timeout: 1s`.
    #[must_use]
    pub fn backend(mut self, keys: &str) -> Self {
        self.backend = format!(", {keys}");
        self
    }

    /// Adds top-level keys: whole YAML lines.
    #[must_use]
    pub fn top(mut self, lines: &str) -> Self {
        self.top.push_str(lines);
        self.top.push('\n');
        self
    }

    /// Adds an identity provider: an entry of `identity.providers`, as in the file.
    #[must_use]
    pub fn provider(mut self, entry: &str) -> Self {
        self.providers.push_str(&format!("    {entry}\n"));
        self
    }

    /// Adds a key of `identity`: an entry as in the file.
    #[must_use]
    pub fn identity(mut self, entry: &str) -> Self {
        self.identity.push_str(&format!("  {entry}\n"));
        self
    }

    /// Puts a policy in Cloud Armor's format before the backend.
    #[must_use]
    pub fn policy(mut self, text: &str) -> Self {
        self.policy = Some(text.to_owned());
        self
    }

    /// Adds a list of addresses: the text of its file.
    #[must_use]
    pub fn list(mut self, name: &str, text: &str) -> Self {
        self.top.push_str(&format!("lists: {{ {name}: {{ file: {name}.txt }} }}\n"));
        self.lists.push((format!("{name}.txt"), text.to_owned()));
        self
    }

    /// Starts the edge.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn start(self) -> Edge {
        match self.try_start().await {
            Ok(edge) => edge,
            Err(BuildError(text)) => panic!("{text}"),
        }
    }

    /// Starts the edge, or says why not.
    ///
    /// # Errors
    ///
    /// Every problem of the configuration, or the address that cannot be had.
    ///
    /// # Panics
    ///
    /// When the test's directory cannot be written.
    pub async fn try_start(self) -> Result<Edge, BuildError> {
        portcullis::edge::install_provider();
        let directory = TempDir::new().expect("a directory can be made");
        let (authority, issuer) = (Authority::new(), Issuer::new());
        self.write(directory.path(), &authority, &issuer);
        let snapshot = compile(&directory.path().join("portcullis.yaml"), 1)?;
        let clock = Arc::new(Manual::at(Timestamp::from_secs(BEGIN_SECS)));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::new(Mutex::new(Vec::new()));
        let metrics = Metrics::new();
        let rotation = Rotation { file_max: u64::MAX, files_max: 1 };
        let event_lines = EventLines::open(Target::Memory(Arc::clone(&events)), rotation, &metrics)
            .expect("memory opens");
        let (raised, inbox) = Events::new(&metrics);
        let (key, _pem) = AssertionKey::generate().expect("a key can be made");
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            state: State::new(Limits::default()),
            allowances: portcullis::bans::Allowances::default(),
            tokens: TokenCache::new(TOKENS_MAX),
            api_keys: portcullis::api_keys::KeyBook::default(),
            owners: OwnerIndex::new(OWNED_MAX),
            revocations: RevocationBook::default(),
            sign_ins: portcullis::sign_in::SignIns::new(),
            logins: portcullis::login::Logins::new(),
            report_rate: portcullis::csp::ReportRate::default(),
            lockdowns: Lockdowns::default(),
            signing: Signing::open(key, directory.path().join("edge-keys.json"))
                .expect("the public keys can be written"),
            clock: Arc::clone(&clock) as Arc<dyn portcullis::clock::Clock>,
            recent: portcullis::recent::Recent::new(1000),
            requests: RequestLog::open(Target::Memory(Arc::clone(&lines)), &metrics)
                .expect("memory opens"),
            tightened: portcullis::incidents::Tightened::default(),
            events: raised,
            capture: None,
            tickets: Tickets::new(Vec::new()),
            proofs: portcullis::acme::Proofs::default(),
            metrics,
        });
        let store = IncidentStore::open(&directory.path().join("incidents.redb"));
        let audit = Audit::open(&directory.path().join("incident-audit.jsonl")).expect("it opens");
        let settings = DeskSettings {
            lines: event_lines,
            store: Some(store.expect("it opens")),
            audit: Arc::new(audit),
            license: LicensePort::new(),
            evidence: directory.path().join("evidence"),
        };
        let license = settings.license.clone();
        let desk = Desk::start(Arc::clone(&shared), inbox, settings).expect("a thread");
        let config = Arc::clone(&shared.snapshot.load().config);
        let bound = portcullis::edge::bind(&config, None)
            .await
            .map_err(|error| BuildError(error.to_string()))?;
        let running = portcullis::edge::serve(Arc::clone(&shared), bound)
            .map_err(|error| BuildError(error.to_string()))?;
        Ok(Edge::new(
            shared, running, desk, license, clock, authority, issuer, directory, lines, events,
        ))
    }

    fn write(&self, directory: &Path, authority: &Authority, issuer: &Issuer) {
        let path = |name: &str| directory.join(name);
        authority.write(NAMES, &path("tls.crt"), &path("tls.key"));
        if self.listeners.contains("rsa.crt") {
            authority.write_rsa(NAMES, &path("rsa.crt"), &path("rsa.key"));
        }
        issuer.publish(&path("jwks.json"));
        if let Some(policy) = &self.policy {
            fs::write(path("policy.yaml"), policy).expect("the policy can be written");
        }
        for (name, text) in &self.lists {
            fs::write(path(name), text).expect("the list can be written");
        }
        fs::write(path("portcullis.yaml"), self.text()).expect("the configuration can be written");
    }

    fn text(&self) -> String {
        let Self {
            origin,
            listeners,
            routes,
            host,
            backend,
            top,
            policy,
            lists: _,
            state_dir,
            providers,
            identity,
            environment,
        } = self;
        let (policies, of_backend) = match policy {
            Some(_) => (
                "rulesets: { core: { builtin: core } }\npolicies: { tested: { file: policy.yaml } }\n",
                ", policy: tested",
            ),
            None => ("", ""),
        };
        // What tests do to an edge is an attack on it: they ask for responses where they want them.
        let incidents =
            if top.contains("incidents:") { "" } else { "incidents: { dry_run: true }\n" };
        format!(
            "version: 1\nenvironment: {environment}\nstate_dir: '{state_dir}'\nadmin: {{ socket: admin.sock }}\n{incidents}\
             listeners:\n{listeners}\
             log: {{ requests: off, events: off }}\n\
             identity:\n  providers:\n    dev: {{ kind: static, issuer: '{ISSUER}', audience: {AUDIENCE}, \
             algorithms: [ES256], jwks: jwks.json, roles_claim: roles }}\n{providers}{identity}\
             {policies}\
             backends:\n  origin: {{ servers: ['{origin}']{of_backend}{backend} }}\n\
             hosts:\n  edge.test:\n{host}    routes:\n{routes}  other.test:\n    routes:\n      \
             - {{ path: /, backend: origin, identity: none }}\n{top}",
        )
    }
}

/// Loads and compiles a configuration file as the process would.
pub(crate) fn compile(
    path: &Path,
    generation: u64,
) -> Result<portcullis::snapshot::Snapshot, BuildError> {
    let report = |report: portcullis_config::Report| {
        BuildError(report.problems.iter().map(|problem| format!("{problem:?}\n")).collect())
    };
    let loaded = portcullis_config::load(path).map_err(report)?;
    let (snapshot, _warnings) = portcullis::compile::compile(loaded, generation).map_err(report)?;
    Ok(snapshot)
}
