//! From a refused request to an incident, through the real binary.

use std::path::Path;
use std::time::Duration;

use portcullis_tests::{Origin, WAIT_MAX};
use serde_json::Value;
use tokio::time::Instant;

use crate::process::{Portcullis, configuration, curl, policy, run, serve, text};

#[path = "incidents/alerts.rs"]
mod alerts;
#[path = "incidents/day.rs"]
mod day;
#[path = "incidents/detectors.rs"]
mod detectors;
#[path = "incidents/flood.rs"]
mod flood;
#[path = "incidents/history.rs"]
mod history;
#[path = "incidents/lifecycle.rs"]
mod lifecycle;
#[path = "incidents/notifiers.rs"]
mod notifiers;
#[path = "incidents/poisoning.rs"]
mod poisoning;
#[path = "incidents/responses.rs"]
mod responses;
#[path = "incidents/runbooks.rs"]
mod runbooks;
#[path = "incidents/scenarios.rs"]
mod scenarios;
#[path = "incidents/sinks.rs"]
mod sinks;

const SQLI: &str = "/?id=1%27%20UNION%20SELECT%20password%20FROM%20users--";

/// Runs a command against the process in `home`; gives its output, or fails the test.
fn operate(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, &[arguments, &["--socket", "admin.sock"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn refused(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, &[arguments, &["--socket", "admin.sock"]].concat());
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// Asks until the answer is what is waited for.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begun.elapsed() < WAIT_MAX, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn incidents(home: &Path) -> Vec<Value> {
    serde_json::from_str(&operate(home, &["incidents", "ls", "--all", "--json"])).unwrap()
}

/// Waits for so many events in all incidents of a category, and returns the one incident.
fn incident(home: &Path, category: &str, events: u64) -> Value {
    until(category, || {
        let found = incidents(home).into_iter().find(|one| one["category"] == category)?;
        (found["events"].as_u64() >= Some(events)).then_some(found)
    })
}

fn prepare(home: &Path, origin: &Origin, top: &str) -> Portcullis {
    let log = "log: { requests: off, events: file:events.jsonl }";
    let config = configuration(origin).replace("log: { requests: off, events: off }", log) + top;
    std::fs::write(home.join("portcullis.yaml"), config).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/never")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    serve(home)
}

fn event_log(home: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(home.join("events.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_an_event_and_an_incident_that_survives_sigkill() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let edge = prepare(home, &origin, "");
    assert!(operate(home, &["incidents", "ls"]).contains("no incidents"));
    assert_eq!(curl(home, &edge, "/?id=1"), "200");
    for _ in 0..3 {
        assert_eq!(curl(home, &edge, SQLI), "403");
    }
    assert_eq!(curl(home, &edge, "/never"), "403");
    let found = incident(home, "SQL_INJECTION", 3);
    let id = found["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("INC-") && id.ends_with("-001"), "{id}");
    assert_eq!((&found["priority"], &found["status"]), (&"P2".into(), &"open".into()));
    assert_eq!(found["sources"], serde_json::json!(["127.0.0.1"]));
    assert_eq!(incidents(home).len(), 1, "what any rule refuses is an event and no incident");

    let log = until("the log", || Some(event_log(home)).filter(|log| log.len() >= 4));
    let one = &log[0];
    assert_eq!(
        (&one["type"], &one["category"]),
        (&"sql_injection".into(), &"SQL_INJECTION".into())
    );
    assert_eq!(
        (&one["event_type"], &one["severity"]),
        (&"SECURITY_INCIDENT".into(), &"WARNING".into())
    );
    assert_eq!((&one["incident_id"], &one["source_ip"]), (&id.clone().into(), &"127.0.0.1".into()));
    let response = &one["response"];
    assert_eq!((&response["status_code"], &response["action"]), (&403.into(), &"BLOCKED".into()));
    assert!(response["bytes_out"].as_u64() > Some(0), "{response}");
    assert_eq!((&one["request"]["method"], &one["request"]["path"]), (&"GET".into(), &"/".into()));
    assert_eq!((&log[3]["type"], &log[3]["incident_id"]), (&"policy_deny".into(), &Value::Null));
    let ids: std::collections::BTreeSet<_> =
        log.iter().map(|one| one["event_id"].to_string()).collect();
    assert_eq!(ids.len(), log.len(), "each event has an id of its own");

    let shown = operate(home, &["incidents", "show", &id]);
    assert!(shown.contains("opened at P2") && shown.contains("127.0.0.1"), "{shown}");
    let said = refused(home, &["incidents", "show", "INC-2020-01-01-001"]);
    assert!(said.contains("there is no incident"), "{said}");

    // Dropping kills with SIGKILL.
    // Everything but the time that runs.
    let standing = |home: &Path| {
        let mut one = incidents(home).remove(0);
        one.as_object_mut().unwrap().remove("escalates_in_secs");
        one
    };
    let before = standing(home);
    drop(edge);
    let edge = serve(home);
    assert_eq!(standing(home), before, "as it was");
    assert_eq!(curl(home, &edge, SQLI), "403");
    let found = incident(home, "SQL_INJECTION", 4);
    assert_eq!((&found["id"], incidents(home).len()), (&id.into(), 1), "it goes on");
    assert!(operate(home, &["incidents", "ls"]).contains("SQL_INJECTION"));
}
