//! The resolved configuration: defaults applied, references checked, units converted. What the rest of the house reads.
//!
//! A value of these types has passed every check: a route's backend is in [`Config::backends`], a policy named anywhere is
//! in [`Config::policies`], paths are absolute or relative to where the process runs, never to the file.

mod access;
mod backend;
mod browser;
mod client_address;
mod credential;
mod host;
mod id_places;
mod identity;
mod incidents;
mod limits;
mod listener;
mod load_test;
mod log;
mod login;
mod names;
mod places;
mod sign_in;
mod sources;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use access::Access;
pub use backend::{
    Affinity, Backend, Balance, Capacity, Grpc, Health, Member, Messages, Outliers, Protocol,
    Retries, Server, UpstreamTls, WebSocket,
};
pub use browser::{Browser, Cookies, Cors, Csrf, CsrfToken, OriginRule, SameSite};
pub use client_address::ClientAddressHeader;
pub use credential::{ApiKeys, CertificateClient, Credential};
pub use host::{
    AnswerInspection, AnswerPlan, BodyPlan, ClientCertificates, Compressed, Host, IdentityRule,
    OnMatch, Oversize, PathForm, RedirectStatus, Route, RouteAction, WithoutCertificate,
};
pub use id_places::{IdPlaces, OwnedObject, PathTemplate, Segment};
pub use identity::{
    Alg, Assertion, AssertionKey, ClaimPath, ClaimRules, FetchedKeys, HmacProvider, Identity,
    KeySource, OidcProvider, PlatformProvider, Provider, StaticProvider,
};
pub use incidents::{
    ACTIONS, CATEGORIES, Exits, Heartbeat, Incidents, Notifier, NotifierWay, PRIORITIES,
    ResponseRule, Smtp,
};
pub use limits::Limits;
pub use listener::{
    Acme, AcmeChallenge, CertificateRef, Listener, ListenerCertificate, ListenerKind,
    SessionTickets, Tls, TlsVersions,
};
pub use load_test::LoadTest;
pub use log::{
    Capture, CaptureKey, EventFormat, EventSink, Keep, Log, LogFormat, LogTarget, SinkWay, Syslog,
    SyslogWay,
};
pub use login::Login;
pub use names::{BackendId, HostName, PolicyId, ProviderId};
pub use places::Places;
pub use sign_in::{AccountField, AnswerField, LicenseCall, SignIn, SignInKind};
pub use sources::{Bans, Egress, Feed, Geo, ListSource, PolicySource, RuleSetSource, Stale};
pub use url::Url;

/// Everything that the operator decided, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// What the deployment is for; some lints are errors in production.
    pub environment: Environment,
    /// The directory for bans, keys made here and the embedded license service's database.
    pub state_dir: PathBuf,
    /// The threads that serve; `None`: as many as there are processors.
    pub workers: Option<u32>,
    /// How operators reach the process.
    pub admin: Admin,
    /// Where clients connect; never empty.
    pub listeners: Vec<Listener>,
    /// What tickets for the resumption of TLS sessions are sealed with.
    pub session_tickets: SessionTickets,
    /// Networks whose word about a client's address is believed.
    pub trusted_hops: Vec<IpNet>,
    /// The header that they are believed by.
    pub client_address_header: ClientAddressHeader,
    /// The geo databases.
    pub geo: Geo,
    /// Lists of addresses, by the name that policies use.
    pub lists: BTreeMap<String, ListSource>,
    /// Whom no ban is placed on.
    pub bans: Bans,
    /// What is done about incidents.
    pub incidents: Incidents,
    /// Where the edge itself may connect.
    pub egress: Egress,
    /// WAF rule sets, by name.
    pub rulesets: BTreeMap<String, RuleSetSource>,
    /// Security policies, by id.
    pub policies: BTreeMap<String, PolicySource>,
    /// Files of cases that the configuration has to pass.
    pub tests: Vec<PathBuf>,
    /// Who vouches for callers, and how the edge vouches for them inward.
    pub identity: Identity,
    /// Origins, by id.
    pub backends: BTreeMap<String, Backend>,
    /// Host names with their routes, in the order of the file; a host that is not here is refused.
    pub hosts: Vec<Host>,
    /// The response headers of answers whose route says nothing else.
    pub headers: HeaderProfile,
    /// Who may load-test past the limits; never anything but in staging.
    pub load_test: Option<LoadTest>,
    /// Where the logs go.
    pub log: Log,
    /// The license service in this process.
    pub license: License,
    /// Caps on everything a client can grow.
    pub limits: Limits,
    /// Where each file is named, for the carets of problems that are found when it is read.
    pub places: Places,
}

impl Config {
    /// Returns the host that answers to `name`, compared without case and without a port.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        let named = |name: &str| {
            self.hosts.iter().find(|host| host.name.as_str().eq_ignore_ascii_case(name))
        };
        named(name).or_else(|| named(&HostName::pattern_for(name)?))
    }

    /// Returns the policy that a route with this action is under: its own, or else its backend's.
    #[must_use]
    pub fn policy_of<'a>(&'a self, action: &'a RouteAction) -> Option<&'a PolicyId> {
        match action {
            RouteAction::Forward { backend, policy, .. } => {
                policy.as_ref().or_else(|| self.backends.get(backend.as_str())?.policy.as_ref())
            }
            RouteAction::Redirect { .. } => None,
        }
    }
}

/// What a deployment is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Environment {
    /// A developer's machine.
    Development,
    /// A rehearsal of production.
    Staging,
    /// Real clients.
    Production,
}

impl Environment {
    /// Returns the word of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How operators reach the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// The Unix socket of the command line; made with mode 0600.
    pub socket: PathBuf,
    /// The plain, read-only listener of `/metrics`; none means none.
    pub metrics: Option<SocketAddr>,
}

/// A set of response headers, refusals included: what it changes of the edge's own (HSTS, CSP, `nosniff`, `DENY`,
/// Permissions-Policy, COOP and CORP).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HeaderProfile {
    /// Headers that are set in place of these or beside them; names in lower case.
    pub set: Vec<(String, String)>,
    /// Headers of these that are left to the origin; names in lower case.
    pub remove: Vec<String>,
}

/// The license service in this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct License {
    /// Whether the service runs in this process; a backend whose server is `embedded` needs it.
    pub embedded: bool,
    /// The SQLite database of the embedded service.
    pub database: PathBuf,
    /// The Unix socket of the embedded service; made with mode 0600.
    pub socket: PathBuf,
    /// The file of the key that seals the service's signing keys in the database; made with mode 0600 at the first start.
    pub wrapping_key: PathBuf,
    /// How long a seat is held without a heartbeat.
    pub lease: Duration,
}
