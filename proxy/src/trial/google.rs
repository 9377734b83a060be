//! The test format of Google's rules command line: one expression, and for each case the variables and whether it is
//! true of them. The expression becomes a rule that denies; a case that expects `true` expects the denial.

use portcullis_config::SourceFile;
use portcullis_config::yaml::{Entry, Node};
use portcullis_policy::Scheme;

use super::parts::{Parts, get, json};
use super::suite::{Case, Expectation, Step, Subject, Suite, named};
use super::{Ask, Body, Caller};

/// The header that carries `origin.user_ip`.
const USER_IP_HEADER: &str = "portcullis-trial-user-ip";
/// The priority of the rule that the expression becomes.
const RULE: u32 = 1;

pub(super) fn suite(parts: &mut Parts<'_>, root: &Node) -> Option<Suite> {
    let entries = parts.fields(root, "a test suite", &["name", "expr", "tests"])?;
    let name = get(entries, "name").and_then(|node| parts.text(node, "the name"));
    let expression = parts.text(get(entries, "expr")?, "the expression")?;
    let tests = get(entries, "tests").map_or(&[][..], |node| parts.list(node, "`tests`"));
    if tests.is_empty() {
        parts.report("no-cases", root.place(), "the suite has no `tests`".to_owned());
    }
    let cases = tests.iter().filter_map(|test| case(parts, test, &expression)).collect();
    let name = name.unwrap_or_else(|| parts.source.name().to_owned());
    Some(Suite {
        name,
        subject: Subject::Expression(policy(parts, &expression)),
        attacks: Vec::new(),
        cases,
    })
}

/// A policy of the expression, which keeps the name of the suite's file for its carets.
fn policy(parts: &Parts<'_>, expression: &str) -> SourceFile {
    let quoted = serde_json::Value::String(expression.trim().to_owned());
    SourceFile::new(
        format!("the expression of {}", parts.source.name()),
        format!(
            "name: expression\nadvancedOptionsConfig: {{ userIpRequestHeaders: [{USER_IP_HEADER}] }}\nrules:\n- priority: {RULE}\n  action: deny(403)\n  match:\n    expr:\n      expression: {quoted}\n\
             - priority: 2147483647\n  action: allow\n  match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ['*'] }} }}\n"
        ),
    )
}

fn case(parts: &mut Parts<'_>, node: &Node, expression: &str) -> Option<Case> {
    let entries = parts.fields(node, "a test", &["name", "expect", "error", "when"])?;
    let (at, name) = named(parts, node, entries);
    let expected = match get(entries, "expect") {
        Some(node) => parts.parsed(node, "bool (true or false)")?,
        None => false,
    };
    let error = get(entries, "error").is_some();
    if error && expected {
        parts.report(
            "conflicting-keys",
            node.place(),
            "a test expects a value or an error, not both".to_owned(),
        );
    }
    let mut ask = Ask { caller: Caller::Nobody, region: Some(String::new()), ..Ask::get(b"/") };
    let mut skipped = None;
    if let Some(when) = get(entries, "when") {
        variables(parts, when, expression, &mut ask, &mut skipped)?;
    }
    let verdict = if expected { "deny" } else { "allow" };
    let expect = Expectation { verdict: Some(verdict.to_owned()), error, ..Expectation::default() };
    let step = Step { ask, wait: std::time::Duration::ZERO, repeat: 1, expect };
    Some(Case { name, steps: vec![step], skipped, at })
}

fn variables(
    parts: &mut Parts<'_>,
    when: &Node,
    expression: &str,
    ask: &mut Ask,
    skipped: &mut Option<&'static str>,
) -> Option<()> {
    let entries = parts.fields(when, "`when`", &["request", "origin", "token"])?;
    if let Some(node) = get(entries, "request") {
        request(parts, node, expression, ask, skipped)?;
    }
    if let Some(node) = get(entries, "origin") {
        origin(parts, node, ask)?;
    }
    if get(entries, "token").is_some() && expression.contains("recaptcha") {
        *skipped = Some("reCAPTCHA tokens have no counterpart here: what reads them is false");
    }
    Some(())
}

fn request(
    parts: &mut Parts<'_>,
    node: &Node,
    expression: &str,
    ask: &mut Ask,
    skipped: &mut Option<&'static str>,
) -> Option<()> {
    let known = ["method", "headers", "path", "query", "scheme", "body", "params"];
    let entries = parts.fields(node, "`request`", &known)?;
    let text =
        |parts: &mut Parts<'_>, key| get(entries, key).and_then(|node| parts.text(node, key));
    if let Some(method) = text(parts, "method") {
        ask.method = method.into_bytes();
    }
    let path = text(parts, "path").unwrap_or_default();
    ask.target = path.into_bytes();
    if let Some(query) = text(parts, "query") {
        ask.target.push(b'?');
        ask.target.extend_from_slice(query.as_bytes());
    }
    for header in get(entries, "headers").and_then(Node::as_map).unwrap_or_default() {
        let value = parts.text(&header.node, "a header")?;
        ask.headers.push((header.key.clone().into_bytes(), value.into_bytes()));
    }
    if text(parts, "scheme").as_deref() == Some("http") {
        ask.scheme = Scheme::Http;
    }
    if let Some(body) = text(parts, "body") {
        ask.body = Body::Whole(body.into_bytes());
    }
    params(entries, expression, ask, skipped);
    Some(())
}

/// Here parameters are read from the query and the body. Where a test states them apart they become a JSON body.
fn params(entries: &[Entry], expression: &str, ask: &mut Ask, skipped: &mut Option<&'static str>) {
    let Some(params) = get(entries, "params").filter(|_| expression.contains("request.params"))
    else {
        return;
    };
    if get(entries, "body").is_some() {
        *skipped = Some(
            "body and parameters contradict each other: here the parameters are read from the body",
        );
        return;
    }
    ask.headers.push((b"content-type".to_vec(), b"application/json".to_vec()));
    ask.body = Body::Whole(json(params).to_string().into_bytes());
}

fn origin(parts: &mut Parts<'_>, node: &Node, ask: &mut Ask) -> Option<()> {
    let known =
        ["ip", "user_ip", "region_code", "asn", "tls_ja3_fingerprint", "tls_ja4_fingerprint"];
    let entries = parts.fields(node, "`origin`", &known)?;
    if let Some(node) = get(entries, "ip") {
        ask.client = parts.parsed(node, "address")?;
    }
    if let Some(node) = get(entries, "user_ip") {
        let address: std::net::IpAddr = parts.parsed(node, "address")?;
        let header = (USER_IP_HEADER.as_bytes().to_vec(), address.to_string().into_bytes());
        ask.headers.push(header);
    }
    if let Some(node) = get(entries, "region_code") {
        ask.region = parts.text(node, "the country");
    }
    if let Some(node) = get(entries, "asn") {
        ask.asn = parts.parsed(node, "number")?;
    }
    if let Some(node) = get(entries, "tls_ja3_fingerprint") {
        ask.ja3 = parts.text(node, "a fingerprint")?;
    }
    if let Some(node) = get(entries, "tls_ja4_fingerprint") {
        ask.ja4 = parts.text(node, "a fingerprint")?;
    }
    Some(())
}
