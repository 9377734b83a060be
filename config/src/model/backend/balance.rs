//! Which server is asked, how often, and how many requests at one time.

use std::time::Duration;

/// Which server is asked next, among those that are up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Balance {
    /// Each in its turn, in proportion to the weights.
    RoundRobin,
    /// The one with the fewest requests in work for its weight.
    LeastConnections,
}

/// What keeps requests with one server: a consistent hash over it, so that only the requests of a server that goes
/// move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Affinity {
    /// The client's address.
    ClientIp,
    /// The path.
    Path,
    /// A request header, by its name in lower case; requests without it go in turn.
    Header(String),
}

/// When a server that fails requests is left out for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outliers {
    /// Failed requests in a row until it is left out; at least 1.
    pub failures: u32,
    /// How long it is left out the first time; each further time is longer by as much, up to ten times.
    pub eject: Duration,
    /// How many of a backend's servers may be left out at one time, in percent.
    pub max_percent: u32,
}

/// How often a request that failed is sent to another server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retries {
    /// Further tries of one request; 0 means none.
    pub attempts: u32,
    /// Further tries of all requests together, in percent of the requests of the last ten seconds.
    pub budget_percent: u32,
}

/// How many requests a backend may have in work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Requests in work; at least 1.
    pub in_flight: u32,
    /// Requests that wait for one to end; one more is refused.
    pub queue: u32,
    /// How long a request waits.
    pub queue_timeout: Duration,
    /// The time to an answer's head above which fewer requests are let in.
    pub latency_target: Option<Duration>,
}
