//! The table of expressions and requests; see `testdata/conformance.txt`.

use super::{Request, rule, verdict};
use crate::Decision;

/// How many rows there are at least: a table that silently runs nothing is worse than none.
const ROWS_MIN: usize = 350;

#[test]
fn every_row_of_the_table_holds() {
    let table = include_str!("../../testdata/conformance.txt");
    let mut rows = 0;
    let mut wrong = Vec::new();
    for (number, line) in table.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (expected, expression, request) = parts(line);
        let found = result(expression, &read(request));
        rows += 1;
        if found != expected {
            wrong.push(format!("line {}: {expression} is {found}, not {expected}", number + 1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows >= ROWS_MIN, "{rows}");
}

/// An expression may hold ` || `, so the request is what follows the last bar that stands alone.
fn parts(line: &str) -> (&str, &str, &str) {
    let mut head = line.splitn(3, " | ");
    let (_source, expected) = (head.next().unwrap(), head.next().unwrap());
    let rest = head.next().expect(line);
    let (expression, request) = rest
        .rsplit_once(" | ")
        .or_else(|| rest.strip_suffix(" |").map(|text| (text, "")))
        .expect(line);
    (expected, expression, request)
}

fn result(expression: &str, request: &Request) -> &'static str {
    let found = verdict(&rule(1, "deny(403)", expression), request);
    match found.decision {
        Decision::Deny { .. } => "true",
        Decision::Allow if found.errors == [1] => "error",
        Decision::Allow => "false",
        Decision::TooMany { .. } | Decision::Redirect { .. } => "another decision",
    }
}

pub(super) fn read(words: &str) -> Request {
    let mut request = Request::get("/");
    for word in words.split_whitespace() {
        if word.starts_with('/') {
            request.uri = word.to_owned();
        } else if let Some(ip) = word.strip_prefix("ip=") {
            request = request.from(ip);
        } else if let Some(region) = word.strip_prefix("region=") {
            request.region = Box::leak(region.to_owned().into_boxed_str());
        } else if let Some(asn) = word.strip_prefix("asn=") {
            request.asn = asn.parse().unwrap();
        } else if let Some(body) = word.strip_prefix("body=") {
            request.body = Some(body.as_bytes().to_vec());
        } else if let Some(token) = word.strip_prefix("token=") {
            let (tenant, user) = token.split_once('/').unwrap();
            request = request.token(tenant, user);
        } else if let Some((name, value)) = word.split_once(':') {
            request.headers.retain(|(known, _)| name != "user-agent" || known != "User-Agent");
            request = request.header(name, value.replace('+', " ").as_bytes());
        } else {
            request.method = Box::leak(word.to_owned().into_boxed_str());
        }
    }
    request
}
