//! The downstream side: sockets, the ClientHello, TLS, deadlines, and the hand-over to Pingora.
//!
//! Pingora's `Server` owns a process: it forks its own runtimes, installs signal handlers and leaves by `exit`. Its
//! `HttpProxy` does not need it: it takes any established stream. So the accept loop is ours. That gives permits before a
//! byte is read, a bound port known before serving (port 0 works), as many edges in one process as a test likes, a clean
//! stop, and listeners that a successor can inherit by file descriptor, since they are plain `TcpListener`s made before
//! anything is served.
//!
//! The way of a connection: permit → ClientHello within its deadline (`hello`) → handshake within its deadline
//! (`tls`) → `guard` → `HttpProxy` with the gate. Before the ClientHello, and within its deadline, stands the header of the
//! PROXY protocol (`proxy_header`) on connections of listed balancers. A plain listener goes without the middle two; the one that only
//! redirects is answered by the gate as well, so that its requests are judged, counted and logged like any other.

mod accept;
mod client_certificate;
mod connection;
mod fingerprint;
mod flood;
mod frames;
mod framing;
mod guard;
mod h2_watch;
mod handshakes;
mod hello;
mod open;
mod outgoing;
mod permits;
mod proxy_header;
mod running;
mod stall;
mod tls;
mod wait;

use std::time::Duration;

use portcullis_config::model::Limits;

pub use accept::{BindError, Bound, bind, serve};
pub(crate) use connection::{Connection, InFlight, Manner};
pub(crate) use fingerprint::Fingerprints;
pub(crate) use flood::ADDRESSES_MAX as FLOOD_ADDRESSES_MAX;
pub(crate) use framing::Malformed;
pub(crate) use h2_watch::{OVERHEAD_FRAMES_AT_ONCE, OVERHEAD_FRAMES_PER_SECOND};
pub(crate) use hello::HELLO_BYTES_MAX;
pub(crate) use proxy_header::PROXY_HEADER_BYTES_MAX;
pub use running::Running;
pub(crate) use stall::time_for;
pub use tls::install_provider;

/// Why a connection is closed before it may carry requests: the labels of `edge_connections_refused_total`.
pub(crate) const REFUSED_CAUSES: [&str; 13] = [
    "connections",
    "connections_per_address",
    "connections_per_network",
    "flood",
    "no_proxy_header",
    "proxy_header_timeout",
    "not_tls",
    "client_hello_timeout",
    "handshake_timeout",
    "handshake_failed",
    "client_certificate",
    "acme_proof",
    "gone",
];
/// Why one that stood is cut: the labels of `edge_connections_cut_total`.
pub(crate) const CUT_CAUSES: [&str; 4] = ["idle", "head", "slow_reader", "h2_flood"];

/// How long a connection may take for each step, and how slowly it may read.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    client_hello: Duration,
    handshake: Duration,
    idle: Duration,
    head: Duration,
    grace: Duration,
    /// Bytes per second.
    min_rate: u64,
}

impl Deadlines {
    fn of(limits: &Limits) -> Self {
        Self {
            client_hello: limits.client_hello_timeout,
            handshake: limits.handshake_timeout,
            idle: limits.idle_timeout,
            head: limits.head_timeout,
            grace: limits.min_rate_grace,
            min_rate: limits.min_rate_bytes,
        }
    }
}
