//! Every row of `docs/limits.md` has a test that tries it one under, at, and one over; a deadline's test tries what comes
//! in time and what is too late. The table is literal: a new row of a limit needs one here, and a test that it names.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis::limits::FIXED;
use portcullis_config::file::limits::LIMITS;

/// What a test of a limit has to try; the words stand in its assertions.
#[derive(Clone, Copy)]
enum Bounds {
    Number,
    Time,
}

impl Bounds {
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Number => &["\"one under\"", "\"at it\"", "\"one over\""],
            Self::Time => &["\"in time\"", "\"too late"],
        }
    }
}

use Bounds::{Number, Time};

const E2E: &str = "tests/tests/e2e/limits/";
const TENANTS: &str = "tests/tests/e2e/";
const EDGE: &str = "proxy/src/edge/";
const GATE: &str = "proxy/src/gate/";
const IDENTITY: &str = "proxy/identity/src/";
const INCIDENT: &str = "proxy/incident/src/";
const PROXY: &str = "proxy/src/";
const STATE: &str = "proxy/policy/src/state/";

/// The limit; what its test tries; where the test stands, and its name.
type Row = (&'static str, Bounds, (&'static str, &'static str), &'static str);

const TESTS: &[Row] = &[
    ("connections", Number, (E2E, "connections.rs"), "open_connections_in_all_are_capped"),
    (
        "connections_per_address",
        Number,
        (E2E, "connections.rs"),
        "open_connections_of_an_address_are_capped",
    ),
    (
        "connections_per_network",
        Number,
        (E2E, "connections.rs"),
        "open_connections_of_an_ipv6_network_are_capped",
    ),
    (
        "connection_rate",
        Number,
        (E2E, "connections.rs"),
        "new_connections_of_an_address_keep_to_the_rate",
    ),
    ("requests", Number, (E2E, "requests.rs"), "requests_in_work_are_capped"),
    (
        "requests_per_client",
        Number,
        (E2E, "requests.rs"),
        "requests_in_work_of_a_client_are_capped",
    ),
    ("flood_ban", Number, (E2E, "connections.rs"), "a_flood_ban_ends_when_it_says"),
    ("client_hello_timeout", Time, (E2E, "times.rs"), "a_client_hello_comes_within_its_time"),
    ("handshake_timeout", Time, (E2E, "times.rs"), "a_handshake_is_over_within_its_time"),
    ("idle_timeout", Time, (E2E, "times.rs"), "a_connection_is_idle_for_its_time"),
    ("head_timeout", Time, (E2E, "times.rs"), "a_head_comes_within_its_time"),
    ("min_rate", Time, (E2E, "times.rs"), "a_body_keeps_to_the_least_rate"),
    ("min_rate_grace", Time, (E2E, "times.rs"), "a_client_is_slow_for_its_grace"),
    ("target", Number, (E2E, "heads.rs"), "a_target_is_taken_up_to_its_bytes"),
    ("header_bytes", Number, (E2E, "heads.rs"), "headers_are_taken_up_to_their_bytes"),
    ("headers", Number, (E2E, "heads.rs"), "headers_are_taken_up_to_their_number"),
    ("body", Number, (E2E, "bodies.rs"), "a_body_is_taken_up_to_its_bytes"),
    ("body_timeout", Time, (E2E, "times.rs"), "a_body_comes_within_its_time"),
    ("body_buffer", Number, (E2E, "bodies.rs"), "bodies_together_are_held_up_to_the_budget"),
    ("rate_keys", Number, (STATE, "counters.rs"), "keys_are_kept_up_to_the_cap"),
    (
        "bans",
        Number,
        (STATE, "bans.rs"),
        "bans_are_kept_up_to_the_cap_and_then_the_next_to_end_goes",
    ),
    ("collections", Number, (STATE, "collections.rs"), "what_is_held_is_kept_up_to_its_bytes"),
    ("recent_decisions", Number, (PROXY, "recent.rs"), "decisions_are_kept_up_to_the_cap"),
    (
        "header of the PROXY protocol, version 2; version 1 has 107 bytes",
        Number,
        (EDGE, "proxy_header/tests.rs"),
        "a_line_and_a_binary_header_are_read_up_to_their_limits",
    ),
    ("ClientHello", Number, (EDGE, "hello.rs"), "a_hello_is_read_up_to_its_bytes"),
    (
        "session ticket",
        Number,
        (PROXY, "tickets/tests.rs"),
        "a_session_at_the_limit_is_sealed_and_one_beyond_is_not",
    ),
    (
        "answer of an ACME authority",
        Number,
        (PROXY, "egress/tests.rs"),
        "an_answer_of_an_acme_authority_is_read_up_to_its_bytes",
    ),
    (
        "answer of an issuer: its discovery document, its key set",
        Number,
        (PROXY, "egress/tests.rs"),
        "an_answer_of_an_issuer_is_read_up_to_its_bytes",
    ),
    (
        "requests that wait for a key set, of each provider, for two seconds at most",
        Number,
        (PROXY, "key_sets/waiting.rs"),
        "requests_wait_up_to_the_places_of_a_provider",
    ),
    ("token", Number, (IDENTITY, "verifier/tests.rs"), "a_token_is_looked_at_up_to_its_bytes"),
    (
        "verified tokens that are remembered; only what an issuer signed is",
        Number,
        (IDENTITY, "cache/tests.rs"),
        "verified_tokens_are_remembered_up_to_the_cap_of_their_shard",
    ),
    (
        "objects whose tenant is remembered (`identity.owners`), and tenants that have been seen",
        Number,
        (IDENTITY, "owners.rs"),
        "objects_are_remembered_up_to_the_cap",
    ),
    (
        "answer that owners are learnt from",
        Number,
        (TENANTS, "tenants.rs"),
        "owners_are_learnt_from_answers_up_to_their_bytes",
    ),
    (
        "ids that a body may name in one place (`tenant`, `owners`)",
        Number,
        (IDENTITY, "places/tests.rs"),
        "ids_are_found_up_to_their_cap",
    ),
    (
        "old assertion keys that are published still",
        Number,
        (PROXY, "signing.rs"),
        "old_keys_are_accepted_up_to_the_cap",
    ),
    ("API keys", Number, (PROXY, "api_keys/tests.rs"), "keys_are_issued_up_to_the_cap"),
    ("revocations by command", Number, (PROXY, "revocations.rs"), "entries_are_kept_up_to_the_cap"),
    (
        "addresses whose connection rate is known",
        Number,
        (EDGE, "flood.rs"),
        "addresses_are_known_up_to_the_cap_and_then_counted",
    ),
    (
        "HTTP/2 streams of one connection",
        Number,
        (E2E, "http2.rs"),
        "streams_of_a_connection_are_capped",
    ),
    (
        "HTTP/2 streams reset by the client before they were taken",
        Number,
        (E2E, "http2.rs"),
        "streams_that_were_reset_before_they_were_taken_are_capped",
    ),
    (
        "HTTP/2 frames that ask for nothing (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, unfinished CONTINUATION), at once",
        Number,
        (EDGE, "h2_watch.rs"),
        "frames_that_ask_for_nothing_pass_up_to_the_number_at_once",
    ),
    (
        "the same, per second after that",
        Number,
        (EDGE, "h2_watch.rs"),
        "frames_that_ask_for_nothing_pass_up_to_the_rate_after_that",
    ),
    (
        "bytes of a refused request's body that are read and dropped",
        Number,
        (E2E, "bodies.rs"),
        "a_refused_body_is_dropped_up_to_its_bytes_and_the_connection_kept",
    ),
    (
        "entries of `client_address_header` that are followed",
        Number,
        (GATE, "client_address.rs"),
        "a_long_chain_is_read_to_its_cap",
    ),
    (
        "idle connections to origins",
        Number,
        (E2E, "origins.rs"),
        "idle_connections_to_origins_are_capped",
    ),
    (
        "records that wait for a log's writer",
        Number,
        (PROXY, "log/writer.rs"),
        "records_wait_up_to_the_queues_length",
    ),
    (
        "security events that wait for the incident desk",
        Number,
        (PROXY, "events.rs"),
        "events_wait_up_to_the_queues_length_and_are_then_added_up",
    ),
    (
        "sums of such events",
        Number,
        (PROXY, "events/overflow.rs"),
        "sums_are_kept_up_to_the_cap_and_nothing_is_lost_beyond",
    ),
    (
        "alerts of one message of Alertmanager",
        Number,
        (PROXY, "alerts.rs"),
        "a_message_has_alerts_up_to_the_cap",
    ),
    (
        "message of Alertmanager to the metrics listener",
        Number,
        (TENANTS, "incidents/alerts.rs"),
        "a_message_is_taken_up_to_its_bytes",
    ),
    (
        "incidents that are kept",
        Number,
        (INCIDENT, "correlator/tests.rs"),
        "incidents_are_kept_up_to_the_cap",
    ),
    (
        "notices of incidents that wait to be delivered",
        Number,
        (PROXY, "incidents/working/letters.rs"),
        "letters_wait_up_to_the_cap_and_the_urgent_stay",
    ),
    (
        "accounts and addresses whose failures to sign in are counted",
        Number,
        (PROXY, "sign_in/tests.rs"),
        "the_tables_have_their_caps_and_count_what_they_push_out",
    ),
    (
        "networks whose failing accounts are counted, 64 accounts each",
        Number,
        (PROXY, "sign_in/tests.rs"),
        "the_tables_have_their_caps_and_count_what_they_push_out",
    ),
    (
        "pairs of account and address that have signed in",
        Number,
        (PROXY, "sign_in/tests.rs"),
        "pairs_that_have_signed_in_are_kept_up_to_their_cap",
    ),
    (
        "an answer to a sign-in that is looked at",
        Number,
        (GATE, "told.rs"),
        "an_answer_is_looked_at_up_to_its_bytes",
    ),
    (
        "body of reports about content security policies",
        Number,
        (E2E, "bodies.rs"),
        "reports_of_browsers_are_taken_up_to_their_bytes",
    ),
    (
        "reports about content security policies that are written, 8 of a request at most",
        Number,
        (PROXY, "csp.rs"),
        "so_many_are_written_in_a_second",
    ),
    (
        "sessions of people that were ended before their time (`hosts.<name>.login`)",
        Number,
        (PROXY, "login/tests.rs"),
        "sessions_that_were_ended_are_remembered_within_a_cap",
    ),
    (
        "exchanges with issuers for sign-ins of people, at one time",
        Number,
        (PROXY, "login/tests.rs"),
        "so_many_exchanges_run_at_one_time",
    ),
    (
        "cookie of a session or a sign-in at the edge",
        Number,
        (PROXY, "login/tests.rs"),
        "a_cookie_is_sealed_and_opened_up_to_its_bytes",
    ),
    (
        "objects of one request that the logs name",
        Number,
        (GATE, "tenancy.rs"),
        "objects_are_noted_once_each_up_to_the_cap",
    ),
    (
        "line of a log that `portcullis log` reads",
        Number,
        (PROXY, "history/files.rs"),
        "a_line_is_read_up_to_its_bytes",
    ),
    (
        "lines of the event log that wait for a sink (`log.sinks`)",
        Number,
        (PROXY, "sinks/tests.rs"),
        "lines_wait_up_to_the_queues_length",
    ),
    (
        "line of the event log for a sink",
        Number,
        (PROXY, "sinks/tests.rs"),
        "a_line_is_sent_up_to_its_bytes",
    ),
    (
        "requests that wait for the capture's writer (`log.capture`)",
        Number,
        (PROXY, "capture/writer.rs"),
        "requests_wait_up_to_the_queues_length",
    ),
    (
        "heads and bodies that wait for the capture's writer",
        Number,
        (PROXY, "capture/writer.rs"),
        "heads_and_bodies_wait_up_to_the_queues_bytes",
    ),
];

