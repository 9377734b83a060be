//! Every cap: what the operator sets (the table of `portcullis_config::file::limits`), what is fixed, and what all of them
//! together let the process hold. `docs/limits.md` is made from both tables.

mod available;

use portcullis_config::file::limits::LIMITS;
use portcullis_config::model::Limits;

use portcullis_identity::TOKEN_BYTES_MAX;
use portcullis_identity::keys::KEY_SET_BYTES_MAX;
use portcullis_identity::places::IDS_MAX;

use crate::shared::{OWNED_MAX, TOKENS_MAX};
use crate::{
    acme, alerts, api_keys, capture, csp, edge, events, gate, history, incidents, key_sets, log,
    login, revocations, sign_in, signing, sinks, tickets,
};

pub use available::{Available, available};

/// A cap that no setting moves.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// What is capped.
    pub name: &'static str,
    /// How much of it there may be.
    pub value: u64,
    /// Its unit.
    pub unit: &'static str,
    /// What happens beyond it.
    pub beyond: &'static str,
    /// Where that is counted.
    pub metric: &'static str,
}

/// Every cap that no setting moves, with the constants that hold it.
pub const FIXED: &[Fixed] = &[
    Fixed {
        name: "header of the PROXY protocol, version 2; version 1 has 107 bytes",
        value: edge::PROXY_HEADER_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "the connection is closed",
        metric: "edge_connections_refused_total{cause=\"no_proxy_header\"}",
    },
    Fixed {
        name: "ClientHello",
        value: edge::HELLO_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "the connection is closed",
        metric: "edge_connections_refused_total{cause=\"not_tls\"}",
    },
    Fixed {
        name: "session ticket",
        value: tickets::TICKET_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "none is given, and one that comes opens nothing",
        metric: "edge_session_tickets_total{outcome=\"unknown\"}",
    },
    Fixed {
        name: "answer of an ACME authority",
        value: acme::BYTES_MAX as u64,
        unit: "bytes",
        beyond: "the order fails and is tried again later",
        metric: "edge_egress_requests_total{purpose=\"acme\",result=\"too_large\"}",
    },
    Fixed {
        name: "answer of an issuer: its discovery document, its key set",
        value: KEY_SET_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "the last good key set stays",
        metric: "edge_egress_requests_total{purpose=\"keys\",result=\"too_large\"}",
    },
    Fixed {
        name: "requests that wait for a key set, of each provider, for two seconds at most",
        value: key_sets::WAITING_MAX as u64,
        unit: "requests",
        beyond: "a further token with an unknown key is 401 at once",
        metric: "edge_key_set_waits_total{outcome=\"no_place\"}",
    },
    Fixed {
        name: "token",
        value: TOKEN_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "it is refused",
        metric: "edge_token_refusals_total{provider=\"none\",reason=\"too_long\"}",
    },
    Fixed {
        name: "verified tokens that are remembered; only what an issuer signed is",
        value: TOKENS_MAX as u64,
        unit: "tokens",
        beyond: "one that ends soon is forgotten and verified again",
        metric: "edge_tokens",
    },
    Fixed {
        name: "objects whose tenant is remembered (`identity.owners`), and tenants that have been seen",
        value: OWNED_MAX as u64,
        unit: "objects",
        beyond: "one that was not seen for long is forgotten: the origin's own check is left",
        metric: "edge_owned_objects_evicted_total",
    },
    Fixed {
        name: "answer that owners are learnt from",
        value: gate::ANSWER_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "nothing is learnt from it",
        metric: "edge_owner_answers_total{outcome=\"too_large\"}",
    },
    Fixed {
        name: "ids that a body may name in one place (`tenant`, `owners`)",
        value: IDS_MAX as u64,
        unit: "ids",
        beyond: "400",
        metric: "edge_refusals_total{reason=\"malformed_body\"}",
    },
    Fixed {
        name: "old assertion keys that are published still",
        value: signing::RETIRED_MAX as u64,
        unit: "keys",
        beyond: "a further rotation is refused",
        metric: "–",
    },
    Fixed {
        name: "API keys",
        value: api_keys::KEYS_MAX as u64,
        unit: "keys",
        beyond: "a further one is refused",
        metric: "edge_api_keys",
    },
    Fixed {
        name: "revocations by command",
        value: revocations::ENTRIES_MAX as u64,
        unit: "entries",
        beyond: "a further one is refused; the file of `identity.revocations` has room for 1,000,000",
        metric: "edge_revocations{source=\"command\"}",
    },
    Fixed {
        name: "addresses whose connection rate is known",
        value: edge::FLOOD_ADDRESSES_MAX as u64,
        unit: "addresses",
        beyond: "further ones are not held to `connection_rate`",
        metric: "edge_connections_untracked_total",
    },
    Fixed {
        name: "accounts and addresses whose failures to sign in are counted",
        value: sign_in::ENTRIES_MAX as u64,
        unit: "keys",
        beyond: "of a few, the one with the fewest failures is forgotten",
        metric: "edge_sign_ins_evicted_total",
    },
    Fixed {
        name: "networks whose failing accounts are counted, 64 accounts each",
        value: sign_in::NETWORKS_MAX as u64,
        unit: "networks",
        beyond: "of a few, the one with the fewest accounts is forgotten",
        metric: "edge_sign_ins_evicted_total",
    },
    Fixed {
        name: "pairs of account and address that have signed in",
        value: sign_in::PAIRS_MAX as u64,
        unit: "pairs",
        beyond: "of a few, the oldest is forgotten and held to `account_failures`",
        metric: "edge_sign_ins_evicted_total",
    },
    Fixed {
        name: "an answer to a sign-in that is looked at",
        value: gate::TOLD_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "the event has no `reason` and no `userId` of the answer's",
        metric: "–",
    },
    Fixed {
        name: "body of reports about content security policies",
        value: csp::REPORT_BYTES_MAX,
        unit: "bytes",
        beyond: "413",
        metric: "edge_refusals_total{reason=\"body_too_large\"}",
    },
    Fixed {
        name: "reports about content security policies that are written, 8 of a request at most",
        value: csp::REPORTS_PER_SECOND,
        unit: "per second",
        beyond: "a further one is dropped",
        metric: "edge_csp_reports_total{outcome=\"dropped\"}",
    },
    Fixed {
        name: "sessions of people that were ended before their time (`hosts.<name>.login`)",
        value: login::ENDED_MAX as u64,
        unit: "sessions",
        beyond: "the one that would end first is forgotten",
        metric: "–",
    },
    Fixed {
        name: "exchanges with issuers for sign-ins of people, at one time",
        value: login::UNDER_WAY_MAX as u64,
        unit: "exchanges",
        beyond: "a further one is 503",
        metric: "edge_refusals_total{reason=\"login_unavailable\"}",
    },
    Fixed {
        name: "cookie of a session or a sign-in at the edge",
        value: login::COOKIE_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "it opens nothing",
        metric: "–",
    },
    Fixed {
        name: "HTTP/2 streams of one connection",
        value: gate::H2_STREAMS_MAX as u64,
        unit: "streams",
        beyond: "a further one is reset: REFUSED_STREAM",
        metric: "–",
    },
    Fixed {
        name: "HTTP/2 streams reset by the client before they were taken",
        value: gate::H2_PENDING_RESETS_MAX as u64,
        unit: "streams",
        beyond: "the connection ends: ENHANCE_YOUR_CALM",
        metric: "edge_refusals_total{reason=\"malformed_request\"}",
    },
    Fixed {
        name: "HTTP/2 frames that ask for nothing (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, unfinished CONTINUATION), at once",
        value: edge::OVERHEAD_FRAMES_AT_ONCE as u64,
        unit: "frames",
        beyond: "the connection is cut and its address under a flood ban",
        metric: "edge_connections_cut_total{cause=\"h2_flood\"}",
    },
    Fixed {
        name: "the same, per second after that",
        value: edge::OVERHEAD_FRAMES_PER_SECOND as u64,
        unit: "frames",
        beyond: "the same",
        metric: "edge_connections_cut_total{cause=\"h2_flood\"}",
    },
    Fixed {
        name: "bytes of a refused request's body that are read and dropped",
        value: gate::DRAIN_BYTES_MAX,
        unit: "bytes",
        beyond: "the connection is closed behind the answer",
        metric: "–",
    },
    Fixed {
        name: "entries of `client_address_header` that are followed",
        value: gate::HOPS_MAX as u64,
        unit: "entries",
        beyond: "the last one followed is the client",
        metric: "–",
    },
    Fixed {
        name: "idle connections to origins",
        value: gate::POOLED_CONNECTIONS as u64,
        unit: "connections",
        beyond: "those that idle longest are closed, down to 112",
        metric: "–",
    },
    Fixed {
        name: "records that wait for a log's writer",
        value: log::QUEUE_RECORDS_MAX as u64,
        unit: "records",
        beyond: "a further one is dropped",
        metric: "edge_log_dropped_total",
    },
    Fixed {
        name: "security events that wait for the incident desk",
        value: events::QUEUE_EVENTS_MAX as u64,
        unit: "events",
        beyond: "a further one is added up with those of its kind, source and subject",
        metric: "edge_events_added_up_total",
    },
    Fixed {
        name: "sums of such events",
        value: events::SUMS_MAX as u64,
        unit: "sums",
        beyond: "the event is counted by its kind alone",
        metric: "edge_events_added_up_total",
    },
    Fixed {
        name: "alerts of one message of Alertmanager",
        value: alerts::ALERTS_MAX as u64,
        unit: "alerts",
        beyond: "the message is answered 400 and nothing of it is taken",
        metric: "–",
    },
    Fixed {
        name: "message of Alertmanager to the metrics listener",
        value: alerts::ALERTS_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "413, and nothing of it is taken",
        metric: "–",
    },
    Fixed {
        name: "incidents that are kept",
        value: incidents::INCIDENTS_MAX as u64,
        unit: "incidents",
        beyond: "the oldest one that is over is forgotten, or the least urgent one",
        metric: "edge_incidents_open",
    },
    Fixed {
        name: "notices of incidents that wait to be delivered",
        value: incidents::LETTERS_MAX as u64,
        unit: "notices",
        beyond: "the oldest of the least urgent is thrown away",
        metric: "edge_incident_notices_total{outcome=\"dropped\"}",
    },
    Fixed {
        name: "objects of one request that the logs name",
        value: gate::OBJECTS_MAX as u64,
        unit: "objects",
        beyond: "further ones are not named",
        metric: "–",
    },
    Fixed {
        name: "line of a log that `portcullis log` reads",
        value: history::LINE_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "it is left out, and how many are is said",
        metric: "–",
    },
    Fixed {
        name: "lines of the event log that wait for a sink (`log.sinks`)",
        value: sinks::LINES_MAX as u64,
        unit: "lines",
        beyond: "a further one is dropped",
        metric: "edge_event_sink_lines_total{outcome=\"dropped\",sink=\"none\"}",
    },
    Fixed {
        name: "line of the event log for a sink",
        value: sinks::LINE_BYTES_MAX as u64,
        unit: "bytes",
        beyond: "it stands in the log only",
        metric: "edge_event_sink_lines_total{outcome=\"dropped\",sink=\"none\"}",
    },
    Fixed {
        name: "requests that wait for the capture's writer (`log.capture`)",
        value: capture::QUEUE_RECORDS_MAX as u64,
        unit: "requests",
        beyond: "a further one is not captured",
        metric: "edge_captures_total{outcome=\"dropped\"}",
    },
    Fixed {
        name: "heads and bodies that wait for the capture's writer",
        value: capture::QUEUE_BYTES_MAX,
        unit: "bytes",
        beyond: "the same",
        metric: "edge_captures_total{outcome=\"dropped\"}",
    },
];

