//! A request as one flat JSON object, for readers that know nothing of Google's log.

use super::json::{Object, object, text};
use super::line::Rfc3339;
use super::{PolicyRecord, RequestRecord};

/// Appends the object.
pub(super) fn write(out: &mut Vec<u8>, r: &RequestRecord) {
    object(out, |line| {
        request(line, r);
        decision(line, r);
    });
}

fn request(line: &mut Object<'_>, r: &RequestRecord) {
    line.shown("time", Rfc3339(r.time));
    line.text("level", r.refusal.map_or("INFO", |reason| reason.row().level.as_str()));
    line.text("request_id", &r.request_id);
    line.number("generation", r.generation);
    line.address("client_address", r.client.address);
    line.socket("peer", r.client.peer);
    line.some_text("country", &r.client.region_code);
    if r.client.asn != 0 {
        line.number("asn", r.client.asn.into());
    }
    line.bytes("method", &r.method);
    line.text("scheme", r.scheme);
    line.bytes("host", &r.host);
    line.bytes("uri", &r.uri);
    line.text("protocol", r.protocol);
    line.number("status", r.status.into());
    line.number("request_bytes", r.request_bytes);
    line.number("response_bytes", r.response_bytes);
    line.shown("duration_seconds", format_args!("{:.6}", r.latency.as_secs_f64()));
    for (key, value) in [("user_agent", &r.user_agent), ("referer", &r.referer)] {
        if let Some(value) = value {
            line.bytes(key, value);
        }
    }
    line.some_text("tls", r.tls.unwrap_or_default());
    line.some_text("ja3", &r.client.ja3);
    line.some_text("ja4", &r.client.ja4);
}

fn decision(line: &mut Object<'_>, r: &RequestRecord) {
    line.some_text("route", r.route.as_deref().unwrap_or_default());
    line.some_text("backend", r.backend.as_deref().unwrap_or_default());
    line.some_text("server", r.server_asked.as_deref().unwrap_or_default());
    if let Some(identity) = &r.identity {
        line.text("provider", &identity.provider);
        line.text("subject", &identity.subject);
        line.some_text("tenant", identity.tenant.as_deref().unwrap_or_default());
    }
    if !r.objects.is_empty() {
        line.list("objects", r.objects.iter(), |out, object| text(out, object));
    }
    line.some_text("attempted_tenant", r.attempted_tenant.as_deref().unwrap_or_default());
    if let Some(reason) = r.refusal {
        line.text("reason", reason.row().label);
    }
    if let Some(detail) = &r.detail {
        line.bytes("detail", detail.as_bytes());
    }
    if let Some(hit) = &r.enforced {
        policy(line, hit);
    }
    if !r.previews.is_empty() {
        line.list("previews", r.previews.iter(), |out, hit| object(out, |o| policy(o, hit)));
    }
}

fn policy(line: &mut Object<'_>, hit: &PolicyRecord) {
    line.text("policy", &hit.name);
    line.number("rule", hit.priority.into());
    line.text("action", &hit.configured_action);
    line.text("outcome", &hit.outcome);
    if !hit.preconfigured_expr_ids.is_empty() {
        line.list("signatures", hit.preconfigured_expr_ids.iter(), |out, id| text(out, id));
    }
}
