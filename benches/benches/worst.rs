//! What is the worst that a request can cost the engine, per byte?
//!
//! For each family of inputs and each size: inputs from a seed, then mutations of the costliest ones, keeping what
//! costs more. Time of the whole inspection over the bytes of the payload; an escaped byte counts once. One
//! inspection is shorter than what the kernel's counter of processor time resolves, so that the wall clock is read
//! and the least of some runs taken.
//! The rules are those of the engine bench. `PORTCULLIS_BENCH_SECONDS` is the time for each row (default 6).

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_benches::inspect::{compile, inspect};
use portcullis_benches::mode::Mode;
use portcullis_benches::request_file::RequestFile;
use portcullis_benches::rule_files::{self, Chosen};
use portcullis_benches::{machine, record};
use seclang::{Clock, Program, Transaction};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [4 << 10, 16 << 10, 64 << 10];

/// Inputs that are kept for further mutation.
const KEPT: usize = 8;

const SEED: u64 = 20_261_125;

/// What attacks are made of, beside ordinary words.
const FRAGMENTS: &[&str] = &[
    "' or 1=1--",
    " UNION ALL SELECT ",
    "<script>alert(1)</script>",
    "<svg onload=",
    "javascript:",
    "../../../../etc/passwd",
    "%2e%2e%2f",
    "; cat /etc/hosts",
    "$(id)",
    "`whoami`",
    "${jndi:ldap://x/a}",
    "<?php system($_GET['c']);",
    "eval(base64_decode(",
    "\\u0027",
    "\\x3c",
    "&lt;",
    "&#x27;",
    "&#39",
    "%u0027",
    "%00",
    "\0",
    "\r\nSet-Cookie: a=b",
    "hello ",
    "world ",
    "12345",
    "the quick brown fox ",
    "/*!50000 ",
    "*/",
    "--",
    "#",
    "||",
    "&&",
    "=",
    "((",
    "))",
    "\u{e9}",
    "http://127.0.0.1/",
    "file:///",
    "[$ne]",
    "{{7*7}}",
    "O:8:\"stdClass\":1:{",
    "java.lang.Runtime",
    "Runtime.getRuntime().exec(",
    "cmd /c dir",
    "powershell -enc ",
    "wget http://x",
    "| nc -e /bin/sh ",
    "sleep(5)",
    "benchmark(1000000,md5(1))",
    "information_schema.tables",
    "into outfile '",
    "xp_cmdshell",
    "waitfor delay '0:0:5'",
    "onerror=",
    "style=x:expression(",
    "data:text/html,",
    "process.env",
    "require('child_process')",
    "__proto__",
    "constructor.prototype",
    "<!--#exec cmd=",
    "c^at",
    "/???/??t",
    "\"'\"",
    "b\\a\\s\\h",
    "if [ -f x ]; then ",
    "for i in ",
    "while read ",
    "sudo ",
    "chmod +x ",
    "(&(uid=*)(",
    "@import",
    "vbscript:",
    "a,b;c|d",
    "\\",
    "^",
    "~/",
    "%{",
    "#{",
    "<%",
    "]]>",
    "\t",
    "  ",
    "\n",
];

struct Family {
    name: &'static str,
    payload: fn(&mut Random, usize) -> Vec<u8>,
    request: fn(&[u8]) -> RequestFile,
}

const FAMILIES: [Family; 6] = [
    Family { name: "fragments of attacks in one argument", payload: fragments, request: argument },
    Family { name: "one fragment repeated", payload: repeats, request: argument },
    Family { name: "one byte repeated, in runs", payload: runs, request: argument },
    Family { name: "deep JSON", payload: deep_json, request: json },
    Family { name: "1,000 arguments", payload: many_arguments, request: form },
    Family { name: "fragments in a cookie and the query", payload: fragments, request: head },
];

