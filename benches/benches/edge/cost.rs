//! What does a request cost at the edge, bare and with the default policy, beside nginx as a plain reverse proxy, and
//! beside stock Pingora, which is the floor that the edge stands on?
//!
//! One origin (nginx, `return 200`), one load generator, one worker for each contender, the contenders in turn, several
//! rounds; the median of each figure is quoted. Processor time is the whole process's: workers, and for us the writer of
//! the request log, which nginx goes without. The default policy is the shipped one with its counts raised, so that no
//! request is refused and every rule is asked.
//!
//! Four kinds of load: keep-alive connections without and with TLS 1.3 (by wrk), and cold requests, each a new
//! connection with a full or a resumed handshake and one small POST (by a client of this crate).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use portcullis_benches::cold::{self, Handshake};
use portcullis_benches::edge::{self, HOST, Setup};
use portcullis_benches::mode::Mode;
use portcullis_benches::process::Process;
use portcullis_benches::{machine, nginx, record, stock, wrk};

const URL_PATH: &str = "/api/v1/licenses/7?page=2&sort=name";
const BODY: &str = r#"{"license_key":"ABCD-EFGH","machine":"m-1","user":"u-1"}"#;

/// The load.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    Plain,
    Tls,
    Cold(Handshake),
}

const LOADS: [(Load, &str); 4] = [
    (Load::Plain, "HTTP/1.1 keep-alive, no TLS: wrk -t1 -c64"),
    (Load::Tls, "HTTP/1.1 keep-alive over TLS 1.3: wrk -t1 -c32"),
    (
        Load::Cold(Handshake::Full),
        "Cold: a new connection, a full TLS 1.3 handshake, one small POST; 4 clients",
    ),
    (Load::Cold(Handshake::Resumed), "Cold, with a resumed handshake; 4 clients"),
];
const COLD_CLIENTS: usize = 4;

struct Contender {
    name: &'static str,
    plain: SocketAddr,
    tls: SocketAddr,
    process: Process,
    /// By the place of the load.
    runs: [Vec<Figures>; LOADS.len()],
}

#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    cpu_micros: f64,
    p99_millis: f64,
}

pub(crate) fn bench(mode: Mode) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let (cert, key) = edge::certificate(dir.path())?;
    let origin = nginx::origin(dir.path())?;
    let (peer, peer_tls) = nginx::proxy(dir.path(), origin.address, &cert, &key)?;
    let stock = stock::start(origin.address, &cert, &key)?;
    let policy = edge::policy(dir.path())?;
    let mut contenders = vec![
        contender("nginx", peer.address, peer_tls, peer.process),
        contender("stock Pingora", stock.plain, stock.tls, stock.process),
        edge(dir.path(), "portcullis, bare", origin.address, None)?,
        edge(dir.path(), "portcullis, default policy", origin.address, Some(&policy))?,
    ];
    let span = mode.span(Duration::from_secs(6));
    for _ in 0..mode.rounds(5) {
        for (at, (load, _)) in LOADS.into_iter().enumerate() {
            for contender in &mut contenders {
                let figures = measure(contender, load, &cert, span)?;
                if let Some(runs) = contender.runs.get_mut(at) {
                    runs.push(figures);
                }
            }
        }
    }
    record::publish(mode, "edge", &tables(&contenders))
}

const fn contender(
    name: &'static str,
    plain: SocketAddr,
    tls: SocketAddr,
    process: Process,
) -> Contender {
    Contender { name, plain, tls, process, runs: [const { Vec::new() }; LOADS.len()] }
}

fn edge(
    dir: &Path,
    name: &'static str,
    origin: SocketAddr,
    policy: Option<&Path>,
) -> io::Result<Contender> {
    let home = dir.join(if policy.is_some() { "edge-policy" } else { "edge-bare" });
    let edge = edge::start(&home, Setup { servers: &[origin], policy, ..Setup::default() })?;
    Ok(contender(name, edge.plain, edge.tls, edge.process))
}

fn measure(contender: &Contender, load: Load, cert: &Path, span: Duration) -> io::Result<Figures> {
    run(contender, load, cert, Duration::from_secs(1))?;
    let before = contender.process.cpu_seconds();
    let run = run(contender, load, cert, span)?;
    let cpu = contender.process.cpu_seconds() - before;
    if run.failures > 0 || run.requests == 0 {
        let name = contender.name;
        return Err(io::Error::other(format!(
            "{name}: {} of {} failed",
            run.failures, run.requests
        )));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    let cpu_micros = cpu * 1e6 / run.requests as f64;
    Ok(Figures { per_second: run.per_second, cpu_micros, p99_millis: run.p99_millis })
}

fn run(contender: &Contender, load: Load, cert: &Path, span: Duration) -> io::Result<wrk::Run> {
    match load {
        Load::Plain => wrk::run(&format!("http://{}{URL_PATH}", contender.plain), HOST, 64, span),
        Load::Tls => wrk::run(&format!("https://{}{URL_PATH}", contender.tls), HOST, 32, span),
        Load::Cold(handshake) => {
            let request = format!(
                "POST /api/v1/licenses/acquire HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
                BODY.len()
            );
            let request = request.as_bytes();
            cold::run(contender.tls, HOST, cert, handshake, request, COLD_CLIENTS, span)
        }
    }
}

fn median(runs: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn tables(contenders: &[Contender]) -> String {
    let rounds = contenders.first().and_then(|first| first.runs.first()).map_or(0, Vec::len);
    let mut text = format!(
        "# The edge beside nginx\n\n{}; one nginx origin, one worker each, request log on for portcullis and off for its peers; medians of {rounds} interleaved rounds.\n",
        machine::describe(),
    );
    for (at, (_, load)) in LOADS.into_iter().enumerate() {
        text += &format!(
            "\n## {load}\n\n| contender | requests/s | ratio | CPU µs/request | ratio | p99 ms |\n|---|---|---|---|---|---|\n"
        );
        let runs = |contender: &Contender| contender.runs.get(at).cloned().unwrap_or_default();
        let base = contenders.first().map(runs).unwrap_or_default();
        for contender in contenders {
            text += &row(contender.name, &runs(contender), &base);
        }
    }
    text
}

fn row(name: &str, runs: &[Figures], base: &[Figures]) -> String {
    let (rate, cpu) = (median(runs, |f| f.per_second), median(runs, |f| f.cpu_micros));
    let (base_rate, base_cpu) = (median(base, |f| f.per_second), median(base, |f| f.cpu_micros));
    let p99 = median(runs, |f| f.p99_millis);
    format!(
        "| {name} | {rate:.0} | {:.2} | {cpu:.1} | {:.2} | {p99:.2} |\n",
        rate / base_rate,
        cpu / base_cpu
    )
}
