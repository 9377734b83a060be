//! An operator answers, contains and ends an incident; it opens again when it goes on.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_goes_from_open_to_resolved_and_back_with_a_timeline() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let nothing = "incidents: { responses: [{ category: SQL_INJECTION, actions: [] }] }\n";
    let edge = prepare(home, &origin, nothing);
    assert_eq!(curl(home, &edge, SQLI), "403");
    let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
    assert!(operate(home, &["incidents", "show", &id]).contains("escalates"));
    let said = operate(home, &["incidents", "ack", &id, "--reason", "a pentest"]);
    assert!(said.contains("acknowledged by uid:") && said.contains("a pentest"), "{said}");
    assert!(!said.contains("escalates"), "{said}");
    let said = refused(home, &["incidents", "ack", &id]);
    assert!(said.contains("is acknowledged"), "{said}");
    operate(home, &["incidents", "contain", &id]);
    operate(home, &["incidents", "resolve", &id]);
    assert!(operate(home, &["incidents", "ls"]).contains("no incidents"));
    assert!(refused(home, &["incidents", "resolve", &id]).contains("is resolved"));
    assert!(refused(home, &["incidents", "ack", "INC-2020-01-01-001"]).contains("no incident"));

    // Killed and started again it is as it was answered, and goes on.
    drop(edge);
    let edge = serve(home);
    assert_eq!(incidents(home)[0]["status"], "resolved");
    assert_eq!(curl(home, &edge, SQLI), "403");
    let again = incident(home, "SQL_INJECTION", 2);
    assert_eq!((&again["id"], &again["status"]), (&id.clone().into(), &"open".into()));
    let lines: Vec<_> =
        again["timeline"].as_array().unwrap().iter().map(|one| one["what"].to_string()).collect();
    for (line, expected) in lines.iter().zip([
        "opened at P2",
        "acknowledged by",
        "a pentest",
        "contained by",
        "resolved by",
        "reopened",
    ]) {
        assert!(line.contains(expected), "{lines:?}");
    }
    assert_eq!(lines.len(), 6, "{lines:?}");
    let audit = std::fs::read_to_string(home.join("state/audit.jsonl")).unwrap();
    for command in ["ack", "contain", "resolve"] {
        assert!(audit.contains(&format!("incidents {command} {id}")), "{audit}");
    }
}

/// Escalation and the end by quiet, on the test's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_escalates_and_what_is_quiet_ends() {
    let origin = Origin::start().await;
    let text = policy("/never");
    let edge = portcullis_tests::Edge::builder(&origin).policy(&text).start().await;
    assert_eq!(edge.get(SQLI).await.status, 403);
    let stands = |wanted: &str| {
        let wanted = wanted.to_owned();
        until(&wanted.clone(), || {
            let found = edge.incidents();
            let one = found.first()?;
            let now = format!("{} {}", one.priority.as_str(), one.status.as_str());
            (now == wanted).then_some(())
        });
    };
    stands("P2 open");
    edge.advance(Duration::from_secs(60 * 60 - 1));
    edge.shared().events.flush();
    stands("P2 open");
    edge.advance(Duration::from_secs(60));
    stands("P1 open");
    assert!(edge.metrics().contains("edge_incidents_unanswered_total 1"));
    assert!(edge.metrics().contains("edge_incidents_open 1"));
    edge.advance(Duration::from_secs(2 * 3600));
    stands("P1 resolved");
}
