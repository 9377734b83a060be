//! A configuration that names its own tests, through the real binary: a change that breaks one is not published.

use std::path::Path;

use portcullis_tests::Origin;

use super::process::{configuration, curl, policy, run, serve, text};

const WHOLE: &str = "config: ../portcullis.yaml
cases:
  - name: the old path is refused
    request: GET /old HTTP/1.1
    headers: { Host: edge.test }
    expect: { verdict: deny(403), rule: 10 }
  - name: a neighbour is not
    request: GET /older HTTP/1.1
    headers: { Host: edge.test }
    expect: allow
";

const ALONE: &str = "policy: ../policy.yaml
attacks: [sqli]
cases:
  - name: a search is not an attack
    request: GET /?q=select+a+union HTTP/1.1
    expect: allow
";

/// A directory with a configuration that has two files of tests.
fn home(origin: &Origin) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let configuration = configuration(origin) + "tests: [tests/whole.yaml, tests/alone.yaml]\n";
    std::fs::write(home.join("portcullis.yaml"), configuration).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/old")).unwrap();
    std::fs::create_dir(home.join("tests")).unwrap();
    std::fs::write(home.join("tests/whole.yaml"), WHOLE).unwrap();
    std::fs::write(home.join("tests/alone.yaml"), ALONE).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    directory
}

fn operate(home: &Path, arguments: &[&str]) -> (bool, String) {
    let output = run(home, &[arguments, &["--socket", "admin.sock"]].concat());
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_breaks_a_test_is_refused_with_what_was_expected_and_got() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    let checked = run(home, &["check", "portcullis.yaml"]);
    let said = text(&checked.stdout);
    assert!(checked.status.success() && said.contains(" passed, 0 failed (2 files)"), "{said}");
    let edge = serve(home);
    let (_, status) = operate(home, &["status"]);
    assert!(status.contains(" passed (of 2 files)"), "{status}");

    std::fs::write(home.join("policy.yaml"), policy("/new")).unwrap();
    let (reloaded, said) = operate(home, &["reload"]);
    assert!(!reloaded, "{said}");
    for part in [
        "the test `the old path is refused`",
        "expected deny(403), got allow by rule 2147483647",
        "whole.yaml:3:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("a neighbour is not`:"), "{said}");
    let answers = (curl(home, &edge, "/old"), curl(home, &edge, "/new"));
    assert_eq!(answers, ("403".to_owned(), "200".to_owned()), "the last good policy is served");
    let (_, status) = operate(home, &["status"]);
    assert!(status.contains("the old path is refused"), "{status}");
    let checked = run(home, &["check", "portcullis.yaml"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("expected deny(403), got allow"));

    // With the test that says what is meant now the same policy is published.
    let meant = WHOLE.replace("GET /old HTTP", "GET /new HTTP");
    std::fs::write(home.join("tests/whole.yaml"), meant).unwrap();
    let (reloaded, said) = operate(home, &["reload"]);
    assert!(reloaded, "{said}");
    assert_eq!(curl(home, &edge, "/new"), "403");
    let (_, said) = operate(home, &["status", "--json"]);
    assert!(said.contains("\"failed\": 0") && said.contains("\"files\": 2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_not_kept_back_by_a_failing_test() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    std::fs::write(home.join("policy.yaml"), policy("/new")).unwrap();
    let edge = serve(home);
    assert_eq!(curl(home, &edge, "/new"), "403");
    let (_, status) = operate(home, &["status"]);
    assert!(status.contains(", 1 FAILED (of 2 files)"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_something_else_is_refused() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    std::fs::write(home.join("other.yaml"), policy("/other")).unwrap();
    for (written, part) in [
        ("policy: ../other.yaml\nattacks: [sqli]\n", "which is no policy of this configuration"),
        ("config: ../other.yaml\nattacks: [sqli]\n", "another configuration"),
        ("expr: \"true\"\ntests: [{ expect: true }]\n", "an expression of its own"),
        ("policy: ../policy.yaml\nattacks: [sqly]\n", "there are no built-in attacks of `sqly`"),
    ] {
        std::fs::write(home.join("tests/alone.yaml"), written).unwrap();
        let checked = run(home, &["check", "portcullis.yaml"]);
        let said = text(&checked.stdout);
        assert_eq!(checked.status.code(), Some(1), "{said}");
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_on_the_body_of_a_route_that_never_reads_one_is_told() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    let reads = policy("/old").replace("request.path == '/old'", "request.body.contains('x')");
    std::fs::write(home.join("policy.yaml"), reads).unwrap();
    let without = configuration(&origin);
    let at = "{ path: /, backend: origin, identity: none }";
    for (route, told) in [
        (at.to_owned(), None),
        (at.replace("none }", "none, body: skip }"), Some("empty on `edge.test/` (`skip`)")),
        (at.replace("none }", "none, body: stream }"), Some("empty on `edge.test/` (`stream`)")),
    ] {
        std::fs::write(home.join("portcullis.yaml"), without.replace(at, &route)).unwrap();
        let checked = run(home, &["check", "portcullis.yaml"]);
        let said = text(&checked.stdout);
        assert!(checked.status.success(), "{said}");
        match told {
            Some(part) => assert!(said.contains("body-not-read") && said.contains(part), "{said}"),
            None => assert!(!said.contains("body-not-read"), "{said}"),
        }
    }
    std::fs::write(home.join("policy.yaml"), policy("/old")).unwrap();
    let said = text(&run(home, &["check", "portcullis.yaml"]).stdout);
    assert!(!said.contains("body-not-read"), "{said}");
}
