//! Caps on everything that a client can grow.

use std::time::Duration;

/// Caps on everything that a client can grow. Each names what happens at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Open client connections; a further one is closed before TLS.
    pub connections: u32,
    /// Open client connections of one address; a further one is closed before TLS.
    pub connections_per_address: u32,
    /// Open client connections of one IPv6 network of 64 bits; a further one is closed before TLS.
    pub connections_per_network: u32,
    /// New connections per second of one address, and as many at once; beyond it the address is under a flood ban.
    pub connection_rate: u32,
    /// Requests in work; a further one is 503.
    pub requests: u32,
    /// Requests in work of one client's address; a further one is 429.
    pub requests_per_client: u32,
    /// How long the connections of an address under a flood ban are dropped before TLS.
    pub flood_ban: Duration,
    /// From accept to a whole ClientHello; then the connection is closed.
    pub client_hello_timeout: Duration,
    /// From the ClientHello to the end of the handshake; then the connection is closed.
    pub handshake_timeout: Duration,
    /// A connection without a request in work; then it is closed.
    pub idle_timeout: Duration,
    /// From the first byte of a request's head to its last; then the connection is closed.
    pub head_timeout: Duration,
    /// Bytes per second that a client sends of a body that is read, and takes of an answer, after the grace.
    pub min_rate_bytes: u64,
    /// How long a client may be slower than that.
    pub min_rate_grace: Duration,
    /// Bytes of the request target; more is 414.
    pub target_bytes: u64,
    /// Bytes of all request headers together, names and values; more is 431.
    pub header_bytes: u64,
    /// Request headers; more is 431.
    pub headers: u32,
    /// Bytes of a body on routes with `body: skip`, and the default of `body.limit`; more is 413.
    pub body_bytes: u64,
    /// From the first byte of an inspected body to its last; then 408.
    pub body_timeout: Duration,
    /// Bytes of all bodies that are held for inspection at one time; then 503.
    pub body_buffer_bytes: u64,
    /// Keys of all rate limits together; beyond it the oldest are forgotten and counted.
    pub rate_keys: u32,
    /// Bans; beyond it the one that ends first is forgotten and counted.
    pub bans: u32,
    /// Bytes of what rules keep between requests; beyond it what was written longest ago is forgotten and counted.
    pub collection_bytes: u64,
    /// Decisions that are remembered for `why`; beyond it the oldest are forgotten. 0 remembers none.
    pub recent_decisions: u32,
}
