//! What is over is forgotten by its age and nothing else is; the audit trail begins later and stays verifiable.

use crate::cluster::run;
use crate::harness::{World, admin, on_both_stores, user};
use http::Method;
use license_core::settings::Retention;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use std::time::Duration;

const DAY: u64 = 86_400;

on_both_stores! {
    what_is_over_is_forgotten_by_its_age_class_by_class,
    a_trail_begins_at_a_checkpoint_and_tampering_is_found_after_it,
    what_is_not_said_is_kept,
}

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * DAY))
}

/// Runs statements as whoever the file or the schema belongs to.
async fn own(world: &World, statements: &str) {
    match &world.postgres {
        Some(postgres) => {
            // The statements stand in one transaction, without the triggers that refuse them.
            let mut superuser = postgres.connect_as("").await;
            run(&mut superuser, &format!("SET session_replication_role = replica; {statements}"))
                .await;
        }
        None => {
            let options = SqliteConnectOptions::new().filename(world.path("license.db"));
            let mut file = options.connect().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut file).await.unwrap();
        }
    }
}

async fn rows(world: &World, table: &str) -> i64 {
    let query = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    match &world.postgres {
        Some(postgres) => {
            let mut superuser = postgres.connect_as("").await;
            sqlx::query_scalar(query).fetch_one(&mut superuser).await.unwrap()
        }
        None => {
            let options = SqliteConnectOptions::new().filename(world.path("license.db"));
            sqlx::query_scalar(query)
                .fetch_one(&mut options.connect().await.unwrap())
                .await
                .unwrap()
        }
    }
}

