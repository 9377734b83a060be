//! `docs/limits.md` is what the tables say: `UPDATE_EXPECT=1` writes it.

use std::fmt::Write as _;

use portcullis_config::file::keys::Absent;

use super::*;

const INTRODUCTION: &str = "\
# Limits

<!-- Made from the tables in `config/src/file/limits.rs` and `proxy/src/limits.rs`; `UPDATE_EXPECT=1 cargo test -p portcullis limits` writes it. -->

Everything that a client can grow has a cap, something that happens at it, and a metric that counts it. `portcullis check
--capacity FILE` adds up what a configuration's limits let the process hold, and warns where that is more than its cgroup
or the machine has. The license service's own caps stand in [`license.md`](license.md).

## Set under `limits`

| limit | default | range | what it caps, and what happens beyond | counted by | memory at most |
|---|---|---|---|---|---|
";

const FIXED_INTRODUCTION: &str = "
## Fixed

| limit | value | beyond it | counted by |
|---|---|---|---|
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for limit in LIMITS {
        let Absent::Default(default) = limit.key.absent else {
            panic!("every limit has a default")
        };
        writeln!(
            page,
            "| `{}` | `{default}` | {} | {} | `{}` | {} |",
            limit.key.name,
            limit.key.kind,
            limit.key.doc,
            limit.metric,
            limit.memory.words()
        )
        .unwrap();
    }
    page.push_str(FIXED_INTRODUCTION);
    for fixed in FIXED {
        let metric =
            if fixed.metric == "–" { "–".to_owned() } else { format!("`{}`", fixed.metric) };
        writeln!(
            page,
            "| {} | {} {} | {} | {metric} |",
            fixed.name, fixed.value, fixed.unit, fixed.beyond
        )
        .unwrap();
    }
    page
}

#[test]
fn the_page_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "docs/limits.md is old: run with UPDATE_EXPECT=1");
}

#[test]
fn every_metric_that_the_page_names_is_one_of_ours() {
    let text = String::from_utf8(crate::metrics::Metrics::new().text()).unwrap();
    for metric in LIMITS.iter().map(|limit| limit.metric).chain(FIXED.iter().map(|f| f.metric)) {
        assert!(metric == "–" || text.contains(metric), "{metric} is not in:\n{text}");
    }
}

#[test]
fn capacity_adds_up_what_the_limits_allow() {
    let limits = Limits {
        connections: 10,
        connections_per_address: 1,
        connections_per_network: 1,
        connection_rate: 1,
        requests: 0,
        requests_per_client: 0,
        flood_ban: std::time::Duration::ZERO,
        client_hello_timeout: std::time::Duration::ZERO,
        handshake_timeout: std::time::Duration::ZERO,
        idle_timeout: std::time::Duration::ZERO,
        head_timeout: std::time::Duration::ZERO,
        min_rate_bytes: 1,
        min_rate_grace: std::time::Duration::ZERO,
        target_bytes: 100,
        header_bytes: 1000,
        headers: 1,
        body_bytes: 1,
        body_timeout: std::time::Duration::ZERO,
        body_buffer_bytes: 5000,
        rate_keys: 0,
        bans: 0,
        collection_bytes: 0,
        recent_decisions: 0,
    };
    let (items, sum) = capacity(&limits, true);
    let bytes = |name| items.iter().find(|item| item.name == name).map(|item| item.bytes);
    assert_eq!(bytes("target"), Some(1000));
    assert_eq!(bytes("header_bytes"), Some(10_000));
    assert_eq!(bytes("body_buffer"), Some(10_000));
    assert_eq!(bytes("rate_keys"), None);
    assert_eq!(bytes("the capture"), Some(17 << 20));
    assert_eq!(capacity(&limits, false).1, sum - (17 << 20));
    assert_eq!(sum, items.iter().map(|item| item.bytes).sum::<u64>());
}
