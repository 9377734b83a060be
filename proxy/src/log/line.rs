//! One line per record: of a request in the format that the operator chose, by default in the fields of a Cloud Armor
//! load balancer log.

use std::fmt;

use portcullis_config::Timestamp;
use portcullis_config::model::LogFormat;

use super::json::{Object, number, object, text};
use super::{PolicyRecord, RequestRecord, SignatureRecord};
use super::{combined, flat};

/// What a log writes as one line.
pub trait Line: Send + 'static {
    /// The value of the `log` label of the metrics.
    const LOG: &'static str;

    /// Appends the record as one line, newline included.
    fn write_line(&self, out: &mut Vec<u8>);
}

/// The word that Google's log reader recognises an entry by.
const ENTRY_TYPE: &str = "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry";
/// Cloud Armor cuts rate keys at this many bytes.
const RATE_KEY_BYTES_MAX: usize = 36;

impl Line for RequestRecord {
    const LOG: &'static str = "requests";

    fn write_line(&self, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::CloudLogging => object(out, |line| request(line, self)),
            LogFormat::Json => flat::write(out, self),
            LogFormat::Combined => combined::write(out, self),
        }
        out.push(b'\n');
    }
}

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    Rfc3339(time).to_string()
}

pub(super) struct Rfc3339(pub(super) Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}", self.0.as_millis()),
        }
    }
}

fn request(line: &mut Object<'_>, r: &RequestRecord) {
    line.shown("timestamp", Rfc3339(r.time));
    line.text("severity", r.refusal.map_or("INFO", |reason| reason.row().level.as_str()));
    line.object("httpRequest", |o| http_request(o, r));
    line.object("resource", |o| resource(o, r));
    line.object("jsonPayload", |o| payload(o, r));
    line.text("requestId", &r.request_id);
    line.number("generation", r.generation);
    if let Some(reason) = r.refusal {
        line.text("reason", reason.row().label);
    }
    if let Some(detail) = &r.detail {
        line.bytes("detail", detail.as_bytes());
    }
    if let Some(route) = &r.route {
        line.text("route", route);
    }
    if let (Some(backend), Some(server)) = (&r.backend, &r.server_asked) {
        line.object("upstream", |o| {
            o.text("backend", backend);
            o.text("server", server);
        });
    }
    if let Some(tls) = r.tls {
        line.text("tls", tls);
    }
    if let Some(load_test) = &r.load_test {
        line.text("loadTest", load_test);
    }
    if !r.objects.is_empty() {
        line.list("objects", r.objects.iter(), |out, object| text(out, object));
    }
    line.some_text("attemptedTenant", r.attempted_tenant.as_deref().unwrap_or_default());
    if let Some(identity) = &r.identity {
        line.object("identity", |o| {
            o.text("provider", &identity.provider);
            o.text("subject", &identity.subject);
            if let Some(tenant) = &identity.tenant {
                o.text("tenant", tenant);
            }
        });
    }
}

/// Where Google's readers look for the backend.
fn resource(o: &mut Object<'_>, r: &RequestRecord) {
    o.text("type", "http_load_balancer");
    o.object("labels", |o| {
        if let Some(backend) = &r.backend {
            o.text("backend_service_name", backend);
        }
        if let Some(route) = &r.route {
            o.text("url_map_name", route);
        }
    });
}

fn http_request(o: &mut Object<'_>, r: &RequestRecord) {
    o.bytes("requestMethod", &r.method);
    o.bytes("requestUrl", &url(r));
    o.shown("requestSize", r.request_bytes);
    o.number("status", r.status.into());
    o.shown("responseSize", r.response_bytes);
    if let Some(agent) = &r.user_agent {
        o.bytes("userAgent", agent);
    }
    if let Some(referer) = &r.referer {
        o.bytes("referer", referer);
    }
    o.socket("remoteIp", r.client.peer);
    if let Some(server) = r.server {
        o.socket("serverIp", server);
    }
    o.shown("latency", format_args!("{}.{:06}s", r.latency.as_secs(), r.latency.subsec_micros()));
    o.text("protocol", r.protocol);
}

fn url(r: &RequestRecord) -> Vec<u8> {
    [r.scheme.as_bytes(), b"://", &r.host, &r.uri].concat()
}

