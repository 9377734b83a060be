//! The processes of a run and what befalls them: on PostgreSQL two servers, on SQLite one.

use super::check::{Event, Log, Row};
use super::{HOT, LICENSES_EACH, Run, SEATS, TENANTS};
use crate::cluster::{Cluster, TestDatabase, run as execute};
use crate::harness::Edge;
use crate::valkey::Valkey;
use license_core::settings::{Database, Listen};
use license_core::{Leasing, NewLicense, Service, Settings, SystemClock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

/// What the run is against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Postgres { accelerated: bool },
    Sqlite,
}

/// A license that clients ask for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) tenant: String,
    pub(super) key: String,
}

pub(super) struct Fleet {
    pub(super) edge: Arc<Edge>,
    pub(super) sockets: Vec<PathBuf>,
    pub(super) places: Arc<Vec<Place>>,
    pub(super) kills: u32,
    pub(super) restarts: u32,
    pub(super) outages: u32,
    pub(super) flushes: u32,
    dir: TempDir,
    store: Store,
    valkey: Option<Valkey>,
    servers: Vec<Option<Child>>,
    /// By how much a SQLite store's times were set back.
    set_back: i64,
}

enum Store {
    Postgres { cluster: Box<Cluster>, database: Box<TestDatabase> },
    Sqlite,
}

impl Fleet {
    pub(super) async fn launch(kind: Kind) -> Option<Self> {
        let (dir, edge) = (tempfile::tempdir().unwrap(), Edge::new());
        std::fs::write(dir.path().join("edge.jwks"), edge.jwks()).unwrap();
        let (store, database, count) = match kind {
            Kind::Sqlite => (Store::Sqlite, Database::Sqlite(dir.path().join("l.db")), 1),
            Kind::Postgres { .. } => {
                let cluster = Cluster::launch().await?;
                let database = TestDatabase::make_in(cluster.superuser(), dir.path()).await;
                let mut connection = database.connect_as("").await;
                // The store's time runs, and a test moves it ahead.
                execute(
                    &mut connection,
                    "UPDATE test_clock SET value = 0; CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT \
                     LANGUAGE sql VOLATILE PARALLEL SAFE AS \
                     'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + value FROM test_clock'",
                )
                .await;
                connection.close().await.unwrap();
                let settings = Database::Postgres(database.settings.clone());
                (
                    Store::Postgres { cluster: Box::new(cluster), database: Box::new(database) },
                    settings,
                    2,
                )
            }
        };
        let valkey = match kind {
            Kind::Postgres { accelerated: true } => Some(Valkey::launch(dir.path()).await?),
            Kind::Postgres { accelerated: false } | Kind::Sqlite => None,
        };
        let sockets: Vec<PathBuf> =
            (0..count).map(|number| dir.path().join(format!("{number}.sock"))).collect();
        let places = licenses(Settings::new(
            database,
            Listen::Unix(sockets[0].clone()),
            dir.path().join("edge.jwks"),
        ))
        .await;
        let mut fleet = Self {
            edge: Arc::new(edge),
            sockets,
            places: Arc::new(places),
            kills: 0,
            restarts: 0,
            outages: 0,
            flushes: 0,
            dir,
            store,
            valkey,
            servers: (0..count).map(|_| None).collect(),
            set_back: 0,
        };
        for number in 0..count {
            fleet.start(number);
        }
        Some(fleet)
    }

