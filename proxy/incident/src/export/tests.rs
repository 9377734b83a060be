//! Every event in every format, by lists of fields that were written down from the specifications.

use std::collections::BTreeSet;

use portcullis_config::Timestamp;
use serde_json::json;

use super::*;
use crate::category::{Category, Priority};
use crate::event::{Actor, Breach, Event, Placed, Rule, Taken};

/// Of the ECS field reference, 8.11; what is under `labels` is ours.
const ECS: &[&str] = &[
    "@timestamp",
    "ecs.version",
    "event.action",
    "event.category",
    "event.dataset",
    "event.id",
    "event.kind",
    "event.module",
    "event.outcome",
    "event.reason",
    "event.severity",
    "event.type",
    "http.request.id",
    "http.request.method",
    "http.response.body.bytes",
    "http.response.status_code",
    "message",
    "observer.product",
    "observer.type",
    "observer.vendor",
    "observer.version",
    "organization.id",
    "rule.id",
    "source.as.number",
    "source.geo.country_iso_code",
    "source.ip",
    "tags",
    "url.path",
    "user.email",
    "user.id",
    "user_agent.original",
];
/// `event.category` with the values of `event.type` that are expected with it.
const ECS_CLASSES: &[(&str, &[&str])] = &[
    ("authentication", &["start", "end", "info"]),
    ("configuration", &["access", "change", "creation", "deletion", "info"]),
    ("iam", &["admin", "change", "creation", "deletion", "group", "info", "user"]),
    ("intrusion_detection", &["allowed", "denied", "info"]),
    ("network", &["access", "allowed", "connection", "denied", "end", "info", "protocol", "start"]),
    ("web", &["access", "error", "info"]),
];
/// Of OCSF 1.3: the three classes, their profile, and the objects that they hold; what is under `unmapped` is ours.
const OCSF: &[&str] = &[
    "action",
    "action_id",
    "activity_id",
    "activity_name",
    "category_name",
    "category_uid",
    "class_name",
    "class_uid",
    "count",
    "disposition",
    "disposition_id",
    "evidences.actor.user.org.uid",
    "evidences.actor.user.uid",
    "evidences.data.type",
    "evidences.http_request.http_method",
    "evidences.http_request.uid",
    "evidences.http_request.url.path",
    "evidences.http_request.user_agent",
    "evidences.http_response.body_length",
    "evidences.http_response.code",
    "evidences.ja4_fingerprint_list.type",
    "evidences.ja4_fingerprint_list.type_id",
    "evidences.ja4_fingerprint_list.value",
    "evidences.src_endpoint.autonomous_system.number",
    "evidences.src_endpoint.ip",
    "evidences.src_endpoint.location.country",
    "finding_info.analytic.type",
    "finding_info.analytic.type_id",
    "finding_info.analytic.uid",
    "finding_info.title",
    "finding_info.types",
    "finding_info.uid",
    "http_request.uid",
    "is_alert",
    "message",
    "metadata.correlation_uid",
    "metadata.product.name",
    "metadata.product.vendor_name",
    "metadata.product.version",
    "metadata.profiles",
    "metadata.uid",
    "metadata.version",
    "severity",
    "severity_id",
    "src_endpoint.ip",
    "status",
    "status_detail",
    "status_id",
    "time",
    "type_name",
    "type_uid",
    "user.email_addr",
    "user.uid",
];
/// What the three classes require.
const OCSF_REQUIRED: &[&str] = &[
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata.product.vendor_name",
    "metadata.version",
    "severity_id",
    "time",
    "type_uid",
];
/// Of the CEF extension dictionary.
const CEF: &[&str] = &[
    "act",
    "c6a2",
    "c6a2Label",
    "cat",
    "cn1",
    "cn1Label",
    "cnt",
    "cs1",
    "cs1Label",
    "cs2",
    "cs2Label",
    "cs3",
    "cs3Label",
    "cs4",
    "cs4Label",
    "cs5",
    "cs5Label",
    "cs6",
    "cs6Label",
    "externalId",
    "out",
    "outcome",
    "reason",
    "request",
    "requestClientApplication",
    "requestMethod",
    "rt",
    "src",
    "suid",
    "suser",
];

