//! What does a seat cost? Acquires and heartbeats over the socket, signatures and all, beside `pgbench` simple-update on
//! the same PostgreSQL at the same number of clients; heartbeats with the accelerator; heartbeats on SQLite; and whether a
//! heartbeat costs more with a million live leases than with a thousand.
//!
//! `cargo bench -p portcullis-benches --no-default-features --features license --bench license -- [NAME …] [--record]` runs
//! those of `acquire` (with the heartbeats after it), `accelerated`, `sqlite` and `live` that are named, or all of them.
//!
//! PostgreSQL is a cluster of the bench's own with its defaults, `fsync` included. Service and clients share one process;
//! every request has an assertion of its own, every answer a signed receipt. Load is spread over 1000 licenses of 100
//! tenants. The last two columns say whose processor time one operation took.

#[path = "license/client.rs"]
mod client;
#[path = "license/servers.rs"]
mod servers;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Asker, Edge, Seat};
use license_core::settings::{Accelerator, Database, Listen, Postgres, Secret};
use license_core::{Leasing, NewLicense, Running, Service, Settings, SystemClock};
use portcullis_benches::mode::Mode;
use portcullis_benches::process::cpu_seconds_of;
use portcullis_benches::{machine, record};
use servers::{Cluster, Redis};

/// The product's, so that allocations cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: usize = 32;
const TENANTS: usize = 100;
const LICENSES: usize = 1000;

/// What one figure came to.
struct Rate {
    each_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Processor time of one: of the service with its clients, and of the database.
    own_us: f64,
    database_us: f64,
}

#[derive(Clone, Copy)]
enum What {
    Acquire,
    Heartbeat,
}

fn main() -> io::Result<()> {
    let mode = Mode::from_args();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let Some(text) = runtime.block_on(measure(mode)) else { return Ok(()) };
    record::publish(mode, "license", text.trim_end())
}

/// The parts that can be asked for.
const PARTS: [&str; 4] = ["acquire", "accelerated", "sqlite", "live"];

/// The table as it grows.
struct Table {
    text: String,
    pgbench: f64,
}

impl Table {
    fn line(&mut self, name: &str, rate: &Rate) {
        self.text.push_str(&format!(
            "| {name} | {:.0} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} |\n",
            rate.each_second,
            rate.each_second / self.pgbench,
            rate.p50_ms,
            rate.p99_ms,
            rate.own_us,
            rate.database_us
        ));
    }
}

/// Measures what is asked for; `None` where there is no PostgreSQL.
async fn measure(mode: Mode) -> Option<String> {
    let span = mode.span(Duration::from_secs(15));
    let asked: Vec<String> = std::env::args().collect();
    let is_named = |part: &str| asked.iter().any(|arg| arg == part);
    let is_asked = |part: &str| is_named(part) || !PARTS.iter().any(|one| is_named(one));
    let cluster = Cluster::start()?;
    let pgbench = cluster.pgbench(CLIENTS, span);
    let mut table = Table { text: String::new(), pgbench };
    table.text.push_str(&format!(
        "# Seats\n\n{}; PostgreSQL with its defaults, {CLIENTS} clients, {LICENSES} licenses of {TENANTS} tenants.\n\n\
         | what | per second | beside pgbench | p50, ms | p99, ms | service and clients, µs | database, µs |\n\
         |---|---|---|---|---|---|---|\n\
         | `pgbench -N` (simple-update, scale 20) | {pgbench:.0} | 1 | – | – | – | – |\n",
        machine::describe()
    ));
    if is_asked("acquire") {
        acquire(&cluster, &mut table, span).await;
    }
    if is_asked("accelerated") {
        accelerated(&cluster, &mut table, mode, span).await;
    }
    if is_asked("sqlite") {
        sqlite(&cluster, &mut table, mode, span).await;
    }
    if is_asked("live") {
        live(&cluster, &mut table, mode, span).await;
    }
    Some(table.text)
}

async fn acquire(cluster: &Cluster, table: &mut Table, span: Duration) {
    let bench = Bench::start(&cluster.settings(), None).await;
    let (acquire, seats) = bench.run(cluster, What::Acquire, &[], span).await;
    table.line("acquire", &acquire);
    let (heartbeat, _) = bench.run(cluster, What::Heartbeat, &seats, span).await;
    table.line("heartbeat", &heartbeat);
    bench.stop().await;
}

async fn accelerated(cluster: &Cluster, table: &mut Table, mode: Mode, span: Duration) {
    let Some(redis) = Redis::start() else { return };
    let bench = Bench::start(&cluster.settings(), Some(redis.settings())).await;
    let some = mode.span(Duration::from_secs(3));
    let (_, seats) = bench.run(cluster, What::Acquire, &[], some).await;
    // Everyone's first one reaches the database.
    let all = mode.span(Duration::from_secs(20));
    bench.run(cluster, What::Heartbeat, &seats, all).await;
    let (rate, _) = bench.run(cluster, What::Heartbeat, &seats, span).await;
    table.line("heartbeat with the accelerator", &rate);
    bench.stop().await;
}

async fn sqlite(cluster: &Cluster, table: &mut Table, mode: Mode, span: Duration) {
    let sqlite = Database::Sqlite(cluster.directory().join("bench.db"));
    let bench = Bench::start(&sqlite, None).await;
    let some = mode.span(Duration::from_secs(5));
    let (acquire, seats) = bench.run(cluster, What::Acquire, &[], some).await;
    table.line("acquire, SQLite", &acquire);
    let (heartbeat, _) = bench.run(cluster, What::Heartbeat, &seats, span).await;
    table.line("heartbeat, SQLite", &heartbeat);
    bench.stop().await;
}