    fn start(&mut self, number: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_license-core"));
        let database = match &self.store {
            Store::Sqlite => "{ sqlite: l.db }",
            Store::Postgres { database, .. } => {
                command.env("TEST_URL", database.url("license_test_app"));
                "{ postgres: { url: env:TEST_URL, connections: 24 } }"
            }
        };
        let config = self.dir.path().join(format!("{number}.yaml"));
        let mut yaml = format!(
            "version: 1\nlisten: {{ unix: {number}.sock }}\nedge_keys: edge.jwks\ndatabase: {database}\n"
        );
        if let Some(valkey) = &self.valkey {
            command.env("TEST_VALKEY", valkey.url());
            yaml.push_str("signing: { wrapping_key: w.key }\naccelerator: { url: env:TEST_VALKEY, ahead: 60s }\n");
        }
        std::fs::write(&config, yaml).unwrap();
        command.arg("serve").arg("--config").arg(&config).env("RUST_LOG", "error");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("serving"), "server {number} did not start: {line}");
        self.servers[number] = Some(child);
    }

    fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.servers[number].take() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.kills += 1;
        }
    }

    /// `kill -9`, and another server in its place.
    pub(super) async fn kill_one(&mut self, which: usize) {
        let number = which % self.servers.len();
        self.kill(number);
        self.start(number);
    }

    /// The database is cut off in the middle of everything.
    pub(super) async fn restart_database(&mut self) {
        match &mut self.store {
            Store::Sqlite => return self.kill_one(0).await,
            Store::Postgres { cluster, .. } => cluster.restart().await,
        }
        self.restarts += 1;
    }

    /// Everything that is only there for speed is gone.
    pub(super) fn flush(&mut self) {
        if let Some(valkey) = &self.valkey {
            valkey.ask(&["FLUSHALL"]).unwrap();
            self.flushes += 1;
        }
    }

    /// Time passes while servers serve.
    pub(super) async fn pass(&mut self, run: &Run, secs: u64) {
        let millis = i64::try_from(secs * 1000).unwrap();
        match &self.store {
            Store::Postgres { database, .. } => {
                let _moves = run.moves.write().await;
                run.ahead.fetch_add(millis, Ordering::SeqCst);
                database.advance_secs(secs, true).await;
            }
            Store::Sqlite => {
                self.kill(0);
                let moves = run.moves.write().await;
                self.set_back(millis, false).await;
                run.ahead.fetch_add(millis, Ordering::SeqCst);
                drop(moves);
                self.start(0);
            }
        }
    }

    /// Nobody serves for a time.
    pub(super) async fn outage(&mut self, run: &Run, secs: u64) {
        let millis = i64::try_from(secs * 1000).unwrap();
        for number in 0..self.servers.len() {
            self.kill(number);
        }
        let moves = run.moves.write().await;
        let alive_at = match &self.store {
            Store::Postgres { database, .. } => {
                let mut connection = database.connect_as("").await;
                let alive_at: i64 =
                    sqlx::query_scalar("SELECT value FROM memory WHERE name = 'alive_at'")
                        .fetch_one(&mut connection)
                        .await
                        .unwrap();
                run.ahead.fetch_add(millis, Ordering::SeqCst);
                database.advance_secs(secs, false).await;
                alive_at
            }
            Store::Sqlite => {
                let mut file = self.file().await;
                let alive_at: i64 =
                    sqlx::query_scalar("SELECT value FROM memory WHERE name = 'alive_at'")
                        .fetch_one(&mut file)
                        .await
                        .unwrap();
                let alive_at = alive_at + run.ahead.load(Ordering::SeqCst);
                self.set_back(millis, true).await;
                run.ahead.fetch_add(millis, Ordering::SeqCst);
                alive_at
            }
        };
        run.away_from.store(alive_at, Ordering::SeqCst);
        run.grace.store(run.now(), Ordering::SeqCst);
        drop(moves);
        for number in 0..self.servers.len() {
            self.start(number);
        }
        self.outages += 1;
    }

    async fn file(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.dir.path().join("l.db")).connect().await.unwrap()
    }

    /// Makes everything in a SQLite store older, so that the time that no server saw has passed.
    async fn set_back(&mut self, millis: i64, away: bool) {
        let mut statement = format!(
            "UPDATE session SET started_at = started_at - {millis}, last_heartbeat_at = last_heartbeat_at - {millis}, \
             expires_at = expires_at - {millis}, ended_at = ended_at - {millis};"
        );
        if away {
            statement.push_str(&format!(
                "UPDATE memory SET value = value - {millis} WHERE name = 'alive_at';"
            ));
        }
        let mut file = self.file().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut file).await.unwrap();
        self.set_back += millis;
    }

    /// Ends the run and reads what happened.
    pub(super) async fn end(mut self) -> Log {
        for number in 0..self.servers.len() {
            if let Some(mut child) = self.servers[number].take() {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        const EVENTS: &str = "SELECT kind, license_id, session_id FROM audit_event WHERE session_id IS NOT NULL ORDER BY id";
        const ROWS: &str = "SELECT id, expires_at, ended_at FROM session";
        let ahead = self.set_back;
        macro_rules! read {
            ($connection:expr) => {{
                let mut connection = $connection;
                let events = sqlx::query(EVENTS).fetch_all(&mut connection).await.unwrap();
                let rows = sqlx::query(ROWS).fetch_all(&mut connection).await.unwrap();
                Log {
                    events: events
                        .iter()
                        .map(|row| Event {
                            kind: row.get("kind"),
                            license: row.get("license_id"),
                            session: row.get("session_id"),
                        })
                        .collect(),
                    rows: rows
                        .iter()
                        .map(|row| Row {
                            session: row.get("id"),
                            expires_at: row.get::<i64, _>("expires_at") + ahead,
                            ended_at: row.get::<Option<i64>, _>("ended_at").map(|at| at + ahead),
                        })
                        .collect(),
                }
            }};
        }
        match &self.store {
            Store::Postgres { database, .. } => read!(database.connect_as("").await),
            Store::Sqlite => read!(self.file().await),
        }
    }
}

/// Makes the licenses, the hot ones first.
async fn licenses(settings: Settings) -> Vec<Place> {
    let running = Service::start(settings, Arc::new(SystemClock::new())).await.unwrap();
    let operator = running.operator();
    let mut places = vec![];
    for number in 0..TENANTS * LICENSES_EACH + HOT {
        let tenant = format!("tenant-{}", number % TENANTS);
        let id = tenant.parse().unwrap();
        operator.create_tenant(&id).await.unwrap();
        let new = NewLicense {
            tenant: id,
            name: format!("license-{number}").parse().unwrap(),
            product: "Editor".parse().unwrap(),
            seats: SEATS,
            leasing: Leasing::PerMachine,
            key_prefix: "TEST".parse().unwrap(),
            expires_at: None,
        };
        let created = operator.create_license(new).await.unwrap();
        places.push(Place { tenant, key: created.key.to_string() });
    }
    running.shutdown().await;
    places
}
