//! A PostgreSQL server for the tests: the one that `PORTCULLIS_TEST_POSTGRES` names (with a superuser's login), or a
//! cluster of the test run's own, from the machine's binaries, on a Unix socket in a temporary directory.

use crate::harness::START;
use license_core::settings::{Postgres, Secret};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// A database of one test's own.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    superuser: PgConnectOptions,
    pub(crate) settings: Postgres,
}

/// A server, and the process that it ends with.
#[derive(Debug)]
pub(crate) struct Cluster {
    superuser: PgConnectOptions,
    /// Ends the server when the test process ends and this pipe closes; `None` where the server is not ours.
    process: Option<Child>,
}

static SERVER: OnceCell<Option<Cluster>> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    /// Makes a database with the schema and a clock that stands at [`START`]; `None` where there is no server.
    pub(crate) async fn make(dir: &Path) -> Option<Self> {
        let server = SERVER.get_or_init(server).await.as_ref()?;
        Some(Self::make_in(&server.superuser, dir).await)
    }

    /// Makes a database on that server.
    pub(crate) async fn make_in(superuser: &PgConnectOptions, dir: &Path) -> Self {
        let name =
            format!("license_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = superuser.connect().await.unwrap();
        run(&mut connection, &format!("CREATE DATABASE {name} OWNER license_test_owner")).await;
        connection.close().await.unwrap();
        let made = Self::of(superuser.clone().database(&name));
        made.migrate(dir);
        let mut connection = made.connect_as("").await;
        run(
            &mut connection,
            "CREATE TABLE test_clock (value BIGINT); ALTER TABLE test_clock OWNER TO license_test_owner; GRANT SELECT ON test_clock TO PUBLIC",
        )
        .await;
        run(&mut connection, &format!("INSERT INTO test_clock VALUES ({START})")).await;
        let clock = "CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE \
             AS 'SELECT value FROM test_clock'";
        run(&mut connection, clock).await;
        made
    }

    fn of(superuser: PgConnectOptions) -> Self {
        let login = |user: &str| Secret::new(url(&superuser, user));
        let settings = Postgres {
            url: login("license_test_app"),
            owner_url: Some(login("license_test_owner")),
            connections: 16,
        };
        Self { superuser, settings }
    }

    /// Returns the URL with which that role logs in.
    pub(crate) fn url(&self, user: &str) -> String {
        url(&self.superuser, user)
    }

    /// Dumps the database as its owner, as an operator does, into a file.
    pub(crate) fn dump(&self, file: &Path) {
        let mut dump = program("pg_dump");
        // Every table forces row-level security, and the owner's policy shows it all rows.
        dump.args(["--format=custom", "--enable-row-security", "--file"]).arg(file);
        let dumped = dump.arg("--dbname").arg(self.conninfo()).output().unwrap();
        assert!(dumped.status.success(), "{dumped:?}");
    }

    /// Restores a dump into a new database, as its owner.
    pub(crate) async fn restored(&self, file: &Path) -> Self {
        let name =
            format!("license_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.superuser.clone().connect().await.unwrap();
        run(&mut connection, &format!("CREATE DATABASE {name} OWNER license_test_owner")).await;
        connection.close().await.unwrap();
        let made = Self::of(self.superuser.clone().database(&name));
        let mut restore = program("pg_restore");
        restore.args(["--exit-on-error", "--dbname"]).arg(made.conninfo()).arg(file);
        let restored = restore.output().unwrap();
        assert!(restored.status.success(), "{restored:?}");
        made
    }

    /// Writes how the owner logs in, as PostgreSQL's own programs read it.
    fn conninfo(&self) -> String {
        let host = self.superuser.get_socket().map_or_else(
            || self.superuser.get_host().to_owned(),
            |socket| socket.display().to_string(),
        );
        format!(
            "host={host} port={} user=license_test_owner password=license-test dbname={}",
            self.superuser.get_port(),
            self.superuser.get_database().unwrap_or("postgres")
        )
    }

    /// Runs the real command.
    fn migrate(&self, dir: &Path) {
        let yaml = "version: 1\nlisten: { unix: l.sock }\nedge_keys: edge.jwks\n\
            database: { postgres: { url: env:TEST_URL, owner_url: env:TEST_OWNER_URL } }\n";
        std::fs::write(dir.join("postgres.yaml"), yaml).unwrap();
        self.command(dir, &["migrate", "--config"], &[]);
    }

    /// Runs an operator's command and returns what it says.
    pub(crate) fn admin(&self, dir: &Path, arguments: &[&str]) -> String {
        self.command(dir, &["admin", "--config"], arguments)
    }

    fn command(&self, dir: &Path, verb: &[&str], arguments: &[&str]) -> String {
        let output = self.program(dir, verb).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns an operator's command that is to be given its words.
    pub(crate) fn admin_command(&self, dir: &Path) -> Command {
        self.program(dir, &["admin", "--config"])
    }

    fn program(&self, dir: &Path, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_license-core"));
        command
            .args(verb)
            .arg(dir.join("postgres.yaml"))
            .env("TEST_URL", self.url("license_test_app"))
            .env("TEST_OWNER_URL", self.url("license_test_owner"));
        command
    }

    /// Logs in as that role, or as the superuser when it is empty.
    pub(crate) async fn connect_as(&self, user: &str) -> PgConnection {
        let options = if user.is_empty() {
            self.superuser.clone()
        } else {
            self.superuser.clone().username(user).password("license-test")
        };
        options.connect().await.unwrap()
    }

    pub(crate) async fn now_millis(&self) -> i64 {
        let mut connection = self.connect_as("").await;
        let now = sqlx::query_scalar("SELECT now_ms()").fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        now
    }

    /// Lets time pass in the database. A service that `runs` meanwhile said so to the last.
    pub(crate) async fn advance_secs(&self, secs: u64, runs: bool) {
        let mut connection = self.connect_as("").await;
        let mut statement =
            format!("BEGIN; UPDATE test_clock SET value = value + {};", secs * 1000);
        if runs {
            statement.push_str("UPDATE memory SET value = now_ms() WHERE name = 'alive_at';");
        }
        statement.push_str("COMMIT");
        run(&mut connection, &statement).await;
        connection.close().await.unwrap();
    }
}

pub(crate) async fn run(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

fn url(superuser: &PgConnectOptions, user: &str) -> String {
    superuser.clone().username(user).password("license-test").to_url_lossy().to_string()
}

fn program(name: &str) -> Command {
    Command::new(binaries().map_or_else(|| name.into(), |bin| bin.join(name)))
}

impl Cluster {
    /// Starts a server that nobody else uses; `None` where there is none to start.
    pub(crate) async fn launch() -> Option<Self> {
        let cluster = private_cluster().await?;
        make_roles(&cluster.superuser).await;
        Some(cluster)
    }

    pub(crate) const fn superuser(&self) -> &PgConnectOptions {
        &self.superuser
    }

    /// Ends the server without a word to anyone, and starts it again.
    pub(crate) async fn restart(&mut self) {
        let process = self.process.as_mut().unwrap();
        process.stdin.as_mut().unwrap().write_all(b"restart\n").unwrap();
        let mut said = String::new();
        std::io::BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        self.until_it_serves().await;
    }

    async fn until_it_serves(&self) {
        for _ in 0..600 {
            if let Ok(connection) = self.superuser.connect().await {
                connection.close().await.unwrap();
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL does not serve");
    }
}

async fn server() -> Option<Cluster> {
    let server = match std::env::var("PORTCULLIS_TEST_POSTGRES") {
        Ok(url) => Cluster { superuser: url.parse().unwrap(), process: None },
        Err(_) => private_cluster().await?,
    };
    make_roles(&server.superuser).await;
    Some(server)
}

async fn make_roles(superuser: &PgConnectOptions) {
    let mut connection = superuser.connect().await.unwrap();
    // Roles are the whole server's: another test process may be making them too.
    run(&mut connection, "SELECT pg_advisory_lock(7283)").await;
    for (role, how) in [
        ("license_core_app", "NOLOGIN"),
        ("license_test_owner", "LOGIN CREATEROLE PASSWORD 'license-test'"),
        ("license_test_app", "LOGIN PASSWORD 'license-test' IN ROLE license_core_app"),
    ] {
        let there: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
                .bind(role)
                .fetch_one(&mut connection)
                .await
                .unwrap();
        if !there {
            run(&mut connection, &format!("CREATE ROLE {role} {how}")).await;
        }
    }
    connection.close().await.unwrap();
}

fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .find(|bin| bin.join("initdb").exists())
}

async fn private_cluster() -> Option<Cluster> {
    let Some(bin) = binaries() else {
        assert!(
            std::env::var("REQUIRE_ALL").as_deref() != Ok("1"),
            "REQUIRE_ALL=1 and there is no PostgreSQL"
        );
        println!(
            "skipped: no PostgreSQL server (set PORTCULLIS_TEST_POSTGRES, or install Debian's `postgresql`)"
        );
        return None;
    };
    let dir = tempfile::Builder::new().prefix("license-pg").tempdir().unwrap().keep();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if is_root {
        assert!(Command::new("chown").arg("postgres").arg(&dir).status().unwrap().success());
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    // The shell waits for its input to close, which the end of this process does, however it ends.
    let script = r#"
        cd "$1" && "$0/initdb" -D "$1/data" -U postgres -A trust -N -E UTF8 --no-locale >/dev/null || exit 1
        serve() {
            "$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=300 2>>"$1/log" &
            pid=$!
        }
        serve "$1"
        while read -r _; do kill -QUIT $pid; wait $pid; serve "$1"; echo again; done
        kill -INT $pid; wait $pid; rm -rf "$1"
    "#;
    let process = command
        .arg("-c")
        .arg(script)
        .arg(&bin)
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let superuser = PgConnectOptions::new_without_pgpass()
        .socket(&dir)
        .username("postgres")
        .database("postgres");
    let cluster = Cluster { superuser, process: Some(process) };
    cluster.until_it_serves().await;
    Some(cluster)
}