/// An event of a category with everything that one can have.
fn full(category: Category, taken: Taken) -> Event {
    let at = Timestamp::from_millis(1_764_504_000_007);
    let text = |text: &str| Some(text.to_owned());
    Event {
        actor: Actor {
            subject: text("u-1"),
            tenant: text("t-1"),
            provider: text("main"),
            token_id: text("j-1"),
            account: text("ada"),
            user_agent: text("curl/8"),
            country: text("FR"),
            asn: Some(64_496),
            fingerprint: text("t13d"),
            ..Actor::default()
        },
        request_id: text("r-1"),
        method: "POST".to_owned(),
        path: "/a|b=c\\d".to_owned(),
        route: "edge.test/".to_owned(),
        payload: b"' OR 1=1--\n".to_vec(),
        status: 403,
        bytes_out: 512,
        objects: vec!["license:l-1".to_owned()],
        taken,
        rule: Some(Rule { id: "r-942100".to_owned(), score: Some(5), matched_field: text("id") }),
        preview_rule: text("p/7"),
        breach: Some(Breach { attempted_tenant: text("t-2"), ..Breach::default() }),
        travel: Some(("FR".to_owned(), "JP".to_owned())),
        scenario: text("s"),
        count: 3,
        ..Event::new("e-1", category, Some([192, 0, 2, 7].into()), at)
    }
}

/// Every kind of line, as the log has it.
fn lines() -> Vec<Value> {
    let placed = Placed {
        incident_id: Some("INC-2025-11-30-001".to_owned()),
        dedup_key: Some("k".to_owned()),
        priority: None,
        response: Some(("RATE_LIMIT_APPLIED", 3600)),
    };
    let mut lines = Vec::new();
    for category in Category::ALL {
        for taken in [Taken::Blocked, Taken::Logged, Taken::Previewed] {
            lines.push(full(*category, taken).to_json(&placed));
            lines.push(full(*category, taken).to_json(&Placed::default()));
        }
        let bare = Event::new("e-2", *category, None, Timestamp::from_secs(1));
        lines.push(bare.to_json(&Placed::default()));
    }
    for event in [
        "login_failed",
        "login_success",
        "register_conflict",
        "register_success",
        "password_change_failed",
        "password_change_success",
    ] {
        lines.push(json!({
            "level": 40, "time": 1, "event": event, "reason": "bad_password", "userId": "u-1", "email": "a@example.com",
            "ip": "192.0.2.7", "timestamp": "2025-11-30T12:00:00.000Z", "msg": "Security: …", "source": "edge",
            "requestId": "r-1",
        }));
    }
    lines.push(json!({
        "timestamp": "2025-11-30T12:00:00.000Z", "type": "csp_violation", "action": "logged", "source": "edge",
        "requestId": "r-1", "clientIp": "2001:db8::1", "directive": "img-src",
    }));
    lines
}

/// Every path to a value; a list's members stand under its own.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, at, found)),
        Value::Null => panic!("`{at}` is null"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => drop(found.insert(at.to_owned())),
    }
}

fn written(format: EventFormat) -> Vec<Value> {
    let read = |one: &Value| serde_json::from_str(&line(format, one)).unwrap();
    lines().iter().map(read).collect()
}

/// All fields are known ones, and every known one is used.
fn check(format: EventFormat, known: &[&str], ours: &str) {
    let mut found = BTreeSet::new();
    written(format).iter().for_each(|one| paths(one, "", &mut found));
    found.retain(|path| !path.starts_with(ours));
    assert_eq!(found, known.iter().map(|path| (*path).to_owned()).collect());
}

#[test]
fn fields_are_those_of_the_elastic_common_schema() {
    check(EventFormat::Ecs, ECS, "labels.");
    let texts = |one: &Value, name: &str| -> Vec<String> {
        one["event"][name]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_str().unwrap().to_owned())
            .collect()
    };
    for one in written(EventFormat::Ecs) {
        assert!(["alert", "event"].contains(&one["event"]["kind"].as_str().unwrap()));
        let categories = texts(&one, "category");
        for kind in texts(&one, "type") {
            let is_expected = ECS_CLASSES.iter().any(|(category, kinds)| {
                categories.iter().any(|one| one == category) && kinds.contains(&kind.as_str())
            });
            assert!(is_expected, "{kind} with {categories:?}");
        }
        // Labels are keywords.
        let labels = one["labels"].as_object();
        assert!(
            labels
                .is_none_or(|labels| labels.values().all(|one| one.is_string() || one.is_array()))
        );
    }
}

#[test]
fn fields_are_those_of_the_open_cybersecurity_schema() {
    check(EventFormat::Ocsf, OCSF, "unmapped.");
    for one in written(EventFormat::Ocsf) {
        let mut found = BTreeSet::new();
        paths(&one, "", &mut found);
        for required in OCSF_REQUIRED {
            assert!(found.contains(*required), "{required} is not in {one}");
        }
        let number = |name: &str| one[name].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), number("class_uid") / 1000);
        match number("class_uid") {
            2004 => {
                assert!(
                    [1, 2].contains(&number("action_id"))
                        && [2, 17].contains(&number("disposition_id"))
                );
                assert!(found.contains("finding_info.uid"), "{one}");
            }
            3001 | 3002 => assert!([1, 2].contains(&number("status_id"))),
            other => panic!("{other}"),
        }
    }
}

