//! A small tree of our own, and the suite's where it is at hand.

use super::*;
use crate::{RuleSet, Source};
use std::path::{Path, PathBuf};

const TREE: &str = r#"
meta: {author: portcullis}
rule_id: 1
tests:
  - test_id: 1
    stages:
      - input: {method: GET, uri: "/?q=bad", headers: {Host: localhost}}
        output: {log: {expect_ids: [1], no_expect_ids: [2], match_regex: 'id "1".*found bad'}}
  - test_id: 2
    stages:
      - input: {method: POST, uri: "/", data: "q=b a d", headers: {Host: localhost}}
        output: {log: {no_expect_ids: [1]}}
  - test_id: 3
    stages:
      - input: {method: GET, uri: "/?q=good", headers: {Host: localhost}}
        output: {log: {expect_ids: [1]}}
  - test_id: 4
    stages:
      - input: {method: GET, uri: "no path", headers: {Host: localhost}}
        output: {status: 400}
  - test_id: 5
    stages:
      - input: {encoded_request: "R0VUIC8/cT1iYWQgSFRUUC8xLjENCkhvc3Q6IGENCg0K"}
        output: {log: {expect_ids: [1]}}
"#;

const OLD: &str = r#"
meta: {author: portcullis}
tests:
  - test_title: 2-1
    stages:
      - stage:
          input: {method: POST, uri: "/reflect", data: '{"status": 500, "body": "leak"}', stop_magic: false,
            headers: {Host: localhost, Content-Type: application/json}}
          output: {log_contains: 'id "2"', no_log_contains: 'id "1"'}
"#;

const RULES: &str = "SecRule ARGS \"@contains bad\" \
    \"id:1,phase:2,pass,log,msg:'found %{MATCHED_VAR}',tag:'paranoia-level/2'\"\n\
    SecRule RESPONSE_BODY \"@contains leak\" \"id:2,phase:4,pass,log\"\n";

fn small() -> (tempfile::TempDir, std::sync::Arc<RuleSet>, Vec<Case>) {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    let tree = folder.path().join("tests/sub");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(rules.join("a.conf"), RULES).unwrap();
    std::fs::write(tree.join("1.yaml"), TREE).unwrap();
    std::fs::write(tree.join("2.yaml"), OLD).unwrap();
    std::fs::write(tree.join("3.yaml"), "").unwrap();
    let set = RuleSet::load("own", &Source::Directory(rules), 4).unwrap().set;
    let cases = read(&folder.path().join("tests")).unwrap();
    (folder, set, cases)
}

#[test]
fn cases_of_both_formats_run_and_are_counted_by_file_and_level() {
    let (_folder, set, cases) = small();
    let overrides = Overrides::parse("# known\n1-3: it is meant to fail\n").unwrap();
    let report = run(&set, &cases, &overrides, 6);
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.total, Tally { passed: 5, ran: 6 });
    assert_eq!(report.levels[&Some(2)], Tally { passed: 4, ran: 5 });
    assert_eq!(report.levels[&None], Tally { passed: 1, ran: 1 });
    assert_eq!(report.files.len(), 2);
    let json = report.to_json();
    assert_eq!(json["total"]["ran"], 6);
    assert_eq!(json["failures"][0]["excuse"], "it is meant to fail");
    assert!(report.to_string().ends_with("ok: 5 of 6 cases pass"));
}

#[test]
fn a_run_fails_without_excuse_with_a_stale_or_unknown_one_and_when_cases_are_missing() {
    let (_folder, set, cases) = small();
    for (overrides, at_least, ok) in [
        ("1-3: known", 6, true),
        ("1-3: known", 7, false),
        ("", 6, false),
        ("1-3: known\n1-1: stale", 6, false),
        ("1-3: known\n9-9: no such case", 6, false),
    ] {
        let report = run(&set, &cases, &Overrides::parse(overrides).unwrap(), at_least);
        assert_eq!(report.is_ok(), ok, "{overrides:?} {at_least}: {report}");
    }
}

#[test]
fn excuses_need_a_reason_and_stand_once() {
    let errors = Overrides::parse("1-1\n1-2: \n1-3: a\n1-3: b\n").unwrap_err();
    assert_eq!(errors.len(), 3);
    assert_eq!(errors[0], OverrideError::NoReason { line: 1 });
    assert_eq!(errors[2], OverrideError::Twice { line: 4, name: "1-3".to_owned() });
}

#[test]
fn a_tree_that_cannot_be_read_says_where() {
    assert!(matches!(read(Path::new("/nowhere")), Err(TreeError::Unreadable { .. })));
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "tests: 1",
        "tests: [{stages: []}]",
        "rule_id: 1\ntests: [{test_id: 1, stages: [{output: {log: {match_regex: '('}}}]}]",
    ] {
        std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        assert!(matches!(read(folder.path()), Err(TreeError::Malformed { .. })), "{text}");
    }
}

#[test]
fn requests_are_completed_and_framed() {
    let raw = Request::from_bytes(b"POST /x HTTP/1.1\r\nHost: a\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!((raw.method.as_slice(), raw.uri.as_slice()), (b"POST".as_slice(), b"/x".as_slice()));
    let framed = framed(raw);
    assert_eq!(framed.body, b"abc");
    assert_eq!(framed.header("content-length"), None);
    assert!(super::framed(Request::from_bytes(b"GET /\r\n\r\nbody")).body.is_empty());
}

/// The shared test data: `PORTCULLIS_SHARED`, or a folder `shared` beside a folder above the crate.
fn shared(name: &str) -> Option<PathBuf> {
    let variable = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|path| path.join("shared"));
    variable.into_iter().chain(above).map(|path| path.join(name)).find(|path| path.is_dir())
}

fn suite(rules: Option<PathBuf>, tree: &str, excuses: &str, at_least: usize) {
    let (Some(rules), Some(tree)) = (rules.filter(|path| path.is_dir()), shared(tree)) else {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "the rules or the cases are absent");
        eprintln!("skipped: the rules or the cases are absent");
        return;
    };
    let set = load_rules(&rules).unwrap_or_else(|errors| panic!("{}", errors[0])).set;
    let overrides = Overrides::parse(excuses).unwrap();
    let report = run(&set, &read(&tree).unwrap(), &overrides, at_least);
    assert!(report.is_ok(), "{report}");
}

#[test]
fn the_suite_of_crs_3_3_4_passes_with_debians_rules() {
    let rules = Some(PathBuf::from("/usr/share/modsecurity-crs"));
    let excuse = "932100-3: whether a server accepts bare line feeds decides, not the rules";
    suite(rules, "crs-tests/v3.3.4", excuse, 2403);
}

#[test]
#[ignore = "CRS 4 stands in no package: name a checkout in CRS4_DIR and run with --ignored"]
fn the_suite_of_crs_4_28_0_passes_with_the_checkout_in_crs4_dir() {
    let rules = std::env::var_os("CRS4_DIR").map(PathBuf::from).expect("CRS4_DIR names a checkout");
    let excuse = "920620-1: expects a server that joins two Content-Type headers into one";
    suite(Some(rules), "crs-tests/v4.28.0", excuse, 5003);
}
