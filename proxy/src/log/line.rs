//! One JSON line per record, in the fields of a Cloud Armor load balancer log.

use serde_json::{Value, json};

use super::{Escaped, EventRecord, PolicyRecord, RequestRecord};
use portcullis_config::Timestamp;

/// What a log writes as one line.
pub trait Line: Send + 'static {
    /// The value of the `log` label of the metrics.
    const LOG: &'static str;

    /// Appends the record as one line of JSON, newline included.
    fn write_line(&self, out: &mut Vec<u8>);
}

/// The word that Google's log reader recognises an entry by.
const ENTRY_TYPE: &str = "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry";
/// Cloud Armor cuts rate keys at this many bytes.
const RATE_KEY_BYTES_MAX: usize = 36;

impl Line for RequestRecord {
    const LOG: &'static str = "requests";

    fn write_line(&self, out: &mut Vec<u8>) {
        append(out, &request_line(self));
    }
}

impl Line for EventRecord {
    const LOG: &'static str = "events";

    fn write_line(&self, out: &mut Vec<u8>) {
        append(out, &event_line(self));
    }
}

fn append(out: &mut Vec<u8>, line: &Value) {
    let before = out.len();
    match serde_json::to_writer(&mut *out, line) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(before),
    }
}

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| time.as_millis().to_string(), |time| format!("{time:.3}"))
}

fn text(bytes: &[u8]) -> Value {
    Value::String(Escaped(bytes).to_string())
}

fn object(pairs: Vec<(&str, Option<Value>)>) -> Value {
    let present = pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(present.collect())
}

fn request_line(r: &RequestRecord) -> Value {
    let severity = r.refusal.map_or("INFO", |reason| reason.row().level.as_str());
    object(vec![
        ("timestamp", Some(rfc3339(r.time).into())),
        ("severity", Some(severity.into())),
        ("httpRequest", Some(http_request(r))),
        ("resource", Some(resource(r))),
        ("jsonPayload", Some(payload(r))),
        ("requestId", Some(r.request_id.as_str().into())),
        ("generation", Some(r.generation.into())),
        ("reason", r.refusal.map(|reason| reason.row().label.into())),
        ("detail", r.detail.as_ref().map(|detail| text(detail.as_bytes()))),
        ("route", r.route.as_deref().map(Into::into)),
        (
            "upstream",
            r.upstream.as_ref().map(|u| json!({"backend": u.backend, "server": u.server})),
        ),
        ("tls", r.tls.map(Into::into)),
        (
            "identity",
            r.identity
                .as_ref()
                .map(|i| json!({"provider": i.provider, "subject": i.subject, "tenant": i.tenant})),
        ),
    ])
}

/// Where Google's readers look for the backend.
fn resource(r: &RequestRecord) -> Value {
    let labels = object(vec![
        ("backend_service_name", r.upstream.as_ref().map(|u| u.backend.as_str().into())),
        ("url_map_name", r.route.as_deref().map(Into::into)),
    ]);
    json!({"type": "http_load_balancer", "labels": labels})
}

fn http_request(r: &RequestRecord) -> Value {
    let mut url = format!("{}://", r.scheme).into_bytes();
    url.extend_from_slice(&r.host);
    url.extend_from_slice(&r.uri);
    object(vec![
        ("requestMethod", Some(text(&r.method))),
        ("requestUrl", Some(text(&url))),
        ("requestSize", Some(r.request_bytes.to_string().into())),
        ("status", Some(r.status.into())),
        ("responseSize", Some(r.response_bytes.to_string().into())),
        ("userAgent", r.user_agent.as_deref().map(text)),
        ("referer", r.referer.as_deref().map(text)),
        ("remoteIp", Some(r.client.peer.to_string().into())),
        ("serverIp", r.server.map(|server| server.to_string().into())),
        ("latency", Some(format!("{:.6}s", r.latency.as_secs_f64()).into())),
        ("protocol", Some(r.protocol.into())),
    ])
}