/// Bytes of the process that no limit moves: code, rule sets and their automata, the runtime.
const BASE_BYTES: u64 = 128 << 20;
/// The most that one record waiting for a log's writer takes, and the number of logs.
const RECORD_BYTES: u64 = 1024;
const LOGS: u64 = 2;
/// Bytes of a counted account or address, of a network with its accounts, and of a known pair, with their shares of the maps.
const SIGN_IN_BYTES: u64 = 256 * sign_in::ENTRIES_MAX as u64
    + (96 + 4 * sign_in::NETWORK_ACCOUNTS_MAX as u64) * sign_in::NETWORKS_MAX as u64
    + 32 * sign_in::PAIRS_MAX as u64;
/// The most that an incident takes: 64 values of five kinds and 200 lines of its timeline.
const INCIDENT_BYTES: u64 = 64 << 10;

/// One line of the sum.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Item {
    /// The limit.
    pub name: &'static str,
    /// How its bytes come about.
    pub how: String,
    /// The most that it allows.
    pub bytes: u64,
}

/// Adds up what the limits let the process hold, while requests are captured or not: each line, and the sum.
#[must_use]
pub fn capacity(limits: &Limits, captures: bool) -> (Vec<Item>, u64) {
    let fixed = [
        Item { name: "sign-ins", how: "their tables".to_owned(), bytes: SIGN_IN_BYTES },
        Item { name: "the process", how: "code, rule sets, runtime".to_owned(), bytes: BASE_BYTES },
        Item {
            name: "the logs",
            how: format!("{LOGS} queues, {RECORD_BYTES} B a record"),
            bytes: LOGS * RECORD_BYTES * log::QUEUE_RECORDS_MAX as u64,
        },
        Item {
            name: "incidents",
            how: format!("{INCIDENT_BYTES} B each at most"),
            bytes: INCIDENT_BYTES * incidents::INCIDENTS_MAX as u64,
        },
    ];
    let queue = captures.then(|| Item {
        name: "the capture",
        how: "its queue".to_owned(),
        bytes: capture::QUEUE_BYTES_MAX + RECORD_BYTES * capture::QUEUE_RECORDS_MAX as u64,
    });
    let set = LIMITS.iter().map(|limit| Item {
        name: limit.key.name,
        how: limit.memory.words(),
        bytes: limit.memory.bytes(limits),
    });
    let items: Vec<Item> =
        fixed.into_iter().chain(queue).chain(set.filter(|item| item.bytes > 0)).collect();
    let sum = items.iter().fold(0_u64, |sum, item| sum.saturating_add(item.bytes));
    (items, sum)
}

#[cfg(test)]
mod tests;