/// What depends on how many leases live.
async fn live(cluster: &Cluster, table: &mut Table, mode: Mode, span: Duration) {
    let most = if mode == Mode::OnePass { 2_000 } else { 1_000_000 };
    let bench = Bench::start(&cluster.settings(), None).await;
    let mut rates = vec![];
    for live in [1_000, most] {
        let seats = cluster.fill(live);
        let (heartbeat, _) = bench.run(cluster, What::Heartbeat, &seats, span).await;
        table.line(&format!("heartbeat, {live} live leases"), &heartbeat);
        let (acquire, _) = bench.run(cluster, What::Acquire, &[], span).await;
        table.line(&format!("acquire, {live} live leases"), &acquire);
        rates.push((heartbeat.each_second, acquire.each_second));
    }
    bench.stop().await;
    if let [few, many] = rates.as_slice() {
        table.text.push_str(&format!(
            "\nFrom the fewest to the most live leases a heartbeat costs {:.2} times as much, and an acquire {:.2} times.\n",
            few.0 / many.0,
            few.1 / many.1
        ));
    }
}

/// A service under measurement.
struct Bench {
    running: Running,
    edge: Arc<Edge>,
    socket: std::path::PathBuf,
    keys: Vec<(String, String)>,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start(database: &Database, accelerator: Option<Accelerator>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let edge = Edge::new();
        std::fs::write(directory.path().join("edge.jwks"), edge.jwks())
            .expect("the keys are written");
        let socket = directory.path().join("license.sock");
        let mut settings = Settings::new(
            database.clone(),
            Listen::Unix(socket.clone()),
            directory.path().join("edge.jwks"),
        );
        settings.wrapping_key = Some(match database {
            Database::Sqlite(path) => path.with_extension("wrapping-key"),
            Database::Postgres(_) => servers::wrapping_key(),
        });
        settings.accelerator = accelerator;
        let running =
            Service::start(settings, Arc::new(SystemClock::new())).await.expect("it starts");
        let keys = licenses(&running).await;
        Self { running, edge: Arc::new(edge), socket, keys, _directory: directory }
    }

    /// Runs all clients for a time; returns the rate, and the seats that were acquired.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    async fn run(
        &self,
        cluster: &Cluster,
        what: What,
        seats: &[Seat],
        span: Duration,
    ) -> (Rate, Vec<Seat>) {
        let cpu = || (cpu_seconds_of(std::process::id()), cluster.cpu_seconds());
        let before = cpu();
        let end = Instant::now() + span;
        let began = Instant::now();
        let tasks: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let own: Vec<Seat> = seats.iter().skip(number).step_by(CLIENTS).cloned().collect();
                let keys = self.keys.clone();
                let (edge, socket) = (self.edge.clone(), self.socket.clone());
                tokio::spawn(async move {
                    let mut asker = Asker::connect(edge, &socket).await;
                    let (mut took, mut got) = (vec![], vec![]);
                    let mut step = 0_usize;
                    while Instant::now() < end {
                        let at = Instant::now();
                        match what {
                            What::Acquire => {
                                let (tenant, key) = &keys[(number + step * CLIENTS) % keys.len()];
                                got.push(
                                    asker.acquire(tenant, key, &format!("{number}-{step}")).await,
                                );
                            }
                            What::Heartbeat => asker.heartbeat(&own[step * 7919 % own.len()]).await,
                        }
                        took.push(at.elapsed());
                        step += 1;
                    }
                    (took, got)
                })
            })
            .collect();
        let (mut took, mut got) = (vec![], vec![]);
        for task in tasks {
            let (each, seats) = task.await.expect("a client ends");
            took.extend(each);
            got.extend(seats);
        }
        let whole = began.elapsed();
        took.sort_unstable();
        let at = |part: usize| {
            took[(took.len() * part / 1000).min(took.len() - 1)].as_secs_f64() * 1000.0
        };
        let after = cpu();
        let each_us = |seconds: f64| seconds * 1e6 / took.len() as f64;
        let rate = Rate {
            each_second: took.len() as f64 / whole.as_secs_f64(),
            own_us: each_us(after.0 - before.0),
            database_us: each_us(after.1 - before.1),
            p50_ms: at(500),
            p99_ms: at(990),
        };
        (rate, got)
    }

    async fn stop(self) {
        self.running.shutdown().await;
    }
}

/// Makes licenses with seats for everybody; those of another run have other names.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
async fn licenses(running: &Running) -> Vec<(String, String)> {
    let operator = running.operator();
    let mut made = vec![];
    let run = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    for number in 0..LICENSES {
        let tenant = format!("tenant-{}", number % TENANTS);
        let id = tenant.parse().expect("a tenant");
        operator.create_tenant(&id).await.expect("a tenant is made");
        let new = NewLicense {
            tenant: id,
            name: format!("license-{run}-{number}").parse().expect("a name"),
            product: "Editor".parse().expect("a name"),
            seats: 1_000_000,
            leasing: Leasing::PerMachine,
            key_prefix: "BENCH".parse().expect("a prefix"),
            expires_at: None,
        };
        let created = operator.create_license(new).await.expect("a license is made");
        made.push((tenant, created.key.to_string()));
    }
    made
}

fn secret(text: String) -> Secret {
    Secret::new(text)
}

fn postgres(url: String, connections: u32) -> Database {
    Database::Postgres(Postgres { url: secret(url), owner_url: None, connections })
}
