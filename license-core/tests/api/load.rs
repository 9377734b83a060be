//! A measurement, not a verdict: acquires and heartbeats per second over the socket, signatures and all.
//! `cargo test -p license-core --test api load -- --ignored --nocapture`

use crate::harness::{Client, World, user};
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CLIENTS: usize = 32;
const SESSIONS_EACH: usize = 100;
const BEATS_EACH: usize = 1000;

async fn measure(store: &str, world: World) {
    let world = Arc::new(world);
    let mut keys = Vec::new();
    for number in 0..CLIENTS {
        let name = format!("license-{number}");
        keys.push(world.license(&format!("tenant-{}", number % 8), &name, 1000).await);
    }
    let keys = Arc::new(keys);
    let began = now();
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (world, keys) = (world.clone(), keys.clone());
            tokio::spawn(async move {
                let tenant = format!("tenant-{}", number % 8);
                let who = user(&tenant, "anna");
                let mut client = Client::connect(&world.socket()).await;
                let mut sessions = Vec::new();
                let mut took = Vec::new();
                for machine in 0..SESSIONS_EACH {
                    let body = json!({"license_key": keys[number].key.as_str(), "hardware_id": machine.to_string()});
                    let target = "/api/v1/license/acquire";
                    let at = now();
                    let body = body.to_string();
                    let answer = client.send(world.request(who, Method::POST, target, body.as_bytes())).await;
                    took.push(at.elapsed());
                    assert_eq!(answer.status, 201, "{answer:?}");
                    sessions.push(answer.text("session_id").to_owned());
                }
                (client, tenant, sessions, took)
            })
        })
        .collect();
    let mut holders = Vec::new();
    let mut took = Vec::new();
    for task in tasks {
        let (client, tenant, sessions, each) = task.await.unwrap();
        holders.push((client, tenant, sessions));
        took.extend(each);
    }
    report(store, "acquire", began.elapsed(), took);

    let began = now();
    let tasks: Vec<_> = holders
        .into_iter()
        .map(|(mut client, tenant, sessions)| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                for beat in 0..BEATS_EACH {
                    let session = &sessions[beat % sessions.len()];
                    let target = format!("/api/v1/license/sessions/{session}/heartbeat");
                    let at = now();
                    let answer = client
                        .send(world.request(user(&tenant, "anna"), Method::PATCH, &target, b""))
                        .await;
                    took.push(at.elapsed());
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    report(store, "heartbeat", began.elapsed(), took);
}

#[expect(clippy::disallowed_methods, reason = "this measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn report(store: &str, what: &str, whole: Duration, mut took: Vec<Duration>) {
    took.sort();
    let rate = took.len() as f64 / whole.as_secs_f64();
    let at = |part: usize| took[took.len() * part / 1000 - 1].as_secs_f64() * 1000.0;
    println!(
        "{store:10} {what:10} {rate:8.0}/s  p50 {:.1} ms  p99 {:.1} ms  ({CLIENTS} clients)",
        at(500),
        at(990)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn load_on_sqlite() {
    measure("sqlite", World::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn load_on_postgres() {
    if let Some(world) = World::on_postgres().await {
        measure("postgres", world).await;
    }
}
