//! The accelerator: heartbeats without the database, and nothing believed that is not so any more.

use crate::cluster::run;
use crate::harness::{Answer, Client, World, admin, user};
use crate::valkey::Valkey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use license_core::settings::{Listen, Secret, Secrets};
use license_core::{OpenError, Service, StartError};
use serde_json::{Value, json};
use sqlx::Row as _;

/// A world on PostgreSQL with an accelerator.
async fn accelerated() -> Option<(World, Valkey)> {
    let mut world = World::on_postgres().await?;
    let valkey = Valkey::launch(world.dir()).await?;
    restart_with(&mut world, &valkey).await;
    Some((world, valkey))
}

async fn restart_with(world: &mut World, valkey: &Valkey) {
    world.stop().await;
    world.signs = true;
    world.accelerator = Some(valkey.settings());
    world.start().await;
}

/// Heartbeats until one is answered without the database.
async fn until_covered(world: &World, session: &str) -> Answer {
    let covered = |world: &World| {
        let metrics = world.running.as_ref().unwrap().metrics().render();
        let line = metrics.lines().find(|line| {
            line.starts_with("license_accelerated_heartbeats_total{result=\"covered\"}")
        });
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let before = covered(world);
    for _ in 0..400 {
        let beat = world.heartbeat(user("acme", "anna"), session).await;
        assert_eq!(beat.status, 200, "{beat:?}");
        if covered(world) > before {
            return beat;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no heartbeat was answered by the accelerator");
}

async fn row(world: &World, session: &str) -> (i64, i64) {
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    let row = sqlx::query("SELECT last_heartbeat_at, expires_at FROM session WHERE id = $1")
        .bind(session)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

fn millis(answer: &Answer, field: &str) -> i64 {
    answer.text(field).parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_heartbeat_is_told_stands_in_the_database_already() {
    let Some((world, valkey)) = accelerated().await else { return };
    let license = world.license("acme", "editor", 1).await;
    let held = world.acquire(user("acme", "anna"), &license.key, "a").await;
    let session = held.text("id");
    until_covered(&world, session).await;
    let before = row(&world, session).await;
    let beat = until_covered(&world, session).await;
    assert_eq!(row(&world, session).await, before, "nothing was written");
    let told = millis(&beat, "expires_at");
    assert!(told <= before.1, "what is told is covered by the database: {told} {before:?}");
    assert_eq!(told - millis(&beat, "last_heartbeat_at"), 360_000);
    assert_eq!(before.1 - before.0, 540_000, "the term, and `ahead`");
    // The same answer as without: who holds it, its epoch, a receipt.
    for field in [
        "license_id",
        "user_id",
        "hardware_id",
        "lease_epoch",
        "started_at",
        "metadata",
        "user_email",
    ] {
        assert_eq!(beat.body[field], held.body[field], "{field}");
    }
    assert!(beat.body["receipt"].is_string());
    // Somebody else's session is not answered for, and no key or person stands in clear in Redis.
    world.heartbeat(user("acme", "ben"), session).await.refused(403, "tenant_access_denied");
    world.heartbeat(user("other", "anna"), session).await.refused(403, "tenant_access_denied");
    let slip = valkey.ask(&["KEYS", "*slip*"]).unwrap();
    let redis::Value::Array(keys) = slip else { panic!("{slip:?}") };
    let redis::Value::BulkString(key) = &keys[0] else { panic!("{keys:?}") };
    let text = valkey.ask(&["GET", std::str::from_utf8(key).unwrap()]).unwrap();
    let redis::Value::BulkString(text) = text else { panic!("{text:?}") };
    assert!(!text.windows(4).any(|part| part == b"anna"), "a slip is sealed");
    // A slip that somebody made or changed opens nothing.
    valkey.ask(&["SET", std::str::from_utf8(key).unwrap(), "forged"]).unwrap();
    assert_eq!(world.heartbeat(user("acme", "anna"), session).await.status, 200);
    // Emptied at any moment, it costs a write.
    until_covered(&world, session).await;
    valkey.ask(&["FLUSHALL"]).unwrap();
    assert_eq!(world.heartbeat(user("acme", "anna"), session).await.status, 200);
    until_covered(&world, session).await;
    // A seat that is not kept comes free when the lease in the database ends.
    world.acquire(user("acme", "ben"), &license.key, "b").await.refused(409, "no_seats_available");
    world.advance_secs(541).await;
    assert_eq!(world.acquire(user("acme", "ben"), &license.key, "b").await.status, 201);
    // The service looks at the database's clock twice a second; what it tells until then lies in the past.
    for _ in 0..100 {
        let late = world.heartbeat(user("acme", "anna"), session).await;
        if late.status != 200 {
            return late.refused(410, "session_expired");
        }
        assert!(millis(&late, "expires_at") < world.postgres.as_ref().unwrap().now_millis().await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the session is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_at_one_service_is_ended_at_the_other_at_once() {
    let Some((mut world, _valkey)) = accelerated().await else { return };
    // Beside a place of keys that seals nothing: what stands in Redis has a key of its own.
    world.secrets = Some(Secrets { key: Secret::new(STANDARD.encode([7; 32])), former_key: None });
    world.stop().await;
    world.start().await;
    let mut settings = world.settings();
    settings.listen = Listen::Unix(world.path("second.sock"));
    let second = Service::start(settings, world.clock.clone()).await.unwrap();
    let license = world.license("acme", "editor", 5).await;
    let anna = user("acme", "anna");
    let sessions = format!("/api/v1/license/{}", license.id);
    let suspend = |status: &str| json!({ "status": status });
    // What is done at the second service, and what the first then answers.
    let cases: [(&str, String, Value, u16, &str); 5] = [
        ("DELETE", "/api/v1/license/sessions/ID".to_owned(), Value::Null, 410, "session_released"),
        (
            "POST",
            "/api/v1/license/sessions/ID/force-release".to_owned(),
            Value::Null,
            410,
            "session_revoked",
        ),
        ("POST", format!("{sessions}/release-all"), Value::Null, 410, "session_revoked"),
        ("PATCH", sessions.clone(), suspend("suspended"), 403, "license_suspended"),
        (
            "PATCH",
            "/api/v1/subject/anna".to_owned(),
            suspend("suspended"),
            403,
            "subject_suspended",
        ),
    ];
    for (method, target, body, status, code) in cases {
        let held = world.acquire(anna, &license.key, "a").await;
        assert!(held.status.is_success(), "{held:?}");
        let session = held.text("id");
        until_covered(&world, session).await;
        let who = if method == "DELETE" { anna } else { admin("acme") };
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let target = target.replace("ID", session);
        let request =
            world.request(who, method.parse::<Method>().unwrap(), &target, text.as_bytes());
        let done = Client::connect(&world.path("second.sock")).await.send(request).await;
        assert!(done.status.is_success(), "{done:?}");
        world.heartbeat(anna, session).await.refused(status, code);
        if method == "PATCH" {
            let back = world.call(admin("acme"), "PATCH", &target, suspend("active")).await;
            assert_eq!(back.status, 200);
            assert_eq!(world.heartbeat(anna, session).await.status, 200);
        }
    }
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_leases_go_on_and_end_and_it_is_used_again_when_it_is_back() {
    let Some((world, mut valkey)) = accelerated().await else { return };
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let (first, second) = (
        world.acquire(anna, &license.key, "a").await,
        world.acquire(anna, &license.key, "b").await,
    );
    until_covered(&world, first.text("id")).await;
    until_covered(&world, second.text("id")).await;
    valkey.kill();
    assert_eq!(world.heartbeat(anna, first.text("id")).await.status, 200);
    let released = world.release(anna, second.text("id")).await;
    assert_eq!(released.status, 204, "{released:?}");
    world.heartbeat(anna, second.text("id")).await.refused(410, "session_released");
    valkey.start().await;
    world.heartbeat(anna, second.text("id")).await.refused(410, "session_released");
    until_covered(&world, first.text("id")).await;
    world.heartbeat(anna, second.text("id")).await.refused(410, "session_released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_evicts_is_refused_and_one_behind_tls_and_a_password_is_used() {
    let Some((mut world, valkey)) = accelerated().await else { return };
    world.stop().await;
    for policy in ["allkeys-lru", "volatile-ttl"] {
        valkey.ask(&["CONFIG", "SET", "maxmemory-policy", policy]).unwrap();
        let error = Service::start(world.settings(), world.clock.clone()).await.unwrap_err();
        assert!(
            matches!(&error, StartError::Store(OpenError::Evicts(found)) if found == policy),
            "{error:?}"
        );
    }
    let Some(secured) = Valkey::with_tls(world.dir()).await else { return };
    assert!(secured.url().starts_with("rediss://:hush@"));
    world.accelerator = Some(secured.settings());
    // Another Redis than before: it is off until everybody has seen that.
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    run(&mut superuser, "UPDATE accelerator SET run = '', epoch = epoch + 1").await;
    world.start().await;
    let license = world.license("acme", "editor", 2).await;
    let held = world.acquire(user("acme", "anna"), &license.key, "a").await;
    until_covered(&world, held.text("id")).await;
    // Whoever has not the password, or another authority, gets nothing and the leases go on.
    let mut wrong = secured.settings();
    wrong.ca = None;
    world.stop().await;
    world.accelerator = Some(wrong);
    world.start().await;
    assert_eq!(world.heartbeat(user("acme", "anna"), held.text("id")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_it_keeps_it_off_so_that_what_it_ends_is_ended() {
    let Some((world, _valkey)) = accelerated().await else { return };
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let session = held.text("id");
    until_covered(&world, session).await;
    let mut settings = world.settings();
    settings.accelerator = None;
    settings.listen = Listen::Unix(world.path("second.sock"));
    let second = Service::start(settings, world.clock.clone()).await.unwrap();
    let target = format!("/api/v1/license/sessions/{session}");
    let request = world.request(anna, Method::DELETE, &target, b"");
    let released = Client::connect(&world.path("second.sock")).await.send(request).await;
    assert_eq!(released.status, 204, "{released:?}");
    world.heartbeat(anna, session).await.refused(410, "session_released");
    second.shutdown().await;
    // The other one is alone again, and uses it again.
    let next = world.acquire(anna, &license.key, "a").await;
    until_covered(&world, next.text("id")).await;
}
