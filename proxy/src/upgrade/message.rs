//! What the two processes tell each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::tickets::Drawn;

/// The version of these messages. A successor that does not speak it refuses, and the old process goes on.
pub(super) const PROTOCOL: u32 = 1;

/// What a socket that is passed on is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketName {
    /// One of `listeners`, by its address in the configuration.
    Listener(SocketAddr),
    /// `admin.metrics`.
    Metrics(SocketAddr),
    /// The embedded license service's.
    License(PathBuf),
}

/// The first message of the old process; the sockets come beside it, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) protocol: u32,
    /// The generation that is served.
    pub(super) generation: u64,
    /// What the keys of rate counters are digested with.
    pub(super) secret: [u8; 16],
    pub(super) sockets: Vec<SocketName>,
    /// The secrets that this process has drawn for session tickets. An older process passes none on.
    #[serde(default)]
    pub(super) tickets: Vec<Drawn>,
}

/// What the successor says, in this order; `Failed` ends it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The configuration is compiled, the sockets are there.
    Ready,
    /// It serves.
    Serving {
        /// Its first generation.
        generation: u64,
    },
    /// It does not start.
    Failed {
        /// Why, for the operator.
        error: String,
    },
}
