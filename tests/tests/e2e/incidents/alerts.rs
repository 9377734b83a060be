//! What Alertmanager posts: taken with the key, an incident for as long as an alert fires, and on disk before the answer.

use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A process with a metrics listener that takes alerts.
fn start(home: &Path, origin: &Origin) -> Portcullis {
    std::fs::write(home.join("alerts.key"), format!("{KEY}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(home.join("alerts.key"), mode).unwrap();
    let listener = "admin.sock, metrics: '127.0.0.1:0' }";
    let config = configuration(origin).replace("admin.sock }", listener)
        + "incidents: { alerts_key: 'file:alerts.key', dry_run: true }\n";
    std::fs::write(home.join("portcullis.yaml"), config).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/never")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    serve(home)
}

fn metrics(home: &Path) -> String {
    let status: Value = serde_json::from_str(&operate(home, &["status", "--json"])).unwrap();
    status["metrics"].as_str().unwrap().to_owned()
}

/// Posts a message, and returns the status.
fn post(home: &Path, key: &str, body: &str) -> String {
    std::fs::write(home.join("alerts.json"), body).unwrap();
    let output = std::process::Command::new("curl")
        .args(["-s", "-o", "answer", "-w", "%{http_code}", "--data-binary", "@alerts.json"])
        .args(["-H", &format!("Authorization: Bearer {key}")])
        .arg(format!("http://{}/alerts", metrics(home)))
        .current_dir(home)
        .output()
        .unwrap();
    text(&output.stdout)
}

fn message(status: &str, more: &str) -> String {
    format!(
        r#"{{"version":"4","groupKey":"g","status":"{status}","receiver":"edge","alerts":[
            {{"status":"{status}","labels":{{"alertname":"CloudKMSSigningFailures","severity":"critical"}},
              "annotations":{{"summary":"signing fails"}},"startsAt":"2026-01-01T00:00:00Z",
              "fingerprint":"a1b2c3d4e5f60718"}}{more}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firing_alert_is_one_incident_and_its_end_resolves_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let edge = start(home, &origin);
    assert_eq!(post(home, KEY, &message("resolved", "")), "200", "what never fired is nothing");
    assert_eq!(incidents(home), [] as [Value; 0]);
    let watchdog = r#",{"status":"firing","labels":{"alertname":"Watchdog","severity":"none"},"fingerprint":"ff"}"#;
    assert_eq!(post(home, KEY, &message("firing", watchdog)), "200");
    // On disk before it is answered.
    drop(edge);
    let edge = serve(home);
    assert_eq!(post(home, KEY, &message("firing", "")), "200", "told again");
    let found = incidents(home);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["category"], &found[0]["priority"]), (&"ALERT".into(), &"P1".into()));
    assert_eq!((&found[0]["status"], &found[0]["events"]), (&"open".into(), &2.into()));
    assert_eq!(found[0]["rules"], serde_json::json!(["CloudKMSSigningFailures"]));
    assert_eq!(post(home, KEY, &message("resolved", "")), "200");
    assert_eq!(incidents(home)[0]["status"], "resolved");
    let shown = operate(home, &["incidents", "show", found[0]["id"].as_str().unwrap()]);
    assert!(shown.contains("resolved by alertmanager"), "{shown}");
    assert_eq!(post(home, KEY, &message("firing", "")), "200");
    assert_eq!(incidents(home).len(), 1, "it is back, and the same one");
    assert_eq!(incidents(home)[0]["status"], "open");
    drop(edge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_posts_alerts_and_what_is_malformed_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let edge = start(home, &origin);
    let good = message("firing", "");
    assert_eq!(post(home, "wrong", &good), "401");
    assert_eq!(post(home, KEY.strip_prefix('0').unwrap(), &good), "401");
    for malformed in ["", "{", "[]", r#"{"version":"4","alerts":[{}]}"#, r#"{"version":"9"}"#] {
        assert_eq!(post(home, KEY, malformed), "400", "{malformed}");
    }
    assert_eq!(incidents(home), [] as [Value; 0]);
    drop(edge);
    std::fs::write(home.join("alerts.key"), "short").unwrap();
    let output = run(home, &["check", "portcullis.yaml"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("fewer than 16 bytes"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_taken_up_to_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let _edge = start(home, &origin);
    const BYTES_MAX: usize = 256 * 1024;
    for (what, length, status) in [
        ("one under", BYTES_MAX - 1, "200"),
        ("at it", BYTES_MAX, "200"),
        ("one over", BYTES_MAX + 1, "413"),
    ] {
        let message = message("firing", "");
        let padded = message.clone() + &" ".repeat(length - message.len());
        assert_eq!(post(home, KEY, &padded), status, "{what}");
    }
}
