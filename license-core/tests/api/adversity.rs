//! Clocks that are set, databases that are read-only, full or slow: a clear error, nothing lost, recovery without a hand.

use crate::cluster::run;
use crate::harness::{World, on_both_stores, user};
use crate::process::Machine;
use serde_json::json;
use std::process::Command;
use std::sync::Arc;

on_both_stores! {
    a_wall_clock_that_is_set_back_and_forward_moves_no_lease,
}

async fn a_wall_clock_that_is_set_back_and_forward_moves_no_lease(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    for secs in [7200_i64, -14_400, 7200 - 90 * 86_400, 90 * 86_400] {
        world.set_wall_by_secs(secs);
        world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
        let beat = world.heartbeat(anna, held.text("id")).await;
        assert_eq!(beat.status, 200, "{beat:?}");
        assert_eq!(beat.body["expires_at"], held.body["expires_at"], "no time has passed");
    }
    // The lease ends when its time has passed, and not before.
    world.advance_leases_secs(359).await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    world.advance_leases_secs(1).await;
    assert_eq!(world.acquire(ben, &license.key, "b").await.status, 201);
}

#[tokio::test]
async fn a_database_that_is_read_only_is_said_to_be_away_until_it_is_not() {
    let Some(world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut superuser).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'license_test_app' \
        AND datname = current_database()";
    // As after a failover to a replica: everything reads, nothing writes.
    run(
        &mut superuser,
        &format!("ALTER DATABASE {name} SET default_transaction_read_only = on; {cut}"),
    )
    .await;
    for answer in [
        world.heartbeat(anna, held.text("id")).await,
        world.acquire(anna, &license.key, "b").await,
        world.release(anna, held.text("id")).await,
    ] {
        answer.refused(503, "store_unavailable");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(
            (answer.body["retryable"].as_bool(), answer.body["conclusive"].as_bool()),
            (Some(true), Some(false))
        );
    }
    run(&mut superuser, &format!("SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only; {cut}")).await;
    assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
    assert_eq!(world.acquire(anna, &license.key, "b").await.status, 201);
}

#[tokio::test]
async fn a_database_that_is_slow_is_waited_for_so_long_and_no_longer() {
    let Some(world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let other = world.acquire(anna, &license.key, "b").await;
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    run(
        &mut superuser,
        &format!("BEGIN; SELECT FROM session WHERE id = '{}' FOR UPDATE", held.text("id")),
    )
    .await;
    let waited = world.heartbeat(anna, held.text("id"));
    let goes_on = world.heartbeat(anna, other.text("id"));
    let (waited, goes_on) = tokio::join!(waited, goes_on);
    assert_eq!(goes_on.status, 200, "what is not slow is not held up");
    waited.refused(503, "store_unavailable");
    run(&mut superuser, "ROLLBACK").await;
    assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_the_service_goes_on_when_there_is_room() {
    let machine = Machine::new();
    let key = machine.license("1000");
    let mut child = machine.serve_ignoring_file_limits();
    let mut client = machine.client().await;
    let acquire = |machine: &str| json!({"license_key": key, "hardware_id": machine}).to_string();
    let target = "/api/v1/license/acquire";
    let (status, kept) = machine.ask(&mut client, "POST", target, &acquire("kept")).await.unwrap();
    assert_eq!(status, 201, "{kept}");
    // No file may grow: what the system says then is what it says of a full disk.
    let limit = |bytes: &str| {
        let pid = child.id().to_string();
        let set =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status();
        assert!(set.unwrap().success());
    };
    limit("4096:unlimited");
    let mut refused = 0;
    for number in 0..20 {
        let (status, answer) =
            machine.ask(&mut client, "POST", target, &acquire(&number.to_string())).await.unwrap();
        if status == 503 {
            assert_eq!(answer["error"], "store_unavailable");
            assert!(!answer.to_string().to_lowercase().contains("sqlite"), "{answer}");
            refused += 1;
        }
    }
    assert!(refused > 0, "the disk was full");
    limit("unlimited:unlimited");
    let beat = format!("/api/v1/license/sessions/{}/heartbeat", kept["id"].as_str().unwrap());
    let (status, answer) = machine.ask(&mut client, "PATCH", &beat, "").await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let (status, answer) =
        machine.ask(&mut client, "POST", target, &acquire("after")).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    assert!(machine.said(&["audit", "verify", "--tenant", "acme"]).contains("events"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whoever asks for the same full license waits for its row, each with a connection: far longer than a connection is
/// waited for where the database is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_at_one_license_is_answered_one_by_one() {
    let Some(world) = World::on_postgres().await else { return };
    let world = Arc::new(world);
    let license = world.license("acme", "editor", 1).await;
    assert_eq!(world.acquire(user("acme", "anna"), &license.key, "a").await.status, 201);
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
        $$BEGIN PERFORM pg_sleep(0.06); RETURN NEW; END$$; \
        CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON denial FOR EACH ROW EXECUTE FUNCTION slow();";
    run(&mut superuser, slow).await;
    let takers: Vec<_> = (0..120)
        .map(|number| {
            let (world, key) = (world.clone(), license.key.as_str().to_owned());
            tokio::spawn(async move {
                let subject = format!("user-{number}");
                world.acquire(user("acme", &subject), &key, &subject).await.status.as_u16()
            })
        })
        .collect();
    let mut statuses = vec![];
    for taker in takers {
        statuses.push(taker.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|&&status| status == 409).count(), 120, "{statuses:?}");
}
