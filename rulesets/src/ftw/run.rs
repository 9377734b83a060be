//! Cases through the engine.

use super::case::{Case, Expectation, Stage};
use super::front;
use super::overrides::Overrides;
use super::report::{Failure, Report};
use super::request::Request;
use crate::rule_set::{Loaded, RuleSet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seclang::{Diagnostic, Outcome, Transaction};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

/// What the suite asks of the rules: level 4, detection only, its limits, and answers of JSON read too.
pub const SETUP: &str = "SecRuleEngine DetectionOnly\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecAction \"id:900005,phase:1,nolog,pass,ctl:ruleRemoveById=910000,\
    setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,\
    setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,\
    setvar:tx.combined_file_sizes=65535\"\n";

/// Loads a CRS directory, 3.3 or 4, set up as the suite asks.
pub fn load_rules(folder: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    RuleSet::load_with(folder, SETUP)
}

/// What came of one request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// The rules that fired; `None` where only the status is known.
    pub fired: Option<Vec<u32>>,
    /// Their log lines in ModSecurity's spelling; `None` where they are not known.
    pub log: Option<Vec<u8>>,
    /// Whether a server refused the request before any rule ran.
    pub refused: bool,
    /// Whether the rules refused it. Asked only where it is not known what fired.
    pub blocked: bool,
}

/// Runs all cases in-process. At least `at_least` of them must run for the report to be good.
pub fn run(set: &RuleSet, cases: &[Case], overrides: &Overrides, at_least: usize) -> Report {
    judge(set, cases, overrides, at_least, |stage| in_process(set, stage))
}

/// Judges all cases by what `see` says came of each request: the engine's answer or a server's.
pub fn judge(
    set: &RuleSet,
    cases: &[Case],
    overrides: &Overrides,
    at_least: usize,
    mut see: impl FnMut(&Stage) -> Seen,
) -> Report {
    let mut report = Report { at_least, ..Report::default() };
    for case in cases {
        // Every stage is sent, whatever came of the one before.
        let seen: Vec<Seen> = case.stages.iter().map(&mut see).collect();
        let compared = case.stages.iter().zip(&seen);
        let outcome = compared.map(|(stage, seen)| compare(seen, &stage.expected));
        let outcome = outcome.collect::<Result<Vec<()>, String>>();
        let excuse = overrides.reason(&case.name);
        let passed = outcome.is_ok();
        report.total.add(passed);
        report.files.entry(case.file.clone()).or_default().add(passed);
        let level = case.rule_id.and_then(|id| set.level(id));
        report.levels.entry(level).or_default().add(passed);
        match outcome {
            Ok(_) if excuse.is_some() => report.stale.push(case.name.clone()),
            Ok(_) => {}
            Err(why) => report.failures.push(Failure {
                name: case.name.clone(),
                file: case.file.clone(),
                why,
                excuse: excuse.map(str::to_owned),
            }),
        }
    }
    let known = |name: &&str| !cases.iter().any(|case| case.name == *name);
    report.unknown = overrides.names().filter(known).map(str::to_owned).collect();
    report
}

fn in_process(set: &RuleSet, stage: &Stage) -> Seen {
    if stage.expected.refused && front::refuses(&stage.request) {
        return Seen { refused: true, ..Seen::default() };
    }
    let mut transaction = Transaction::new(Arc::clone(set.program()));
    feed(&mut transaction, &front::framed(stage.request.clone()));
    let rules = set.program().rules();
    let infos = transaction.fired().iter().filter_map(|fired| rules.get(fired.rule.get()));
    Seen {
        fired: Some(infos.map(|info| info.id).collect()),
        log: Some(log_text(&transaction)),
        refused: false,
        blocked: transaction.detected().is_some(),
    }
}

