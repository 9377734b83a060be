//! What happens without each thing that the edge depends on: one table, from which `docs/failure.md` is made.

/// One dependency that can be missing, broken or old.
#[derive(Clone, Copy, Debug)]
pub struct Dependency {
    /// What it is.
    pub name: &'static str,
    /// What happens at the start without it.
    pub at_start: &'static str,
    /// What happens when it goes while requests are served.
    pub later: &'static str,
    /// The setting that chooses otherwise, as section and key of the configuration, and what it chooses.
    pub otherwise: Option<(&'static str, &'static str, &'static str)>,
    /// The metric that tells.
    pub metric: Option<&'static str>,
}

/// Every dependency that is built.
pub const DEPENDENCIES: &[Dependency] = &[
    Dependency {
        name: "The configuration and the files that it names",
        at_start: "Every problem is told, and the process does not start.",
        later: "The reload is refused with every problem; the last good snapshot is served whole.",
        otherwise: None,
        metric: Some("config_last_reload_success"),
    },
    Dependency {
        name: "The country database",
        at_start: "None named: rules that ask for a region are inactive, with a warning. Named and unreadable: refused.",
        later: "The last good database stays. An address that it does not know has the region `''`.",
        otherwise: Some((
            "geo",
            "required",
            "`true` refuses policies that ask for what no database answers",
        )),
        metric: Some("edge_geo_database_build_timestamp_seconds"),
    },
    Dependency {
        name: "The database of autonomous systems",
        at_start: "None named: rules that ask for a network's number are inactive, with a warning. Named and unreadable: refused.",
        later: "The last good database stays. An address that it does not know has the number 0.",
        otherwise: Some((
            "geo",
            "required",
            "`true` refuses policies that ask for what no database answers",
        )),
        metric: Some("edge_geo_database_build_timestamp_seconds"),
    },
    Dependency {
        name: "The issuer that people sign in with (`hosts.<name>.login`)",
        at_start: "The edge starts; it is asked with the first sign-in.",
        later: "Sessions go on until they end. Who has none and asks for a page is answered 503, to be retried.",
        otherwise: None,
        metric: Some("edge_refusals_total"),
    },
    Dependency {
        name: "The source of a fetched list",
        at_start: "The last good copy on disk is used; without one the list is empty, with a warning, until it is fetched.",
        later: "The last good copy stays, whatever is answered in place of a list; fetching is tried again, less and less often.",
        otherwise: Some(("lists.<name>", "required", "`true` refuses to start without a copy")),
        metric: Some("edge_list_last_success_timestamp_seconds"),
    },
    Dependency {
        name: "A fetched list past its `max_age`",
        at_start: "As while requests are served.",
        later: "The copy is used all the same, and told to be stale.",
        otherwise: Some((
            "lists.<name>",
            "stale",
            "`empty` empties the list until it is fetched again",
        )),
        metric: Some("edge_list_stale"),
    },
    Dependency {
        name: "The OCSP response of a certificate (`ocsp`)",
        at_start: "Unreadable, damaged or about another certificate: refused. Not `good`: a warning, and it is not sent.",
        later: "Past its `nextUpdate` it is left out of handshakes, with a warning; they go on without it.",
        otherwise: None,
        metric: Some("edge_ocsp_staples_left_out_total"),
    },
    Dependency {
        name: "The authority of a certificate that is ordered (`acme`)",
        at_start: "The kept certificate is served. Without one the names get the listener's first certificate, and no handshake where there is none, with a warning, until it is issued.",
        later: "The last good certificate stays, whatever is answered; ordering is tried again, less and less often. `status` says why, and `edge_acme_certificate_not_after_timestamp_seconds` how long there is.",
        otherwise: None,
        metric: Some("edge_acme_orders_total"),
    },
    Dependency {
        name: "The issuer of tokens whose keys are fetched (`identity_platform`, `oidc`)",
        at_start: "The last good key set in `state_dir/keys` is used. Without one the start waits up to ten seconds, then serves; the issuer's tokens are answered 503 until it is there.",
        later: "The last good key set stays, whatever is answered, until it is older than `max_age`; then its tokens are answered 503, which clients may retry. Fetching is tried again, less and less often, up to every five minutes.",
        otherwise: Some((
            "identity.providers.<id>",
            "max_age",
            "how long a key set is used after it was last fetched",
        )),
        metric: Some("edge_key_set_usable"),
    },
    Dependency {
        name: "The disk of captured requests",
        at_start: "The directory cannot be made: refused.",
        later: "Requests go on; what should have been captured is lost and counted.",
        otherwise: None,
        metric: Some("edge_captures_total"),
    },
    Dependency {
        name: "The file of bans",
        at_start: "Damaged: set aside under another name, and bans begin anew. Written by a newer program, or held by another process: refused.",
        later: "Bans hold in memory; storing them is tried again, and an operator's change is answered with an error.",
        otherwise: None,
        metric: Some("edge_ban_write_errors_total"),
    },
    Dependency {
        name: "A sink of events (`log.sinks`)",
        at_start: "The edge starts; it is spoken to with the first event.",
        later: "Nobody waits for it. Up to 4096 lines wait, and it is tried again, less and less often, up to every minute; what comes beyond is dropped for it and stands in `log.events`.",
        otherwise: None,
        metric: Some("edge_event_sink_up"),
    },
    Dependency {
        name: "The file of incidents",
        at_start: "Damaged, written by a newer program, or held by another process: refused.",
        later: "Incidents are worked on in memory, and people are told of them; nothing is done about them by itself. Storing them is tried again.",
        otherwise: None,
        metric: Some("edge_incident_write_errors_total"),
    },
    Dependency {
        name: "A notifier of incidents",
        at_start: "The process starts; nobody is asked before something is to be told.",
        later: "What is to be told waits on disk and is tried again, less and less often, for two days; after three failures, or a refusal, the fallback is told as well.",
        otherwise: Some(("incidents.notifiers.<name>", "fallback", "who is told as well")),
        metric: Some("edge_incident_notices_total"),
    },
    Dependency {
        name: "The audit file",
        at_start: "The process does not start.",
        later: "An operator's change is refused.",
        otherwise: None,
        metric: None,
    },
    Dependency {
        name: "The disk of a log",
        at_start: "The process does not start.",
        later: "Lines are dropped and counted; requests go on.",
        otherwise: None,
        metric: Some("edge_log_dropped_total"),
    },
    Dependency {
        name: "A server of a backend",
        at_start: "The process starts; its requests are answered 502 or 504 until it is there.",
        later: "With `health`, a server that fails its probes gets no requests; without any server the answer is 503.",
        otherwise: None,
        metric: Some("edge_backend_servers_up"),
    },
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use portcullis_config::file::keys::SECTIONS;

    use super::*;

    const INTRODUCTION: &str = "\
# What happens without what

<!-- Made from the table in `proxy/src/failure.rs`; `UPDATE_EXPECT=1 cargo test -p portcullis failure` writes it. -->

Everything that the edge depends on and that can be missing, broken or old. Where something is refused, the message says
what to do next. What the license service depends on stands in [`license.md`](license.md).

| without | at the start | while requests are served | the other choice | metric |
|---|---|---|---|---|
";

    fn page() -> String {
        let mut page = INTRODUCTION.to_owned();
        for one in DEPENDENCIES {
            let otherwise = one.otherwise.map_or_else(String::new, |(section, key, what)| {
                format!("`{section}.{key}`: {what}")
            });
            let metric = one.metric.map_or_else(String::new, |metric| format!("`{metric}`"));
            let (name, at_start, later) = (one.name, one.at_start, one.later);
            writeln!(page, "| {name} | {at_start} | {later} | {otherwise} | {metric} |").unwrap();
        }
        page
    }

    #[test]
    fn the_page_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failure.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/failure.md is old: run with UPDATE_EXPECT=1");
    }

    #[test]
    fn every_setting_and_every_metric_of_the_table_is_there() {
        let metrics = concat!(include_str!("metrics.rs"), include_str!("metrics/sinks.rs"));
        for one in DEPENDENCIES {
            if let Some((path, key, _)) = one.otherwise {
                let section = SECTIONS.iter().find(|section| section.path == path);
                assert!(section.is_some_and(|section| section.key(key).is_some()), "{path}.{key}");
            }
            if let Some(metric) = one.metric {
                assert!(metrics.contains(&format!("\"{metric}\"")), "{metric}");
            }
        }
    }
}
