//! A person who is erased: nothing of it is left in the store, and the audit trail holds.

use crate::harness::{World, admin, user};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::process::Command;
use std::time::Duration;

/// Where persons are named.
const NAMED: [&str; 4] = [
    "SELECT subject || ' ' || hardware || ' ' || holder || ' ' || coalesce(user_email, '') || metadata FROM session",
    "SELECT actor || ' ' || detail FROM audit_event",
    "SELECT subject FROM idempotency",
    "SELECT id FROM subject",
];

async fn named(world: &World) -> Vec<String> {
    let mut texts: Vec<String> = vec![];
    for statement in NAMED {
        if let Some(postgres) = &world.postgres {
            let mut connection = postgres.connect_as("").await;
            let found = sqlx::query_scalar(AssertSqlSafe(statement.to_owned()));
            texts.extend(found.fetch_all(&mut connection).await.unwrap() as Vec<String>);
            connection.close().await.unwrap();
        } else {
            let options =
                sqlx::sqlite::SqliteConnectOptions::new().filename(world.path("license.db"));
            let mut connection = options.connect().await.unwrap();
            let found = sqlx::query_scalar(AssertSqlSafe(statement.to_owned()));
            texts.extend(found.fetch_all(&mut connection).await.unwrap() as Vec<String>);
            connection.close().await.unwrap();
        }
    }
    texts
}

