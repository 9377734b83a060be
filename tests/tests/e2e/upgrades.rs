//! A new program in the place of the running one: nobody is refused, nothing is forgotten, and one that does not start
//! changes nothing.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_tests::Origin;
use serde_json::Value;

use super::process::{Portcullis, configuration, curl, policy, run, serve, text};

pub(super) const SOCKET: [&str; 2] = ["--socket", "admin.sock"];

/// A configuration in `home` that an edge serves.
async fn prepared(home: &Path) -> (Origin, Portcullis) {
    prepared_with(home, &policy("/old")).await
}

async fn prepared_with(home: &Path, policy: &str) -> (Origin, Portcullis) {
    let origin = Origin::start().await;
    std::fs::write(home.join("portcullis.yaml"), configuration(&origin)).unwrap();
    std::fs::write(home.join("policy.yaml"), policy).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let edge = serve(home);
    (origin, edge)
}

pub(super) fn status(home: &Path) -> Value {
    let output = run(home, &["status", "--json", SOCKET[0], SOCKET[1]]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ends a successor, which is no child of ours: it may drain, and must be gone before its directory is.
pub(super) fn end(pid: u64) {
    let pid = pid.to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let is_alive = || Path::new("/proc").join(&pid).join("cmdline").metadata().is_ok();
    while is_alive() {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_upgrades_under_load_refuse_nobody_and_forget_no_ban() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (_origin, mut edge) = prepared(home).await;
    let ban = ["ban", "add", "192.0.2.7", "--for", "1h", SOCKET[0], SOCKET[1]];
    assert!(run(home, &ban).status.success());
    let stop = AtomicBool::new(false);
    let edge_ref = &edge;
    let pids = std::thread::scope(|scope| {
        let load: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(curl(home, edge_ref, "/"), "200", "request {asked}");
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        let mut pids = vec![status(home)["pid"].as_u64().unwrap()];
        for round in 2..=4 {
            let upgraded = run(home, &["upgrade", "--json", SOCKET[0], SOCKET[1]]);
            assert!(upgraded.status.success(), "{}", text(&upgraded.stderr));
            let status = status(home);
            assert_eq!(status["generation"], round);
            pids.push(status["pid"].as_u64().unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        let asked: u32 = load.into_iter().map(|load| load.join().unwrap()).sum();
        assert!(asked > 6, "only {asked} requests met three upgrades");
        pids
    });
    assert!(edge.process.wait().unwrap().success(), "the first process has drained");
    let distinct: std::collections::BTreeSet<_> = pids.iter().collect();
    assert_eq!(distinct.len(), 4, "{pids:?}");
    let bans = text(&run(home, &["ban", "ls", SOCKET[0], SOCKET[1]]).stdout);
    assert!(bans.contains("192.0.2.7"), "{bans}");
    assert_eq!(curl(home, &edge, "/old"), "403");
    end(*pids.last().unwrap());
    assert!(!home.join("admin.sock").exists(), "the last one has taken its socket with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_does_not_start_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (_origin, edge) = prepared(home).await;
    let pid = u64::from(edge.process.id());
    let broken = "name: tested\nrules: [{ priority: 1, action: perhaps }]\n";
    std::fs::write(home.join("policy.yaml"), broken).unwrap();
    for (arguments, said) in [
        (vec!["upgrade"], "perhaps"),
        (vec!["upgrade", "--program", "/bin/false"], "did not answer"),
        (vec!["upgrade", "--program", "nothing-there"], "does not start"),
    ] {
        let refused = run(home, &[&arguments[..], &SOCKET].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
        assert_eq!(status(home)["pid"], pid);
        assert_eq!(curl(home, &edge, "/"), "200");
    }
    let output = run(home, &["run", "--config", "portcullis.yaml", "--successor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is no handover"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_is_one_limit_across_an_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (_origin, edge) = prepared_with(home, LIMITED).await;
    for n in 0..3 {
        assert_eq!(curl(home, &edge, "/"), "200", "request {n}");
    }
    assert!(run(home, &[&["upgrade"][..], &SOCKET].concat()).status.success());
    assert_eq!(curl(home, &edge, "/"), "200", "the fourth of four");
    assert_eq!(curl(home, &edge, "/"), "429", "the fifth of four");
    end(status(home)["pid"].as_u64().unwrap());
}

const LIMITED: &str = r#"
name: tested
rules:
- priority: 10
  action: throttle
  match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
  rateLimitOptions:
    rateLimitThreshold: { count: 4, intervalSec: 3600 }
    conformAction: allow
    exceedAction: deny(429)
    enforceOnKey: IP
- priority: 2147483647
  action: allow
  match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;