#[test]
fn every_limit_has_its_test_one_under_at_and_one_over() {
    let set = LIMITS.iter().map(|limit| limit.key.name);
    let limits: BTreeSet<&str> = set.chain(FIXED.iter().map(|fixed| fixed.name)).collect();
    let tested: BTreeSet<&str> = TESTS.iter().map(|row| row.0).collect();
    assert_eq!(limits, tested, "the limits, and those that name their test");
    assert_eq!(tested.len(), TESTS.len(), "each is named once");
    let missed: Vec<String> = TESTS.iter().filter_map(missing).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What a row's test lacks.
fn missing((limit, bounds, (directory, file), name): &Row) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let Some(body) = body(&text, name) else {
        return Some(format!(
            "{limit}: there is no test `{name}` in {directory}{file} that always runs"
        ));
    };
    let lacks = |word: &&&str| !body.contains(**word);
    let word = bounds.words().iter().find(lacks)?;
    Some(format!("{limit}: `{name}` does not try {word}"))
}

/// The text of a test that is not ignored, to the line that ends it.
fn body<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let at = text.find(&format!("fn {name}("))?;
    let (before, from) = text.split_at(at);
    let attributes = before.rsplit("\n\n").next()?;
    let is_test = ["#[test]", "#[tokio::test"].iter().any(|kind| attributes.contains(kind));
    let indent = before.rsplit('\n').next()?.len() - before.rsplit('\n').next()?.trim_start().len();
    let end = from.find(&format!("\n{}}}", " ".repeat(indent)))?;
    from.get(..end).filter(|_| is_test && !attributes.contains("#[ignore"))
}

#[test]
fn a_test_that_is_absent_ignored_or_tries_too_little_is_told() {
    let text = "\n    #[test]\n    fn tried() {\n        a(\"one under\");\n    }\n\n    #[test]\n    #[ignore = \"slow\"]\n    \
        fn ignored() {\n    }\n\n    fn helper() {\n    }\n";
    assert!(body(text, "tried").is_some_and(|body| body.contains("one under")));
    assert!(body(text, "tried").is_some_and(|body| !body.contains("ignored")));
    for name in ["absent", "ignored", "helper"] {
        assert_eq!(body(text, name), None, "{name}");
    }
}
