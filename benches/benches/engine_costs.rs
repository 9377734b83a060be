//! What does the engine cost besides requests: loading rules, memory, a second host that shares them, and each of
//! libinjection's detectors on ordinary values?
//!
//! Processor time, minima. A detector's cost is the difference between a rule with it and one with `@streq` over
//! the same values, so that reading and transforming them is not counted.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_benches::inspect::{compile, compile_text, cpu_seconds, inspect, resident_bytes};
use portcullis_benches::mode::Mode;
use portcullis_benches::request_file::RequestFile;
use portcullis_benches::rule_files::{self, Chosen};
use portcullis_benches::{machine, record};
use seclang::{Program, Transaction};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hosts among which the growth of memory is divided.
const HOSTS: usize = 100;

/// Values as people and programs send them.
const ORDINARY: [&str; 32] = [
    "O'Brien",
    "Maria Lindqvist",
    "maria.lindqvist@example.com",
    "I'd like 2 seats or 3; it depends on the price",
    "It's a test -- really",
    "He said \"hello\" and left",
    "The quick brown fox will select a union",
    "Please renew the plan of the office in Oslo, and send the invoice to the new address.",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "en-US,en;q=0.9",
    "gzip, deflate, br",
    "550e8400-e29b-41d4-a716-446655440000",
    "8d9f0c4b2a7e4f6d9c1b3a5e7f8091a2",
    "CODI-7F3K-9QWX-2M4T",
    "2026-11-22T17:00:00Z",
    "https://www.example.com/path/page?x=1",
    "/usr/local/share/licenses/product-1.2.3.lic",
    "C:\\Program Files\\Example\\bin",
    "application/json",
    "books",
    "2",
    "true",
    "+47 22 12 34 56",
    "NOK 1,299.00",
    "100% wool",
    "R&D department",
    "from the shop in the high street",
    "is it possible to update the order?",
    "a = b",
    "[formatter, spell checker]",
    "\u{c5}se Sm\u{f8}rdal",
];

fn main() -> ExitCode {
    match bench(Mode::from_args()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a bench's output is its result")]
fn fail(error: &io::Error) -> ExitCode {
    eprintln!("engine costs bench: {error}");
    ExitCode::FAILURE
}

fn bench(mode: Mode) -> io::Result<()> {
    let Chosen { path, set, suffix } = rule_files::chosen();
    let before = resident_bytes()?;
    let begin = cpu_seconds()?;
    let program = compile(&path)?;
    let mut load = cpu_seconds()? - begin;
    let loaded = resident_bytes()?;
    let second = second_host(&program, mode)?;
    let busy = resident_bytes()?;
    for _ in 1..mode.rounds(5) {
        let begin = cpu_seconds()?;
        drop(compile(&path)?);
        load = load.min(cpu_seconds()? - begin);
    }
    let mut text = format!(
        "# What the engine costs besides requests\n\n{}; {set}; processor time, minima.\n\n| figure | value |\n|---|---|\n",
        machine::describe()
    );
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    let rows = [
        ("rules", program.rules().len().to_string()),
        ("load: parse and compile", format!("{:.0} ms", load * 1e3)),
        ("resident memory before", format!("{:.1} MiB", mib(before))),
        ("resident memory, loaded", format!("{:.1} MiB", mib(loaded))),
        ("resident memory, each host busy", format!("{:.1} MiB ({HOSTS} hosts)", mib(busy))),
        ("a further host on the same set", format!("{:.0} KiB", second / 1024.0)),
        ("`@detectSQLi` per ordinary value", format!("{:.0} ns", detector("@detectSQLi", mode)?)),
        ("`@detectXSS` per ordinary value", format!("{:.0} ns", detector("@detectXSS", mode)?)),
    ];
    for (what, value) in rows {
        writeln!(text, "| {what} | {value} |").expect("writing to a string does not fail");
    }
    record::publish(mode, &format!("engine-costs-{suffix}"), &text)
}

/// The memory by which the process grows for each further host: a share in the program and a transaction that has
/// inspected the largest of the request files.
fn second_host(program: &Arc<Program>, mode: Mode) -> io::Result<f64> {
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let request = RequestFile::read(&home.join("requests/c.req"))?;
    let mut hosts: Vec<(Arc<Program>, Transaction)> = Vec::new();
    let mut first = 0;
    for host in 0..=mode.rounds(HOSTS) {
        let mut transaction = program.start();
        inspect(&mut transaction, &request);
        hosts.push((Arc::clone(program), transaction));
        if host == 0 {
            first = resident_bytes()?;
        }
    }
    let grown = resident_bytes()?.saturating_sub(first);
    Ok(grown as f64 / (hosts.len() - 1) as f64)
}

/// Nanoseconds per value of a detector, over those of `@streq`.
fn detector(operator: &str, mode: Mode) -> io::Result<f64> {
    let rule = |test: &str| {
        compile_text(
            "bench.conf",
            &format!("SecRule ARGS_POST \"{test}\" \"id:1,phase:2,pass,nolog\"\n"),
        )
    };
    let (with, without) = (rule(operator)?, rule("@streq no such value")?);
    let request = form(&ORDINARY);
    let (mut least, mut base) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..mode.rounds(20) {
        least = least.min(per_request(&with, &request)?);
        base = base.min(per_request(&without, &request)?);
    }
    // Where the two differ by less than the clock can tell, either may come out ahead.
    Ok((least - base).max(0.0) * 1e9 / ORDINARY.len() as f64)
}

fn per_request(program: &Arc<Program>, request: &RequestFile) -> io::Result<f64> {
    const TIMES: u32 = 2000;
    let mut transaction = program.start();
    inspect(&mut transaction, request);
    let begin = cpu_seconds()?;
    for _ in 0..TIMES {
        transaction.reset();
        inspect(&mut transaction, request);
    }
    Ok((cpu_seconds()? - begin) / f64::from(TIMES))
}

/// A form with one argument for each value, every byte escaped but letters and digits.
fn form(values: &[&str]) -> RequestFile {
    let mut body = Vec::new();
    for (number, value) in values.iter().enumerate() {
        body.extend_from_slice(format!("v{number}=").as_bytes());
        for byte in value.bytes() {
            match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => body.push(byte),
                _ => body.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            }
        }
        body.push(b'&');
    }
    let content_type = b"application/x-www-form-urlencoded".to_vec();
    RequestFile {
        method: b"POST".to_vec(),
        uri: b"/".to_vec(),
        headers: vec![(b"Content-Type".to_vec(), content_type)],
        body,
    }
}