/// Feeds a whole request, and the answer that the suite's origin gives to it.
pub fn feed(transaction: &mut Transaction, request: &Request) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    transaction.connection(loopback, 40_000, loopback, 80);
    transaction.unique_id(b"a1");
    transaction.request_line(&request.method, &request.uri, &request.version);
    for (name, value) in &request.headers {
        transaction.request_header(name, value);
    }
    let goes_on = transaction.request_headers() == Outcome::Continue
        && transaction.request_body(&request.body) == Outcome::Continue
        && transaction.request_body_end() == Outcome::Continue;
    if goes_on {
        answer(transaction, request);
    }
    transaction.logging();
}

/// The origin reflects: a JSON body posted to `/reflect` says what it answers.
fn answer(transaction: &mut Transaction, request: &Request) {
    let reflects = request.uri.starts_with(b"/reflect");
    let wanted = if reflects { serde_json::from_slice(&request.body).ok() } else { None };
    let wanted: Value = wanted.unwrap_or_default();
    let status = wanted.get("status").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    transaction.response_status(status.unwrap_or(200), b"HTTP/1.1");
    let mut typed = false;
    for (name, value) in wanted.get("headers").and_then(Value::as_object).into_iter().flatten() {
        typed |= name.eq_ignore_ascii_case("content-type");
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        transaction.response_header(name.as_bytes(), value.as_bytes());
    }
    if !typed {
        transaction.response_header(b"Content-Type", b"text/plain; charset=utf-8");
    }
    let text = |name: &str| wanted.get(name).and_then(Value::as_str);
    let body = match (text("body"), text("encodedBody")) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    // An interruption ends the answer; what fired until then is compared all the same.
    let _ = transaction.response_headers() == Outcome::Continue
        && transaction.response_body(&body) == Outcome::Continue
        && transaction.response_body_end() == Outcome::Continue;
}

fn compare(seen: &Seen, expected: &Expectation) -> Result<(), String> {
    if expected.refused {
        let why = "asks the web server to refuse, and this one did not";
        return if seen.refused { Ok(()) } else { Err(why.to_owned()) };
    }
    match &seen.fired {
        Some(fired) => compare_fired(fired, expected)?,
        None => compare_status(seen, expected)?,
    }
    let asks_log = expected.log.is_some() || expected.no_log.is_some();
    let log = match &seen.log {
        Some(log) => log,
        None if asks_log => return Err("asks for a log that is not known here".to_owned()),
        None => return Ok(()),
    };
    if let Some(pattern) = expected.log.as_ref().filter(|pattern| !pattern.is_match(log)) {
        return Err(format!("the log does not match `{pattern}`"));
    }
    if let Some(pattern) = expected.no_log.as_ref().filter(|pattern| pattern.is_match(log)) {
        return Err(format!("the log matches `{pattern}`"));
    }
    Ok(())
}

fn compare_fired(fired: &[u32], expected: &Expectation) -> Result<(), String> {
    if let Some(id) = expected.fire.iter().find(|id| !fired.contains(id)) {
        return Err(format!("{id} did not fire, only {fired:?}"));
    }
    match expected.stay.iter().find(|id| fired.contains(id)) {
        Some(id) => Err(format!("{id} fired")),
        None => Ok(()),
    }
}

fn compare_status(seen: &Seen, expected: &Expectation) -> Result<(), String> {
    let stopped = seen.blocked || seen.refused;
    match (expected.fire.is_empty(), stopped) {
        (false, false) => Err("was not refused".to_owned()),
        (true, true) if !expected.stay.is_empty() => Err("was refused".to_owned()),
        (false, true) | (true, _) => Ok(()),
    }
}

/// The log lines in ModSecurity's spelling, as far as cases look at them.
fn log_text(transaction: &Transaction) -> Vec<u8> {
    let mut text = Vec::new();
    for fired in transaction.fired() {
        let Some(info) = transaction.program().rules().get(fired.rule.get()) else { continue };
        text.extend_from_slice(format!("[id \"{}\"] [msg \"", info.id).as_bytes());
        push_escaped(&fired.msg, &mut text);
        text.extend_from_slice(b"\"] [data \"");
        push_escaped(&fired.logdata, &mut text);
        text.extend_from_slice(b"\"]\n");
    }
    text
}

/// Writes control bytes as `\xhh`.
fn push_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        if *byte < b' ' {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
}
