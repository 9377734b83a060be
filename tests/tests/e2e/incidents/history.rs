//! "All recent actions" of somebody, from both logs and the files that were put aside.

use super::*;

fn prepare_logs(home: &Path, origin: &Origin, log: &str) -> Portcullis {
    let config = configuration(origin).replace("log: { requests: off, events: off }", log);
    std::fs::write(home.join("portcullis.yaml"), config).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/never")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    serve(home)
}

fn said(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, &[&["log", "--config", "portcullis.yaml"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_address_did_is_read_from_both_logs_and_their_old_files() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let log = "log: { requests: file:requests.jsonl, events: file:events.jsonl }";
    let edge = prepare_logs(home, &origin, log);
    assert_eq!(curl(home, &edge, "/first?a=1"), "200");
    let is_written = |name: &str, lines: usize| {
        let log = std::fs::read_to_string(home.join(name)).unwrap_or_default();
        (log.lines().count() >= lines).then_some(())
    };
    until("the first line", || is_written("requests.jsonl", 1));
    // Somebody rotates.
    std::fs::rename(home.join("requests.jsonl"), home.join("requests.jsonl.1")).unwrap();
    let pid = edge.process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-USR1", &pid]).status().unwrap().success());
    until("the new file", || home.join("requests.jsonl").exists().then_some(()));
    assert_eq!(curl(home, &edge, SQLI), "403");
    until("the lines", || {
        is_written("requests.jsonl", 1).and_then(|()| is_written("events.jsonl", 1))
    });

    let table = said(home, &["--address", "127.0.0.0/8"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME") && lines[0].contains("FOREIGN"), "{table}");
    assert!(lines[1].contains("GET /first") && lines[1].contains("200 passed"), "{table}");
    assert!(table.contains("403 denied_by_policy") && table.contains("403 BLOCKED"), "{table}");
    assert!(lines.last().unwrap().contains("2 requests, 1 refused"), "{table}");
    assert!(lines.last().unwrap().ends_with("sql_injection 1"), "{table}");

    let json: Value =
        serde_json::from_str(&said(home, &["--address", "127.0.0.1", "--json"])).unwrap();
    assert_eq!(
        (&json["found"], &json["requests"], &json["refused"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert!(json["bytes_out"].as_u64() > Some(0), "{json}");
    let newest: Value =
        serde_json::from_str(&said(home, &["--address", "127.0.0.1", "--limit", "1", "--json"]))
            .unwrap();
    assert_eq!(newest["entries"].as_array().unwrap().len(), 1);
    let cef = said(home, &["--address", "127.0.0.1", "--format", "cef"]);
    assert!(cef.starts_with("CEF:0|Portcullis|") && cef.lines().count() == 1, "{cef}");
    assert!(said(home, &["--address", "192.0.2.1"]).contains("nothing is logged"));
    assert!(said(home, &["--subject", "nobody"]).contains("nothing is logged"));
    assert!(said(home, &["--address", "127.0.0.1", "--until", "1h"]).contains("nothing is logged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_log_that_can_be_read_it_says_what_to_set() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    for (log, arguments, says) in [
        ("log: { requests: off, events: stdout }", &["--subject", "a"][..], "`file:PATH`"),
        (
            "log: { events: file:e, events_format: cef }",
            &["--subject", "a"],
            "`log.events_format: json`",
        ),
        (
            "log: { requests: file:r, events: off }",
            &["--subject", "a", "--format", "ecs"],
            "`log.events`",
        ),
        ("log: { requests: file:r }", &["--subject", "a", "--since", "soon"], "is no time"),
    ] {
        let config = configuration(&origin).replace("log: { requests: off, events: off }", log);
        std::fs::write(home.join("portcullis.yaml"), config).unwrap();
        std::fs::write(home.join("policy.yaml"), policy("/never")).unwrap();
        assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
        let output = run(home, &[&["log", "--config", "portcullis.yaml"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(text(&output.stderr).contains(says), "{log}: {}", text(&output.stderr));
    }
    let nobody = run(home, &["log", "--config", "portcullis.yaml"]);
    assert_eq!(nobody.status.code(), Some(2), "somebody has to be named");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_data_is_erased_while_the_edge_serves_and_the_audit_file_does_not_name_them() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let log = "log: { requests: file:requests.jsonl, events: file:events.jsonl }";
    let edge = prepare_logs(home, &origin, log);
    assert_eq!(curl(home, &edge, SQLI), "403");
    let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
    let stranger = "{\"time\":\"2026-01-01T00:00:00.000Z\",\"client_address\":\"192.0.2.1\",\"method\":\"GET\",\"uri\":\"/\",\"status\":200,\"response_bytes\":1}\n";
    std::fs::write(home.join("requests.jsonl.1"), stranger).unwrap();
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    until("the request's line", || read("requests.jsonl").contains("127.0.0.1").then_some(()));
    let erase = [
        "log",
        "erase",
        "--address",
        "127.0.0.1",
        "--reason",
        "they asked",
        "--socket",
        "admin.sock",
    ];
    let output = run(home, &erase);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "erased: 1 lines of the request log, 1 events, 0 incidents\n");
    assert!(text(&output.stderr).contains(&format!("incident {id} names them and is not over")));
    assert_eq!(read("requests.jsonl"), "");
    assert_eq!(read("requests.jsonl.1"), stranger);
    let event: Value = serde_json::from_str(read("events.jsonl").trim()).unwrap();
    assert_eq!(
        (&event["type"], &event["source_ip"]),
        (&"sql_injection".into(), &"[erased]".into())
    );
    assert!(!read("events.jsonl").contains("127.0.0.1"));

    // The process goes on in the new files.
    assert_eq!(curl(home, &edge, "/later"), "200");
    until("a line behind it", || read("requests.jsonl").contains("/later").then_some(()));
    operate(home, &["incidents", "resolve", &id]);
    let json: Value =
        serde_json::from_str(&operate(home, &["log", "erase", "--address", "127.0.0.1", "--json"]))
            .unwrap();
    assert_eq!(
        (&json["request_lines"], &json["event_lines"], &json["incidents"]),
        (&1.into(), &0.into(), &1.into())
    );
    let shown = operate(home, &["incidents", "show", &id]);
    let (head, timeline) = shown.split_once("timeline").unwrap();
    assert!(head.contains("sources     [erased]"), "{shown}");
    // What holds names whom it holds for until it ends.
    assert!(head.contains("limit 127.0.0.1 (holds"), "{shown}");
    assert!(timeline.contains("limit [erased]") && !timeline.contains("127.0.0.1"), "{shown}");
    let audit = read("state/audit.jsonl");
    let entries: Vec<_> = audit.lines().filter(|line| line.contains("log erase sha256:")).collect();
    assert_eq!(entries.len(), 4, "{audit}");
    assert!(entries.iter().all(|line| !line.contains("127.0.0.1")), "{audit}");
    assert!(entries[0].contains("they asked"), "{audit}");

    for (arguments, says) in [
        (&["log", "erase", "--subject", ""][..], "name one subject or one address"),
        (&["log", "erase", "--subject", "ada"], ""),
    ] {
        let output = run(home, &[arguments, &["--socket", "admin.sock"]].concat());
        assert_eq!(output.status.success(), says.is_empty());
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
    assert_eq!(run(home, &["log", "erase"]).status.code(), Some(2), "somebody has to be named");
}
