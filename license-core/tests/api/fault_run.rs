//! Servers that are killed, a database that is restarted, an outage of twenty minutes, an accelerator that is emptied,
//! and 256 clients all the while: no seat is given twice, and none is wrongly lost.
//!
//! Each seed runs against real processes. What the clients were told is compared with what the store says happened: its
//! audit trail is the event log. The long form is a command that tells how far it is:
//!
//! ```text
//! FAULT_RUN_OPERATIONS=10000000 cargo test --release -p license-core --test api the_long_fault_run -- --ignored --nocapture
//! ```

mod check;
mod client;
mod fleet;

use check::{Told, check};
use client::Actor;
use fleet::{Fleet, Kind};
use license_core::{Clock as _, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

const CLIENTS: u64 = 256;
const TENANTS: usize = 100;
const LICENSES_EACH: usize = 10;
/// Licenses that a third of all requests go to.
const HOT: usize = 10;
const SEATS: u32 = 3;
const TTL_MS: i64 = 360_000;
const OUTAGE_SECS: u64 = 1200;

/// A small generator: the same seed makes the same choices.
#[derive(Debug)]
struct Choices(u64);

impl Choices {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What clients and faults share.
#[derive(Debug, Default)]
struct Run {
    operations: AtomicU64,
    enough: AtomicU64,
    /// How many milliseconds the store's time is ahead of the machine's.
    ahead: AtomicI64,
    /// What was live at this moment of the store's time is live at `Run::grace` too: nobody could keep it meanwhile.
    away_from: AtomicI64,
    grace: AtomicI64,
    /// Whether answers tell a time that is not ahead: SQLite's, whose store is set back instead.
    set_back: bool,
    /// Held while time is moved.
    moves: tokio::sync::RwLock<()>,
}

impl Run {
    /// Returns the store's time.
    fn now(&self) -> i64 {
        let machine = i64::try_from(SystemClock::new().now().as_millis()).unwrap();
        machine + self.ahead.load(Ordering::SeqCst)
    }

    /// Returns what is to be added to an answer's times.
    fn answers_ahead(&self) -> i64 {
        if self.set_back { self.ahead.load(Ordering::SeqCst) } else { 0 }
    }

    fn goes_on(&self) -> bool {
        self.operations.load(Ordering::SeqCst) < self.enough.load(Ordering::SeqCst)
    }
}

/// One seed: `operations` requests, with a fault at each of ten marks.
async fn seed(
    fleet: &mut Fleet,
    run: &Arc<Run>,
    seed: u64,
    operations: u64,
    report: bool,
) -> Vec<Told> {
    let begin = run.operations.load(Ordering::SeqCst);
    run.enough.store(begin + operations, Ordering::SeqCst);
    let actors: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(Actor::new(fleet, run.clone(), seed, number).act()))
        .collect();
    let mut choices = Choices::of(seed ^ 0x5EED);
    let marks = (operations / 300).clamp(10, 100_000);
    for mark in 1..marks {
        let until = begin + operations * mark / marks;
        wait_for(run, until).await;
        if report {
            let done = run.operations.load(Ordering::SeqCst);
            println!(
                "seed {seed}: {done} operations, {} kills, {} restarts of the database, {} outages, {} flushes",
                fleet.kills, fleet.restarts, fleet.outages, fleet.flushes
            );
        }
        // The first ten marks of every seed have every fault once; what follows draws.
        match if mark < 10 { mark } else { choices.below(12) } {
            2 | 7 => fleet.kill_one(choices.below(2) as usize).await,
            3 => fleet.restart_database().await,
            4 | 8 => fleet.flush(),
            5 => fleet.outage(run, OUTAGE_SECS).await,
            _ => fleet.pass(run, 30 + choices.below(150)).await,
        }
    }
    wait_for(run, begin + operations).await;
    let mut told = vec![];
    for actor in actors {
        told.extend(actor.await.unwrap());
    }
    told
}

async fn wait_for(run: &Run, operations: u64) {
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while run.operations.load(Ordering::SeqCst) < operations {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "the clients stand still at {run:?}");
}

async fn fault_run(kind: Kind, seeds: std::ops::Range<u64>, operations: u64, report: bool) {
    let Some(mut fleet) = Fleet::launch(kind).await else { return };
    let run = Arc::new(Run { set_back: kind == Kind::Sqlite, ..Run::default() });
    let mut told = vec![];
    for number in seeds {
        told.extend(seed(&mut fleet, &run, number, operations, report).await);
    }
    let (kills, outages) = (fleet.kills, fleet.outages);
    let log = fleet.end().await;
    let checked = check(&log, &told, SEATS);
    println!("{kind:?}: {checked:?}, {kills} kills, {outages} outages");
    assert!(checked.granted > 500 && checked.refreshed > 500, "{checked:?}");
    // Leases that are written ahead outlive most of what a short run does to its clients.
    let runs_out = checked.expired > 0 || kind == (Kind::Postgres { accelerated: true });
    assert!(runs_out && checked.released > 0, "the run had both ends in it: {checked:?}");
    assert!(kills > 0 && outages > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_seeds_of_faults_cost_no_seat_on_postgres() {
    fault_run(Kind::Postgres { accelerated: false }, 1..11, 2_500, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_seeds_of_faults_cost_no_seat_on_sqlite() {
    fault_run(Kind::Sqlite, 1..11, 1_500, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_of_faults_cost_no_seat_with_an_accelerator_that_is_emptied() {
    fault_run(Kind::Postgres { accelerated: true }, 1..5, 2_500, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "hours: the long form"]
async fn the_long_fault_run() {
    let number = |name: &str, usual: u64| {
        std::env::var(name)
            .map_or(usual, |text| text.parse().expect("a number of operations or a seed"))
    };
    let operations = number("FAULT_RUN_OPERATIONS", 10_000_000);
    let first = number("FAULT_RUN_SEED", 1);
    let kind = match std::env::var("FAULT_RUN_STORE").as_deref() {
        Ok("sqlite") => Kind::Sqlite,
        Ok("postgres") => Kind::Postgres { accelerated: false },
        Ok("accelerated") => Kind::Postgres { accelerated: true },
        Ok(other) => {
            panic!("FAULT_RUN_STORE is `sqlite`, `postgres` or `accelerated`, not `{other}`")
        }
        Err(_) => Kind::Postgres { accelerated: false },
    };
    fault_run(kind, first..first + 10, operations / 10, true).await;
}
