//! What the logs write is read back, in each of their shapes.

use bytes::Bytes;
use portcullis_config::model::LogFormat;
use portcullis_incident::event::{Breach, Placed};
use portcullis_incident::{Category, Event};
use serde_json::json;

use super::*;
use crate::log::{IdentityRecord, Line as _, RequestRecord, SignInEvent, SignInRecord};

fn record(format: LogFormat) -> RequestRecord {
    RequestRecord {
        format,
        uri: Bytes::from_static(b"/api/x?a=1"),
        identity: Some(IdentityRecord {
            provider: "main".to_owned(),
            subject: "ada l\u{f6}w".to_owned(),
            tenant: Some("t-1".to_owned()),
        }),
        objects: vec!["license:l-1".to_owned()],
        attempted_tenant: Some("t-2".to_owned()),
        ..crate::log::tests::record()
    }
}

fn written(format: LogFormat) -> Entry {
    let mut line = Vec::new();
    record(format).write_line(&mut line);
    line.pop();
    Entry::of_line(&line).unwrap().0
}

#[test]
fn a_request_reads_the_same_in_every_shape_of_its_log() {
    let cloud = written(LogFormat::CloudLogging);
    assert_eq!((cloud.method.as_str(), cloud.path.as_str()), ("GET", "/api/x"));
    assert_eq!((cloud.status, cloud.bytes_out), (Some(403), Some(12)));
    assert_eq!((cloud.decision.as_str(), cloud.is_refused), ("denied_by_policy", true));
    assert_eq!(cloud.subject.as_deref(), Some("ada l\u{f6}w"));
    assert_eq!(cloud.tenant.as_deref(), Some("t-1"));
    assert_eq!(cloud.attempted_tenant.as_deref(), Some("t-2"));
    assert_eq!(cloud.objects, ["license:l-1"]);
    assert_eq!(cloud.at, Timestamp::from_millis(1_767_225_600_250));
    assert_eq!(written(LogFormat::Json), cloud);
    // It tells whole seconds, and nothing of decisions, tenants and objects.
    let plain = written(LogFormat::Combined);
    let expected = Entry {
        at: Timestamp::from_secs(1_767_225_600),
        decision: "status 403".to_owned(),
        is_refused: false,
        objects: Vec::new(),
        attempted_tenant: None,
        tenant: None,
        request_id: None,
        ..cloud
    };
    assert_eq!(plain, expected);
}

#[test]
fn events_and_sign_ins_are_read_and_other_lines_are_not() {
    let at = Timestamp::from_millis(1_764_504_000_007);
    let mut event = Event::new("e", Category::TenantBreach, Some([192, 0, 2, 7].into()), at);
    event.actor.subject = Some("ada".to_owned());
    event.breach = Some(Breach { attempted_tenant: Some("t-2".to_owned()), ..Breach::default() });
    event.count = 3;
    let line = event.to_json(&Placed::default()).to_string();
    let (entry, value) = Entry::of_line(line.as_bytes()).unwrap();
    assert_eq!((entry.kind.as_str(), entry.at, entry.count), ("tenant_breach", at, 3));
    assert_eq!(
        (entry.subject.as_deref(), entry.attempted_tenant.as_deref()),
        (Some("ada"), Some("t-2"))
    );
    assert_eq!(value.to_string(), line);
    let sign_in = SignInRecord {
        time: at,
        event: SignInEvent::LoginFailed,
        reason: Some("bad_password".to_owned()),
        user_id: Some("ada".to_owned()),
        email: None,
        ip: [192, 0, 2, 7].into(),
        request_id: "r".to_owned(),
    };
    let (entry, _) = Entry::of_line(sign_in.to_json().to_string().as_bytes()).unwrap();
    assert_eq!((entry.kind.as_str(), entry.decision.as_str()), ("login_failed", "bad_password"));
    assert_eq!((entry.subject.as_deref(), entry.source), (Some("ada"), Source::Event));
    for other in [
        "",
        "x",
        "{",
        "{}",
        "[1]",
        "{\"type\":\"x\"}",
        "CEF:0|Portcullis|a",
        "\u{0}",
        "1.2.3.4 - - [x] \"GET",
    ] {
        assert_eq!(Entry::of_line(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn the_newest_are_kept_and_everything_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("requests");
    let line = |n: u64, subject: &str, address: &str| {
        let time = crate::log::rfc3339(Timestamp::from_secs(1_000_000 + n));
        json!({
            "time": time, "client_address": address, "method": "GET", "uri": "/a", "status": 200,
            "response_bytes": 10, "subject": subject, "request_id": n.to_string(),
        })
    };
    let mut text = String::new();
    for n in 0..10 {
        text.push_str(&format!(
            "{}\n{}\n",
            line(n, "ada", "192.0.2.7"),
            line(n, "bob", "192.0.2.8")
        ));
    }
    std::fs::write(&log, format!("{text}nothing of ours\n")).unwrap();
    let wanted = Wanted {
        subject: Some("ada".to_owned()),
        since: Timestamp::from_secs(1_000_002),
        until: Timestamp::from_secs(1_000_008),
        ..Wanted::default()
    };
    let mut history = History::default();
    history.read(&log, &wanted, 3).unwrap();
    let kept: Vec<_> =
        history.entries().map(|(entry, _)| entry.request_id.clone().unwrap()).collect();
    assert_eq!(kept, ["6", "7", "8"]);
    assert_eq!(
        (history.found, history.requests, history.bytes_out, history.unreadable),
        (7, 7, 70, 1)
    );
    let network = Wanted {
        network: Some("192.0.2.8/32".parse().unwrap()),
        until: Timestamp::from_secs(2_000_000),
        ..Wanted::default()
    };
    let mut history = History::default();
    history.read(&log, &network, 100).unwrap();
    assert!(history.entries().all(|(entry, _)| entry.subject.as_deref() == Some("bob")));
    assert_eq!(history.found, 10);
}
