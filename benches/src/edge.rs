//! Portcullis as a process of a bench: the bench's own binary, started again as the edge.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::process::{Process, free_address, wait_until_accepting};

/// The host that every edge serves.
pub const HOST: &str = "licenses.example.com";

/// With this variable set the bench's own binary is the edge, and its arguments are `portcullis`'s.
const AS_EDGE: &str = "PORTCULLIS_BENCH_AS_EDGE";

/// The folder of an edge, as its process is told it: where it finds its configuration.
pub fn home_of(arguments: &[String]) -> Option<PathBuf> {
    let config = arguments.iter().skip_while(|one| *one != "--config").nth(1)?;
    Path::new(config).parent().map(Path::to_owned)
}

/// Whether this process was started to be the edge: `main` then hands over to `portcullis::cli::main`.
pub fn is_asked_for() -> bool {
    std::env::var_os(AS_EDGE).is_some()
}

/// A running edge with one worker.
#[derive(Debug)]
pub struct Edge {
    /// Where it accepts plain connections.
    pub plain: SocketAddr,
    /// Where it accepts TLS 1.3.
    pub tls: SocketAddr,
    /// Where it serves its metrics and its readiness.
    pub metrics: SocketAddr,
    /// The process that was started; a successor is no child of ours.
    pub process: Process,
    /// Its folder.
    pub home: PathBuf,
}

/// What an edge serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// The servers of its one backend.
    pub servers: &'a [SocketAddr],
    /// Further keys of the backend, in YAML's flow style.
    pub backend: &'a str,
    /// The policy; none asks no rule.
    pub policy: Option<&'a Path>,
    /// Further keys of `limits`, in YAML's flow style.
    pub limits: &'a str,
    /// Further top-level keys: whole lines.
    pub top: &'a str,
}

/// Starts an edge in `home`, a new folder beside [`certificate`]'s files.
///
/// # Errors
/// When it does not start, or does not accept connections.
pub fn start(home: &Path, setup: Setup<'_>) -> io::Result<Edge> {
    let (plain, tls, metrics) = (free_address()?, free_address()?, free_address()?);
    // Not beside the configuration, whose folder is watched: each line written would be looked at.
    fs::create_dir_all(home.join("log"))?;
    fs::write(home.join("known-bad.txt"), "192.0.2.0/24\n")?;
    fs::write(home.join("portcullis.yaml"), configuration([plain, tls, metrics], setup))?;
    let mut command = command()?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.args(["run", "--config"]).arg(home.join("portcullis.yaml"));
    let mut process = Process::start(&mut command)?;
    if let Err(error) = wait_until_accepting(tls) {
        let how = if process.has_ended() { "it ended at its start" } else { "it does not accept" };
        return Err(io::Error::other(format!("{}: {how}: {error}", home.display())));
    }
    Ok(Edge { plain, tls, metrics, process, home: home.to_owned() })
}

impl Edge {
    /// Runs one of `portcullis`'s commands against the edge's admin socket.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn ask(&self, arguments: &[&str]) -> io::Result<Output> {
        let mut command = command()?;
        command.args(arguments).arg("--socket").arg(self.home.join("admin.sock"));
        command.output()
    }

    /// The process that serves now: the first, or its latest successor.
    ///
    /// # Errors
    /// When nobody answers on the admin socket.
    pub fn serving_pid(&self) -> io::Result<u32> {
        let status = self.ask(&["status", "--json"])?.stdout;
        let status: serde_json::Value = serde_json::from_slice(&status)?;
        let pid = status.get("pid").and_then(serde_json::Value::as_u64);
        pid.and_then(|pid| u32::try_from(pid).ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn command() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(AS_EDGE, "1");
    Ok(command)
}

fn configuration([plain, tls, metrics]: [SocketAddr; 3], setup: Setup<'_>) -> String {
    let Setup { servers, backend, policy, limits, top } = setup;
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let servers = servers.join(", ");
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
    format!(
        "version: 1\nenvironment: production\nworkers: 1\nstate_dir: state\nadmin: {{ socket: admin.sock, metrics: {metrics} }}
listeners:
  - {{ address: {plain}, plain: true }}
  - {{ address: {tls}, tls: {{ versions: [\"1.3\"], certificates: [{{ cert: 'file:../tls.crt', key: 'file:../tls.key' }}] }} }}
{policies}backends: {{ origin: {{ servers: [{servers}], timeout: 30s{attach}{backend} }} }}
hosts: {{ {HOST}: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}
limits: {{ connection_rate: 1000000{limits} }}
log: {{ requests: 'file:log/requests.jsonl', events: 'file:log/events.jsonl' }}\nlicense: {{ embedded: false }}\n{top}"
    )
}

/// Writes a self-signed certificate for [`HOST`] and its key, and returns their places.
///
/// # Errors
/// When they cannot be made or written.
pub fn certificate(dir: &Path) -> io::Result<(PathBuf, PathBuf)> {
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

/// Writes the shipped policy with every count raised, so that no request is refused and every rule is asked.
///
/// # Errors
/// When it cannot be read or written.
pub fn policy(dir: &Path) -> io::Result<PathBuf> {
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
