//! Origins.

mod balance;
mod protocol;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::PolicyId;

pub use balance::{Affinity, Balance, Capacity, Outliers, Retries};
pub use protocol::{Grpc, Messages, Protocol, UpstreamTls, WebSocket};

/// An origin with its servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its servers; never empty.
    pub servers: Vec<Member>,
    /// The security policy of its routes, unless a route names another.
    pub policy: Option<PolicyId>,
    /// What its servers speak.
    pub protocol: Protocol,
    /// TLS to its servers; without it they are spoken to in plain text.
    pub tls: Option<UpstreamTls>,
    /// Which server is asked next.
    pub balance: Balance,
    /// Which requests stay with one server.
    pub affinity: Option<Affinity>,
    /// How long an answer may take, from the request sent to the last byte.
    pub timeout: Duration,
    /// How long a connection to a server may take to stand, with its handshake.
    pub connect_timeout: Duration,
    /// How long a server may be silent.
    pub read_timeout: Duration,
    /// How long a server may take to read what is sent.
    pub write_timeout: Duration,
    /// How long running requests get when a server is taken out or the process stops.
    pub drain: Duration,
    /// How its servers are probed; without it every server counts as healthy.
    pub health: Option<Health>,
    /// When a server that fails requests is left out for a while.
    pub outliers: Option<Outliers>,
    /// How long a server that comes back takes to its full share.
    pub slow_start: Option<Duration>,
    /// How often a request that failed is sent to another server.
    pub retries: Retries,
    /// How many requests it may have in work.
    pub capacity: Option<Capacity>,
    /// Upgrades to WebSocket; without it they are refused.
    pub websocket: Option<WebSocket>,
    /// That its requests are gRPC.
    pub grpc: Option<Grpc>,
    /// Whether each forwarded request carries the edge's signed assertion of who calls.
    pub assertion: bool,
    /// Whether its answers are sent with `Cache-Control: no-store`.
    pub no_store: bool,
}

/// A server with its share of the requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Where it is.
    pub server: Server,
    /// Its share, in proportion to the other servers'; from 1 to 100.
    pub weight: u32,
}

/// One server of a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Server {
    /// An address and port.
    Tcp(SocketAddr),
    /// A host name and port, resolved in the background while the process runs.
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