/// Runs an operator's command of the real program on this world's store.
fn said(world: &World, arguments: &[&str]) -> String {
    if let Some(postgres) = &world.postgres {
        return postgres.admin(world.dir(), arguments);
    }
    let yaml = "version: 1\nlisten: { unix: other.sock }\ndatabase: { sqlite: license.db }\nedge_keys: edge.jwks\n";
    std::fs::write(world.path("sqlite.yaml"), yaml).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_license-core"))
        .args(["admin", "--config"])
        .arg(world.path("sqlite.yaml"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn a_person_is_erased_from_the_store_and_the_trail_holds(world: World) {
    let license = world.license("acme", "editor", 9).await;
    world.license("globex", "editor", 9).await;
    let (anna, ben, ada) = (user("acme", "anna"), user("acme", "ben"), admin("acme"));
    let body = json!({"license_key": *license.key, "hardware_id": "annas-laptop",
        "user_email": "anna@example.com", "metadata": {"hostname": "annas-laptop"}});
    let text = body.to_string();
    let mut request =
        world.request(anna, http::Method::POST, "/api/v1/license/acquire", text.as_bytes());
    request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    let held = world.client().await.send(request).await;
    assert_eq!(held.status, 201, "{held:?}");
    for status in ["suspended", "active", "suspended"] {
        let changed =
            world.call(ada, "PATCH", "/api/v1/subject/anna", json!({"status": status})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    let bens = world.acquire(ben, &license.key, "bens-desk").await;
    // Linked before the erasure, and between its steps: a command links too.
    let head = said(&world, &["audit", "verify", "--tenant", "acme"]);
    let head = head.split_whitespace().last().unwrap().to_owned();
    assert!(named(&world).await.iter().any(|text| text.contains("anna")));

    world
        .call(anna, "POST", "/api/v1/subject/anna/erase", Value::Null)
        .await
        .refused(403, "insufficient_scope");
    let erased = world.call(ada, "POST", "/api/v1/subject/anna/erase", Value::Null).await;
    assert_eq!(erased.status, 200, "{erased:?}");
    let count = |field: &str| erased.body[field].as_u64().unwrap();
    // One seat acquired, three changes of standing; the end of her seat was the administrator's.
    assert_eq!((count("sessions"), count("events"), count("kept_events")), (1, 4, 0));
    let pseudonym = erased.text("pseudonym");
    let left = named(&world).await;
    assert!(left.iter().all(|text| !text.contains("anna")), "{left:?}");
    assert!(left.iter().any(|text| text.contains(pseudonym)));
    assert!(left.iter().any(|text| text.contains("bens-desk")), "others stay");
    assert_eq!(world.heartbeat(ben, bens.text("id")).await.status, 200);
    world.heartbeat(anna, held.text("id")).await.refused(403, "tenant_access_denied");

    // The trail holds through the head that was noted before, and by itself as an export.
    let verified = said(&world, &["audit", "verify", "--tenant", "acme", "--head", &head]);
    assert!(verified.contains("events"), "{verified}");
    let exported = said(&world, &["audit", "export", "--tenant", "acme"]);
    assert!(!exported.contains("anna") && exported.contains("subject.erased"), "{exported}");
    std::fs::write(world.path("export.jsonl"), &exported).unwrap();
    let file = world.path("export.jsonl");
    said(&world, &["audit", "check", file.to_str().unwrap()]);
    // A name that is put into an erased event is found.
    let forged = exported.replacen("\"actor\":\"erased\"", "\"actor\":\"ben\"", 1);
    assert_ne!(forged, exported);
    std::fs::write(&file, forged).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_license-core"))
        .args(["admin", "--config"])
        .arg(world.path("sqlite.yaml"))
        .args(["audit", "check", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!checked.status.success(), "{checked:?}");

    // By command, again: there is nothing left, and that is told.
    let said = said(&world, &["subject", "erase", "--tenant", "acme", "anna"]);
    assert!(said.starts_with("0 sessions are erased:"), "{said}");
}

async fn who_has_a_seat_offline_is_not_erased(world: World) {
    let mut world = world;
    world.stop().await;
    world.signs = true;
    world.lease.offline_max = Duration::from_secs(7200);
    world.start().await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "laptop").await;
    let session = format!("/api/v1/license/sessions/{}", held.text("id"));
    let lent = world
        .call(anna, "POST", &format!("{session}/borrow"), json!({"duration_secs": 3600}))
        .await;
    assert_eq!(lent.status, 200, "{lent:?}");
    let erase = "/api/v1/subject/anna/erase";
    let refused = world.call(admin("acme"), "POST", erase, Value::Null).await;
    refused.refused(409, "session_borrowed");
    world.call(anna, "POST", &format!("{session}/return"), Value::Null).await;
    assert_eq!(world.call(admin("acme"), "POST", erase, Value::Null).await.status, 200);
}

async fn the_database_lets_a_linked_event_change_in_no_other_way(world: World) {
    let license = world.license("acme", "editor", 9).await;
    world.acquire(user("acme", "anna"), &license.key, "hw").await;
    said(&world, &["audit", "verify", "--tenant", "acme"]);
    for change in [
        "actor = 'ben'",
        "actor = 'erased', detail = '{}'",
        "actor = 'erased', detail = '{}', salt = NULL, kind = 'seat.released'",
        "actor = 'erased', detail = '{}', salt = NULL, commitment = NULL",
        "actor = 'erased', detail = '{}', salt = NULL, hash = commitment",
        "actor = 'erased', detail = '{\"subject\":\"ben\"}', salt = NULL",
        "position = position + 100",
        "salt = commitment",
    ] {
        let statement = format!("UPDATE audit_event SET {change} WHERE kind = 'seat.acquired'");
        let refused = match &world.postgres {
            Some(postgres) => {
                let mut app = postgres.connect_as("license_test_app").await;
                sqlx::raw_sql("SET app.tenant_id = 'acme'").execute(&mut app).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut app).await.is_err()
            }
            None => {
                let options =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(world.path("license.db"));
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.is_err()
            }
        };
        assert!(refused, "{change}");
    }
}

mod on_sqlite {
    use crate::harness::World;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_person_is_erased() {
        super::a_person_is_erased_from_the_store_and_the_trail_holds(World::new().await).await;
    }
    #[tokio::test]
    async fn who_has_a_seat_offline_is_not_erased() {
        super::who_has_a_seat_offline_is_not_erased(World::new().await).await;
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_linked_event_stays() {
        super::the_database_lets_a_linked_event_change_in_no_other_way(World::new().await).await;
    }
}

mod on_postgres {
    use crate::harness::World;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_person_is_erased() {
        let Some(world) = World::on_postgres().await else { return };
        super::said_needs_settings(&world);
        super::a_person_is_erased_from_the_store_and_the_trail_holds(world).await;
    }
    #[tokio::test]
    async fn who_has_a_seat_offline_is_not_erased() {
        let Some(world) = World::on_postgres().await else { return };
        super::who_has_a_seat_offline_is_not_erased(world).await;
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_linked_event_stays() {
        let Some(world) = World::on_postgres().await else { return };
        super::the_database_lets_a_linked_event_change_in_no_other_way(world).await;
    }
}

/// An export is checked without a store; the command wants settings all the same.
fn said_needs_settings(world: &World) {
    let yaml = "version: 1\nlisten: { unix: other.sock }\ndatabase: { sqlite: other.db }\nedge_keys: edge.jwks\n";
    std::fs::write(world.path("sqlite.yaml"), yaml).unwrap();
}