/// Reads a line as a collector does: the header's fields, and the pairs behind it.
fn read_cef(line: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut fields, mut field, mut chars) = (Vec::new(), String::new(), line.chars());
    while fields.len() < 7 {
        match chars.next().expect("seven fields") {
            '\\' => field.extend(chars.next()),
            '|' => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    let (mut pairs, mut text) = (Vec::<(String, String)>::new(), String::new());
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => panic!("an escape of nothing"),
            }),
            '=' => {
                let (value, key) = text.rsplit_once(' ').unwrap_or(("", &text));
                if let Some(last) = pairs.last_mut() {
                    last.1 = value.to_owned();
                }
                pairs.push((key.to_owned(), String::new()));
                text.clear();
            }
            other => text.push(other),
        }
    }
    if let Some(last) = pairs.last_mut() {
        last.1 = text;
    }
    (fields, pairs)
}

#[test]
fn pairs_are_those_of_the_common_event_format_and_read_back() {
    let mut found = BTreeSet::new();
    for one in lines() {
        let text = line(EventFormat::Cef, &one);
        assert!(!text.contains(['\n', '\r']), "{text}");
        let (fields, pairs) = read_cef(&text);
        assert_eq!(fields[..3], ["CEF:0", "Portcullis", "Portcullis"]);
        assert!((0..=10).contains(&fields[6].parse::<u8>().unwrap()));
        let names: BTreeSet<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(names.len(), pairs.len(), "a key is there twice: {text}");
        let value =
            |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if let Some(path) =
            one.pointer("/request/path").and_then(Value::as_str).filter(|path| !path.is_empty())
        {
            assert_eq!(value("request"), Some(path));
        }
        found.extend(names);
    }
    assert_eq!(found, CEF.iter().map(|key| (*key).to_owned()).collect());
}

#[test]
fn an_injection_reads_in_each_format_as_its_readers_know_it() {
    let mut event = full(Category::SqlInjection, Taken::Blocked);
    event.travel = None;
    let placed = Placed {
        incident_id: Some("INC-1".to_owned()),
        priority: Some(Priority::P1),
        ..Placed::default()
    };
    let json = event.to_json(&placed);
    assert_eq!(serde_json::from_str::<Value>(&line(EventFormat::Json, &json)).unwrap(), json);
    let ecs: Value = serde_json::from_str(&line(EventFormat::Ecs, &json)).unwrap();
    for (pointer, expected) in [
        ("/@timestamp", json!("2025-11-30T12:00:00.007Z")),
        ("/event/kind", json!("alert")),
        ("/event/category", json!(["intrusion_detection", "web"])),
        ("/event/type", json!(["denied"])),
        ("/event/action", json!("sql_injection")),
        ("/source/ip", json!("192.0.2.7")),
        ("/user/id", json!("u-1")),
        ("/url/path", json!("/a|b=c\\d")),
        ("/http/response/status_code", json!(403)),
        ("/rule/id", json!("r-942100")),
        ("/labels/attempted_tenant", json!("t-2")),
    ] {
        assert_eq!(ecs.pointer(pointer), Some(&expected), "{pointer}");
    }
    let ocsf: Value = serde_json::from_str(&line(EventFormat::Ocsf, &json)).unwrap();
    for (pointer, expected) in [
        ("/class_uid", json!(2004)),
        ("/type_uid", json!(200_401)),
        ("/severity_id", json!(4)),
        ("/action_id", json!(2)),
        ("/disposition_id", json!(2)),
        ("/time", json!(1_764_504_000_007_u64)),
        ("/metadata/correlation_uid", json!("INC-1")),
        ("/evidences/0/actor/user/org/uid", json!("t-1")),
    ] {
        assert_eq!(ocsf.pointer(pointer), Some(&expected), "{pointer}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let cef = line(EventFormat::Cef, &json);
    let head = format!(
        "CEF:0|Portcullis|Portcullis|{version}|sql_injection|Sql injection|8|rt=1764504000007 externalId=e-1"
    );
    assert!(cef.starts_with(&head), "{cef}");
    assert!(cef.contains(" request=/a|b\\=c\\\\d "), "{cef}");
    assert!(cef.ends_with(" cs6=' OR 1\\=1--\\\\n"), "{cef}");
}
