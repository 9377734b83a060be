//! The downstream side: sockets, the ClientHello, TLS, deadlines, and the hand-over to Pingora.
//!
//! Pingora's `Server` owns a process: it forks its own runtimes, installs signal handlers and leaves by `exit`. Its
//! `HttpProxy` does not need it: it takes any established stream. So the accept loop is ours. That gives permits before a
//! byte is read, a bound port known before serving (port 0 works), as many edges in one process as a test likes, a clean
//! stop, and listeners that a successor can inherit by file descriptor, since they are plain `TcpListener`s made before
//! anything is served.
//!
//! The way of a connection: permit → ClientHello within its deadline (`hello`) → handshake within its deadline
//! (`tls`) → `guard` → `HttpProxy` with the gate. A plain listener goes without the middle two; the one that only
//! redirects is answered by the gate as well, so that its requests are judged, counted and logged like any other.

mod accept;
mod connection;
mod guard;
mod hello;
mod open;
mod outgoing;
mod permits;
mod running;
mod tls;
mod wait;

use std::time::Duration;

use portcullis_config::model::Limits;

pub use accept::{BindError, Bound, bind, serve};
pub(crate) use connection::{Connection, InFlight, Manner};
pub use running::Running;
pub use tls::install_provider;

/// The longest time from the first byte of a request head to its last, unless connections may not even idle that long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may take for each step.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    client_hello: Duration,
    handshake: Duration,
    idle: Duration,
    head: Duration,
}

impl Deadlines {
    fn of(limits: &Limits) -> Self {
        Self {
            client_hello: limits.client_hello_timeout,
            handshake: limits.handshake_timeout,
            idle: limits.idle_timeout,
            head: HEAD_TIMEOUT.min(limits.idle_timeout),
        }
    }
}
