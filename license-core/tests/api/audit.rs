//! The audit trail: every change of a seat is in it, it stays as it is, and tampering is found at its place.

use crate::cluster::run;
use crate::harness::{World, user};
use crate::process::Machine;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

/// A machine on which a seat was acquired, kept, released and acquired again.
async fn with_a_story() -> Machine {
    let machine = Machine::new();
    let key = machine.license("3");
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let body = json!({"license_key": key, "hardware_id": "hw"}).to_string();
    for _ in 0..2 {
        let (status, got) =
            machine.ask(&mut client, "POST", "/api/v1/license/acquire", &body).await.unwrap();
        assert_eq!(status, 201);
        let session = format!("/api/v1/license/sessions/{}", got["session_id"].as_str().unwrap());
        let beat = format!("{session}/heartbeat");
        assert_eq!(machine.ask(&mut client, "PATCH", &beat, "").await.unwrap().0, 200);
        assert_eq!(machine.ask(&mut client, "DELETE", &session, "").await.unwrap().0, 204);
    }
    machine.said(&["license", "seats", "--tenant", "acme", "--name", "editor", "2"]);
    machine.said(&["subject", "suspend", "--tenant", "acme", "zoe"]);
    child.kill().unwrap();
    child.wait().unwrap();
    machine
}

fn kinds(exported: &str) -> Vec<String> {
    let kind = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["kind"].as_str().unwrap().to_owned()
    };
    exported.lines().map(kind).collect()
}

const STORY: [&str; 8] = [
    "tenant.created",
    "license.created",
    "seat.acquired",
    "seat.released",
    "seat.acquired",
    "seat.released",
    "license.changed",
    "subject.suspended",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_tells_the_story_and_its_head_can_be_noted_down() {
    let machine = with_a_story().await;
    assert_eq!(kinds(&machine.said(&["audit", "export", "--tenant", "acme"])), STORY);
    let said = machine.said(&["audit", "verify", "--tenant", "acme"]);
    let head = said.trim().split(' ').next_back().unwrap();
    assert!(said.starts_with("8 events, head 8:"), "{said}");
    machine.said(&["audit", "verify", "--tenant", "acme", "--head", head]);
    machine.said(&["audit", "verify", "--tenant", "nobody"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_tampering_with_the_file_is_found() {
    let keep = "DROP TRIGGER audit_keeps; DROP TRIGGER audit_stays;";
    let cases = [
        ("UPDATE audit_event SET actor = 'ben' WHERE position = 3", "position 3 was changed"),
        ("DELETE FROM audit_event WHERE position = 4", "position 4 is missing"),
        (
            "UPDATE audit_event SET detail = (SELECT detail FROM audit_event WHERE position = 5) WHERE position = 6",
            "position 6 was changed",
        ),
        ("DELETE FROM audit_event WHERE position > 6", "noted at position 8 is not in the chain"),
    ];
    for (tampering, found) in cases {
        let machine = with_a_story().await;
        let said = machine.said(&["audit", "verify", "--tenant", "acme"]);
        let head = said.trim().split(' ').next_back().unwrap();
        let mut file = open(&machine).await;
        // As it stands, the database itself refuses.
        assert!(sqlx::raw_sql(tampering).execute(&mut file).await.is_err(), "{tampering}");
        let statement = AssertSqlSafe(format!("{keep}{tampering}"));
        sqlx::raw_sql(statement).execute(&mut file).await.unwrap();
        let verdict = machine.admin(&["audit", "verify", "--tenant", "acme", "--head", head]);
        let text = String::from_utf8(verdict.stderr).unwrap();
        assert!(!verdict.status.success() && text.contains(found), "{tampering}: {text}");
    }
}

async fn open(machine: &Machine) -> SqliteConnection {
    SqliteConnectOptions::new().filename(machine.path("l.db")).connect().await.unwrap()
}

// The command blocks this thread: the service goes on in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_the_trail_is_the_same_and_the_application_cannot_change_it() {
    let Some(world) = World::on_postgres().await else { return };
    let license = world.license("acme", "editor", 1).await;
    world.license("other", "editor", 1).await;
    let anna = user("acme", "anna");
    let first = world.acquire(anna, &license.key, "hw").await;
    world.release(anna, first.text("session_id")).await;
    world.acquire(anna, &license.key, "hw").await;
    world.advance_secs(360).await;
    world.acquire(anna, &license.key, "hw").await;
    let postgres = world.postgres.as_ref().unwrap();
    let exported = postgres.admin(world.dir(), &["audit", "export", "--tenant", "acme"]);
    let story = [
        "tenant.created",
        "license.created",
        "seat.acquired",
        "seat.released",
        "seat.acquired",
        "seat.expired",
        "seat.acquired",
    ];
    assert_eq!(kinds(&exported), story);
    let said = postgres.admin(world.dir(), &["audit", "verify", "--tenant", "acme"]);
    assert!(said.starts_with("7 events, head 7:"), "{said}");

    let mut app = postgres.connect_as("license_test_app").await;
    run(&mut app, "SET app.tenant_id = 'acme'").await;
    for statement in [
        "UPDATE audit_event SET position = NULL, hash = NULL",
        "UPDATE audit_event SET actor = 'ben'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
    ] {
        assert!(sqlx::raw_sql(statement).execute(&mut app).await.is_err(), "{statement}");
    }
}
