//! What operators watch by (`config/deploy/monitoring`): rules and alerts as `promtool` sees them, dashboards by the
//! rules of Grafana's linter, and every metric that they name as a running edge exports it.

#[path = "monitoring/dashboards.rs"]
mod dashboards;
#[path = "monitoring/exported.rs"]
mod exported;
#[path = "monitoring/names.rs"]
mod names;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The directory that operators copy.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/deploy/monitoring")
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(home().join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The members of a list, none where there is no list.
fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// Every rule of a file.
fn rules(name: &str) -> Vec<Value> {
    list(&read(name), "groups").flat_map(|group| list(group, "rules")).cloned().collect()
}

/// Runs `promtool` where it is installed.
fn promtool(directory: &Path, arguments: &[&str]) {
    let Ok(output) = Command::new("promtool").current_dir(directory).args(arguments).output()
    else {
        is_absent();
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}: {}", said.escape_ascii());
}

/// Says that there is no `promtool`; fails where there has to be one.
#[expect(clippy::print_stderr, reason = "a check that is left out says so")]
fn is_absent() {
    assert!(std::env::var_os("REQUIRE_ALL").is_none(), "install prometheus, for promtool");
    eprintln!("not run: there is no promtool here");
}

#[test]
fn promtool_takes_the_rules_and_the_alerts_fire_as_their_tests_say() {
    let rules = ["check", "rules", "--lint=all", "--lint-fatal"];
    promtool(&home(), &[&rules[..], &["recording-rules.yaml", "alerts.yaml"]].concat());
    promtool(&home(), &["check", "config", "prometheus.yaml"]);
    promtool(&home(), &["test", "rules", "alerts-test.yaml"]);
}

/// The alerts that have a test whose expectation is empty, or is not.
fn tested(expects_any: bool) -> BTreeSet<String> {
    let tests = read("alerts-test.yaml");
    let cases = list(&tests, "tests").flat_map(|test| list(test, "alert_rule_test"));
    let cases = cases.filter(|case| (list(case, "exp_alerts").count() > 0) == expects_any);
    cases.filter_map(|case| case["alertname"].as_str().map(str::to_owned)).collect()
}

#[test]
fn each_alert_has_a_case_that_fires_and_one_that_does_not() {
    let (fires, is_silent) = (tested(true), tested(false));
    let alerts = rules("alerts.yaml");
    assert!(alerts.len() > 20);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(fires.contains(name), "{name} has no case in which it fires");
        // That one always fires: it tells that alerting works.
        assert!(name == "Watchdog" || is_silent.contains(name), "{name} has no silent case");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info", "none"].contains(&severity), "{name}: {severity}");
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].is_string(), "{name} has no {text}");
        }
    }
}

#[test]
fn the_alerts_of_old_are_there_by_name() {
    let alerts = rules("alerts.yaml");
    for name in [
        "HighAuthenticationFailureRate",
        "PotentialDDoSAttack",
        "CloudKMSSigningFailures",
        "DatabaseConnectionPoolExhausted",
    ] {
        assert!(alerts.iter().any(|alert| alert["alert"] == name), "{name}");
    }
}
