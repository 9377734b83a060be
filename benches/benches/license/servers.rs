//! The servers beside: a PostgreSQL cluster and a Redis of the bench's own, from the machine's packages.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser;
use license_core::command::Command as LicenseCommand;
use license_core::settings::{Accelerator, Database};
use portcullis_benches::process::cpu_seconds_with_children;

use super::client::Seat;
use super::{TENANTS, postgres, secret};

/// A PostgreSQL cluster with its defaults.
pub(crate) struct Cluster {
    directory: PathBuf,
    bin: PathBuf,
    process: Child,
}

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: LicenseCommand,
}

/// Where the wrapping key of the PostgreSQL services stands: one store, one key.
pub(crate) fn wrapping_key() -> PathBuf {
    std::env::temp_dir().join(format!("license-bench-{}.wrapping-key", std::process::id()))
}

impl Cluster {
    pub(crate) fn start() -> Option<Self> {
        let bin = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
        let bin = bin
            .map(|version| version.path().join("bin"))
            .find(|bin| bin.join("pgbench").exists())?;
        let directory = tempfile::Builder::new().prefix("license-bench").tempdir().ok()?.keep();
        let is_root = Command::new("id").arg("-u").output().ok()?.stdout == b"0\n";
        let mut command = if is_root {
            Command::new("chown").arg("postgres").arg(&directory).status().ok()?;
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let script = r#"
            cd "$1" && "$0/initdb" -D "$1/data" -U postgres -A trust -N -E UTF8 --no-locale >/dev/null || exit 1
            "$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= 2>"$1/log" &
            pid=$!
            read -r _
            kill -INT $pid; wait $pid; rm -rf "$1"
        "#;
        command
            .arg("-c")
            .arg(script)
            .arg(&bin)
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let process = command.spawn().ok()?;
        let cluster = Self { directory, bin, process };
        for _ in 0..600 {
            if cluster.program("pg_isready").output().ok()?.status.success() {
                cluster.make();
                return Some(cluster);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    fn make(&self) {
        self.sql("postgres", "CREATE ROLE license_core_app NOLOGIN; CREATE ROLE owner LOGIN CREATEROLE; CREATE ROLE app LOGIN IN ROLE license_core_app");
        self.sql("postgres", "CREATE DATABASE license OWNER owner");
        self.sql("postgres", "CREATE DATABASE bench");
        let settings = self.directory.join("license.yaml");
        let file = |name: &str, user: &str| {
            let path =
                std::env::temp_dir().join(format!("license-bench-{}-{name}", std::process::id()));
            std::fs::write(&path, self.url(user)).expect("a secret is written");
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&path, private).expect("it is private");
            format!("file:{}", path.display())
        };
        let text = format!(
            "version: 1\nlisten: {{ unix: l.sock }}\nedge_keys: none\ndatabase: {{ postgres: {{ url: \"{}\", owner_url: \"{}\" }} }}\n",
            file("app", "app"),
            file("owner", "owner")
        );
        std::fs::write(&settings, text).expect("the settings are written");
        let config = settings.display().to_string();
        let line = Line::parse_from(["license-core", "migrate", "--config", &config]);
        let migrated = std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime
                    .block_on(line.command.run(&mut std::io::sink()))
                    .map_err(|error| error.to_string())
            });
            run.join().expect("the migration ends")
        });
        migrated.expect("the schema is made");
    }

    /// Processor seconds that its processes have used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let pid = std::fs::read_to_string(self.directory.join("data/postmaster.pid"));
        let pid: Option<u32> = pid.ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        pid.map_or(0.0, cpu_seconds_with_children)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn url(&self, user: &str) -> String {
        format!("postgres://{user}@localhost/license?host={}", self.directory.display())
    }

    pub(crate) fn settings(&self) -> Database {
        postgres(self.url("app"), 32)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.arg("-h").arg(&self.directory).args(["-U", "postgres"]);
        command
    }

    fn sql(&self, database: &str, statement: &str) -> String {
        let output = self
            .program("psql")
            .args(["-qtA", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement])
            .output();
        let output = output.expect("psql runs");
        assert!(output.status.success(), "{}", output.stderr.escape_ascii());
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs `pgbench` simple-update and returns its transactions per second.
    pub(crate) fn pgbench(&self, clients: usize, span: Duration) -> f64 {
        let made = self
            .program("pgbench")
            .args(["-i", "-q", "-s", "20", "bench"])
            .output()
            .expect("pgbench runs");
        assert!(made.status.success(), "{}", made.stderr.escape_ascii());
        let clients = clients.to_string();
        let secs = span.as_secs().max(1).to_string();
        let ran = self
            .program("pgbench")
            .args(["-N", "-c", &clients, "-j", "2", "-T", &secs, "bench"])
            .output();
        let said = String::from_utf8(ran.expect("pgbench runs").stdout).expect("text");
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = "));
        tps.and_then(|tps| tps.split(' ').next()?.parse().ok()).expect("pgbench says how many")
    }

    /// Leaves so many live leases, spread over the licenses that there are, and returns some of them at random.
    pub(crate) fn fill(&self, live: usize) -> Vec<Seat> {
        self.sql("license", &format!(
            "SET session_replication_role = replica; TRUNCATE session; \
             INSERT INTO session (tenant_id, id, license_id, subject, hardware, holder, metadata, epoch, started_at, last_heartbeat_at, expires_at) \
             SELECT l.tenant_id, '01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'), l.id, 'anna', 'm' || n, 'machine:m' || n, '{{}}', 1, \
                    now_ms(), now_ms(), now_ms() + 86400000 \
             FROM generate_series(1, {live}) n JOIN \
                  (SELECT tenant_id, id, row_number() OVER (ORDER BY id DESC) AS r FROM license) l ON l.r = n % 1000 + 1; \
             ANALYZE session"
        ));
        self.sql("license", "CHECKPOINT");
        let some = self.sql(
            "license",
            "SELECT tenant_id || ' ' || id FROM session ORDER BY random() LIMIT 100000",
        );
        let seat = |line: &str| {
            let (tenant, session) = line.split_once(' ').expect("two words");
            Seat { tenant: tenant.to_owned(), session: session.to_owned() }
        };
        let seats: Vec<Seat> = some.lines().map(seat).collect();
        assert!(seats.len() >= TENANTS);
        seats
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The shell ends the server when its input closes.
        drop(self.process.stdin.take());
        drop(self.process.wait());
        for name in ["app", "owner"] {
            drop(std::fs::remove_file(
                std::env::temp_dir().join(format!("license-bench-{}-{name}", std::process::id())),
            ));
        }
        drop(std::fs::remove_file(wrapping_key()));
    }
}

/// A Redis on a socket.
pub(crate) struct Redis {
    process: Child,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().ok()?;
        let socket = directory.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket);
        let process = command.stdout(Stdio::null()).spawn().ok()?;
        for _ in 0..100 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { process, socket, _directory: directory })
    }

    pub(crate) fn settings(&self) -> Accelerator {
        let url = secret(format!("unix://{}", self.socket.display()));
        Accelerator { url, ahead: Duration::from_secs(180), ca: None }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
