//! `limits`: the table of every cap that the operator sets, and its decoding.
//!
//! The table is the only place where a default, a range or a meaning stands: the file's keys, the decoder,
//! `docs/configuration.md`, `docs/limits.md` and `check --capacity` are made from it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::Fields;
use super::keys::{Absent, Key};
use super::{Context, keys, scalar};
use crate::model::Limits;
use crate::yaml::{Node, Value};

/// One cap.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The key with its default and meaning.
    pub key: Key,
    /// What may be written.
    pub range: Range,
    /// Where its being reached is counted.
    pub metric: &'static str,
    /// What it lets the process hold.
    pub memory: Memory,
}

/// The values that a cap may have, as they are written.
#[derive(Clone, Copy, Debug)]
pub enum Range {
    /// A number.
    Number(u32, u32),
    /// A duration.
    Duration(&'static str, &'static str),
    /// A size.
    Size(&'static str, &'static str),
}

/// How a cap bounds memory.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// It does not by itself.
    None,
    /// So many of them, each of so many bytes.
    Each(fn(&Limits) -> u64, u64),
    /// A size that is held so many times at most.
    Times(fn(&Limits) -> u64, u64),
    /// A size that is held for each connection.
    PerConnection(fn(&Limits) -> u64),
}

impl Memory {
    /// The most bytes that it lets the process hold, under these limits.
    #[must_use]
    pub fn bytes(self, limits: &Limits) -> u64 {
        match self {
            Self::None => 0,
            Self::Each(value, bytes) | Self::Times(value, bytes) => {
                value(limits).saturating_mul(bytes)
            }
            Self::PerConnection(value) => {
                value(limits).saturating_mul(u64::from(limits.connections))
            }
        }
    }

    /// The same in words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::None => "–".to_owned(),
            Self::Each(_, bytes) => format!("{bytes} B each"),
            Self::Times(_, 1) => "its value".to_owned(),
            Self::Times(_, times) => format!("{times} times its value"),
            Self::PerConnection(_) => "its value for each connection".to_owned(),
        }
    }
}

/// Bytes that one open connection takes while it is idle: sockets' buffers of ours, TLS, the HTTP session, the task.
/// Measured: `cargo bench -p portcullis-benches --bench edge -- holding`.
const CONNECTION_BYTES: u64 = 50 * 1024;
/// Bytes that a request in work takes without head and body: its task, its session, what the log will say. Measured on
/// 10,000 streams of HTTP/2 that do not end (`benches/record/abuse.md`): 21 KiB.
const REQUEST_BYTES: u64 = 24 * 1024;
/// Bytes of one key of a rate limit with its share of the table.
const RATE_KEY_BYTES: u64 = 256;
/// Bytes of one ban with its reason and its share of the table.
const BAN_BYTES: u64 = 512;
/// A remembered refusal with its target, cut, and what matched.
const DECISION_BYTES: u64 = 8192;

macro_rules! limit {
    ($name:literal, number $low:literal to $high:literal, $default:literal, $doc:literal, $metric:literal, $memory:expr) => {
        Limit {
            key: key($name, concat!("number, ", $low, " to ", $high), $default, $doc),
            range: Range::Number($low, $high),
            metric: $metric,
            memory: $memory,
        }
    };
    ($name:literal, duration $low:literal to $high:literal, $default:literal, $doc:literal, $metric:literal, $memory:expr) => {
        Limit {
            key: key($name, concat!("duration, ", $low, " to ", $high), $default, $doc),
            range: Range::Duration($low, $high),
            metric: $metric,
            memory: $memory,
        }
    };
    ($name:literal, size $low:literal to $high:literal, $default:literal, $doc:literal, $metric:literal, $memory:expr) => {
        Limit {
            key: key($name, concat!("size, ", $low, " to ", $high), $default, $doc),
            range: Range::Size($low, $high),
            metric: $metric,
            memory: $memory,
        }
    };
}

const fn key(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, absent: Absent::Default(default), doc }
}

