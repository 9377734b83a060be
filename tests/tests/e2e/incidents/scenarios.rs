//! Scenarios as an operator writes them: tested offline, loaded with carets, and counted by.

use super::*;

#[test]
fn every_built_in_scenario_passes_its_own_tests_on_the_command_line() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../rulesets/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    files.sort();
    let arguments: Vec<&str> =
        std::iter::once("test").chain(files.iter().map(String::as_str)).collect();
    let output = run(Path::new("."), &arguments);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": good (").count(), files.len(), "{said}");
}

const OWN: &str = "\
scenario: too-curious
watches: [POLICY_DENY]
group_by: source
threshold: 3
window: 1m
raises: SCANNER
tests:
  - { name: three, raises: 1, events: [{ category: POLICY_DENY, repeat: 3 }] }
  - { name: two, raises: 0, events: [{ category: POLICY_DENY, repeat: 2 }] }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_scenario_opens_incidents_and_a_broken_one_refuses_to_load() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::create_dir(home.join("scenarios")).unwrap();
    std::fs::write(home.join("scenarios/own.yaml"), OWN).unwrap();
    let edge = prepare(home, &origin, "incidents: { scenarios: scenarios }\n");
    for _ in 0..3 {
        assert_eq!(curl(home, &edge, "/never"), "403");
    }
    let found = incident(home, "SCANNER", 3);
    assert_eq!(found["priority"], "P3");
    for (from, to, says) in [
        ("threshold: 3", "threshold: one", "not a whole number"),
        ("watches: [POLICY_DENY]", "watches: [POLICY_DENNY]", "did you mean `POLICY_DENY`?"),
        ("repeat: 2", "repeat: 4", "the test `two` raises 1 events, not 0"),
    ] {
        std::fs::write(home.join("scenarios/own.yaml"), OWN.replace(from, to)).unwrap();
        let output = run(home, &["check", "portcullis.yaml"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(says) && said.contains("own.yaml:"), "{says}: {said}");
        assert!(refused(home, &["reload"]).contains(says));
    }
}
