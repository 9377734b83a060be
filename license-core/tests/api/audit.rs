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

/// Returns the kinds of the exported events; the last line is the proof.
fn kinds(exported: &str) -> Vec<String> {
    let lines: Vec<&str> = exported.lines().collect();
    let (proof, events) = lines.split_last().unwrap();
    assert!(proof.starts_with(r#"{"proof":"#), "{proof}");
    let kind = |line: &&str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["kind"].as_str().unwrap().to_owned()
    };
    events.iter().map(kind).collect()
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
    assert!(said.starts_with("8 events, 0 checkpoints, head 8:"), "{said}");
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
    assert!(said.starts_with("7 events, 0 checkpoints, head 7:"), "{said}");

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

/// A trail whose head a checkpoint vouches for.
async fn with_a_checkpoint() -> (Machine, String) {
    let machine = Machine::with("signing: { wrapping_key: w.key }\n");
    let key = machine.license("3");
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let body = json!({"license_key": key, "hardware_id": "hw"}).to_string();
    machine.ask(&mut client, "POST", "/api/v1/license/acquire", &body).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // All is linked now; a service that starts signs the head.
    machine.said(&["audit", "verify", "--tenant", "acme"]);
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let (_, keys) = machine.ask(&mut client, "GET", "/.well-known/jwks.json", "").await.unwrap();
    let mut said = String::new();
    for _ in 0..200 {
        said = machine.said(&["audit", "verify", "--tenant", "acme"]);
        if said.contains("1 checkpoints") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(said.contains("1 checkpoints"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    (machine, keys.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_tells_of_a_trail_that_was_cut_off_or_rewritten() {
    let (machine, _) = with_a_checkpoint().await;
    let mut file = open(&machine).await;
    let keep = "DROP TRIGGER audit_keeps; DROP TRIGGER audit_stays; DROP TRIGGER checkpoint_keeps;";
    let cut = "DELETE FROM audit_event WHERE position = 3";
    assert!(sqlx::raw_sql("DELETE FROM checkpoint").execute(&mut file).await.is_err());
    sqlx::raw_sql(AssertSqlSafe(format!("{keep}{cut}"))).execute(&mut file).await.unwrap();
    let said = machine.admin(&["audit", "verify", "--tenant", "acme"]);
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("noted at position 3 is not in the chain"), "{text}");
    // Whoever moves the checkpoint along cannot sign it.
    let moved = "UPDATE checkpoint SET position = 2, hash = (SELECT hash FROM audit_event WHERE position = 2)";
    sqlx::raw_sql(moved).execute(&mut file).await.unwrap();
    let said = machine.admin(&["audit", "verify", "--tenant", "acme"]);
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("checkpoint at position 2 is not signed"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_checked_without_the_service() {
    let (machine, keys) = with_a_checkpoint().await;
    let exported = machine.said(&["audit", "export", "--tenant", "acme"]);
    let (file, set) = (machine.path("trail.jsonl"), machine.path("keys.json"));
    std::fs::write(&set, keys).unwrap();
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let said = machine.admin(&[
            "audit",
            "check",
            file.to_str().unwrap(),
            "--keys",
            set.to_str().unwrap(),
        ]);
        (said.status.success(), String::from_utf8([said.stdout, said.stderr].concat()).unwrap())
    };
    let (good, said) = check(&exported);
    assert!(
        good && said.contains("3 events from 0:") && said.contains("1 checkpoints verified"),
        "{said}"
    );
    let lines: Vec<&str> = exported.lines().collect();
    let join = |lines: &[&str]| lines.join("\n") + "\n";
    let swapped = join(&[lines[0], lines[2], lines[1], lines[3]]);
    for (bad, found) in [
        (exported.replace("seat.acquired", "seat.released"), "position 3 was changed"),
        (join(&[lines[0], lines[2], lines[3]]), "position 2 is missing"),
        (swapped, "position 2 is missing"),
        (join(&[lines[0], lines[1], lines[3]]), "noted at position 3"),
        (join(&lines[..3]), "ends without its proof"),
        (join(&[lines[0], "{}", lines[2], lines[3]]), "line 2"),
        (String::new(), "ends without its proof"),
    ] {
        let (good, said) = check(&bad);
        assert!(!good && said.contains(found), "{found}: {said}");
    }
    let later =
        machine.said(&["audit", "export", "--tenant", "acme", "--from", "2999-01-01T00:00:00Z"]);
    assert!(check(&later).1.contains("0 events from 3:"), "{later}");
}