/// Every cap that the operator sets, in the order of the documentation.
pub const LIMITS: &[Limit] = &[
    limit!("connections", number 1 to 1000000, "20000",
        "Open client connections; a further one is closed before TLS.",
        "edge_connections_refused_total{cause=\"connections\"}", Memory::Each(|l| u64::from(l.connections), CONNECTION_BYTES)),
    limit!("connections_per_address", number 1 to 1000000, "1000",
        "Open connections of one address; a further one is closed before TLS.",
        "edge_connections_refused_total{cause=\"connections_per_address\"}", Memory::None),
    limit!("connections_per_network", number 1 to 1000000, "2000",
        "Open connections of one IPv6 network of 64 bits; a further one is closed before TLS.",
        "edge_connections_refused_total{cause=\"connections_per_network\"}", Memory::None),
    limit!("connection_rate", number 1 to 1000000, "1000",
        "New connections per second of one address, and as many at once; who exceeds it is under a flood ban. An HTTP/2 stream that ends for a fault of the client's counts as one, a connection that ends so as a hundred. Trusted hops are exempt.",
        "edge_connections_refused_total{cause=\"flood\"}", Memory::None),
    limit!("flood_ban", duration "1s" to "24h", "60s",
        "How long connections of an address are dropped before TLS that exceeded `connection_rate` or flooded HTTP/2 with control frames.",
        "edge_connections_refused_total{cause=\"flood\"}", Memory::None),
    limit!("requests", number 1 to 1000000, "50000",
        "Requests in work, of all connections; a further one is 503.",
        "edge_refusals_total{reason=\"overloaded\"}", Memory::Each(|l| u64::from(l.requests), REQUEST_BYTES)),
    limit!("requests_per_client", number 1 to 1000000, "5000",
        "Requests in work of one client's address; a further one is 429. Requests whose client is a trusted hop are exempt.",
        "edge_refusals_total{reason=\"rate_limited\"}", Memory::None),
    limit!("client_hello_timeout", duration "100ms" to "1m", "3s",
        "From accept to a whole ClientHello, and to the header of the PROXY protocol where there is one; then the connection is closed.",
        "edge_connections_refused_total{cause=\"client_hello_timeout\"}", Memory::None),
    limit!("handshake_timeout", duration "100ms" to "1m", "5s",
        "From the ClientHello to the end of the handshake; then the connection is closed.",
        "edge_connections_refused_total{cause=\"handshake_timeout\"}", Memory::None),
    limit!("idle_timeout", duration "1s" to "1h", "60s",
        "A connection without a request in work; then it is closed.",
        "edge_connections_cut_total{cause=\"idle\"}", Memory::None),
    limit!("head_timeout", duration "100ms" to "1m", "10s",
        "From the first byte of a request's head to its last; then the connection is closed.",
        "edge_connections_cut_total{cause=\"head\"}", Memory::None),
    limit!("min_rate", size "1B" to "1MiB", "240B",
        "Bytes per second that a client sends of a body that is read, and takes of an answer, after `min_rate_grace`; slower bodies are 408, slower readers are cut.",
        "edge_connections_cut_total{cause=\"slow_reader\"}", Memory::None),
    limit!("min_rate_grace", duration "100ms" to "1m", "5s",
        "How long a client may be slower than `min_rate`.",
        "edge_refusals_total{reason=\"body_timeout\"}", Memory::None),
    limit!("target", size "256B" to "64KiB", "8KiB",
        "The request target; more is 414.",
        "edge_refusals_total{reason=\"uri_too_long\"}", Memory::PerConnection(|l| l.target_bytes)),
    limit!("header_bytes", size "1KiB" to "256KiB", "32KiB",
        "All request headers together, names and values; more is 431.",
        "edge_refusals_total{reason=\"header_too_large\"}", Memory::PerConnection(|l| l.header_bytes)),
    limit!("headers", number 8 to 256, "100",
        "Request headers; more is 431.",
        "edge_refusals_total{reason=\"header_too_large\"}", Memory::None),
    limit!("body", size "0B" to "64MiB", "1MiB",
        "A body on routes that say nothing else; more is 413.",
        "edge_refusals_total{reason=\"body_too_large\"}", Memory::None),
    limit!("body_timeout", duration "100ms" to "10m", "30s",
        "From the first byte of a body that is read to its last; then 408.",
        "edge_refusals_total{reason=\"body_timeout\"}", Memory::None),
    limit!("body_buffer", size "1MiB" to "64GiB", "256MiB",
        "All bodies that are held for a verdict at one time; beyond it 503.",
        "edge_refusals_total{reason=\"overloaded\"}", Memory::Times(|l| l.body_buffer_bytes, 2)),
    limit!("rate_keys", number 1000 to 10000000, "100000",
        "Keys of all rate limits together; beyond it the oldest are forgotten and counted.",
        "edge_rate_keys_evicted_total", Memory::Each(|l| u64::from(l.rate_keys), RATE_KEY_BYTES)),
    limit!("bans", number 1000 to 10000000, "100000",
        "Bans; beyond it the one that ends first is forgotten and counted.",
        "edge_bans_evicted_total", Memory::Each(|l| u64::from(l.bans), BAN_BYTES)),
    limit!("collections", size "64KiB" to "1GiB", "16MiB",
        "What rules keep between requests in `IP`, `SESSION`, `GLOBAL`, …; beyond it what was written longest ago is forgotten and counted.",
        "edge_collections_evicted_total", Memory::Times(|l| l.collection_bytes, 1)),
    limit!("recent_decisions", number 0 to 1000000, "10000",
        "Refusals and preview matches that are remembered for `portcullis why`; the oldest are forgotten.",
        "edge_refusals_total", Memory::Each(|l| u64::from(l.recent_decisions), DECISION_BYTES)),
];