fn payload(o: &mut Object<'_>, r: &RequestRecord) {
    o.text("@type", ENTRY_TYPE);
    let sent = "response_sent_by_backend";
    o.text("statusDetails", r.refusal.map_or(sent, |reason| reason.row().status_details));
    o.address("remoteIp", r.client.address);
    if let Some(hit) = &r.enforced {
        o.object("enforcedSecurityPolicy", |o| policy(o, hit, r, false));
    }
    if let Some((first, more)) = r.previews.split_first() {
        o.object("previewSecurityPolicy", |o| policy(o, first, r, true));
        if !more.is_empty() {
            o.list("morePreviews", more.iter(), |out, hit| {
                object(out, |o| policy(o, hit, r, true));
            });
        }
    }
    if !r.rule_errors.is_empty() {
        o.list("ruleErrors", r.rule_errors.iter(), |out, rule| number(out, (*rule).into()));
    }
    if !r.answer_rules.is_empty() {
        o.list("answerRules", r.answer_rules.iter(), |out, rule| number(out, (*rule).into()));
    }
    o.object("securityPolicyRequestData", |o| request_data(o, r));
}

fn request_data(o: &mut Object<'_>, r: &RequestRecord) {
    let client = &r.client;
    o.object("remoteIpInfo", |o| {
        o.address("ipAddress", client.address);
        o.some_text("regionCode", &client.region_code);
        if client.asn != 0 {
            o.number("asn", client.asn.into());
        }
    });
    if let Some((source, address)) = &r.user_ip {
        o.object("userIpInfo", |o| {
            o.text("source", source);
            o.address("ipAddress", *address);
        });
    }
    o.some_text("tlsJa3Fingerprint", &client.ja3);
    o.some_text("tlsJa4Fingerprint", &client.ja4);
    if let Some(shown) = &client.certificate {
        o.object("tlsClientCertificate", |o| {
            o.text("subject", &shown.subject);
            o.text("issuer", &shown.issuer);
            o.text("sha256", &shown.sha256);
            o.list("names", shown.names.iter(), |out, name| text(out, name));
        });
    }
}

fn policy(o: &mut Object<'_>, hit: &PolicyRecord, r: &RequestRecord, preview: bool) {
    o.text("name", &hit.name);
    o.number("priority", hit.priority.into());
    o.text("configuredAction", &hit.configured_action);
    o.text("outcome", &hit.outcome);
    if preview {
        o.yes("preview");
    }
    if !hit.preconfigured_expr_ids.is_empty() {
        o.list("preconfiguredExprIds", hit.preconfigured_expr_ids.iter(), |out, id| text(out, id));
    }
    if let Some(limit) = &hit.rate_limit {
        o.object("rateLimitAction", |o| {
            let key = limit.key.as_bytes();
            o.bytes("key", key.get(..RATE_KEY_BYTES_MAX).unwrap_or(key));
            o.text("outcome", &limit.outcome);
        });
    }
    named(o, "threatIntelligence", "categories", &hit.threat_categories);
    named(o, "addressGroup", "names", &hit.address_groups);
    if let Some(waf) = &hit.matched {
        o.text("matchedFieldType", &waf.field_type);
        o.bytes("matchedFieldName", &waf.field_name);
        o.bytes("matchedFieldValue", &waf.value);
        o.number("matchedFieldLength", waf.field_length);
        o.number("matchedOffset", waf.offset);
        o.number("matchedLength", waf.length);
        o.number("inspectedBodySize", r.inspected_body_bytes);
    }
    if !hit.signatures.is_empty() {
        // An extension: Google names one field of one signature, and only under `VERBOSE`.
        o.list("matches", hit.signatures.iter(), signature);
    }
    if hit.not_evaluated {
        o.yes("notEvaluated");
    }
}

fn signature(out: &mut Vec<u8>, matched: &SignatureRecord) {
    object(out, |o| {
        o.text("set", &matched.set);
        o.number("id", u64::from(matched.id));
        o.text("signature", &matched.signature);
        o.text("fieldType", &matched.field_type);
        o.bytes("fieldName", &matched.field_name);
    });
}

/// Adds a list under a name; nothing where the list is empty.
fn named(o: &mut Object<'_>, key: &str, name: &str, items: &[String]) {
    if !items.is_empty() {
        o.object(key, |o| o.list(name, items.iter(), |out, item| text(out, item)));
    }
}
