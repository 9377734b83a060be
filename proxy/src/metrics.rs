//! What the process counts, in one registry. Read on the metrics listener; nothing here is fetched by name.

mod durations;
mod sinks;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use portcullis_config::Timestamp;
use portcullis_identity::{CacheFigures, OwnerFigures};
use portcullis_policy::state::StateFigures;

use crate::egress::EgressError;
use crate::key_sets::Ring;
use crate::reason::Reason;
use crate::router::RouteEntry;
use crate::shared::OWNED_MAX;
use crate::snapshot::Snapshot;

use durations::Durations;
pub(crate) use durations::RouteDurations;
pub(crate) use sinks::{SinkFigures, Sinks};

/// Every metric of the process. Labels take values from the configuration or from tables of ours, never from clients.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Answers by status code.
    pub http_requests: IntCounterVec,
    /// The counters of `http_requests` that have been asked for, by status from 100: a label is looked up once.
    answers: Arc<Vec<OnceLock<IntCounter>>>,
    /// From the request's first byte read to the answer's last byte written.
    durations: Durations,
    /// The durations of what no route was found for.
    routeless: Arc<RouteDurations>,
    /// Headers of load tests, by what they did: `lifted`, `invalid`, `elsewhere` (a route that they are not for), `off`.
    pub load_test_bypasses: IntCounterVec,
    /// Answers to load tests, which the counts of other requests leave out, by status and reason of refusal.
    load_test_requests: IntCounterVec,
    /// What origins' answers said of sign-ins, by event.
    pub sign_ins: IntCounterVec,
    /// Counts of sign-ins that were pushed out at a cap.
    pub sign_ins_evicted: IntCounter,
    /// Reports about content security policies, by what became of them: `written` or `dropped`.
    pub csp_reports: IntCounterVec,
    /// Requests being worked on.
    pub requests_in_flight: IntGauge,
    /// Threads that serve.
    pub worker_threads: IntGauge,
    /// Messages of clients on streams that stay open, by protocol.
    pub stream_messages: IntCounterVec,
    /// Requests that an enforcing policy rule refused, by policy and rule priority.
    pub blocked: IntCounterVec,
    /// Requests that a preview rule would have refused, by policy and rule priority.
    pub previewed: IntCounterVec,
    /// Requests that a policy rule matched, by policy, rule, mode, action and outcome.
    pub rule_hits: IntCounterVec,
    /// Requests in which a signature made a rule match, by policy, signature and mode.
    pub signature_hits: IntCounterVec,
    /// Requests on which a rule's expression met an error and so did not match.
    pub rule_errors: IntCounterVec,
    /// Security events by type.
    pub security_events: IntCounterVec,
    /// Security events that were added up with their like.
    pub events_added_up: IntCounter,
    /// What goes on every day and scenarios did not see.
    pub events_unseen: IntCounter,
    /// Incidents that are not over.
    pub incidents_open: IntGauge,
    /// Times that nobody answered an incident in time.
    pub incidents_unanswered: IntCounter,
    /// Responses to incidents, by what came of them.
    pub incident_responses: IntCounterVec,
    /// What was to be told of incidents, by what became of it.
    pub notices: IntCounterVec,
    /// What waits to be told.
    pub notices_waiting: IntGauge,
    /// Times that the dead man's switch was pressed.
    pub heartbeats: IntCounterVec,
    /// How the event log's sinks stand.
    pub(crate) sinks: Sinks,
    /// Writes of the incident file that failed.
    pub incident_write_errors: IntCounter,
    /// Answers that the edge gave instead of the origin, by the label of [`Reason`].
    pub refusals: IntCounterVec,
    /// Connections open on the listeners.
    pub connections: IntGauge,
    /// Connections closed before a request, by cause.
    pub connections_refused: IntCounterVec,
    /// Connections that stood and were cut, by cause.
    pub connections_cut: IntCounterVec,
    /// New connections whose address's rate was not known because the table was full.
    pub connections_untracked: IntCounter,
    /// Session tickets, by what became of them: `sealed`, `opened`, or `unknown` (too old, or of a key that is not known).
    pub session_tickets: IntCounterVec,
    /// Handshakes without the certificate's OCSP response, because it was too old.
    pub ocsp_staples_left_out: IntCounter,
    /// When each stapled OCSP response is too old, in seconds since the Unix epoch, by certificate.
    pub ocsp_next_update: IntGaugeVec,
    /// Orders of certificates, by the file of the certificate and by result.
    acme_orders: IntCounterVec,
    /// When an ordered certificate ends, by its file.
    acme_ends: IntGaugeVec,
    /// Request body bytes held in memory for inspection, all requests together.
    pub body_bytes_held: IntGauge,
    /// Large bodies that were inflated or inspected off the worker threads.
    pub heavy_bodies: IntCounter,
    /// Answers that the rules for answers refuse, by host.
    pub answers_matched: IntCounterVec,
    /// Reloads by result: `ok` or `error`.
    pub config_reloads: IntCounterVec,
    /// The generation of the published snapshot.
    pub config_generation: IntGauge,
    /// 1 if the last reload published, 0 if it was refused.
    pub config_last_reload_success: IntGauge,
    /// When the published snapshot was published, in seconds since the Unix epoch.
    pub config_last_success_time: IntGauge,
    /// Bans in force.
    pub bans: IntGauge,
    /// The cap on bans.
    pub bans_max: IntGauge,
    /// Bans that began, by origin: `rule` or `operator`.
    pub bans_added: IntCounterVec,
    /// Rate keys held.
    pub rate_keys: IntGauge,
    /// The cap on rate keys.
    pub rate_keys_max: IntGauge,
    /// Rate keys pushed out at the cap before their window had passed.
    pub rate_keys_evicted: IntCounter,
    /// Bans dropped at the cap before their end.
    pub bans_evicted: IntCounter,
    /// Bytes that rules keep between requests.
    pub collection_bytes: IntGauge,
    /// Records of theirs pushed out at the cap.
    pub collections_evicted: IntCounter,
    /// Writes of the ban file that the disk refused.
    pub ban_write_errors: IntCounter,
    /// Log lines lost because the writer fell behind or the disk refused, by log.
    pub log_dropped: IntCounterVec,
    /// Log lines written, by log.
    pub log_lines: IntCounterVec,
    /// Requests that were to be captured, by what became of them.
    pub captures: IntCounterVec,
    /// Captured requests without their body, because it was larger than `body_max`.
    pub capture_bodies_left_out: IntCounter,
    /// 1 if a country database is loaded.
    pub geo_loaded: IntGauge,
    /// When each geo database was built, in seconds since the Unix epoch; 0 where it does not tell.
    pub geo_build_time: IntGaugeVec,
    /// Prefixes of each list of addresses.
    pub list_prefixes: IntGaugeVec,
    /// When each fetched list was last known to be what its source says, in seconds since the Unix epoch.
    pub list_last_success_time: IntGaugeVec,
    /// 1 if a fetched list is older than its `max_age`.
    pub list_stale: IntGaugeVec,
    /// Fetches of lists, by list and result.
    pub list_fetches: IntCounterVec,
    /// What the edge itself fetched, by purpose and result.
    pub egress_requests: IntCounterVec,
    /// Tokens that were refused, by provider and reason.
    token_refusals: IntCounterVec,
    /// Refused requests whose token was good, by the label of [`Reason`].
    pub refusals_with_token: IntCounterVec,
    /// Refusals of requests with a token that was not verified, because too many of them came in a second.
    pub refusals_unverified: IntCounter,
    /// Good answers that owners of objects were to be learnt from, by outcome.
    pub owner_answers: IntCounterVec,
    /// Objects whose owner is remembered.
    owned: IntGauge,
    /// The cap on these.
    owned_max: IntGauge,
    /// Objects that were forgotten because there were too many.
    owned_evictions: IntCounter,
    /// Answers that named another tenant's object.
    owned_conflicts: IntCounter,
    /// API keys that are issued.
    pub api_keys: IntGauge,
    /// Verified tokens that are remembered.
    tokens: IntGauge,
    /// The cap on them.
    tokens_max: IntGauge,
    /// Tokens that were remembered.
    token_hits: IntCounter,
    /// Tokens that had to be verified.
    token_misses: IntCounter,
    /// What is revoked, by where it is listed.
    revocations: IntGaugeVec,
    /// Fetches of key sets, by provider and result.
    key_set_fetches: IntCounterVec,
    /// When the keys in use were fetched, by provider.
    key_set_last_success_time: IntGaugeVec,
    /// Whether there are keys that may be used, by provider.
    key_set_usable: IntGaugeVec,
    /// Keys that verify, by provider.
    key_set_keys: IntGaugeVec,
    /// Tokens that named an unknown key, by provider.
    key_set_misses: IntCounterVec,
    /// Requests that waited for a key set, by outcome.
    key_set_waits: IntCounterVec,
    /// Servers that health checks see as up, by backend.
    pub backend_up: IntGaugeVec,
    /// Requests in work, by backend.
    pub backend_in_flight: IntGaugeVec,
    /// Requests that may be in work now, by backend; 0 where there is no bound.
    pub backend_room: IntGaugeVec,
    /// Requests that found no room, by backend.
    pub backend_shed: IntCounterVec,
    /// Requests that a server failed, by backend and server.
    pub backend_failures: IntCounterVec,
    /// Times that a server was left out for its failures, by backend and server.
    pub backend_ejections: IntCounterVec,
    /// Further tries, by backend and result: `sent` or `over_budget`.
    pub backend_retries: IntCounterVec,
    /// Look-ups of servers' names that failed, by backend.
    pub backend_name_errors: IntCounterVec,
}

