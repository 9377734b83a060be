//! What is bounded, and what happens without what: two tables, from which `docs/license.md` is made.

use crate::domain::webhook::{WAITING_MAX, WEBHOOKS_MAX};
use crate::http::gate::BODY_BYTES_MAX;
use crate::http::listener::CONNECTIONS_MAX;
use crate::http::rates::USERS_MAX;
use crate::store::KEYS_MAX;
use crate::store::postgres::TURN_WAITS;
use crate::webhooks::{IN_FLIGHT_MAX, IN_FLIGHT_OF_TENANT_MAX};

/// A cap.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is capped.
    pub name: &'static str,
    /// How much of it there may be.
    pub value: u64,
    /// What happens beyond it.
    pub beyond: &'static str,
}

/// A thing that can be missing, broken or slow.
#[derive(Clone, Copy, Debug)]
pub struct Dependency {
    /// What it is.
    pub name: &'static str,
    /// What happens at the start without it.
    pub at_start: &'static str,
    /// What happens when it goes while requests are served.
    pub later: &'static str,
    /// Where it shows.
    pub metric: &'static str,
}

const fn limit(name: &'static str, value: u64, beyond: &'static str) -> Limit {
    Limit { name, value, beyond }
}

/// Every cap on what callers can fill.
pub const LIMITS: &[Limit] = &[
    limit("connections", CONNECTIONS_MAX as u64, "callers wait in the socket's backlog"),
    limit("bytes of a request's body", BODY_BYTES_MAX as u64, "413 `body_too_large`"),
    limit("idempotency keys of one user within a day", KEYS_MAX as u64, "429 `too_many_keys`"),
    limit(
        "seconds that a request waits for its turn at PostgreSQL",
        TURN_WAITS.as_secs(),
        "503 `store_unavailable` with `Retry-After`; while the database is away, after a second",
    ),
    limit(
        "users whose requests are counted (`rates`)",
        USERS_MAX as u64,
        "those who asked longest ago are forgotten",
    ),
    limit("webhooks of one tenant", WEBHOOKS_MAX as u64, "409 `too_many_webhooks`"),
    limit(
        "messages that wait for one webhook",
        WAITING_MAX as u64,
        "the webhook is disabled (`backlog`) and they are dropped, counted in `license_webhook_deliveries_total{result=\"dropped\"}`",
    ),
    limit(
        "messages on their way to webhooks",
        IN_FLIGHT_MAX as u64,
        "further ones wait in the outbox",
    ),
    limit(
        "messages on their way to one tenant's webhooks",
        IN_FLIGHT_OF_TENANT_MAX as u64,
        "further ones wait in the outbox",
    ),
];

/// Every dependency.
pub const DEPENDENCIES: &[Dependency] = &[
    Dependency {
        name: "The database",
        at_start: "The service does not start.",
        later: "Requests are answered 503 `store_unavailable` with `Retry-After`; nothing of them is known to have happened. It serves again by itself, and leases that ran out meanwhile get one term more.",
        metric: "license_store_up",
    },
    Dependency {
        name: "The accelerator (`accelerator`)",
        at_start: "One that evicts is refused. One that cannot be reached is waited for, with a warning.",
        later: "Heartbeats go to the database. The first request that ends a session waits up to three seconds, until every service has seen that it is off; it is used again when it is back.",
        metric: "license_accelerated_heartbeats_total",
    },
    Dependency {
        name: "The wrapping key",
        at_start: "Made where nothing was ever sealed; refused where it does not open what is.",
        later: "It is read at the start only.",
        metric: "",
    },
    Dependency {
        name: "The edge's keys",
        at_start: "The service does not start.",
        later: "The last good ones stay.",
        metric: "",
    },
    Dependency {
        name: "The receiver of a webhook",
        at_start: "As while requests are served.",
        later: "Nothing waits for it. Ten attempts over three days, then the message is dropped; a webhook that took nothing in all that time is disabled, one that answers 410 at once.",
        metric: "license_webhook_deliveries_total",
    },
    Dependency {
        name: "The directory of backups",
        at_start: "As while requests are served.",
        later: "Requests go on; a copy is tried again every ten seconds.",
        metric: "license_backups_total",
    },
];

#[cfg(test)]
mod tests {
    use super::{DEPENDENCIES, LIMITS};
    use std::fmt::Write as _;

    const INTRODUCTION: &str = "\
# The license service: what is bounded, and what happens without what

<!-- Made from the tables in `license-core/src/limits.rs`; `UPDATE_EXPECT=1 cargo test -p license-core limits` writes it. -->

";

    fn page() -> String {
        let mut page = INTRODUCTION.to_owned();
        page.push_str("| what | at most | beyond |\n|---|---|---|\n");
        for one in LIMITS {
            writeln!(page, "| {} | {} | {} |", one.name, one.value, one.beyond).unwrap();
        }
        page.push_str("\n| without | at the start | while requests are served | metric |\n|---|---|---|---|\n");
        for one in DEPENDENCIES {
            let metric =
                if one.metric.is_empty() { String::new() } else { format!("`{}`", one.metric) };
            writeln!(page, "| {} | {} | {} | {metric} |", one.name, one.at_start, one.later)
                .unwrap();
        }
        page
    }

    #[test]
    fn the_page_is_what_the_limits_and_dependencies_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/license.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/license.md is old: run with UPDATE_EXPECT=1");
    }

    #[test]
    fn every_metric_of_the_table_is_there() {
        let metrics = include_str!("metrics.rs");
        for one in DEPENDENCIES {
            assert!(
                one.metric.is_empty() || metrics.contains(&format!("\"{}\"", one.metric)),
                "{}",
                one.metric
            );
        }
    }
}
