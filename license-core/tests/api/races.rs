//! Many clients, few seats, time that runs: then the audit trail is read as an event log, and no moment in it may
//! have more seats given than there are, no session may come back, and nobody who heartbeat in time may have lost one.

use crate::harness::{Client, START, World, user};
use http::Method;
use license_core::settings::Listen;
use license_core::{Clock as _, CreatedLicense, Service};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

const SEATS: u32 = 3;
const LICENSES: usize = 4;
const CLIENTS: u64 = 48;
const STEPS: u64 = 40;

/// A small generator: the same seed makes the same choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

async fn client(
    world: Arc<World>,
    licenses: Arc<Vec<CreatedLicense>>,
    socket: PathBuf,
    seed: u64,
) -> u32 {
    let mut choices = Choices(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let subject = format!("user-{seed}");
    let who = user("acme", &subject);
    let mut client = Client::connect(&socket).await;
    let mut held: Option<(String, String)> = None;
    let mut granted = 0;
    for _ in 0..STEPS {
        if choices.below(4) == 0 {
            world.advance_leases_secs(choices.below(48)).await;
        }
        let Some((session, expires_at)) = held.take() else {
            let key = licenses[choices.below(LICENSES as u64) as usize].key.as_str();
            let body = json!({"license_key": key, "hardware_id": subject}).to_string();
            let request =
                world.request(who, Method::POST, "/api/v1/license/acquire", body.as_bytes());
            let answer = client.send(request).await;
            match answer.status.as_u16() {
                201 => {
                    granted += 1;
                    held = Some((
                        answer.text("session_id").to_owned(),
                        answer.text("expires_at").to_owned(),
                    ));
                }
                409 => {}
                // Another license's session ran out unnoticed and this one was still held.
                200 => {
                    held = Some((
                        answer.text("session_id").to_owned(),
                        answer.text("expires_at").to_owned(),
                    ))
                }
                _ => panic!("{answer:?}"),
            }
            continue;
        };
        let target = format!("/api/v1/license/sessions/{session}");
        match choices.below(8) {
            0 => {
                let answer = client.send(world.request(who, Method::DELETE, &target, b"")).await;
                assert_eq!(answer.status, 204, "{answer:?}");
            }
            // Walks away; the lease runs out.
            1 => {}
            _ => {
                let target = format!("{target}/heartbeat");
                let answer = client.send(world.request(who, Method::PATCH, &target, b"")).await;
                if answer.status == 200 {
                    held = Some((session, answer.text("expires_at").to_owned()));
                } else {
                    answer.refused(410, "session_expired");
                    let now = world.database_now().await;
                    assert!(now >= expires_at, "lost at {now}, though leased until {expires_at}");
                }
            }
        }
    }
    granted
}

async fn no_seat_is_given_twice_and_none_wrongly_lost(world: World, sockets: Vec<PathBuf>) {
    let world = Arc::new(world);
    let mut licenses = Vec::new();
    for number in 0..LICENSES {
        licenses.push(world.license("acme", &format!("editor-{number}"), SEATS).await);
    }
    let licenses = Arc::new(licenses);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| {
            let socket = sockets[seed as usize % sockets.len()].clone();
            tokio::spawn(client(world.clone(), licenses.clone(), socket, seed + 1))
        })
        .collect();
    let mut granted = 0;
    for client in clients {
        granted += client.await.unwrap();
    }
    let acquired = check(&events(&world).await);
    assert_eq!(acquired, granted, "every acknowledged acquire is in the log, and no other");
    assert!(granted > 100, "{granted}");
}

struct Event {
    kind: String,
    license: String,
    session: String,
    at: i64,
}

async fn events(world: &World) -> Vec<Event> {
    let query = "SELECT kind, license_id, session_id, at FROM audit_event WHERE session_id IS NOT NULL ORDER BY id";
    macro_rules! read {
        ($connection:expr) => {
            sqlx::query(query)
                .fetch_all(&mut $connection)
                .await
                .unwrap()
                .iter()
                .map(|row| Event {
                    kind: row.get("kind"),
                    license: row.get("license_id"),
                    session: row.get("session_id"),
                    at: row.get("at"),
                })
                .collect()
        };
    }
    match &world.postgres {
        Some(postgres) => read!(postgres.connect_as("").await),
        None => {
            let options = SqliteConnectOptions::new().filename(world.path("license.db"));
            read!(options.connect().await.unwrap())
        }
    }
}

/// Reads the log from its start and returns how many seats were given.
fn check(events: &[Event]) -> u32 {
    let mut live: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut seen = HashSet::new();
    let mut ended = HashMap::new();
    for event in events {
        let holders = live.entry(&event.license).or_default();
        match event.kind.as_str() {
            "seat.acquired" => {
                assert!(seen.insert(&event.session), "a session came back");
                holders.insert(&event.session);
                assert!(
                    holders.len() <= SEATS as usize,
                    "too many seats of {} at {}",
                    event.license,
                    event.at
                );
            }
            "seat.expired" | "seat.released" => {
                assert!(
                    holders.remove(event.session.as_str()),
                    "a session ended twice, or before it began"
                );
                *ended.entry(event.kind.as_str()).or_insert(0) += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(ended.len(), 2, "the run had both ends in it: {ended:?}");
    u32::try_from(seen.len()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_no_seat_is_given_twice() {
    let world = World::new().await;
    let socket = world.socket();
    no_seat_is_given_twice_and_none_wrongly_lost(world, vec![socket]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_no_seat_is_given_twice_by_two_services() {
    let Some(world) = World::on_postgres().await else { return };
    let mut settings = world.settings();
    settings.listen = Listen::Unix(world.path("second.sock"));
    let second = Service::start(settings, world.clock.clone()).await.unwrap();
    let sockets = vec![world.socket(), world.path("second.sock")];
    no_seat_is_given_twice_and_none_wrongly_lost(world, sockets).await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_database_time_reads_as_answers_write_it() {
    let world = World::new().await;
    assert_eq!(world.clock.now().as_millis(), START);
    assert_eq!(world.database_now().await, "2027-01-15T08:00:00.000Z");
}
