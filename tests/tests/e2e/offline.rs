//! `test`, `replay` and `tune` by the real binary, on files of every kind that they read, and on broken ones.

use std::path::Path;
use std::process::{Command, Output};

use portcullis_tests::binary;
use serde_json::{Value, json};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("portcullis"));
    command.current_dir(directory).args(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

fn shown(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn policy(mode: &str) -> String {
    format!(
        "name: tested\nrules:\n  - priority: 10\n    action: deny(403)\n    match: {{ expr: {{ expression: \"request.path == '/old'\" }} }}\n  \
         - priority: 20\n    action: deny(403)\n{mode}    match: {{ expr: {{ expression: \"evaluatePreconfiguredWaf('sqli-core-stable', {{'sensitivity': 1}})\" }} }}\n  \
         - priority: 2147483647\n    action: allow\n    match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ['*'] }} }}\n"
    )
}

/// A configuration over `policy.yaml`, in a directory of its own.
fn home(mode: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("policy.yaml", &policy(mode));
    write(
        "portcullis.yaml",
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: { socket: admin.sock }\n\
         listeners: [{ address: '127.0.0.1:0', tls: { certificates: [{ cert: file:tls.crt, key: file:tls.key }] } }]\n\
         log: { requests: off, events: off }\nrulesets: { core: { builtin: core } }\n\
         policies: { tested: { file: policy.yaml } }\n\
         backends: { origin: { servers: ['127.0.0.1:1'], policy: tested } }\n\
         hosts: { edge.test: { routes: [{ path: /, backend: origin, identity: none }] } }\n",
    );
    let made = run(directory.path(), &["dev", "cert", "--name", "edge.test"]);
    assert!(made.status.success(), "{}", shown(&made));
    directory
}

/// An entry with the fields that our log and Google's have in common.
fn entry(number: u32, method: &str, target: &str, outcome: &str) -> Value {
    json!({
        "timestamp": format!("2026-11-25T10:00:{number:02}.000Z"),
        "httpRequest": {
            "requestMethod": method, "requestUrl": format!("https://edge.test{target}"),
            "requestSize": if method == "POST" { "20" } else { "0" }, "status": 200,
            "remoteIp": "192.0.2.1", "userAgent": "curl/8.5.0",
        },
        "jsonPayload": {
            "remoteIp": "192.0.2.1",
            "enforcedSecurityPolicy": { "name": "tested", "priority": 20, "outcome": outcome },
        },
    })
}

const INJECTION: &str = "/?id=1%27%20UNION%20SELECT%20password%20FROM%20users--";

#[test]
fn a_cloud_logging_export_is_replayed_beside_googles_own_verdicts() {
    let directory = home("");
    let home = directory.path();
    let entries = [
        entry(3, "GET", INJECTION, "DENY"),
        entry(2, "GET", "/old", "ACCEPT"),
        entry(1, "GET", "/", "ACCEPT"),
        entry(4, "POST", "/", "ACCEPT"),
    ];
    let lines: Vec<String> = entries.iter().map(ToString::to_string).collect();
    std::fs::write(home.join("lines.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(home.join("array.json"), format!("[{}]", lines.join(",\n"))).unwrap();
    for file in ["lines.jsonl", "array.json"] {
        let done = run(home, &["replay", "--config", "portcullis.yaml", "--from", file, "--json"]);
        assert!(done.status.success(), "{}", shown(&done));
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(report["requests"], 4, "{file}");
        let parity = &report["parity"];
        for (name, wanted) in [
            ("bothPass", 1),
            ("bothRefuse", 1),
            ("onlyThisRefuses", 1),
            ("onlyGoogleRefuses", 0),
            ("notJudged", 1),
        ] {
            assert_eq!(parity[name], wanted, "{file} {name}: {report}");
        }
        assert_eq!(report["notJudgedForWantOf"]["body"], 1, "{report}");
    }
}

#[test]
fn a_har_file_is_judged_with_its_bodies() {
    let directory = home("");
    let home = directory.path();
    let request = |body: &str| {
        json!({ "startedDateTime": "2026-11-25T10:00:00.000+01:00", "request": {
            "method": "POST", "url": "https://edge.test/form", "httpVersion": "h2", "bodySize": body.len(),
            "headers": [{ "name": ":authority", "value": "edge.test" },
                        { "name": "content-type", "value": "application/x-www-form-urlencoded" }],
            "postData": { "mimeType": "application/x-www-form-urlencoded", "text": body },
        } })
    };
    let har = json!({ "log": { "version": "1.2", "entries": [
        request("key=1%27+UNION+SELECT+password+FROM+users--"), request("key=hello"), { "request": {} },
    ] } });
    std::fs::write(home.join("session.har"), har.to_string()).unwrap();
    let done =
        run(home, &["replay", "--config", "portcullis.yaml", "--from", "session.har", "--json"]);
    assert!(done.status.success(), "{}", shown(&done));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["config"]["answers"], json!({ "allow": 1, "deny(403)": 1 }), "{report}");
    assert_eq!((&report["unreadableLines"], &report["notCompared"]), (&json!(1), &json!(2)));
}

#[test]
fn what_is_no_log_is_refused() {
    let directory = home("");
    let home = directory.path();
    for (name, content) in
        [("a", ""), ("b", "hello\n"), ("c", "{}"), ("d", "[]"), ("e", "{\"log\": 1}")]
    {
        std::fs::write(home.join(name), content).unwrap();
        let done = run(home, &["replay", "--config", "portcullis.yaml", "--from", name]);
        assert_eq!(done.status.code(), Some(1), "{name}");
        assert!(text(&done.stderr).contains("is no request log"), "{name}: {}", shown(&done));
    }
}

#[test]
fn false_positives_of_a_preview_are_ranked_with_what_they_would_let_through() {
    let directory = home("    preview: true\n");
    let home = directory.path();
    let matched = |number: u32, field: &str, kind: &str| {
        let mut line = entry(number, "GET", &format!("/search?{field}=x"), "ACCEPT");
        line["generation"] = json!(1);
        line["requestId"] = json!(format!("r{number}"));
        line["jsonPayload"]["previewSecurityPolicy"] = json!({
            "name": "tested", "priority": 20, "outcome": "DENY", "preview": true,
            "matches": [{ "set": "sqli-core-stable", "id": 9_542_110, "signature": "s", "fieldType": kind, "fieldName": field }],
        });
        line
    };
    let lines: Vec<String> = [
        matched(1, "q", "ARG_VALUES"),
        matched(2, "q", "ARG_VALUES"),
        matched(3, "note", "ARG_VALUES"),
        matched(4, "x", "ARG_NAMES"),
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    std::fs::write(home.join("log.jsonl"), lines.join("\n")).unwrap();
    let done = run(home, &["tune", "--config", "portcullis.yaml", "--from", "log.jsonl", "--json"]);
    assert!(done.status.success(), "{}", shown(&done));
    let tuning: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&tuning["falsePositives"], &tuning["notClearable"]),
        (&json!(4), &json!(1)),
        "{tuning}"
    );
    let proposals = tuning["proposals"].as_array().unwrap();
    let clears: Vec<_> =
        proposals.iter().map(|one| (one["name"].as_str(), one["clears"].as_u64())).collect();
    assert_eq!(clears, [(Some("q"), Some(2)), (Some("note"), Some(1))], "{tuning}");
    let shown =
        text(&run(home, &["tune", "--config", "portcullis.yaml", "--from", "log.jsonl"]).stdout);
    assert!(
        shown.contains("targetRuleIds: [\"9542110\"]") && shown.contains("LETS THROUGH"),
        "{shown}"
    );
}

#[test]
fn a_test_file_says_what_failed_and_googles_format_runs_as_it_is() {
    let directory = home("");
    let home = directory.path();
    let write = |name: &str, text: &str| std::fs::write(home.join(name), text).unwrap();
    write(
        "good.yaml",
        &format!("config: portcullis.yaml\nattacks: [sqli]\ncases:\n  - {{ name: a, request: GET /, headers: {{ Host: edge.test }}, expect: allow }}\n  \
                  - {{ name: b, request: '{INJECTION}', expect: deny }}\n").replace("request: '/", "request: 'GET /").replace(", expect: deny", ", headers: { Host: edge.test }, expect: { verdict: deny(403), rule: 20 }"),
    );
    let good = run(home, &["test", "good.yaml", "--junit", "junit.xml"]);
    assert!(good.status.success(), "{}", shown(&good));
    assert!(shown(&good).contains("(7 passed, 0 failed, 0 skipped)"), "{}", shown(&good));
    assert!(
        std::fs::read_to_string(home.join("junit.xml")).unwrap().contains("<testcase name=\"a\">")
    );

    write(
        "bad.yaml",
        "policy: policy.yaml\ncases:\n  - { name: a, request: GET /old, expect: allow }\n",
    );
    let bad = run(home, &["test", "bad.yaml"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(shown(&bad).contains("expected allow, got deny(403) by rule 10"), "{}", shown(&bad));

    write(
        "broken.yaml",
        "policy: policy.yaml\ncases:\n  - { name: a, request: GET /, expct: alow }\n",
    );
    let broken = run(home, &["test", "broken.yaml"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        shown(&broken).contains("did you mean `expect`?") && shown(&broken).contains("╭─["),
        "{}",
        shown(&broken)
    );

    write(
        "google.yaml",
        "name: google\nexpr: >\n  request.method == 'GET' && request.headers['x-key'] == 'a' && origin.region_code == 'DE'\n\
         tests:\n  - { name: yes, expect: true, when: { request: { method: GET, headers: { x-key: a } }, origin: { ip: 192.0.2.1, region_code: DE } } }\n  \
         - { name: no, expect: false, when: { request: { method: POST, headers: { x-key: a } } } }\n  \
         - { name: missing, error: no such key, when: { request: { method: GET }, origin: { region_code: DE } } }\n",
    );
    let google = run(home, &["test", "google.yaml"]);
    assert!(google.status.success(), "{}", shown(&google));
    assert!(shown(&google).contains("(3 passed, 0 failed, 0 skipped)"), "{}", shown(&google));
}