/// Registers one family and hands it out.
fn register<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, family: C) -> C {
    registry
        .register(Box::new(family.clone()))
        .expect("every family is registered once, in one place");
    family
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::new(name, help).expect("literal names are valid"))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let family = IntCounterVec::new(Opts::new(name, help), labels);
    register(registry, family.expect("literal names are valid"))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help).expect("literal names are valid"))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let family = IntGaugeVec::new(Opts::new(name, help), labels);
    register(registry, family.expect("literal names are valid"))
}

impl Metrics {
    /// Registers every family in a registry of its own, so that two edges in one process do not share counts.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            answers: Arc::new(vec![OnceLock::new(); 500]),
            http_requests: counters(
                r,
                "http_requests_total",
                "Answers by HTTP status code.",
                &["code"],
            ),
            durations: Durations::register(r),
            routeless: Arc::default(),
            load_test_bypasses: counters(
                r,
                "edge_load_test_bypasses_total",
                "Headers of load tests: lifted, invalid, elsewhere (not for the route), or off (not in this environment).",
                &["outcome"],
            ),
            load_test_requests: counters(
                r,
                "edge_load_test_requests_total",
                "Answers to load tests, which http_requests_total and edge_refusals_total leave out; the reason is that of a refusal.",
                &["code", "reason"],
            ),
            sign_ins: counters(
                r,
                "edge_sign_ins_total",
                "What origins' answers said of sign-ins, registrations and changes of passwords, by event.",
                &["event"],
            ),
            sign_ins_evicted: counter(
                r,
                "edge_sign_ins_evicted_total",
                "Accounts, addresses and networks whose failures were forgotten at a cap before their time.",
            ),
            csp_reports: counters(
                r,
                "edge_csp_reports_total",
                "Reports of browsers about content security policies: written, or dropped because there were too many.",
                &["outcome"],
            ),
            requests_in_flight: gauge(
                r,
                "http_server_requests_in_flight",
                "Requests being worked on.",
            ),
            worker_threads: gauge(r, "edge_worker_threads", "Threads that serve."),
            stream_messages: counters(
                r,
                "edge_stream_messages_total",
                "Messages of clients on streams that stay open: WebSocket and gRPC.",
                &["protocol"],
            ),
            blocked: counters(
                r,
                "cloudarmor_blocked_requests_total",
                "Requests that a policy rule refused.",
                &["policy", "rule"],
            ),
            previewed: counters(
                r,
                "cloudarmor_previewed_requests_total",
                "Requests that a preview rule would have refused.",
                &["policy", "rule"],
            ),
            rule_hits: counters(
                r,
                "edge_policy_rule_hits_total",
                "Requests that a policy rule matched.",
                &["policy", "rule", "mode", "action", "outcome"],
            ),
            signature_hits: counters(
                r,
                "edge_waf_signature_hits_total",
                "Requests in which a signature made a rule match.",
                &["policy", "signature", "mode"],
            ),
            rule_errors: counters(
                r,
                "edge_policy_rule_errors_total",
                "Requests on which a rule's expression met an error, such as a missing header, and so did not match.",
                &["policy", "rule"],
            ),
            security_events: counters(
                r,
                "security_events_total",
                "Security events by type.",
                &["type"],
            ),
            events_added_up: counter(
                r,
                "edge_events_added_up_total",
                "Security events that did not fit the queue and were added up with their like.",
            ),
            events_unseen: counter(
                r,
                "edge_events_unseen_total",
                "Sessions, license calls and route counts that scenarios did not see: the queue was full.",
            ),
            incidents_open: gauge(r, "edge_incidents_open", "Incidents that are not over."),
            incidents_unanswered: counter(
                r,
                "edge_incidents_unanswered_total",
                "Times that nobody answered an incident within the time of its priority.",
            ),
            incident_responses: counters(
                r,
                "edge_incident_responses_total",
                "Responses to incidents, by action and by what came of it: done, dry_run, failed, ended, undone, or why it was withheld.",
                &["action", "outcome"],
            ),
            notices: counters(
                r,
                "edge_incident_notices_total",
                "What was to be told of incidents: delivered, failed and tried again, refused, or dropped.",
                &["outcome"],
            ),
            notices_waiting: gauge(
                r,
                "edge_incident_notices_waiting",
                "What waits to be told of incidents.",
            ),
            heartbeats: counters(
                r,
                "edge_incident_heartbeats_total",
                "Times that the dead man's switch was pressed, by result.",
                &["result"],
            ),
            sinks: Sinks::register(r),
            incident_write_errors: counter(
                r,
                "edge_incident_write_errors_total",
                "Writes of the incident file that failed; they are tried again.",
            ),
            refusals: counters(
                r,
                "edge_refusals_total",
                "Answers that the edge gave instead of the origin, by reason.",
                &["reason"],
            ),
            connections: gauge(r, "edge_connections", "Connections open on the listeners."),
            connections_refused: counters(
                r,
                "edge_connections_refused_total",
                "Connections closed before a request, by cause.",
                &["cause"],
            ),
            connections_cut: counters(
                r,
                "edge_connections_cut_total",
                "Connections that stood and were cut, by cause.",
                &["cause"],
            ),
            connections_untracked: counter(
                r,
                "edge_connections_untracked_total",
                "New connections whose address's rate was not known because the table was full.",
            ),
            session_tickets: counters(
                r,
                "edge_session_tickets_total",
                "Session tickets of TLS, by what became of them.",
                &["outcome"],
            ),
            ocsp_staples_left_out: counter(
                r,
                "edge_ocsp_staples_left_out_total",
                "Handshakes without the certificate's OCSP response, because it was past its nextUpdate.",
            ),
            ocsp_next_update: gauges(
                r,
                "edge_ocsp_staple_next_update_timestamp_seconds",
                "When the OCSP response of the certificate is too old to be sent, since the Unix epoch.",
                &["certificate"],
            ),
            acme_orders: counters(
                r,
                "edge_acme_orders_total",
                "Orders of certificates by ACME, by result.",
                &["certificate", "result"],
            ),
            acme_ends: gauges(
                r,
                "edge_acme_certificate_not_after_timestamp_seconds",
                "When the certificate that was ordered ends, since the Unix epoch; 0 while there is none.",
                &["certificate"],
            ),
            body_bytes_held: gauge(
                r,
                "edge_body_bytes_held",
                "Request body bytes held for inspection.",
            ),
            heavy_bodies: counter(
                r,
                "edge_heavy_bodies_total",
                "Large bodies that were inflated or inspected off the worker threads.",
            ),
            answers_matched: counters(
                r,
                "edge_answers_matched_total",
                "Answers of origins that the rules for answers refuse, sent or not.",
                &["host"],
            ),
            config_reloads: counters(
                r,
                "config_reload_total",
                "Reloads by result: ok or error.",
                &["result"],
            ),
            config_generation: gauge(
                r,
                "config_generation",
                "Generation of the published snapshot.",
            ),
            config_last_reload_success: gauge(
                r,
                "config_last_reload_success",
                "1 if the last reload was published, 0 if it was refused.",
            ),
            config_last_success_time: gauge(
                r,
                "config_last_success_timestamp_seconds",
                "When the published snapshot was published, since the Unix epoch.",
            ),
            bans: gauge(r, "edge_bans", "Bans in force."),
            bans_max: gauge(r, "edge_bans_limit", "The cap on bans."),
            bans_added: counters(
                r,
                "edge_bans_added_total",
                "Bans that began, by origin.",
                &["origin"],
            ),
            rate_keys: gauge(r, "edge_rate_keys", "Keys of rate limits held."),
            rate_keys_max: gauge(r, "edge_rate_keys_limit", "The cap on keys of rate limits."),
            rate_keys_evicted: counter(
                r,
                "edge_rate_keys_evicted_total",
                "Keys pushed out at the cap before their window had passed.",
            ),
            bans_evicted: counter(
                r,
                "edge_bans_evicted_total",
                "Bans dropped at the cap before their end.",
            ),
            collection_bytes: gauge(
                r,
                "edge_collections_bytes",
                "Bytes that rules keep between requests.",
            ),
            collections_evicted: counter(
                r,
                "edge_collections_evicted_total",
                "Records that rules keep between requests, pushed out at the cap.",
            ),
            ban_write_errors: counter(
                r,
                "edge_ban_write_errors_total",
                "Writes of the ban file that the disk refused.",
            ),
            log_dropped: counters(
                r,
                "edge_log_dropped_total",
                "Log lines lost because the writer fell behind or the disk refused.",
                &["log"],
            ),
            log_lines: counters(r, "edge_log_lines_total", "Log lines written.", &["log"]),
            captures: counters(
                r,
                "edge_captures_total",
                "Requests to be captured: written, dropped because the writer fell behind, or lost by the disk.",
                &["outcome"],
            ),
            capture_bodies_left_out: counter(
                r,
                "edge_capture_bodies_left_out_total",
                "Captured requests without their body, because it was larger than `body_max`.",
            ),
            geo_loaded: gauge(r, "edge_geo_loaded", "1 if a country database is loaded."),
            geo_build_time: gauges(
                r,
                "edge_geo_database_build_timestamp_seconds",
                "When the database was built; 0 where it does not tell.",
                &["database"],
            ),
            list_prefixes: gauges(
                r,
                "edge_list_prefixes",
                "Prefixes in the list of addresses.",
                &["list"],
            ),
            list_last_success_time: gauges(
                r,
                "edge_list_last_success_timestamp_seconds",
                "When the list was last known to be what its source says; 0 for never.",
                &["list"],
            ),
            list_stale: gauges(
                r,
                "edge_list_stale",
                "1 if the list is older than its max_age, or was never fetched.",
                &["list"],
            ),
            list_fetches: counters(
                r,
                "edge_list_fetches_total",
                "Fetches of lists, by result.",
                &["list", "result"],
            ),
            key_set_fetches: counters(
                r,
                "edge_key_set_fetches_total",
                "Fetches of issuers' key sets, by provider and result.",
                &["provider", "result"],
            ),
            key_set_last_success_time: gauges(
                r,
                "edge_key_set_last_success_timestamp_seconds",
                "When the keys in use were fetched, in seconds since the Unix epoch; 0 if never.",
                &["provider"],
            ),
            key_set_usable: gauges(
                r,
                "edge_key_set_usable",
                "1 while there are keys of the provider that may be used.",
                &["provider"],
            ),
            key_set_keys: gauges(
                r,
                "edge_key_set_keys",
                "Keys of the provider that verify.",
                &["provider"],
            ),
            key_set_misses: counters(
                r,
                "edge_key_set_unknown_kid_total",
                "Tokens that named a key that is not in the set, as of the last fetch.",
                &["provider"],
            ),
            key_set_waits: counters(
                r,
                "edge_key_set_waits_total",
                "Requests whose token named an unknown key and that waited for a fetch, by outcome: `fetched`, `too_late`, or `no_place` to wait.",
                &["outcome"],
            ),
            token_refusals: counters(
                r,
                "edge_token_refusals_total",
                "Tokens that were refused, by provider (`none` where it is nobody's here) and reason.",
                &["provider", "reason"],
            ),
            refusals_with_token: counters(
                r,
                "edge_refusals_with_valid_token_total",
                "Refused requests whose token was good, as far as it had been verified.",
                &["reason"],
            ),
            refusals_unverified: counter(
                r,
                "edge_refusals_with_unverified_token_total",
                "Refusals of requests whose token was not verified, because too many of them came in one second.",
            ),
            owner_answers: counters(
                r,
                "edge_owner_answers_total",
                "Good answers that owners of objects were to be learnt from: learnt, too_large, unreadable.",
                &["outcome"],
            ),
            owned: gauge(r, "edge_owned_objects", "Objects whose tenant is remembered."),
            owned_max: gauge(r, "edge_owned_objects_limit", "The cap on remembered objects."),
            owned_evictions: counter(
                r,
                "edge_owned_objects_evicted_total",
                "Objects that were forgotten because there were too many.",
            ),
            owned_conflicts: counter(
                r,
                "edge_owned_objects_conflicts_total",
                "Answers to one tenant that named an object of another.",
            ),
            api_keys: gauge(r, "edge_api_keys", "API keys that are issued."),
            tokens: gauge(r, "edge_tokens", "Verified tokens that are remembered."),
            tokens_max: gauge(r, "edge_tokens_limit", "The cap on remembered tokens."),
            token_hits: counter(r, "edge_token_hits_total", "Tokens that were remembered."),
            token_misses: counter(r, "edge_token_misses_total", "Tokens that had to be verified."),
            revocations: gauges(
                r,
                "edge_revocations",
                "What is revoked, by where it is listed: `command` or `file`.",
                &["source"],
            ),
            egress_requests: counters(
                r,
                "edge_egress_requests_total",
                "What the edge itself fetched, by purpose and result.",
                &["purpose", "result"],
            ),
            backend_up: gauges(r, "edge_backend_servers_up", "Servers that are up.", &["backend"]),
            backend_in_flight: gauges(
                r,
                "edge_backend_requests_in_flight",
                "Requests that a backend has in work.",
                &["backend"],
            ),
            backend_room: gauges(
                r,
                "edge_backend_requests_in_flight_limit",
                "Requests that a backend may have in work now; 0 where there is no bound.",
                &["backend"],
            ),
            backend_shed: counters(
                r,
                "edge_backend_shed_total",
                "Requests that found no room at a backend.",
                &["backend"],
            ),
            backend_failures: counters(
                r,
                "edge_backend_failures_total",
                "Requests that a server failed.",
                &["backend", "server"],
            ),
            backend_ejections: counters(
                r,
                "edge_backend_ejections_total",
                "Times that a server was left out for its failures.",
                &["backend", "server"],
            ),
            backend_retries: counters(
                r,
                "edge_backend_retries_total",
                "Further tries of failed requests: sent, or over the budget.",
                &["backend", "result"],
            ),
            backend_name_errors: counters(
                r,
                "edge_backend_name_errors_total",
                "Look-ups of servers' names that failed.",
                &["backend"],
            ),
            registry,
        };
        metrics.start_at_zero();
        metrics
    }

    /// Makes the label values of our own tables visible before their first count, so that rates see the first one.
    fn start_at_zero(&self) {
        for row in crate::reason::REASONS {
            self.refusals.with_label_values(&[row.label]);
            self.refusals_with_token.with_label_values(&[row.label]);
        }
        for cause in crate::edge::REFUSED_CAUSES {
            self.connections_refused.with_label_values(&[cause]);
        }
        for cause in crate::edge::CUT_CAUSES {
            self.connections_cut.with_label_values(&[cause]);
        }
        for protocol in ["grpc", "websocket"] {
            self.stream_messages.with_label_values(&[protocol]);
        }
        for result in ["ok", "error"] {
            self.config_reloads.with_label_values(&[result]);
        }
        for category in portcullis_incident::Category::ALL {
            self.security_events.with_label_values(&[category.kind()]);
        }
        for outcome in ["delivered", "failed", "refused", "dropped"] {
            self.notices.with_label_values(&[outcome]);
        }
        for result in ["delivered", "failed"] {
            self.heartbeats.with_label_values(&[result]);
        }
        for kind in portcullis_incident::ActionKind::ALL {
            self.incident_responses.with_label_values(&[kind.as_str(), "done"]);
        }
        for result in ["ok"].into_iter().chain(EgressError::LABELS) {
            self.egress_requests.with_label_values(&["list", result]);
            self.egress_requests.with_label_values(&["acme", result]);
            self.egress_requests.with_label_values(&["keys", result]);
        }
        self.token_refusals.with_label_values(&["none", "too_long"]);
        for outcome in ["fetched", "too_late", "no_place"] {
            self.key_set_waits.with_label_values(&[outcome]);
        }
        for outcome in ["learnt", "too_large", "unreadable"] {
            self.owner_answers.with_label_values(&[outcome]);
        }
        for source in ["command", "file"] {
            self.revocations.with_label_values(&[source]);
        }
        for origin in ["rule", "operator", "incident"] {
            self.bans_added.with_label_values(&[origin]);
        }
        for outcome in ["sealed", "opened", "unknown"] {
            self.session_tickets.with_label_values(&[outcome]);
        }
        for outcome in ["written", "dropped", "lost"] {
            self.captures.with_label_values(&[outcome]);
        }
        for outcome in ["written", "dropped"] {
            self.csp_reports.with_label_values(&[outcome]);
        }
        for log in ["requests", "events"] {
            self.log_dropped.with_label_values(&[log]);
            self.log_lines.with_label_values(&[log]);
        }
    }

    /// Counts one answer that the edge gave instead of the origin.
    pub fn refused(&self, reason: Reason) {
        self.refusals.with_label_values(&[reason.row().label]).inc();
    }

    /// Counts one answer to a load test.
    pub(crate) fn load_tested(&self, status: u16, reason: Option<Reason>) {
        let reason = reason.map_or("none", |reason| reason.row().label);
        self.load_test_requests.with_label_values(&[status.to_string().as_str(), reason]).inc();
    }

    /// Counts one fetch of the edge's own.
    pub fn egress(&self, purpose: &str, error: Option<&EgressError>) {
        let result = error.map_or("ok", EgressError::label);
        self.egress_requests.with_label_values(&[purpose, result]).inc();
    }

    /// Counts one token that was refused.
    pub(crate) fn token_refused(&self, provider: &str, reason: &str) {
        self.token_refusals.with_label_values(&[provider, reason]).inc();
    }

    /// Takes over the figures of the verified tokens and of what is revoked; called at each scrape.
    pub fn token_figures(&self, figures: &CacheFigures, by_command: usize, by_file: usize) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.tokens.set(signed(figures.entries));
        self.tokens_max.set(signed(figures.entries_max));
        self.token_hits.inc_by(figures.hits_total.saturating_sub(self.token_hits.get()));
        self.token_misses.inc_by(figures.misses_total.saturating_sub(self.token_misses.get()));
        self.revocations.with_label_values(&["command"]).set(signed(by_command as u64));
        self.revocations.with_label_values(&["file"]).set(signed(by_file as u64));
    }

    /// Takes over the figures of the remembered objects; called at each scrape.
    pub fn owner_figures(&self, figures: &OwnerFigures) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.owned.set(signed(figures.entries));
        self.owned_max.set(signed(OWNED_MAX as u64));
        let evicted = figures.evictions_total.saturating_sub(self.owned_evictions.get());
        self.owned_evictions.inc_by(evicted);
        let conflicts = figures.conflicts_total.saturating_sub(self.owned_conflicts.get());
        self.owned_conflicts.inc_by(conflicts);
    }

    /// Counts one fetch of a provider's keys.
    pub(crate) fn fetched_keys(&self, provider: &str, result: &str) {
        self.key_set_fetches.with_label_values(&[provider, result]).inc();
    }

    /// Counts tokens that named an unknown key.
    pub(crate) fn missed_keys(&self, provider: &str, misses: u64) {
        self.key_set_misses.with_label_values(&[provider]).inc_by(misses);
    }

    /// Counts a request that waited for a provider's keys, or had no place to.
    pub(crate) fn waited_for_keys(&self, outcome: &str) {
        self.key_set_waits.with_label_values(&[outcome]).inc();
    }

    /// Tells how a provider's keys stand.
    pub(crate) fn key_set(&self, ring: &Ring, now: Timestamp) {
        let fetched = ring.fetched().map_or(0, Timestamp::as_secs);
        let provider = &[ring.name()];
        let fetched = i64::try_from(fetched).unwrap_or(i64::MAX);
        self.key_set_last_success_time.with_label_values(provider).set(fetched);
        self.key_set_usable.with_label_values(provider).set(i64::from(ring.is_usable(now)));
        let keys = i64::try_from(ring.verifier(now).key_count()).unwrap_or(i64::MAX);
        self.key_set_keys.with_label_values(provider).set(keys);
    }

    /// Lets go of a provider that is configured no longer.
    pub(crate) fn forget_key_set(&self, provider: &str) {
        for family in [&self.key_set_last_success_time, &self.key_set_usable, &self.key_set_keys] {
            // An error means that nothing had been told of it.
            family.remove_label_values(&[provider]).unwrap_or_default();
        }
    }

    /// Counts one order of the certificate in a file.
    pub(crate) fn ordered(&self, certificate: &Path, result: &str) {
        self.acme_orders.with_label_values(&[&certificate.display().to_string(), result]).inc();
    }

    /// Tells when the certificate in a file ends, in seconds since the Unix epoch; 0 where there is none.
    pub(crate) fn certificate_ends(&self, certificate: &Path, ends: u64) {
        let ends = i64::try_from(ends).unwrap_or(i64::MAX);
        self.acme_ends.with_label_values(&[&certificate.display().to_string()]).set(ends);
    }

    /// Lets go of a certificate that is ordered no longer.
    pub(crate) fn forget_certificate(&self, certificate: &Path) {
        // An error means that nothing had been told of it.
        let label = certificate.display().to_string();
        self.acme_ends.remove_label_values(&[&label]).unwrap_or_default();
    }

    /// Takes over what a published snapshot was made of.
    pub fn published(&self, snapshot: &Snapshot) {
        self.geo_loaded.set(i64::from(snapshot.geo.is_some()));
        self.geo_build_time.reset();
        let built = |database: &str, (_, built): (&str, u64)| {
            let built = i64::try_from(built).unwrap_or(i64::MAX);
            self.geo_build_time.with_label_values(&[database]).set(built);
        };
        if let Some(country) = &snapshot.geo {
            built("country", country.describe());
        }
        if let Some(networks) = &snapshot.networks {
            built("asn", networks.describe());
        }
        self.ocsp_next_update.reset();
        let listeners = snapshot.certificates.iter().flatten();
        for stapled in listeners.flat_map(|certificates| certificates.staples()) {
            let next = i64::try_from(stapled.next_update.as_secs()).unwrap_or(i64::MAX);
            self.ocsp_next_update.with_label_values(&[&stapled.name]).set(next);
        }
        self.durations.forget_unless(|host, route| snapshot.router.has(host, route));
        self.list_prefixes.reset();
        for (name, set) in &snapshot.lists {
            let prefixes = i64::try_from(set.len()).unwrap_or(i64::MAX);
            self.list_prefixes.with_label_values(&[name]).set(prefixes);
        }
    }

    /// Lets go of a list that is fetched no longer: an age that stands still would raise an alarm for ever.
    pub fn forget_list(&self, name: &str) {
        for family in [&self.list_last_success_time, &self.list_stale] {
            // An error means that nothing had been told of it.
            family.remove_label_values(&[name]).unwrap_or_default();
        }
    }

    /// Counts one finished request, of a route where one was found.
    pub fn answered(&self, entry: Option<&RouteEntry>, status: u16, took: std::time::Duration) {
        let of_status = || self.http_requests.with_label_values(&[status.to_string().as_str()]);
        let known = status.checked_sub(100).and_then(|at| self.answers.get(usize::from(at)));
        known.map_or_else(|| of_status().inc(), |answers| answers.get_or_init(of_status).inc());
        let (known, name) = entry.map_or((&*self.routeless, ("", "")), |entry| {
            (&entry.durations, (entry.host.as_str(), entry.route.path.as_str()))
        });
        self.durations.observe(known, name, status, took);
    }

    /// Takes over what the table of sign-ins has pushed out; called at each scrape.
    pub(crate) fn sign_in_figures(&self, evicted: u64) {
        self.sign_ins_evicted.inc_by(evicted.saturating_sub(self.sign_ins_evicted.get()));
    }

    /// Takes over the state's own figures; called at each scrape. Totals only ever rise to what the state says.
    pub fn figures(&self, figures: &StateFigures) {
        let gauge =
            |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let total =
            |total: &IntCounter, value: u64| total.inc_by(value.saturating_sub(total.get()));
        gauge(&self.bans, figures.bans_live);
        gauge(&self.bans_max, figures.bans_max);
        gauge(&self.rate_keys, figures.keys_live);
        gauge(&self.rate_keys_max, figures.keys_max);
        total(&self.rate_keys_evicted, figures.keys_evicted_total);
        total(&self.bans_evicted, figures.bans_evicted_total);
        gauge(&self.collection_bytes, figures.collection_bytes);
        total(&self.collections_evicted, figures.collections_evicted_total);
        total(&self.bans_added.with_label_values(&["rule"]), figures.bans_started_total);
    }

    /// Writes every family in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let left_out = self.log_dropped.with_label_values(&["process"]);
        left_out.inc_by(crate::restraint::left_out().saturating_sub(left_out.get()));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics do not encode");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_back_in_the_text_format() {
        let metrics = Metrics::new();
        metrics.answered(None, 403, std::time::Duration::from_millis(2));
        metrics.refused(Reason::DeniedByPolicy);
        metrics.blocked.with_label_values(&["license-api", "400"]).inc();
        let text = String::from_utf8(metrics.text()).unwrap();
        for line in [
            "http_requests_total{code=\"403\"} 1",
            "edge_refusals_total{reason=\"denied_by_policy\"} 1",
            "edge_refusals_total{reason=\"banned\"} 0",
            "cloudarmor_blocked_requests_total{policy=\"license-api\",rule=\"400\"} 1",
            "http_server_request_duration_seconds_bucket{class=\"4xx\",host=\"\",route=\"\",le=\"0.0025\"} 1",
            "# TYPE config_reload_total counter",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
