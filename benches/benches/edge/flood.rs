//! What do clients notice of a flood of security events?
//!
//! A fixed rate of requests over TLS, half by HTTP/1.1 and half by HTTP/2, through an edge with the shipped policy before
//! an nginx origin: in quiet, then while a million events in a minute are handed to the incident desk inside the
//! serving process, from fifty thousand sources on one route, and in quiet again, which says how much the machine moves
//! by itself. Beside the latency: what is counted, how many incidents there are, how many messages a notifier gets, and
//! the memory.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis::origin::Origin;
use portcullis::shared::Shared;
use portcullis::upgrade::Invocation;
use portcullis_benches::edge::{self, Edge, HOST, Setup};
use portcullis_benches::mode::Mode;
use portcullis_benches::process::{self, free_address};
use portcullis_benches::steady::{self, Load, Seen};
use portcullis_benches::{machine, nginx, record};
use portcullis_incident::{Category, Event};

/// Requests per second.
const PER_SECOND: u32 = 400;
/// Sources of the events.
const SOURCES: u64 = 50_000;
/// Between two handfuls of events.
const STEP: Duration = Duration::from_millis(10);
/// How long the desk may take to work off what waits.
const WORKED_OFF: Duration = Duration::from_secs(60);

/// In an edge's folder: that its process hands over events when it is told to, how many in how many seconds, and that
/// it has done so.
const WANTED: &str = "floods";
const TOLD: &str = "flood";
const DONE: &str = "flooded";

struct Phase {
    name: &'static str,
    seen: Seen,
    /// Resident MiB before and after.
    resident: [f64; 2],
}

pub(crate) fn bench(mode: Mode) -> io::Result<()> {
    let (events, span) = match mode {
        Mode::OnePass => (10_000, Duration::from_secs(1)),
        Mode::Measure { .. } => (1_000_000, Duration::from_secs(60)),
    };
    let dir = tempfile::tempdir()?;
    let (cert, _) = edge::certificate(dir.path())?;
    let address = free_address()?;
    let origin = nginx::origin_at(dir.path(), "origin", address)?;
    let (hook, messages) = hook()?;
    let home = dir.path().join("edge");
    let edge = start(&home, dir.path(), address, hook)?;
    let phases = [
        phase("quiet", &edge, &cert, || wait(span))?,
        phase("flood", &edge, &cert, || flood(&home, events, span))?,
        phase("quiet again", &edge, &cert, || wait(span))?,
    ];
    let (incidents, counted) = incidents(&edge, events)?;
    drop(origin);
    let told = messages.load(Ordering::Relaxed);
    let text = table(&phases, events, span)
        + &format!(
            "\n{counted} of {events} events in {incidents} incidents; {told} messages to the notifier.\n"
        );
    record::publish(mode, "flood", &text)
}

fn start(home: &Path, dir: &Path, origin: SocketAddr, hook: SocketAddr) -> io::Result<Edge> {
    fs::create_dir_all(home)?;
    fs::write(home.join(WANTED), "")?;
    let key = home.join("hook.key");
    fs::write(&key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let top = format!(
        "egress: {{ networks: [127.0.0.0/8], plain_http: [127.0.0.1] }}\n\
         incidents: {{ learn: 0s, notifiers: {{ hook: {{ kind: webhook, key: 'file:hook.key', url: 'http://{hook}/' }} }} }}\n"
    );
    let policy = edge::policy(dir)?;
    let servers = [origin];
    let setup = Setup { servers: &servers, policy: Some(&policy), top: &top, ..Setup::default() };
    edge::start(home, setup)
}

fn phase(
    name: &'static str,
    edge: &Edge,
    cert: &Path,
    meanwhile: impl FnOnce() -> io::Result<()>,
) -> io::Result<Phase> {
    let resident = || process::resident_mib(edge.process.id());
    let before = resident()?;
    let load = steady::start(Load {
        address: edge.tls,
        url: format!("https://{HOST}/api/v1/licenses/7?page=2&sort=name"),
        per_second: PER_SECOND,
        cert: Some(cert),
    })?;
    let done = meanwhile();
    let seen = load.finish()?;
    done?;
    Ok(Phase { name, seen, resident: [before, resident()?] })
}

#[expect(clippy::unnecessary_wraps, reason = "phases may fail")]
fn wait(span: Duration) -> io::Result<()> {
    std::thread::sleep(span);
    Ok(())
}

/// Tells the edge's process to hand its events over, and waits until it has.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn flood(home: &Path, events: u64, span: Duration) -> io::Result<()> {
    let told = home.join("flood.new");
    fs::write(&told, format!("{events} {}", span.as_secs()))?;
    fs::rename(told, home.join(TOLD))?;
    let begun = Instant::now();
    while !home.join(DONE).exists() {
        if begun.elapsed() > span + WORKED_OFF {
            return Err(io::Error::other("the events are not handed over in time"));
        }
        std::thread::sleep(STEP);
    }
    Ok(())
}