fn payload(r: &RequestRecord) -> Value {
    let details =
        r.refusal.map_or("response_sent_by_backend", |reason| reason.row().status_details);
    let preview = r.previews.first().map(|hit| policy_object(hit, r, true));
    object(vec![
        ("@type", Some(ENTRY_TYPE.into())),
        ("statusDetails", Some(details.into())),
        ("remoteIp", Some(r.client.address.to_string().into())),
        ("enforcedSecurityPolicy", r.enforced.as_ref().map(|hit| policy_object(hit, r, false))),
        ("previewSecurityPolicy", preview),
        (
            "morePreviews",
            (r.previews.len() > 1).then(|| {
                r.previews.iter().skip(1).map(|hit| policy_object(hit, r, true)).collect()
            }),
        ),
        ("ruleErrors", (!r.rule_errors.is_empty()).then(|| r.rule_errors.clone().into())),
        ("securityPolicyRequestData", Some(request_data(r))),
    ])
}

fn request_data(r: &RequestRecord) -> Value {
    let client = &r.client;
    let word = |text: &str| (!text.is_empty()).then(|| text.into());
    let remote = object(vec![
        ("ipAddress", Some(client.address.to_string().into())),
        ("regionCode", word(&client.region_code)),
        ("asn", (client.asn != 0).then(|| client.asn.into())),
    ]);
    object(vec![
        ("remoteIpInfo", Some(remote)),
        (
            "userIpInfo",
            r.user_ip.as_ref().map(
                |(source, address)| json!({"source": source, "ipAddress": address.to_string()}),
            ),
        ),
        ("tlsJa3Fingerprint", word(&client.ja3)),
        ("tlsJa4Fingerprint", word(&client.ja4)),
    ])
}

fn policy_object(hit: &PolicyRecord, r: &RequestRecord, preview: bool) -> Value {
    let waf = hit.matched.as_ref();
    object(vec![
        ("name", Some(hit.name.as_str().into())),
        ("priority", Some(hit.priority.into())),
        ("configuredAction", Some(hit.configured_action.as_str().into())),
        ("outcome", Some(hit.outcome.as_str().into())),
        ("preview", preview.then_some(Value::Bool(true))),
        (
            "preconfiguredExprIds",
            (!hit.preconfigured_expr_ids.is_empty())
                .then(|| hit.preconfigured_expr_ids.clone().into()),
        ),
        (
            "rateLimitAction",
            hit.rate_limit.as_ref().map(|limit| {
                let key = limit.key.as_bytes();
                let key = key.get(..RATE_KEY_BYTES_MAX).unwrap_or(key);
                json!({"key": Escaped(key), "outcome": limit.outcome})
            }),
        ),
        ("threatIntelligence", named("categories", &hit.threat_categories)),
        ("addressGroup", named("names", &hit.address_groups)),
        ("matchedFieldType", waf.map(|m| m.field_type.as_str().into())),
        ("matchedFieldName", waf.map(|m| text(&m.field_name))),
        ("matchedFieldValue", waf.map(|m| text(&m.value))),
        ("matchedFieldLength", waf.map(|m| m.field_length.into())),
        ("matchedOffset", waf.map(|m| m.offset.into())),
        ("matchedLength", waf.map(|m| m.length.into())),
        ("inspectedBodySize", waf.map(|_| r.inspected_body_bytes.into())),
        ("notEvaluated", hit.not_evaluated.then_some(Value::Bool(true))),
    ])
}

/// A list under a name; nothing where the list is empty.
fn named(name: &str, items: &[String]) -> Option<Value> {
    (!items.is_empty()).then(|| json!({name: items}))
}

fn event_line(e: &EventRecord) -> Value {
    object(vec![
        ("timestamp", Some(rfc3339(e.time).into())),
        ("type", Some(e.kind.into())),
        ("action", Some(if e.blocked { "blocked" } else { "logged" }.into())),
        ("source", Some("edge".into())),
        ("requestId", (!e.request_id.is_empty()).then(|| e.request_id.as_str().into())),
        ("clientIp", e.client.map(|address| address.to_string().into())),
        ("country", (!e.region_code.is_empty()).then(|| e.region_code.as_str().into())),
        ("tenantId", e.tenant.as_deref().map(Into::into)),
        ("userId", e.subject.as_deref().map(Into::into)),
        ("method", Some(text(&e.method))),
        ("host", Some(text(&e.host))),
        ("path", Some(text(&e.uri))),
        ("userAgent", e.user_agent.as_deref().map(text)),
        ("policy", Some(e.policy.as_str().into())),
        ("rule", e.rule.map(Into::into)),
        ("ruleIds", (!e.signatures.is_empty()).then(|| e.signatures.clone().into())),
        ("status", Some(e.status.into())),
    ])
}
