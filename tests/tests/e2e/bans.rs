//! Bans as an operator works with them, on the real binary.

use std::path::Path;

use portcullis_tests::Origin;
use serde_json::Value;

use crate::process::{configuration, curl, policy, run, serve, text};

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

fn listed(home: &Path, arguments: &[&str]) -> Vec<Value> {
    serde_json::from_str(&operate(home, &[arguments, &["--json"]].concat())).unwrap()
}

fn prepare(home: &Path, origin: &Origin, policy: &str, top: &str) {
    let config = configuration(origin) + top;
    std::fs::write(home.join("portcullis.yaml"), config).unwrap();
    std::fs::write(home.join("policy.yaml"), policy).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bans_survive_sigkill_and_a_damaged_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    prepare(home, &origin, &policy("/never"), "");
    let edge = serve(home);
    assert_eq!(curl(home, &edge, "/"), "200");
    operate(home, &["ban", "add", "127.0.0.1", "--permanent", "--reason", "test"]);
    operate(home, &["allow", "add", "10.0.0.0/8", "--reason", "office"]);
    // Dropping kills with SIGKILL: nothing is written after the answers above.
    drop(edge);
    let edge = serve(home);
    assert_eq!(curl(home, &edge, "/"), "429", "still banned");
    let ban = &listed(home, &["ban", "ls"])[0];
    assert_eq!((&ban["key"], &ban["reason"]), (&"127.0.0.1".into(), &"test".into()));
    assert_eq!((&ban["generation"], &ban["until"]), (&1.into(), &Value::Null));
    assert!(ban["origin"].as_str().unwrap().starts_with("operator:uid:"), "{ban}");
    assert_eq!(listed(home, &["allow", "ls"])[0]["key"], "10.0.0.0/8");
    drop(edge);

    let file = home.join("state/bans.redb");
    std::fs::write(&file, b"not what it was").unwrap();
    let edge = serve(home);
    assert_eq!(curl(home, &edge, "/"), "200", "a fresh start");
    let kept = std::fs::read(home.join("state/bans.redb.damaged-1")).unwrap();
    assert_eq!(kept, b"not what it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_the_allow_list_ends_bans_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("office.txt"), "192.0.2.0/24\n").unwrap();
    let top = "lists: { office: { file: office.txt } }\nbans: { allow: [office] }\n";
    prepare(home, &origin, &policy("/never"), top);
    let edge = serve(home);
    operate(home, &["ban", "add", "127.0.0.1", "--for", "1h"]);
    assert_eq!(curl(home, &edge, "/"), "429");
    let added = operate(home, &["allow", "add", "127.0.0.1", "--for", "1h"]);
    assert!(added.contains("bans ended: 127.0.0.1"), "{added}");
    assert_eq!(curl(home, &edge, "/"), "200");
    let said = refused(home, &["ban", "add", "127.0.0.1", "--for", "1h"]);
    assert!(said.contains("an allow-list entry names the key"), "{said}");
    operate(home, &["allow", "rm", "127.0.0.1"]);
    operate(home, &["ban", "add", "127.0.0.1", "--for", "1h"]);
    assert_eq!(curl(home, &edge, "/"), "429");

    // The list of the configuration spares as well, and a change of it ends what stands.
    let said = refused(home, &["ban", "add", "192.0.2.7", "--for", "1h"]);
    assert!(said.contains("an allow-list entry names the key"), "{said}");
    std::fs::write(home.join("office.txt"), "127.0.0.0/8\n").unwrap();
    operate(home, &["reload"]);
    assert_eq!(curl(home, &edge, "/"), "200");
    assert!(listed(home, &["ban", "ls"]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_keys_is_banned_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    prepare(home, &origin, &policy("/never"), "");
    let _edge = serve(home);
    std::fs::write(home.join("bad.txt"), "192.0.2.1\nsomebody\n192.0.2.0/40\n").unwrap();
    let said = refused(home, &["ban", "add", "--from", "bad.txt", "--for", "1h"]);
    for expected in ["bad.txt:2: error", "bad.txt:3: error", "nobody is banned"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(listed(home, &["ban", "ls"]).is_empty());
    let many: String = (0..3000).map(|n| format!("10.{}.{}.1\n", n / 256, n % 256)).collect();
    std::fs::write(home.join("many.txt"), format!("# bad ones\n{many}user:mallory # by name\n"))
        .unwrap();
    let placed = listed(home, &["ban", "add", "--from", "many.txt", "--for", "1h"]);
    assert_eq!((placed.len(), listed(home, &["ban", "ls"]).len()), (3001, 3001));
}

const TWO_A_MINUTE: &str = r#"
name: tested
rules:
  - priority: 100
    action: rate_based_ban
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
    rateLimitOptions:
      conformAction: allow
      exceedAction: deny(429)
      enforceOnKey: IP
      rateLimitThreshold: { count: 2, intervalSec: 60 }
      banDurationSec: 600
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bans_of_a_changed_rule_are_told_and_released_together() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    prepare(home, &origin, TWO_A_MINUTE, "");
    let edge = serve(home);
    let statuses: Vec<String> = (0..3).map(|_| curl(home, &edge, "/")).collect();
    assert_eq!(statuses, ["200", "200", "429"]);
    std::fs::write(home.join("policy.yaml"), TWO_A_MINUTE.replace("count: 2", "count: 9")).unwrap();
    let said = operate(home, &["reload"]);
    assert!(said.contains("1 live bans are of the rule tested/100"), "{said}");
    assert_eq!(curl(home, &edge, "/"), "429", "a reload un-bans nobody");
    let bans = listed(home, &["ban", "ls", "--rule", "tested/100"]);
    assert_eq!(
        (bans.len(), &bans[0]["rule"], &bans[0]["generation"]),
        (1, &"tested/100".into(), &1.into())
    );
    assert!(listed(home, &["ban", "ls", "--rule", "tested/200"]).is_empty());
    operate(home, &["ban", "rm", "--rule", "tested/100"]);
    assert_eq!(curl(home, &edge, "/"), "200");
    assert!(refused(home, &["ban", "rm", "--rule", "tested/100"]).contains("no ban names"));
}
