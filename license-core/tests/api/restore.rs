//! A store that was restored from a backup: what was lost with the tail is given to nobody while it may be in use.

use crate::harness::{Answer, World, user};
use crate::process::Machine;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_no_seat_that_was_lost_is_given_to_another() {
    let machine = Machine::with("signing: { wrapping_key: w.key }\n");
    let key = machine.license("2");
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let acquire = "/api/v1/license/acquire";
    let on = |hardware: &str| json!({"license_key": key, "hardware_id": hardware});
    let (_, kept) =
        machine.ask(&mut client, "POST", acquire, &on("kept").to_string()).await.unwrap();
    let copy = machine.path("copy.db");
    machine.said(&["backup", copy.to_str().unwrap()]);
    let again = machine.admin(&["backup", copy.to_str().unwrap()]);
    assert!(!again.status.success(), "a backup replaces nothing");
    let (status, lost) =
        machine.ask(&mut client, "POST", acquire, &on("lost").to_string()).await.unwrap();
    assert_eq!(status, 201);
    child.kill().unwrap();
    child.wait().unwrap();

    for journal in ["l.db-wal", "l.db-shm"] {
        drop(std::fs::remove_file(machine.path(journal)));
    }
    std::fs::copy(&copy, machine.path("l.db")).unwrap();
    let said = machine.said(&["restored"]);
    assert!(said.starts_with("no new seats until"), "{said}");
    let mut child = machine.serve();
    let mut client = machine.client().await;
    // Who is in the backup goes on; the seat that is not is nobody's yet.
    let beat = |id: &serde_json::Value| {
        format!("/api/v1/license/sessions/{}/heartbeat", id.as_str().unwrap())
    };
    assert_eq!(machine.ask(&mut client, "PATCH", &beat(&kept["id"]), "").await.unwrap().0, 200);
    let (status, held) =
        machine.ask(&mut client, "POST", acquire, &on("other").to_string()).await.unwrap();
    assert_eq!((status, held["error"].as_str()), (503, Some("seats_held")), "{held}");
    assert_eq!(held["conclusive"], false);
    assert_eq!(machine.ask(&mut client, "PATCH", &beat(&lost["id"]), "").await.unwrap().0, 403);
    // Its holder has a receipt, which opens the seat on that machine alone.
    let mut proof = on("other");
    proof["receipt"] = lost["receipt"].clone();
    let (status, _) = machine.ask(&mut client, "POST", acquire, &proof.to_string()).await.unwrap();
    assert_eq!(status, 400);
    proof["hardware_id"] = json!("lost");
    let (status, back) =
        machine.ask(&mut client, "POST", acquire, &proof.to_string()).await.unwrap();
    assert_eq!(status, 201, "{back}");
    assert!(
        back["lease_epoch"].as_i64().unwrap()
            > lost["lease_epoch"].as_i64().unwrap() + 4_000_000_000
    );
    machine.said(&["restored", "--for", "0s"]);
    let (status, full) =
        machine.ask(&mut client, "POST", acquire, &on("other").to_string()).await.unwrap();
    assert_eq!((status, full["error"].as_str()), (409, Some("no_seats_available")));
    let told = machine.said(&["audit", "export", "--tenant", "acme"]);
    assert!(told.contains("store.restored"), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_seats_are_held_for_the_time_that_was_said() {
    let Some(world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let postgres = world.postgres.as_ref().unwrap();
    let said = postgres.admin(world.dir(), &["restored", "--for", "300s"]);
    assert!(said.contains("2027-01-15T08:05:00.000Z"), "{said}");
    world.acquire(user("acme", "ben"), &license.key, "b").await.refused(503, "seats_held");
    assert_eq!(world.acquire(anna, &license.key, "a").await.status, 200);
    world.advance_secs(299).await;
    world.acquire(user("acme", "ben"), &license.key, "b").await.refused(503, "seats_held");
    assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
    world.advance_secs(1).await;
    let free = world.acquire(user("acme", "ben"), &license.key, "b").await;
    assert_eq!(free.status, 201, "{free:?}");
    assert!(free.body["lease_epoch"].as_i64().unwrap() > 4_000_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_postgres_is_restored_and_gives_no_seat_twice() {
    let Some(mut world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 2).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let kept = world.acquire(anna, &license.key, "kept").await;
    let dump = world.path("license.dump");
    world.postgres.as_ref().unwrap().dump(&dump);
    // What happens after the dump is lost with the server.
    let lost = world.acquire(anna, &license.key, "lost").await;
    assert_eq!(lost.status, 201);
    world.stop().await;
    let restored = world.postgres.as_ref().unwrap().restored(&dump).await;
    world.postgres = Some(restored);
    let said = world.postgres.as_ref().unwrap().admin(world.dir(), &["restored"]);
    assert!(said.contains("2027-01-15T08:06:00.000Z"), "a lease's term from now: {said}");
    world.start().await;
    assert_eq!(world.heartbeat(anna, kept.text("id")).await.status, 200);
    world.heartbeat(anna, lost.text("id")).await.refused(403, "tenant_access_denied");
    world.acquire(ben, &license.key, "b").await.refused(503, "seats_held");
    world.advance_secs(360).await;
    let next = world.acquire(ben, &license.key, "b").await;
    assert_eq!(next.status, 201, "{next:?}");
    let epoch = |answer: &Answer| answer.body["lease_epoch"].as_i64().unwrap();
    assert!(epoch(&next) > epoch(&lost) + 4_000_000_000);
    // The trail goes on from what was restored, and row-level security came back with the dump.
    let told = world
        .postgres
        .as_ref()
        .unwrap()
        .admin(world.dir(), &["audit", "verify", "--tenant", "acme"]);
    assert!(told.contains("events"), "{told}");
    let mut app = world.postgres.as_ref().unwrap().connect_as("license_test_app").await;
    let seen: i64 =
        sqlx::query_scalar("SELECT count(*) FROM license").fetch_one(&mut app).await.unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_makes_copies_that_serve() {
    let machine = Machine::with("backups: { directory: copies, every: 1h }\n");
    let key = machine.license("2");
    let mut child = machine.serve();
    let mut copy = None;
    for _ in 0..600 {
        let entries = std::fs::read_dir(machine.path("copies")).into_iter().flatten();
        copy = entries
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|end| end == "db"));
        if copy.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for journal in ["l.db-wal", "l.db-shm"] {
        drop(std::fs::remove_file(machine.path(journal)));
    }
    std::fs::copy(copy.unwrap(), machine.path("l.db")).unwrap();
    machine.said(&["restored", "--for", "0s"]);
    let mut child = machine.serve();
    let body = json!({"license_key": key, "hardware_id": "a"}).to_string();
    let mut client = machine.client().await;
    let (status, held) =
        machine.ask(&mut client, "POST", "/api/v1/license/acquire", &body).await.unwrap();
    assert_eq!(status, 201, "{held}");
    child.kill().unwrap();
    child.wait().unwrap();
}
