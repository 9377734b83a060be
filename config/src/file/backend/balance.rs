//! Which server is asked, how often, and how many requests at one time.

use crate::file::fields::Fields;
use crate::file::{Context, keys, scalar};
use crate::model::{Affinity, Balance, Capacity, Outliers, Retries};
use crate::yaml::{Node, Value};

/// Decodes `balance`.
pub(super) fn balance(node: &Node, cx: &mut Context<'_>) -> Option<Balance> {
    let words =
        [("round_robin", Balance::RoundRobin), ("least_connections", Balance::LeastConnections)];
    scalar::choice(node, cx, &words)
}

/// Decodes `affinity`.
pub(super) fn affinity(node: &Node, cx: &mut Context<'_>) -> Option<Affinity> {
    let written = scalar::text(node, cx)?;
    if let Some(name) = written.strip_prefix("header:")
        && scalar::is_header_name(name)
    {
        return Some(Affinity::Header(name.to_ascii_lowercase()));
    }
    let words = [
        ("client_ip", Affinity::ClientIp),
        ("path", Affinity::Path),
        ("header:NAME", Affinity::Path),
    ];
    match written {
        "header:NAME" => scalar::choice(node, cx, &words[..2]),
        _ => scalar::choice(node, cx, &words),
    }
}

/// Decodes `outliers`.
pub(super) fn outliers(node: &Node, cx: &mut Context<'_>) -> Option<Outliers> {
    let fields = Fields::open(node, &keys::OUTLIERS, cx)?;
    let failures = fields.of("failures", cx, scalar::number(1..=1000));
    let eject = fields.of("eject", cx, scalar::duration("1s", "1h"));
    let max_percent = fields.of("max_percent", cx, scalar::number(1..=100));
    Some(Outliers { failures: failures?, eject: eject?, max_percent: max_percent? })
}

/// Decodes `retries`.
pub(super) fn retries(node: &Node, cx: &mut Context<'_>) -> Option<Retries> {
    let fields = Fields::open(node, &keys::RETRIES, cx)?;
    let attempts = fields.of("attempts", cx, scalar::number(0..=3));
    let budget_percent = fields.of("budget_percent", cx, scalar::number(0..=100));
    Some(Retries { attempts: attempts?, budget_percent: budget_percent? })
}

/// Returns the table's defaults.
pub(super) fn usual_retries(cx: &mut Context<'_>) -> Option<Retries> {
    retries(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}

/// Decodes `capacity`.
pub(super) fn capacity(node: &Node, cx: &mut Context<'_>) -> Option<Capacity> {
    let fields = Fields::open(node, &keys::CAPACITY, cx)?;
    let in_flight = fields.of("in_flight", cx, scalar::number(1..=1_000_000));
    let queue = fields.of("queue", cx, scalar::number(0..=100_000));
    let queue_timeout = fields.of("queue_timeout", cx, scalar::duration("10ms", "1m"));
    let latency_target = fields.may("latency_target", cx, scalar::duration("1ms", "1m"));
    Some(Capacity {
        in_flight: in_flight?,
        queue: queue?,
        queue_timeout: queue_timeout?,
        latency_target: latency_target?,
    })
}