fn main() -> ExitCode {
    match bench(Mode::from_args()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a bench's output is its result")]
fn fail(error: &io::Error) -> ExitCode {
    eprintln!("worst-case bench: {error}");
    ExitCode::FAILURE
}

fn bench(mode: Mode) -> io::Result<()> {
    let Chosen { path, set, suffix } = rule_files::chosen();
    let program = compile(&path)?;
    let named = std::env::var("PORTCULLIS_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let sizes = SIZES.get(..mode.rounds(SIZES.len())).unwrap_or(&SIZES);
    let seconds = if mode == Mode::OnePass { 0.05 } else { named.unwrap_or(6.0) };
    let mut text = format!(
        "# The worst that a request costs the engine\n\n{}; {set}, paranoia level 1; seed {SEED}, {seconds} s for each row.\n\n| family | KiB | first inputs µs/B | worst found µs/B | inputs tried | the worst one | its costliest rules |\n|---|---|---|---|---|---|---|\n",
        machine::describe()
    );
    for family in &FAMILIES {
        for size in sizes {
            let row = hunt(&program, family, *size, Duration::from_secs_f64(seconds));
            writeln!(
                text,
                "| {} | {} | {:.2} | {:.2} | {} | {} | {} |",
                family.name,
                size >> 10,
                row.first,
                row.worst,
                row.tried,
                row.outcome,
                row.costliest
            )
            .expect("writing to a string does not fail");
        }
    }
    record::publish(mode, &format!("worst-{suffix}"), &text)
}

struct Row {
    first: f64,
    worst: f64,
    tried: usize,
    outcome: &'static str,
    costliest: String,
}

fn hunt(program: &Arc<Program>, family: &Family, size: usize, span: Duration) -> Row {
    let mut random = Random(SEED ^ size as u64);
    let mut transaction = program.start();
    let mut kept: Vec<(f64, Vec<u8>)> = Vec::new();
    let begin = Instant::now();
    let mut tried = 0;
    while tried < 2 * KEPT {
        let payload = (family.payload)(&mut random, size);
        keep(&mut kept, cost(&mut transaction, family, &payload, 2), payload);
        tried += 1;
    }
    let first = kept.first().map_or(0.0, |(cost, _)| *cost);
    while begin.elapsed() < span {
        let parent = random.below(kept.len());
        let Some((_, payload)) = kept.get(parent) else { break };
        let mut payload = payload.clone();
        mutate(&mut random, &mut payload, size);
        keep(&mut kept, cost(&mut transaction, family, &payload, 2), payload);
        tried += 1;
    }
    // Once more with care: what was interrupted while it ran looked worse than it is.
    let mut worst = Row { first, worst: 0.0, tried, outcome: "none", costliest: String::new() };
    for (_, payload) in &kept {
        let figure = cost(&mut transaction, family, payload, 9);
        if figure > worst.worst {
            let costliest = costliest(program, family, payload);
            worst = Row { worst: figure, outcome: outcome(&transaction), costliest, ..worst };
        }
    }
    worst
}

#[derive(Debug)]
struct WallClock(Instant);

impl Clock for WallClock {
    fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The rules on which the most time went, each with its part of what all rules took.
fn costliest(program: &Arc<Program>, family: &Family, payload: &[u8]) -> String {
    let request = (family.request)(payload);
    let mut transaction = program.start();
    inspect(&mut transaction, &request);
    transaction.reset();
    transaction.watch(Some(Arc::new(WallClock(Instant::now()))));
    inspect(&mut transaction, &request);
    let mut ran: Vec<(u64, u32)> = transaction
        .ran()
        .iter()
        .filter_map(|ran| Some((ran.nanos?, program.rules().get(ran.rule.get())?.id)))
        .collect();
    ran.sort_by(|a, b| b.cmp(a));
    let all: u64 = ran.iter().map(|(nanos, _)| nanos).sum();
    let part = |(nanos, id): &(u64, u32)| format!("{id} {} %", nanos * 100 / all.max(1));
    ran.iter().take(3).map(part).collect::<Vec<_>>().join(", ")
}

fn keep(kept: &mut Vec<(f64, Vec<u8>)>, cost: f64, payload: Vec<u8>) {
    let at = kept.partition_point(|(other, _)| *other >= cost);
    kept.insert(at, (cost, payload));
    kept.truncate(KEPT);
}

/// Microseconds per byte of payload, the least of some runs.
fn cost(transaction: &mut Transaction, family: &Family, payload: &[u8], runs: usize) -> f64 {
    let request = (family.request)(payload);
    let mut least = f64::INFINITY;
    for _ in 0..runs {
        transaction.reset();
        let begin = Instant::now();
        inspect(transaction, &request);
        least = least.min(begin.elapsed().as_secs_f64());
    }
    least * 1e6 / payload.len().max(1) as f64
}

fn outcome(transaction: &Transaction) -> &'static str {
    match (transaction.budget_exhausted(), transaction.intervention()) {
        (true, _) => "refused: the step budget ran out",
        (false, Some(_)) => "refused by the rules",
        (false, None) => "passed",
    }
}

/// A small generator: the same seed gives the same inputs.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn fragment(&mut self) -> &'static [u8] {
        FRAGMENTS.get(self.below(FRAGMENTS.len())).copied().unwrap_or_default().as_bytes()
    }
}

/// Puts a fragment in, doubles a part, moves one, or changes a byte; the size stays.
fn mutate(random: &mut Random, payload: &mut Vec<u8>, size: usize) {
    for _ in 0..=random.below(4) {
        let at = random.below(payload.len() + 1);
        let end = (at + random.below(size / 4 + 1)).min(payload.len());
        match random.below(4) {
            0 => {
                let fragment = random.fragment().repeat(1 + random.below(64));
                payload.splice(at..at, fragment);
            }
            1 => {
                let part = payload.get(at..end).unwrap_or_default().to_vec();
                payload.splice(at..at, part);
            }
            2 => drop(payload.drain(at..end)),
            _ => {
                if let Some(byte) = payload.get_mut(at) {
                    *byte = random.below(256) as u8;
                }
            }
        }
    }
    while payload.len() < size {
        payload.extend_from_slice(random.fragment());
    }
    payload.truncate(size);
}

fn fragments(random: &mut Random, size: usize) -> Vec<u8> {
    filled(size, || random.fragment().to_vec())
}

fn repeats(random: &mut Random, size: usize) -> Vec<u8> {
    random.fragment().repeat(size)[..size].to_vec()
}

fn runs(random: &mut Random, size: usize) -> Vec<u8> {
    filled(size, || {
        let byte = random.fragment().first().copied().unwrap_or(b'a');
        vec![byte; 1 + random.below(size)]
    })
}

fn deep_json(random: &mut Random, size: usize) -> Vec<u8> {
    filled(size, || {
        let name: Vec<u8> =
            random.fragment().iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let open: &[u8] = if random.below(3) == 0 { b"[" } else { b"{\"" };
        match open {
            b"[" => b"[".to_vec(),
            _ => [open, name.as_slice(), b"\":"].concat(),
        }
    })
}

fn many_arguments(random: &mut Random, size: usize) -> Vec<u8> {
    let each = size / 1000;
    let mut number = 0;
    filled(size, || {
        number += 1;
        let mut piece = format!("{number:x}=").into_bytes();
        while piece.len() < each {
            piece.extend(random.fragment().iter().filter(|byte| byte.is_ascii_graphic()));
        }
        piece.truncate(each.max(3));
        piece.push(b'&');
        piece
    })
}

fn filled(size: usize, mut piece: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    while out.len() < size {
        out.extend(piece());
    }
    out.truncate(size);
    out
}

fn argument(payload: &[u8]) -> RequestFile {
    post(b"application/x-www-form-urlencoded", [b"a=", escaped(payload).as_slice()].concat())
}

fn form(payload: &[u8]) -> RequestFile {
    post(b"application/x-www-form-urlencoded", payload.to_vec())
}

fn json(payload: &[u8]) -> RequestFile {
    post(b"application/json", payload.to_vec())
}

fn head(payload: &[u8]) -> RequestFile {
    let (query, cookie) = payload.split_at(payload.len() / 2);
    let cookie: Vec<u8> = cookie.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    RequestFile {
        method: b"GET".to_vec(),
        uri: [b"/?q=", escaped(query).as_slice()].concat(),
        headers: vec![
            (b"Host".to_vec(), b"licenses.example.com".to_vec()),
            (b"Cookie".to_vec(), [b"c=", cookie.as_slice()].concat()),
        ],
        body: Vec::new(),
    }
}

fn post(content_type: &[u8], body: Vec<u8>) -> RequestFile {
    RequestFile {
        method: b"POST".to_vec(),
        uri: b"/forms".to_vec(),
        headers: vec![
            (b"Host".to_vec(), b"licenses.example.com".to_vec()),
            (b"User-Agent".to_vec(), b"bench".to_vec()),
            (b"Content-Type".to_vec(), content_type.to_vec()),
            (b"Content-Length".to_vec(), body.len().to_string().into_bytes()),
        ],
        body,
    }
}

fn escaped(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 3);
    for byte in payload {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(*byte),
            _ => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    out
}
