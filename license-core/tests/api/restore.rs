//! A store that was restored from a backup: what was lost with the tail is given to nobody while it may be in use.

use crate::harness::{World, user};
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
