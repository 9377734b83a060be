//! Faults that cost no seat: connections that die, a database that is away, a database that refuses.

use crate::cluster::run;
use crate::harness::{World, user};
use http::Method;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

#[tokio::test]
async fn connections_that_died_while_idle_are_replaced_without_an_error() {
    let Some(world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 5).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'license_test_app' \
        AND datname = current_database()";
    for _ in 0..3 {
        run(&mut superuser, kill).await;
        assert_eq!(world.heartbeat(anna, held.text("session_id")).await.status, 200);
        run(&mut superuser, kill).await;
        assert_eq!(world.acquire(anna, &license.key, "a").await.status, 200);
    }
}

#[tokio::test]
async fn nobody_loses_a_seat_by_twenty_minutes_without_the_database() {
    let Some(world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    // The service runs, but its word that it does reached no database for twenty minutes.
    world.postgres.as_ref().unwrap().advance_secs(1200, false).await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    assert_eq!(world.heartbeat(anna, held.text("session_id")).await.status, 200);
}

#[tokio::test]
async fn a_database_that_refuses_to_write_is_said_to_be_away_and_comes_back_without_a_hand() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let options = SqliteConnectOptions::new().filename(world.path("license.db"));
    let mut intruder = options.connect().await.unwrap();
    let refuse =
        "CREATE TRIGGER full BEFORE UPDATE ON session BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    sqlx::raw_sql(refuse).execute(&mut intruder).await.unwrap();
    let answer = world.heartbeat(anna, held.text("session_id")).await;
    answer.refused(503, "store_unavailable");
    assert_eq!(
        (answer.body["retryable"].as_bool(), answer.body["conclusive"].as_bool()),
        (Some(true), Some(false))
    );
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(!answer.body.to_string().contains("disk"));
    // What needs no write of a session goes on.
    let shown =
        world.ask(anna, Method::GET, &format!("/api/v1/licenses/{}/", license.id), b"").await;
    assert_eq!(shown.body["seats_used"], 1);
    sqlx::raw_sql("DROP TRIGGER full").execute(&mut intruder).await.unwrap();
    assert_eq!(world.heartbeat(anna, held.text("session_id")).await.status, 200);
}
