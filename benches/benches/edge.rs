//! What does a request cost at the edge, bare and with the default policy, beside nginx as a plain reverse proxy?
//!
//! One origin (nginx, `return 200`), one load generator (wrk, TLS 1.3, keep-alive), the contenders in turn, several
//! rounds; the median of each figure is quoted. Processor time is the whole process's, workers included. The default
//! policy is the shipped one with its counts raised, so that no request is refused and every rule is asked.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use portcullis_benches::mode::Mode;
use portcullis_benches::process::{Process, free_address, wait_until_accepting};
use portcullis_benches::{machine, nginx, record, wrk};

const CONNECTIONS: u32 = 32;
const HOST: &str = "licenses.example.com";
const URL_PATH: &str = "/api/v1/licenses/7?page=2&sort=name";

/// With this variable set the bench's own binary is the edge, and its arguments are `portcullis`'s.
const AS_EDGE: &str = "PORTCULLIS_BENCH_AS_EDGE";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Contender {
    name: &'static str,
    address: SocketAddr,
    process: Process,
    runs: Vec<Figures>,
}

#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    cpu_micros: f64,
    p99_millis: f64,
}

fn main() -> ExitCode {
    if std::env::var_os(AS_EDGE).is_some() {
        return portcullis::cli::main();
    }
    match bench(Mode::from_args()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a bench's output is its result")]
fn fail(error: &io::Error) -> ExitCode {
    eprintln!("edge bench: {error}");
    ExitCode::FAILURE
}

fn bench(mode: Mode) -> io::Result<()> {
    if !nginx::is_installed() || !wrk::is_installed() {
        return absent();
    }
    let dir = tempfile::tempdir()?;
    let (cert, key) = certificate(dir.path())?;
    let origin = nginx::origin(dir.path())?;
    let peer = nginx::tls_proxy(dir.path(), origin.address, &cert, &key)?;
    let mut contenders = vec![
        Contender { name: "nginx", address: peer.address, process: peer.process, runs: vec![] },
        edge(dir.path(), "portcullis, bare", origin.address, None)?,
        edge(dir.path(), "portcullis, default policy", origin.address, Some(&policy(dir.path())?))?,
    ];
    let span = mode.span(Duration::from_secs(8));
    for _ in 0..mode.rounds(5) {
        for contender in &mut contenders {
            let figures = measure(contender, span)?;
            contender.runs.push(figures);
        }
    }
    record::publish(mode, "edge", &table(&contenders))
}

fn absent() -> io::Result<()> {
    let message = "nginx and wrk are needed: bash .ci/packages bench";
    if std::env::var_os("REQUIRE_ALL").is_some() {
        return Err(io::Error::other(message));
    }
    record::publish(Mode::OnePass, "edge", &format!("skipped: {message}"))
}

fn certificate(dir: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let made =
        rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).map_err(io::Error::other)?;
    let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    private(&key)?;
    Ok((cert, key))
}

fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Writes the shipped policy with every count raised.
fn policy(dir: &Path) -> io::Result<PathBuf> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/policies/license-api.yaml");
    let text = fs::read_to_string(shipped)?;
    let raised: Vec<String> = text.lines().map(raise_count).collect();
    let path = dir.join("license-api.yaml");
    fs::write(&path, raised.join("\n"))?;
    Ok(path)
}

fn raise_count(line: &str) -> String {
    match line.split_once("count:") {
        Some((before, after)) => {
            let end = after.find(|c: char| !c.is_ascii_digit() && c != ' ').unwrap_or(after.len());
            let (_, rest) = after.split_at(end);
            format!("{before}count: 1000000{rest}")
        }
        None => line.to_owned(),
    }
}

fn edge(
    dir: &Path,
    name: &'static str,
    origin: SocketAddr,
    policy: Option<&Path>,
) -> io::Result<Contender> {
    let (address, metrics) = (free_address()?, free_address()?);
    let home = dir.join(if policy.is_some() { "edge-policy" } else { "edge-bare" });
    fs::create_dir_all(&home)?;
    let (policies, attach) = match policy {
        Some(path) => (
            format!(
                "rulesets: {{ core: {{ builtin: core }} }}\nlists: {{ known-bad: {{ file: known-bad.txt }} }}\npolicies: {{ license-api: {{ file: {} }} }}\n",
                path.display()
            ),
            ", policy: license-api",
        ),
        None => (String::new(), ""),
    };
    let text = format!(
        "version: 1\nenvironment: production\nstate_dir: state\nadmin: {{ socket: admin.sock, metrics: {metrics} }}
listeners: [{{ address: {address}, tls: {{ versions: [\"1.3\"], certificates: [{{ cert: 'file:../tls.crt', key: 'file:../tls.key' }}] }} }}]
{policies}backends: {{ origin: {{ servers: [{origin}], timeout: 30s{attach} }} }}
hosts: {{ {HOST}: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}
log: {{ requests: 'file:requests.jsonl', events: 'file:events.jsonl' }}\nlicense: {{ embedded: false }}\n"
    );
    fs::write(home.join("known-bad.txt"), "192.0.2.0/24\n")?;
    let path = home.join("portcullis.yaml");
    fs::write(&path, text)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env(AS_EDGE, "1").args(["run", "--config"]).arg(&path).stdout(Stdio::null());
    let mut process = Process::start(&mut command)?;
    if let Err(error) = wait_until_accepting(address) {
        let how = if process.has_ended() { "it ended at its start" } else { "it does not accept" };
        return Err(io::Error::other(format!("{name}: {how}: {error}")));
    }
    Ok(Contender { name, address, process, runs: vec![] })
}

fn measure(contender: &Contender, span: Duration) -> io::Result<Figures> {
    let url = format!("https://{}{URL_PATH}", contender.address);
    wrk::run(&url, HOST, CONNECTIONS, Duration::from_secs(1))?;
    let before = contender.process.cpu_seconds();
    let run = wrk::run(&url, HOST, CONNECTIONS, span)?;
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

fn median(contender: &Contender, figure: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = contender.runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(contenders: &[Contender]) -> String {
    let mut text = format!(
        "# The edge beside nginx\n\n{}; wrk -t1 -c{CONNECTIONS}, TLS 1.3, HTTP/1.1 keep-alive, one nginx origin; medians of {} rounds.\n\n| contender | requests/s | ratio | CPU µs/request | ratio | p99 ms |\n|---|---|---|---|---|---|\n",
        machine::describe(),
        contenders.first().map_or(0, |first| first.runs.len()),
    );
    let base = contenders
        .first()
        .map(|peer| (median(peer, |f| f.per_second), median(peer, |f| f.cpu_micros)));
    for contender in contenders {
        let (rate, cpu) =
            (median(contender, |f| f.per_second), median(contender, |f| f.cpu_micros));
        let (base_rate, base_cpu) = base.unwrap_or((rate, cpu));
        let p99 = median(contender, |f| f.p99_millis);
        let name = contender.name;
        text += &format!(
            "| {name} | {rate:.0} | {:.2} | {cpu:.1} | {:.2} | {p99:.2} |\n",
            rate / base_rate,
            cpu / base_cpu
        );
    }
    text
}