/// Waits until the incidents hold every event, and returns how many there are and what they hold.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn incidents(edge: &Edge, events: u64) -> io::Result<(usize, u64)> {
    let begun = Instant::now();
    loop {
        let listed = edge.ask(&["incidents", "ls", "--all", "--json"])?.stdout;
        let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed)?;
        let count = |one: &serde_json::Value| one.get("events")?.as_u64();
        let counted = listed.iter().filter_map(count).sum();
        if counted >= events || begun.elapsed() > WORKED_OFF {
            return Ok((listed.len(), counted));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A notifier that takes every message and counts them.
fn hook() -> io::Result<(SocketAddr, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let messages = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&messages);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if take(stream).is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok((address, messages))
}

fn take(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or_default();
        }
        if line.is_empty() {
            break;
        }
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    reader.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
}

fn table(phases: &[Phase], events: u64, span: Duration) -> String {
    let quiet = phases.first().map(|phase| (phase.seen.quantile(0.5), phase.seen.quantile(0.99)));
    let (median, slow) = quiet.unwrap_or_default();
    let mut text = format!(
        "# A flood of security events beside requests\n\n{}; {PER_SECOND} requests a second over TLS 1.3, half HTTP/1.1 and half HTTP/2; the edge with one worker and the shipped policy, an nginx origin; {events} events in {} s from {SOURCES} sources, handed over inside the process.\n\n| phase | requests | failed | p50 ms | beside quiet | p99 ms | beside quiet | resident MiB, before and after |\n|---|---|---|---|---|---|---|---|\n",
        machine::describe(),
        span.as_secs(),
    );
    for Phase { name, seen, resident: [before, after] } in phases {
        let at = |share| seen.quantile(share).as_secs_f64() * 1e3;
        let beside = |share, quiet: Duration| at(share) / (quiet.as_secs_f64() * 1e3);
        let failed: u64 = seen.failures.values().sum();
        text += &format!(
            "| {name} | {} | {failed} | {:.2} | {:.2} | {:.2} | {:.2} | {before:.0} to {after:.0} |\n",
            seen.times.len(),
            at(0.5),
            beside(0.5, median),
            at(0.99),
            beside(0.99, slow),
        );
    }
    text
}

/// Whether the process of this folder is to hand events over.
pub(crate) fn is_asked_for(home: &Path) -> bool {
    home.join(WANTED).exists()
}

/// Is the edge of this folder, and hands events over when it is told to.
pub(crate) fn serve(home: &Path) -> io::Result<()> {
    portcullis::edge::install_provider();
    let invocation = Invocation::current().map_err(io::Error::other)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let origin = Origin::File(home.join("portcullis.yaml"));
    let home = home.to_owned();
    let serving = portcullis::run::run(origin, &invocation, None, |started| {
        let shared = Arc::clone(&started.shared);
        std::thread::spawn(move || hand_over(&shared, &home));
    });
    runtime.block_on(serving).map_err(io::Error::other)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn hand_over(shared: &Shared, home: &Path) -> io::Result<()> {
    let told = loop {
        match fs::read_to_string(home.join(TOLD)) {
            Ok(told) => break told,
            Err(_) => std::thread::sleep(STEP),
        }
    };
    let mut numbers = told.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let (events, secs) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or(1));
    let steps = u64::try_from(Duration::from_secs(secs).as_millis() / STEP.as_millis());
    let steps = steps.unwrap_or(1).max(1);
    let begun = Instant::now();
    let mut raised = 0;
    for step in 1..=steps {
        while raised < events * step / steps {
            // 50,000 addresses from 10.0.0.0 on.
            let source = (0x0a00_0000 + (raised % SOURCES) as u32).to_be_bytes();
            let now = shared.clock.now();
            let event = Event::new("", Category::Ddos, Some(source.into()), now);
            shared.events.raise(Event { route: format!("{HOST}/"), ..event });
            raised += 1;
        }
        let due = STEP * u32::try_from(step).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    fs::write(home.join(DONE), "")
}