/// The keys of the table.
pub(super) const KEYS: &[Key] = &{
    let mut keys = [LIMITS[0].key; LIMITS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = LIMITS[at].key;
        at += 1;
    }
    keys
};

/// Returns the table's defaults.
pub(super) fn absent(cx: &mut Context<'_>) -> Option<Limits> {
    limits(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}

/// Decodes `limits`.
pub(super) fn limits(node: &Node, cx: &mut Context<'_>) -> Option<Limits> {
    let fields = Fields::open(node, &keys::LIMITS, cx)?;
    let mut of = Of { fields, cx };
    let connections = of.number("connections");
    let connections_per_address = of.number("connections_per_address");
    let connections_per_network = of.number("connections_per_network");
    let connection_rate = of.number("connection_rate");
    let flood_ban = of.duration("flood_ban");
    let requests = of.number("requests");
    let requests_per_client = of.number("requests_per_client");
    let client_hello_timeout = of.duration("client_hello_timeout");
    let handshake_timeout = of.duration("handshake_timeout");
    let idle_timeout = of.duration("idle_timeout");
    let head_timeout = of.duration("head_timeout");
    let min_rate_bytes = of.size("min_rate");
    let min_rate_grace = of.duration("min_rate_grace");
    let target_bytes = of.size("target");
    let header_bytes = of.size("header_bytes");
    let headers = of.number("headers");
    let body_bytes = of.size("body");
    let body_timeout = of.duration("body_timeout");
    let body_buffer_bytes = of.size("body_buffer");
    let rate_keys = of.number("rate_keys");
    let bans = of.number("bans");
    let collection_bytes = of.size("collections");
    let recent_decisions = of.number("recent_decisions");
    Some(Limits {
        connections: connections?,
        connections_per_address: connections_per_address?,
        connections_per_network: connections_per_network?,
        connection_rate: connection_rate?,
        flood_ban: flood_ban?,
        requests: requests?,
        requests_per_client: requests_per_client?,
        client_hello_timeout: client_hello_timeout?,
        handshake_timeout: handshake_timeout?,
        idle_timeout: idle_timeout?,
        head_timeout: head_timeout?,
        min_rate_bytes: min_rate_bytes?,
        min_rate_grace: min_rate_grace?,
        target_bytes: target_bytes?,
        header_bytes: header_bytes?,
        headers: headers?,
        body_bytes: body_bytes?,
        body_timeout: body_timeout?,
        body_buffer_bytes: body_buffer_bytes?,
        rate_keys: rate_keys?,
        bans: bans?,
        collection_bytes: collection_bytes?,
        recent_decisions: recent_decisions?,
    })
}

/// The mapping's fields, read as the table says.
struct Of<'a, 'n, 'c> {
    fields: Fields<'n>,
    cx: &'a mut Context<'c>,
}

impl Of<'_, '_, '_> {
    fn number(&mut self, name: &str) -> Option<u32> {
        let Range::Number(low, high) = range(name)? else { return None };
        let range: RangeInclusive<u32> = low..=high;
        self.fields.of(name, self.cx, scalar::number(range))
    }

    fn duration(&mut self, name: &str) -> Option<Duration> {
        let Range::Duration(low, high) = range(name)? else { return None };
        self.fields.of(name, self.cx, scalar::duration(low, high))
    }

    fn size(&mut self, name: &str) -> Option<u64> {
        let Range::Size(low, high) = range(name)? else { return None };
        self.fields.of(name, self.cx, scalar::size(low, high))
    }
}

fn range(name: &str) -> Option<Range> {
    LIMITS.iter().find(|limit| limit.key.name == name).map(|limit| limit.range)
}
