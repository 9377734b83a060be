//! Runs a request through a program and compares what fired with what a case expects.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seclang::{Outcome, Program, Transaction};
use serde_json::Value;

use crate::cases::{Case, Output, Status};
use crate::request::{Request, build};
use crate::server;

/// Feeds a whole request, and the answer that the origin gives to it.
pub(crate) fn feed(transaction: &mut Transaction, request: &Request) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    transaction.connection(loopback, 40000, loopback, 80);
    transaction.unique_id(b"a1");
    transaction.request_line(&request.method, &request.uri, &request.version);
    for (name, value) in &request.headers {
        transaction.request_header(name, value);
    }
    let mut go = transaction.request_headers() == Outcome::Continue;
    go = go && transaction.request_body(&request.body) == Outcome::Continue;
    go = go && transaction.request_body_end() == Outcome::Continue;
    if go {
        respond(transaction, request);
    }
    transaction.logging();
}

/// The origin reflects: a JSON body posted to `/reflect` says what it answers.
fn respond(transaction: &mut Transaction, request: &Request) {
    let wanted = if request.uri.starts_with(b"/reflect") {
        serde_json::from_slice::<Value>(&request.body).unwrap_or(Value::Null)
    } else {
        Value::Null
    };
    let status = wanted.get("status").and_then(Value::as_u64).unwrap_or(200);
    transaction.response_status(status as u16, b"HTTP/1.1");
    let mut typed = false;
    for (name, value) in wanted.get("headers").and_then(Value::as_object).into_iter().flatten() {
        typed |= name.eq_ignore_ascii_case("content-type");
        let value = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        transaction.response_header(name.as_bytes(), value.as_bytes());
    }
    if !typed {
        transaction.response_header(b"Content-Type", b"text/plain; charset=utf-8");
    }
    let body = match (wanted.get("body"), wanted.get("encodedBody")) {
        (Some(Value::String(text)), _) => text.clone().into_bytes(),
        (_, Some(Value::String(text))) => STANDARD.decode(text).unwrap_or_default(),
        _ => Vec::new(),
    };
    let go = transaction.response_headers() == Outcome::Continue
        && transaction.response_body(&body) == Outcome::Continue;
    if go && transaction.response_body_end() == Outcome::Interrupted {
        assert!(transaction.intervention().is_some());
    }
}

/// What one case came to: nothing, or why it failed.
pub(crate) fn check(program: &Arc<Program>, case: &Case) -> Result<(), String> {
    for stage in &case.stages {
        let request = build(&stage.input);
        if asks_refusal(&stage.output) && server::refuses(&request) {
            continue;
        }
        let mut transaction = Transaction::new(Arc::clone(program));
        feed(&mut transaction, &server::framed(request));
        compare(&transaction, &stage.output)?;
    }
    Ok(())
}

fn compare(transaction: &Transaction, output: &Output) -> Result<(), String> {
    let rules = transaction.program().rules();
    let fired: Vec<u32> = transaction.fired().iter().map(|f| rules[f.rule.get()].id).collect();
    let log = output.log.as_ref();
    for id in log.into_iter().flat_map(|log| &log.expect_ids) {
        if !fired.contains(id) {
            return Err(format!("{id} did not fire, only {fired:?}"));
        }
    }
    for id in log.into_iter().flat_map(|log| &log.no_expect_ids) {
        if fired.contains(id) {
            return Err(format!("{id} fired"));
        }
    }
    if let Some(id) = output.log_contains.as_deref().and_then(id_in)
        && !fired.contains(&id)
    {
        return Err(format!("{id} did not fire, only {fired:?}"));
    }
    if let Some(id) = output.no_log_contains.as_deref().and_then(id_in)
        && fired.contains(&id)
    {
        return Err(format!("{id} fired"));
    }
    let text = log_text(transaction);
    if let Some(pattern) = log.and_then(|log| log.match_regex.as_deref())
        && !regex(pattern).is_match(&text)
    {
        return Err(format!("the log does not match `{pattern}`"));
    }
    if let Some(pattern) = log.and_then(|log| log.no_match_regex.as_deref())
        && regex(pattern).is_match(&text)
    {
        return Err(format!("the log matches `{pattern}`: {fired:?}"));
    }
    if asks_refusal(output) {
        return Err("asks the web server to refuse, and this one would not".to_owned());
    }
    Ok(())
}

/// Whether a case is about the web server: it is to answer 400 before any rule runs.
fn asks_refusal(output: &Output) -> bool {
    match &output.status {
        Some(Status::One(status)) => *status == 400,
        Some(Status::Any(statuses)) => statuses.contains(&400),
        None => output.expect_error == Some(true) && output.log.is_none(),
    }
}

fn regex(pattern: &str) -> regex::bytes::Regex {
    regex::bytes::RegexBuilder::new(pattern).unicode(false).build().unwrap()
}

/// The log lines in ModSecurity's spelling, as far as the cases look at them.
fn log_text(transaction: &Transaction) -> Vec<u8> {
    let mut text = Vec::new();
    for fired in transaction.fired() {
        let info = &transaction.program().rules()[fired.rule.get()];
        text.extend_from_slice(format!("[id \"{}\"] [msg \"", info.id).as_bytes());
        text.extend(escaped(&fired.msg));
        text.extend_from_slice(b"\"] [data \"");
        text.extend(escaped(&fired.logdata));
        text.extend_from_slice(b"\"]\n");
    }
    text
}

/// Control bytes as `\\xhh`, as log lines show them.
fn escaped(text: &[u8]) -> Vec<u8> {
    let one = |b: &u8| if *b < b' ' { format!("\\x{b:02x}").into_bytes() } else { vec![*b] };
    text.iter().flat_map(one).collect()
}

/// The rule id in `id "920100"` and its variants.
fn id_in(text: &str) -> Option<u32> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}