/// Waits until a count is what it should be: the service forgets at its start and every half minute.
async fn until(world: &World, table: &str, count: i64) {
    for _ in 0..400 {
        if rows(world, table).await == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{table}: {} rows, not {count}", rows(world, table).await);
}

async fn restarted(mut world: World, retention: Retention) -> World {
    world.stop().await;
    world.retention = retention;
    world.start().await;
    world
}

async fn verify(world: &World, more: &[&str]) -> Result<String, String> {
    let verify = ["audit", "verify", "--tenant", "acme"];
    world.command(&[verify.as_slice(), more].concat()).await
}

async fn what_is_over_is_forgotten_by_its_age_class_by_class(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let old = world.acquire(anna, &license.key, "a").await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    assert_eq!(world.release(anna, old.text("id")).await.status, 204);
    let body = format!(r#"{{"license_key": "{}", "hardware_id": "a"}}"#, license.key.as_str());
    let mut request = world.request(anna, Method::POST, "/api/v1/license/acquire", body.as_bytes());
    request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    let live = world.client().await.send(request).await;
    assert_eq!(live.status, 201, "{live:?}");
    assert_eq!(world.release(anna, live.text("id")).await.status, 204);
    world.advance_secs(29 * DAY).await;
    let late = world.acquire(anna, &license.key, "a").await;
    assert_eq!(world.release(anna, late.text("id")).await.status, 204);
    let held = world.acquire(anna, &license.key, "a").await;
    assert_eq!(held.status, 201);

    // A day before their time all is there, but for answers, whose time is a day.
    let retention = Retention { sessions: days(30), denials: days(30), ..Retention::default() };
    let world = restarted(world, retention).await;
    until(&world, "idempotency", 0).await;
    assert_eq!((rows(&world, "session").await, rows(&world, "denial").await), (4, 1));
    world.advance_secs(DAY + 3600).await;
    let world = restarted(world, retention).await;
    until(&world, "session", 2).await;
    until(&world, "denial", 0).await;
    // What is forgotten is as what never was.
    let gone = format!("/api/v1/license/sessions/{}", old.text("id"));
    world.call(anna, "GET", &gone, Value::Null).await.refused(403, "tenant_access_denied");
    let there = format!("/api/v1/license/sessions/{}", late.text("id"));
    assert_eq!(world.call(anna, "GET", &there, Value::Null).await.text("ending"), "released");
    let metrics = world.running.as_ref().unwrap().metrics().render();
    assert!(metrics.contains("license_forgotten_rows_total{class=\"sessions\"} 2"), "{metrics}");
    assert!(metrics.contains("license_forgotten_rows_total{class=\"audit\"} 0"), "{metrics}");
    assert!(rows(&world, "audit_event").await > 8, "the trail was not to be cut");
}

/// A trail of which retention has let the beginning go: events 1 to 4 or more, with a checkpoint at the last of them.
async fn with_a_late_beginning(world: World) -> World {
    let mut world = world;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let old = world.acquire(anna, &license.key, "a").await;
    assert_eq!(world.release(anna, old.text("id")).await.status, 204);
    verify(&world, &[]).await.unwrap();
    // All is linked before anything is signed, so that the checkpoint is at position 4.
    world.signs = true;
    let retention = Retention { audit: days(30), ..Retention::default() };
    let world = restarted(world, retention).await;
    until(&world, "checkpoint", 1).await;
    world.advance_secs(30 * DAY - 60).await;
    let world = restarted(world, retention).await;
    assert_eq!(world.acquire(anna, &license.key, "a").await.status, 201);
    assert_eq!(rows(&world, "audit_beginning").await, 0, "a minute too early");
    verify(&world, &[]).await.unwrap();
    world.advance_secs(120).await;
    let world = restarted(world, retention).await;
    until(&world, "audit_beginning", 1).await;
    until(&world, "audit_event WHERE position < (SELECT position FROM audit_beginning)", 0).await;
    world
}

async fn a_trail_begins_at_a_checkpoint_and_tampering_is_found_after_it(world: World) {
    let early = "1:1111111111111111111111111111111111111111111111111111111111111111";
    let world = with_a_late_beginning(world).await;
    let said = verify(&world, &[]).await.unwrap();
    assert!(said.contains(", after 4:") && said.contains("by retention"), "{said}");
    let head = said.split("head ").nth(1).unwrap().split([',', '\n']).next().unwrap().to_owned();
    verify(&world, &["--head", &head]).await.unwrap();
    let error = verify(&world, &["--head", early]).await.unwrap_err();
    assert!(error.contains("the head noted at position 1 is gone"), "{error}");
    // An export begins there too, and is checked by itself.
    let exported = world.command(&["audit", "export", "--tenant", "acme"]).await.unwrap();
    std::fs::write(world.path("trail.jsonl"), &exported).unwrap();
    let path = world.path("trail.jsonl");
    let checked = world.command(&["audit", "check", path.to_str().unwrap()]).await.unwrap();
    assert!(checked.contains("events from 4:"), "{checked}");
    let (exported, told) = (exported.lines().count() - 1, rows(&world, "audit_event").await);
    assert_eq!(exported, usize::try_from(told).unwrap() - 1, "the event at the beginning stays");
    // The next one is a day later, and only for what is more than such events.
    let shown = world.call(admin("acme"), "GET", "/api/v1/audit", Value::Null).await;
    let kinds: Vec<&str> = shown.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "audit.retained").count(), 1, "{kinds:?}");

    // As it stands, the database lets nobody take more.
    let taken = "DELETE FROM audit_event WHERE position = 5";
    match &world.postgres {
        Some(postgres) => {
            let mut superuser = postgres.connect_as("").await;
            assert!(sqlx::raw_sql(taken).execute(&mut superuser).await.is_err());
        }
        None => {
            let options = SqliteConnectOptions::new().filename(world.path("license.db"));
            let mut file = options.connect().await.unwrap();
            assert!(sqlx::raw_sql(taken).execute(&mut file).await.is_err());
            own(&world, "DROP TRIGGER audit_keeps; DROP TRIGGER audit_stays").await;
        }
    }
    // Whoever cuts off more of the beginning moves it along: to a signed head, and without the chain's word for it, or to
    // one that nobody signed.
    let retention = world.retention;
    let mut world = restarted(world, retention).await;
    until(&world, "checkpoint", 2).await;
    // No service deletes what lies before a beginning that is not its own.
    world.stop().await;
    let to = "UPDATE audit_beginning SET position = (SELECT max(position) FROM checkpoint), \
              hash = (SELECT hash FROM checkpoint ORDER BY position DESC LIMIT 1)";
    own(&world, to).await;
    let error = verify(&world, &[]).await.unwrap_err();
    assert!(error.contains("and not by retention"), "{error}");
    own(&world, "UPDATE audit_beginning SET position = 5, hash = (SELECT hash FROM audit_event WHERE position = 5)").await;
    let error = verify(&world, &[]).await.unwrap_err();
    assert!(error.contains("begins after position 5, and not by retention"), "{error}");
    own(&world, "UPDATE audit_beginning SET position = 4, hash = (SELECT hash FROM audit_event WHERE position = 4)").await;
    verify(&world, &[]).await.unwrap();
    own(&world, "DELETE FROM audit_beginning").await;
    let error = verify(&world, &[]).await.unwrap_err();
    assert!(error.contains("position 1 is missing"), "{error}");
    let back = "INSERT INTO audit_beginning SELECT tenant_id, position, hash, 0 FROM audit_event WHERE position = 4";
    own(&world, back).await;
    verify(&world, &[]).await.unwrap();
    own(&world, "UPDATE audit_event SET actor = 'eve' WHERE position = 5").await;
    let error = verify(&world, &[]).await.unwrap_err();
    assert!(error.contains("position 5 was changed"), "{error}");
    own(&world, taken).await;
    let error = verify(&world, &[]).await.unwrap_err();
    assert!(error.contains("position 5 is missing"), "{error}");
}

async fn what_is_not_said_is_kept(world: World) {
    let license = world.license("acme", "editor", 9).await;
    let old = world.acquire(user("acme", "anna"), &license.key, "a").await;
    assert_eq!(world.release(user("acme", "anna"), old.text("id")).await.status, 204);
    world.advance_secs(4000 * DAY).await;
    let world = restarted(world, Retention::default()).await;
    // Two rounds of the sweeper: one at the start, and one that a request comes after.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((rows(&world, "session").await, rows(&world, "audit_beginning").await), (1, 0));
}
