//! Microseconds per request: `engine --rules CONF --seconds N REQ...`.
//!
//! CONF is a rule file that includes the rest. A REQ file is the method line, the URI line, header
//! lines, a blank line, the body. Without REQ files it only says what loading took.

#![expect(clippy::print_stdout, reason = "a measurement talks to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

#[path = "engine/files.rs"]
mod files;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seclang::{Outcome, Program, Transaction};

struct Request {
    name: String,
    method: Vec<u8>,
    uri: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

fn main() {
    let (mut rules, mut seconds, mut requests) = (None, 1.0, Vec::new());
    let (mut plain, mut count) = (false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rules" => rules = arguments.next(),
            "--seconds" => seconds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1.0),
            "--plain" => plain = true,
            "--count" => count = arguments.next().and_then(|n| n.parse().ok()),
            _ => requests.extend(read(&argument)),
        }
    }
    let Some(rules) = rules else {
        println!("engine --rules CONF [--seconds N] [--plain | --count N] REQ...");
        return;
    };
    let text = std::fs::read_to_string(&rules).unwrap_or_default();
    let start = Instant::now();
    let program = match Program::compile(&rules, &text, &files::Files) {
        Ok(compiled) => Arc::new(compiled.program),
        Err(errors) => {
            errors.iter().for_each(|error| println!("{error}\n"));
            return;
        }
    };
    let rules = program.rules().len();
    println!("{rules} rules loaded in {} ms, {}", start.elapsed().as_millis(), resident());
    let limit = Duration::from_secs_f64(seconds);
    for request in &requests {
        if let Some(count) = count {
            repeat(&program, request, count);
            continue;
        }
        measure(&program, request, limit, plain);
    }
    println!("after traffic: {}", resident());
}

/// Runs a request a number of times, for tools that count instructions.
fn repeat(program: &Arc<Program>, request: &Request, count: u32) {
    let mut transaction = Transaction::new(Arc::clone(program));
    for _ in 0..count {
        run(&mut transaction, request, false);
    }
    println!("{}: ran {count} times", request.name);
}

/// Prints the least time per request over batches of one request repeated until the time is up.
fn measure(program: &Arc<Program>, request: &Request, limit: Duration, plain: bool) {
    let mut transaction = Transaction::new(Arc::clone(program));
    let mut blocked = run(&mut transaction, request, plain);
    let (start, mut best, mut batch) = (Instant::now(), f64::MAX, 1_u32);
    while start.elapsed() < limit {
        let from = Instant::now();
        for _ in 0..batch {
            blocked = run(&mut transaction, request, plain);
        }
        let each = from.elapsed().as_secs_f64() * 1e6 / f64::from(batch);
        best = best.min(each);
        if from.elapsed() < Duration::from_millis(2) {
            batch *= 2;
        }
    }
    println!("{}: {best:.1} us/req blocked={blocked}", request.name);
}

#[inline(never)]
fn run(transaction: &mut Transaction, request: &Request, plain: bool) -> bool {
    transaction.reset();
    transaction.set_prefilter(!plain);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    transaction.connection(loopback, 12345, loopback, 80);
    transaction.request_line(&request.method, &request.uri, b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.request_header(name, value);
    }
    let mut go = transaction.request_headers() == Outcome::Continue;
    go = go && transaction.request_body(&request.body) == Outcome::Continue;
    go = go && transaction.request_body_end() == Outcome::Continue;
    if go {
        transaction.response_status(200, b"HTTP/1.1");
        transaction.response_header(b"Content-Type", b"text/plain");
        go = transaction.response_headers() == Outcome::Continue;
        go = go && transaction.response_body(b"ok") == Outcome::Continue;
        go = go && transaction.response_body_end() == Outcome::Continue;
    }
    transaction.logging();
    !go
}

fn read(path: &str) -> Option<Request> {
    let bytes = std::fs::read(path).ok()?;
    let mut rest = bytes.as_slice();
    let mut line = || {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line).to_vec()
    };
    let (method, uri) = (line(), line());
    let mut headers = Vec::new();
    loop {
        let header = line();
        let Some(colon) = header.iter().position(|b| *b == b':') else { break };
        let (name, value) = header.split_at(colon);
        headers.push((name.to_vec(), value.get(1..).unwrap_or_default().trim_ascii().to_vec()));
    }
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    Some(Request { name, method, uri, headers, body: rest.to_vec() })
}

/// The resident memory of the process, as the kernel tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS unknown");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
