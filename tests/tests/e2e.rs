//! End to end: a client, the edge, an origin. One binary with a module per theme.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests are tests: what goes wrong fails them"
)]

#[path = "e2e/abuse.rs"]
mod abuse;
#[path = "e2e/acme.rs"]
mod acme;
#[path = "e2e/answers.rs"]
mod answers;
#[path = "e2e/api_keys.rs"]
mod api_keys;
#[path = "e2e/attacks.rs"]
mod attacks;
#[path = "e2e/bans.rs"]
mod bans;
#[path = "e2e/bodies.rs"]
mod bodies;
#[path = "e2e/browsers.rs"]
mod browsers;
#[path = "e2e/captures.rs"]
mod captures;
#[path = "e2e/client_certificates.rs"]
mod client_certificates;
#[path = "e2e/connections.rs"]
mod connections;
#[path = "e2e/extensions.rs"]
mod extensions;
#[path = "e2e/fingerprints.rs"]
mod fingerprints;
#[path = "e2e/forwarding.rs"]
mod forwarding;
#[path = "e2e/framing.rs"]
mod framing;
#[path = "e2e/ftw.rs"]
mod ftw;
#[path = "e2e/grants.rs"]
mod grants;
#[path = "e2e/h2_abuse.rs"]
mod h2_abuse;
#[path = "e2e/handshakes.rs"]
mod handshakes;
#[path = "e2e/importing.rs"]
mod importing;
#[path = "e2e/incidents.rs"]
mod incidents;
#[path = "e2e/issuers.rs"]
mod issuers;
#[path = "e2e/license.rs"]
mod license;
#[path = "e2e/license_admin.rs"]
mod license_admin;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/lists.rs"]
mod lists;
#[path = "e2e/load_tests.rs"]
mod load_tests;
#[path = "e2e/logins.rs"]
mod logins;
#[path = "e2e/malformed.rs"]
mod malformed;
#[path = "e2e/monitoring.rs"]
mod monitoring;
#[path = "e2e/office.rs"]
mod office;
#[path = "e2e/offline.rs"]
mod offline;
#[path = "e2e/own_tests.rs"]
mod own_tests;
#[path = "e2e/process.rs"]
mod process;
#[path = "e2e/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "e2e/reloads.rs"]
mod reloads;
#[path = "e2e/revocations.rs"]
mod revocations;
#[path = "e2e/rotation.rs"]
mod rotation;
#[path = "e2e/sign_ins.rs"]
mod sign_ins;
#[path = "e2e/slow.rs"]
mod slow;
#[path = "e2e/smuggled_headers.rs"]
mod smuggled_headers;
#[path = "e2e/staples.rs"]
mod staples;
#[path = "e2e/streams.rs"]
mod streams;
#[path = "e2e/tenants.rs"]
mod tenants;
#[path = "e2e/testssl.rs"]
mod testssl;
#[path = "e2e/tickets.rs"]
mod tickets;
#[path = "e2e/tokens.rs"]
mod tokens;
#[path = "e2e/upgrades.rs"]
mod upgrades;
#[path = "e2e/upstreams.rs"]
mod upstreams;
#[path = "e2e/why.rs"]
mod why;
