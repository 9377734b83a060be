//! A PostgreSQL server for the tests: the one that `PORTCULLIS_TEST_POSTGRES` names (with a superuser's login), or a
//! cluster of the test run's own, from the machine's binaries, on a Unix socket in a temporary directory.

use crate::harness::START;
use license_core::settings::{Postgres, Secret};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
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

struct Server {
    superuser: PgConnectOptions,
    /// Ends the server when the test process ends and this pipe closes.
    _process: Option<Child>,
}

static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    /// Makes a database with the schema and a clock that stands at [`START`]; `None` where there is no server.
    pub(crate) async fn make(dir: &Path) -> Option<Self> {
        let server = SERVER.get_or_init(server).await.as_ref()?;
        let name =
            format!("license_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = server.superuser.connect().await.unwrap();
        run(&mut connection, &format!("CREATE DATABASE {name} OWNER license_test_owner")).await;
        connection.close().await.unwrap();
        let superuser = server.superuser.clone().database(&name);
        let login = |user: &str| {
            let options = superuser.clone().username(user).password("license-test");
            Secret::new(options.to_url_lossy().to_string())
        };
        let settings = Postgres {
            url: login("license_test_app"),
            owner_url: Some(login("license_test_owner")),
            connections: 16,
        };
        let made = Self { superuser, settings };
        made.migrate(dir);
        let mut connection = made.connect_as("").await;
        run(
            &mut connection,
            "CREATE TABLE test_clock (value BIGINT); GRANT SELECT ON test_clock TO PUBLIC",
        )
        .await;
        run(&mut connection, &format!("INSERT INTO test_clock VALUES ({START})")).await;
        let clock = "CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE \
             AS 'SELECT value FROM test_clock'";
        run(&mut connection, clock).await;
        Some(made)
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
        let url = |user: &str| {
            let login = self.superuser.clone().username(user).password("license-test");
            login.to_url_lossy().to_string()
        };
        let output = Command::new(env!("CARGO_BIN_EXE_license-core"))
            .args(verb)
            .arg(dir.join("postgres.yaml"))
            .args(arguments)
            .env("TEST_URL", url("license_test_app"))
            .env("TEST_OWNER_URL", url("license_test_owner"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
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

async fn server() -> Option<Server> {
    let server = match std::env::var("PORTCULLIS_TEST_POSTGRES") {
        Ok(url) => Server { superuser: url.parse().unwrap(), _process: None },
        Err(_) => private_cluster().await?,
    };
    let mut connection = server.superuser.connect().await.unwrap();
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
    Some(server)
}

fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .find(|bin| bin.join("initdb").exists())
}

#[expect(
    clippy::zombie_processes,
    reason = "the cluster lives as long as the test process, which it outlives to clean up"
)]
async fn private_cluster() -> Option<Server> {
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
        "$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=300 2>"$1/log" &
        pid=$!
        read -r _
        kill -INT $pid; wait $pid; rm -rf "$1"
    "#;
    let process = command
        .arg("-c")
        .arg(script)
        .arg(&bin)
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let superuser = PgConnectOptions::new_without_pgpass()
        .socket(&dir)
        .username("postgres")
        .database("postgres");
    for _ in 0..600 {
        if let Ok(connection) = superuser.connect().await {
            connection.close().await.unwrap();
            return Some(Server { superuser, _process: Some(process) });
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("PostgreSQL did not start in {}", dir.display());
}
