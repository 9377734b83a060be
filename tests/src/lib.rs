//! The end-to-end harness: an edge in process, an origin that records, raw clients.
//!
//! One edge per test, on a port that the system chooses, with a clock that the test moves. Nothing sleeps: a wait is
//! always for an event, under a bound that fails the test.
//!
//! ```no_run
//! # async fn example() {
//! use portcullis_tests::{Edge, Origin};
//!
//! let origin = Origin::start().await;
//! let edge = Edge::builder(&origin).start().await;
//! let answer = edge.get("/").await;
//! assert_eq!(answer.status, 200);
//! assert_eq!(origin.seen().len(), 1);
//! # }
//! ```

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the harness is test code: what goes wrong fails the test"
)]

mod acme;
mod albedo;
mod answer;
mod builder;
mod certificate;
mod client;
mod edge;
mod h2_client;
mod h2_origin;
mod h2_raw;
mod key_server;
mod license;
mod ocsp;
mod origin;
mod recorder;
mod relay;
mod token;

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

pub use acme::{AcmeServer, How, shown_to};
pub use albedo::Albedo;
pub use answer::Answer;
pub use builder::{BuildError, Builder};
pub use certificate::Authority;
pub use client::{Client, Manner, connect};
pub use edge::Edge;
pub use h2_client::H2Client;
pub use h2_origin::{H2Origin, H2Seen};
pub use h2_raw::{End, Field, H2Raw, block, frame};
pub use key_server::{KeyServer, Says};
pub use license::{License, LicenseHome, Way, binary};
pub use ocsp::{OcspSays, ocsp_response};
pub use origin::{Origin, Seen};
pub use recorder::{Recorded, Recorder};
pub use relay::Relay;
pub use token::{Claims, Issuer};

/// The bound on every wait of a test. Far above what a loaded machine needs; reaching it is a failure.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// Listens on a port of loopback that is nobody else's until the process ends: what an edge still sends to an origin that
/// is gone must not reach the origin of another test. Once the listener is gone, connections to the port are refused.
///
/// # Panics
///
/// When loopback cannot be had, or outside of a runtime.
#[must_use]
pub fn listening() -> TcpListener {
    let bound = |to| {
        let socket = TcpSocket::new_v4().expect("a socket can be had");
        socket.set_reuseport(true).expect("ports can be shared");
        socket.bind(to).expect("loopback can be bound");
        socket
    };
    let socket = bound((Ipv4Addr::LOCALHOST, 0).into());
    let address = socket.local_addr().expect("a bound socket has an address");
    // It shares the port and never listens: no one else is given the port, and no connection waits on it.
    std::mem::forget(bound(address));
    socket.listen(1024).expect("a bound socket can listen")
}

/// Waits for `step`, or fails the test.
///
/// # Panics
///
/// After 20 seconds.
pub async fn within<T>(what: &str, step: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_MAX, step).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {WAIT_MAX:?}"),
    }
}
