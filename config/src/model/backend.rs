//! Origins.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::PolicyId;

/// An origin with its servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its servers, asked in turn; never empty.
    pub servers: Vec<Server>,
    /// The security policy of its routes, unless a route names another.
    pub policy: Option<PolicyId>,
    /// How long an answer may take, from the request sent to the last byte.
    pub timeout: Duration,
    /// How long a connection to a server may take to stand.
    pub connect_timeout: Duration,
    /// How long running requests get when a server is taken out or the process stops.
    pub drain: Duration,
    /// How its servers are probed; without it every server counts as healthy.
    pub health: Option<Health>,
    /// Whether each forwarded request carries the edge's signed assertion of who calls.
    pub assertion: bool,
    /// Whether its answers are sent with `Cache-Control: no-store`.
    pub no_store: bool,
}

/// One server of a backend. Spoken to in plain HTTP/1.1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Server {
    /// An address and port.
    Tcp(SocketAddr),
    /// A host name and port, resolved when the configuration is compiled.
    Name {
        /// The DNS name.
        host: String,
        /// The port; never 0.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
    /// The license service in this process; [`super::License::embedded`] is set.
    EmbeddedLicense,
}

/// How servers are probed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// The path of the `GET`; 200 is healthy.
    pub path: String,
    /// The time between two probes of one server.
    pub every: Duration,
    /// How long a probe may take; less than `every`.
    pub timeout: Duration,
    /// Good probes in a row until a server is used again; at least 1.
    pub healthy: u32,
    /// Failed probes in a row until a server is left out; at least 1.
    pub unhealthy: u32,
}
