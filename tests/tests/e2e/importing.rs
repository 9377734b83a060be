//! Policies from Cloud Armor, by the real binary: what the import says, what it writes, and what that decides.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis_tests::binary;
use serde_json::Value;

/// Returns the folder of the files that the project was created from; it stands beside the repository, or where
/// `PORTCULLIS_SHARED` says. Where it is absent nothing is tested, unless everything is required.
fn seeds() -> Option<PathBuf> {
    let given = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|folder| folder.join("seeds").is_dir());
    let found = given.or(beside).map(|shared| shared.join("seeds"));
    if found.is_none() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "the seeds are required");
    }
    found
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("portcullis"));
    command.current_dir(directory).args(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

/// Imports with `--fix --enforce` into `made`, and returns the report.
fn import(home: &Path, files: &[PathBuf]) -> String {
    let mut arguments = vec!["import", "cloud-armor"];
    arguments.extend(files.iter().map(|file| file.to_str().expect("a path is text")));
    arguments.extend(["--fix", "--enforce", "-o", "made"]);
    let done = run(home, &arguments);
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    text(&done.stdout)
}

/// Asks `eval` and returns its JSON.
fn eval(home: &Path, request: &str, more: &[&str]) -> Value {
    std::fs::write(home.join("request.http"), request).unwrap();
    let mut arguments =
        vec!["eval", "--config", "made/portcullis.yaml", "--request", "request.http", "--json"];
    arguments.extend(more);
    let done = run(home, &arguments);
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("the output is JSON")
}

const CLEAN: &str =
    "GET /api/v1/licenses HTTP/1.1\nHost: host.invalid\nUser-Agent: curl/8.5.0\nAccept: */*\n\n";
const INJECTION: &str = "GET /api/v1/licenses?id=1%27%20UNION%20SELECT%20password%20FROM%20users-- HTTP/1.1\n\
                         Host: host.invalid\nUser-Agent: curl/8.5.0\nAccept: */*\n\n";

fn verdict(answer: &Value) -> (&str, u64) {
    (
        answer["verdict"].as_str().unwrap(),
        answer["enforcedSecurityPolicy"]["priority"].as_u64().unwrap(),
    )
}

/// The 101st request of one address within a minute is the first that is refused.
fn refuses_the_hundred_and_first(home: &Path, country: &str) {
    let answer = eval(home, CLEAN, &["--country", country, "--repeat", "101"]);
    let runs = answer["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{answer}");
    assert_eq!((runs[0]["last"].as_u64(), runs[0]["verdict"].as_str()), (Some(100), Some("allow")));
    assert_eq!(
        (runs[1]["first"].as_u64(), runs[1]["verdict"].as_str()),
        (Some(101), Some("deny(429)"))
    );
}

#[test]
fn the_first_seed_is_imported_fixed_checked_and_decides_as_it_was_meant() {
    let Some(seeds) = seeds() else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let report = import(home, &[seeds.join("policy-a.tf")]);
    for finding in [
        "critical [no-waf-reached]",
        "critical [listed-countries-bypass]",
        "critical [shadowed-by-match-all]",
        "error [unknown-waf-set]",
        "project-shield-stable",
        "[json-parsing-off]",
        "[moving-volumetric]",
        "passes `check`",
    ] {
        assert!(report.contains(finding), "{finding}\n{report}");
    }
    let checked = run(
        home,
        &["check", "made/portcullis.yaml", "made/policies/license-api-security-policy.yaml"],
    );
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));

    assert_eq!(verdict(&eval(home, INJECTION, &["--country", "US"])), ("deny(403)", 3000));
    assert_eq!(verdict(&eval(home, CLEAN, &["--country", "BR"])), ("deny(403)", 1000));
    assert_eq!(verdict(&eval(home, CLEAN, &["--country", "US"])).0, "allow");
    refuses_the_hundred_and_first(home, "US");
}

#[test]
fn the_second_seed_is_imported_fixed_checked_and_decides_as_it_was_meant() {
    let Some(seeds) = seeds() else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let report = import(home, &[seeds.join("policy-b.tf")]);
    assert!(
        report.contains("rule 1000 decides every request: 2000, 3000, 4000 never run"),
        "{report}"
    );
    for country in ["CN", "RU", "KP"] {
        assert_eq!(
            verdict(&eval(home, CLEAN, &["--country", country])),
            ("deny(403)", 4000),
            "{country}"
        );
    }
    for country in ["US", "BR", ""] {
        assert_eq!(verdict(&eval(home, CLEAN, &["--country", country])).0, "allow", "{country}");
    }
    assert_eq!(verdict(&eval(home, INJECTION, &["--country", "US"])), ("deny(403)", 2000));
    refuses_the_hundred_and_first(home, "US");
}

#[test]
fn two_definitions_of_one_policy_are_shown_and_not_written() {
    let Some(seeds) = seeds() else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let files: Vec<String> = ["policy-a.tf", "policy-b.tf"]
        .iter()
        .map(|name| seeds.join(name).display().to_string())
        .collect();
    let done = run(home, &["import", "cloud-armor", &files[0], &files[1], "--fix", "-o", "made"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        text(&done.stderr).contains("the definitions are not merged"),
        "{}",
        text(&done.stderr)
    );
    let shown = text(&done.stdout);
    assert!(shown.contains("PRIORITY"), "{shown}");
    assert!(shown.contains("allow: origin.region_code in"), "{shown}");
    assert!(!home.join("made").exists());
}

#[test]
fn the_seeds_cluster_becomes_a_configuration_that_passes_check() {
    let Some(seeds) = seeds() else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let names = ["policy-a.tf", "backend-config-license-api.yaml", "unified-ingress.yaml"];
    let files: Vec<PathBuf> = names.iter().map(|name| seeds.join(name)).collect();
    let report = import(home, &files);
    for finding in [
        "[two-owners]",
        "high [backend-config-on-ingress]",
        "high [hosts-without-policy]",
        "[tls-policy-absent]",
    ] {
        assert!(report.contains(finding), "{finding}\n{report}");
    }
    let checked = run(home, &["check", "made/portcullis.yaml"]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let written = std::fs::read_to_string(home.join("made/portcullis.yaml")).unwrap();
    for part in [
        "licenses.coditect.ai:",
        "path: /ws, backend: coditect-api-v2",
        "drain: 60s",
        "path: /health, every: 10s",
    ] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    let again =
        run(home, &["import", "cloud-armor", files[0].to_str().unwrap(), "--fix", "-o", "made"]);
    assert_eq!(again.status.code(), Some(1), "nothing is overwritten");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    std::fs::write(
        home.join("broken.tf"),
        "resource \"google_compute_security_policy\" \"p\" {\n  name = \n",
    )
    .unwrap();
    let done = run(home, &["import", "cloud-armor", "broken.tf", "-o", "made"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("broken.tf:"), "{}", text(&done.stderr));
    assert!(!home.join("made").exists());
    let missing = run(home, &["import", "cloud-armor", "missing.tf"]);
    assert!(
        text(&missing.stderr).contains("`missing.tf` cannot be read"),
        "{}",
        text(&missing.stderr)
    );
}
