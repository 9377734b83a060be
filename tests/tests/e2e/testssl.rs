//! What `testssl.sh` (Debian's package `testssl.sh`) finds. Not for CI: it takes two minutes for each configuration.
//! `cargo test -p portcullis-tests --test e2e testssl -- --ignored --nocapture`

use std::process::{Command, Stdio};

use portcullis_tests::{Edge, Origin};
use serde_json::Value;

/// Findings of one run: id, severity, and what is said.
fn findings(edge: &Edge) -> Vec<(String, String, String)> {
    let home = tempfile::tempdir().unwrap();
    let (root, found) = (home.path().join("root.pem"), home.path().join("found.json"));
    edge.authority().write_root(&root);
    let ran = Command::new("testssl")
        .env("ADDITIONAL_CA_FILES", &root)
        .args(["--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1"])
        .arg("--jsonfile")
        .arg(&found)
        .arg(format!("edge.test:{}", edge.address().port()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    ran.expect("testssl is installed");
    let found = std::fs::read(found).expect("it writes what it found");
    let found: Vec<Value> = serde_json::from_slice(&found).expect("a list");
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let found =
        found.iter().map(|one| (text(one, "id"), text(one, "severity"), text(one, "finding")));
    // What it says of the certificate is about the test's own, which is for two thousand years.
    found.filter(|(id, ..)| !id.starts_with("cert_")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two minutes for each configuration, and testssl.sh"]
async fn nothing_above_low_is_found() {
    let origin = Origin::start().await;
    // With TLS 1.2 it finds that the client chooses among the suites. Every one of ours is an AEAD with forward secrecy, and
    // the client knows which its processor is fast at.
    let configurations = [("['1.3']", None), ("['1.2', '1.3']", Some("cipher_order"))];
    for (versions, expected) in configurations {
        let edge = Edge::builder(&origin).tls_versions(versions).start().await;
        let found = tokio::task::block_in_place(|| findings(&edge));
        let of =
            |wanted: &'static str| found.iter().filter(move |(_, severity, _)| severity == wanted);
        println!("{versions}: {} OK, {} INFO", of("OK").count(), of("INFO").count());
        for (id, severity, said) in found.iter().filter(|(_, s, _)| s != "OK" && s != "INFO") {
            println!("  {severity} {id}: {said}");
        }
        assert!(of("OK").count() > 30, "it has looked");
        for severity in ["MEDIUM", "HIGH", "CRITICAL", "FATAL"] {
            let unexpected = of(severity).find(|(id, ..)| Some(id.as_str()) != expected);
            assert_eq!(unexpected, None, "{versions}");
        }
    }
}
