//! The logs, written to memory and read back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use portcullis_config::Timestamp;
use portcullis_config::model::LogFormat;
use serde_json::{Value, json};

use super::*;
use crate::metrics::Metrics;
use crate::reason::Reason;

pub(crate) fn record() -> RequestRecord {
    RequestRecord {
        format: LogFormat::CloudLogging,
        time: Timestamp::from_millis(1_767_225_600_250),
        request_id: "r-1".to_owned(),
        generation: 3,
        server: None,
        client: ClientRecord {
            address: [192, 0, 2, 7].into(),
            peer: ([192, 0, 2, 7], 5000).into(),
            region_code: "US".to_owned(),
            asn: 0,
            ja3: "".into(),
            ja4: "".into(),
            certificate: None,
        },
        method: Bytes::from_static(b"GET"),
        scheme: "https",
        host: Bytes::from_static(b"a.test"),
        uri: Bytes::from_static(b"/x?\xff\\"),
        protocol: "HTTP/2",
        user_agent: Some(Bytes::from_static(b"curl")),
        referer: None,
        request_bytes: 0,
        status: 403,
        response_bytes: 12,
        latency: Duration::from_micros(1500),
        refusal: Some(Reason::DeniedByPolicy),
        detail: None,
        route: Some("/".to_owned()),
        backend: Some("license".to_owned()),
        server_asked: None,
        load_test: None,
        identity: None,
        objects: Vec::new(),
        attempted_tenant: None,
        enforced: Some(PolicyRecord {
            name: "license-api".to_owned(),
            priority: 400,
            configured_action: "DENY".to_owned(),
            outcome: "DENY".to_owned(),
            preconfigured_expr_ids: vec!["owasp-crs-v030301-id942100-sqli".to_owned()],
            rate_limit: Some(RateLimitRecord {
                key: "k".repeat(40),
                outcome: "RATE_LIMIT_THRESHOLD_CONFORM".to_owned(),
            }),
            ..PolicyRecord::default()
        }),
        previews: vec![PolicyRecord { name: "p".to_owned(), ..PolicyRecord::default() }],
        rule_errors: vec![7],
        answer_rules: vec![951_120],
        user_ip: Some(("x-ip".to_owned(), [192, 0, 2, 9].into())),
        inspected_body_bytes: 0,
        tls: Some("TLSv1.3"),
    }
}

#[test]
fn a_request_is_one_line_in_cloud_armors_fields() {
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let metrics = Metrics::new();
    let log = RequestLog::open(Target::Memory(Arc::clone(&buffer)), &metrics).unwrap();
    log.record(record());
    log.flush();
    let text = String::from_utf8(buffer.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    for (pointer, expected) in [
        ("/timestamp", json!("2026-01-01T00:00:00.250Z")),
        ("/severity", json!("WARNING")),
        ("/httpRequest/requestUrl", json!("https://a.test/x?\\xff\\\\")),
        ("/httpRequest/status", json!(403)),
        ("/httpRequest/responseSize", json!("12")),
        ("/httpRequest/latency", json!("0.001500s")),
        ("/jsonPayload/statusDetails", json!("denied_by_security_policy")),
        ("/jsonPayload/enforcedSecurityPolicy/priority", json!(400)),
        ("/jsonPayload/enforcedSecurityPolicy/rateLimitAction/key", json!("k".repeat(36))),
        ("/jsonPayload/previewSecurityPolicy/preview", json!(true)),
        ("/jsonPayload/securityPolicyRequestData/remoteIpInfo/regionCode", json!("US")),
        ("/resource/labels/backend_service_name", json!("license")),
        ("/requestId", json!("r-1")),
        ("/generation", json!(3)),
    ] {
        assert_eq!(line.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(line.pointer("/httpRequest/referer"), None);
    assert_eq!(line.pointer("/upstream"), None, "no server of it was asked");
    assert_eq!(metrics.log_lines.with_label_values(&["requests"]).get(), 1);
}

fn written(record: &RequestRecord) -> String {
    let mut line = Vec::new();
    record.write_line(&mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_request_is_one_flat_object_where_the_operator_says_so() {
    let text = written(&RequestRecord { format: LogFormat::Json, ..record() });
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    for (key, expected) in [
        ("time", json!("2026-01-01T00:00:00.250Z")),
        ("client_address", json!("192.0.2.7")),
        ("uri", json!("/x?\\xff\\\\")),
        ("status", json!(403)),
        ("duration_seconds", json!("0.001500")),
        ("reason", json!("denied_by_policy")),
        ("rule", json!(400)),
        ("signatures", json!(["owasp-crs-v030301-id942100-sqli"])),
    ] {
        assert_eq!(line[key], expected, "{key}");
    }
    assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "{text}");
}

#[test]
fn a_request_is_a_line_of_the_combined_format_where_the_operator_says_so() {
    let identity = IdentityRecord {
        provider: "main".to_owned(),
        subject: "ada \"lovelace\"".to_owned(),
        tenant: None,
    };
    let record = RequestRecord {
        format: LogFormat::Combined,
        identity: Some(identity),
        referer: Some(Bytes::from_static(b"https://a.test/\"\r\nforged")),
        ..record()
    };
    assert_eq!(
        written(&record),
        "192.0.2.7 - ada\\x20\\x22lovelace\\x22 [01/Jan/2026:00:00:00 +0000] \"GET /x?\\xFF\\x5C HTTP/2\" 403 12 \
         \"https://a.test/\\x22\\x0D\\x0Aforged\" \"curl\"\n"
    );
    let anonymous =
        RequestRecord { format: LogFormat::Combined, user_agent: None, ..self::record() };
    let anonymous = written(&anonymous);
    assert!(anonymous.starts_with("192.0.2.7 - - [") && anonymous.ends_with("\"-\" \"-\"\n"));
}

#[test]
fn a_reopened_log_writes_to_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("requests.jsonl");
    let log = RequestLog::open(Target::File(path.clone()), &Metrics::new()).unwrap();
    log.record(record());
    log.flush();
    let old = dir.path().join("old.jsonl");
    std::fs::rename(&path, &old).unwrap();
    log.record(record());
    log.flush();
    log.reopen();
    log.record(record());
    log.flush();
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&old), lines(&path)), (2, 1));
}

#[test]
fn a_log_in_a_missing_directory_says_which() {
    let error = RequestLog::open(Target::File("/nowhere/x.jsonl".into()), &Metrics::new());
    assert!(error.unwrap_err().to_string().contains("`/nowhere/x.jsonl`"));
}
