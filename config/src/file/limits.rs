//! `limits`.

use super::fields::Fields;
use super::{Context, keys, scalar};
use crate::model::Limits;
use crate::yaml::{Node, Value};

/// Returns the table's defaults.
pub(super) fn absent(cx: &mut Context<'_>) -> Option<Limits> {
    limits(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}

/// Decodes `limits`.
pub(super) fn limits(node: &Node, cx: &mut Context<'_>) -> Option<Limits> {
    let fields = Fields::open(node, &keys::LIMITS, cx)?;
    let connections = fields.of("connections", cx, scalar::number(1..=1_000_000));
    let connections_per_address =
        fields.of("connections_per_address", cx, scalar::number(1..=1_000_000));
    let client_hello_timeout =
        fields.of("client_hello_timeout", cx, scalar::duration("100ms", "1m"));
    let handshake_timeout = fields.of("handshake_timeout", cx, scalar::duration("100ms", "1m"));
    let idle_timeout = fields.of("idle_timeout", cx, scalar::duration("1s", "1h"));
    let target_bytes = fields.of("target", cx, scalar::size("256B", "64KiB"));
    let header_bytes = fields.of("header_bytes", cx, scalar::size("1KiB", "256KiB"));
    let headers = fields.of("headers", cx, scalar::number(8..=256));
    let body_bytes = fields.of("body", cx, scalar::size("0B", "64MiB"));
    let body_timeout = fields.of("body_timeout", cx, scalar::duration("100ms", "10m"));
    let body_buffer_bytes = fields.of("body_buffer", cx, scalar::size("1MiB", "64GiB"));
    let rate_keys = fields.of("rate_keys", cx, scalar::number(1_000..=10_000_000));
    let bans = fields.of("bans", cx, scalar::number(1_000..=10_000_000));
    Some(Limits {
        connections: connections?,
        connections_per_address: connections_per_address?,
        client_hello_timeout: client_hello_timeout?,
        handshake_timeout: handshake_timeout?,
        idle_timeout: idle_timeout?,
        target_bytes: target_bytes?,
        header_bytes: header_bytes?,
        headers: headers?,
        body_bytes: body_bytes?,
        body_timeout: body_timeout?,
        body_buffer_bytes: body_buffer_bytes?,
        rate_keys: rate_keys?,
        bans: bans?,
    })
}
