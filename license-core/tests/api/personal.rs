//! Personal data at rest: sealed in the database, in the clear in answers, rotated while the service serves.

use crate::harness::{Answer, World, admin, user};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use license_core::settings::{PersonalData, Secret};
use license_core::{Resealed, Service, StartError, VaultError};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use std::time::Duration;

const EMAIL: &str = "anna.lindgren@example.com";
const HOST: &str = "annas-laptop";

fn sealed_under(key: u8, former: Option<u8>) -> Option<PersonalData> {
    let secret = |byte: u8| Secret::new(STANDARD.encode([byte; 32]));
    Some(PersonalData { key: secret(key), former_key: former.map(secret) })
}

async fn with_key(mut world: World, key: u8, former: Option<u8>) -> World {
    world.stop().await;
    world.personal_data = sealed_under(key, former);
    world.start().await;
    world
}

async fn acquire(world: &World, key: &str, hardware: &str) -> Answer {
    let body = json!({"license_key": key, "hardware_id": hardware, "user_email": EMAIL,
        "metadata": {"hostname": HOST}});
    let mut request = world.request(
        user("acme", "anna"),
        Method::POST,
        "/api/v1/license/acquire",
        body.to_string().as_bytes(),
    );
    request.headers_mut().insert("idempotency-key", hardware.parse().unwrap());
    world.client().await.send(request).await
}

#[track_caller]
fn shows(answer: &Value) {
    assert_eq!(answer["user_email"], EMAIL, "{answer}");
    assert_eq!(answer["metadata"], json!({"hostname": HOST}), "{answer}");
}

/// Returns what stands in the database: mail addresses, metadata, and kept answers.
async fn stored(world: &World) -> Vec<String> {
    let columns = "SELECT user_email AS a, metadata AS b FROM session ORDER BY id";
    let answers = "SELECT body FROM idempotency WHERE body IS NOT NULL";
    let mut texts = Vec::new();
    if let Some(postgres) = &world.postgres {
        let mut connection = postgres.connect_as("").await;
        for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
            texts.extend(row.get::<Option<String>, _>("a"));
            texts.push(row.get("b"));
        }
        for body in
            sqlx::query_scalar::<_, Vec<u8>>(answers).fetch_all(&mut connection).await.unwrap()
        {
            texts.push(String::from_utf8(body).unwrap());
        }
        connection.close().await.unwrap();
    } else {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path("license.db"));
        let mut connection = options.connect().await.unwrap();
        for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
            texts.extend(row.get::<Option<String>, _>("a"));
            texts.push(row.get("b"));
        }
        for body in
            sqlx::query_scalar::<_, Vec<u8>>(answers).fetch_all(&mut connection).await.unwrap()
        {
            texts.push(String::from_utf8(body).unwrap());
        }
        connection.close().await.unwrap();
    }
    texts
}

async fn reseal(world: &World, is_new: bool) -> Resealed {
    let operator = world.running.as_ref().unwrap().operator();
    let settings = world.settings();
    operator.reseal_personal_data(&settings, is_new, Duration::ZERO, &mut |_| ()).await.unwrap()
}

async fn what_is_known_of_people_is_sealed_at_rest_and_shown_to_who_may_see_it(world: World) {
    let license = world.license("acme", "editor", 9).await;
    // Before there is a key, it stands in the clear.
    acquire(&world, &license.key, "hw-0").await;
    assert!(stored(&world).await.iter().any(|text| text.contains(EMAIL)));

    let world = with_key(world, 1, None).await;
    let got = acquire(&world, &license.key, "hw-1").await;
    assert_eq!(got.status, 201, "{got:?}");
    shows(&got.body);
    let (anna, ada) = (user("acme", "anna"), admin("acme"));
    shows(&world.heartbeat(anna, got.text("id")).await.body);
    let session = format!("/api/v1/license/sessions/{}", got.text("id"));
    shows(&world.call(ada, "GET", &session, Value::Null).await.body);
    let list = world.call(ada, "GET", "/api/v1/license/sessions", Value::Null).await;
    let items = list.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    items.iter().for_each(shows);
    // The answer is kept sealed too, and given again in the clear.
    let again = acquire(&world, &license.key, "hw-1").await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    shows(&again.body);
    let back = json!({"old_session_id": got.text("id"), "hardware_id": "hw-1"});
    world.advance_secs(361).await;
    let anew = world.call(anna, "POST", "/api/v1/license/reconnect", back).await;
    assert_eq!(anew.status, 201, "{anew:?}");
    shows(&anew.body);

    // What was in the clear is sealed by a command; kept answers in the clear are gone after their day.
    let done = reseal(&world, false).await;
    assert_eq!((done.generation, done.rows, done.left), (1, 1, 0));
    for text in stored(&world).await.iter().filter(|text| !text.contains("\"hw-0\"")) {
        assert!(text.contains("sealed:1:"), "{text}");
        assert!(!text.contains("anna") && !text.contains("laptop"), "{text}");
    }
    assert_eq!(reseal(&world, false).await.rows, 0);
}

async fn data_keys_and_the_key_above_them_are_rotated_while_the_service_serves(world: World) {
    let mut world = with_key(world, 1, None).await;
    let license = world.license("acme", "editor", 2000).await;
    world.license("globex", "editor", 1).await;
    let first = acquire(&world, &license.key, "first").await;
    let done = {
        // Seats are taken all the while.
        let load = async {
            for number in 0..40 {
                let got = acquire(&world, &license.key, &format!("hw-{number}")).await;
                assert_eq!(got.status, 201, "{got:?}");
                shows(&got.body);
            }
        };
        tokio::join!(load, reseal(&world, true)).1
    };
    assert_eq!((done.generation, done.left), (2, 0));
    // What the service sealed under the old key before it took up the new one, a second look finds.
    reseal(&world, false).await;
    let session = format!("/api/v1/license/sessions/{}", first.text("id"));
    let read = world.call(admin("acme"), "GET", &session, Value::Null).await;
    shows(&read.body);
    let sessions = stored(&world).await;
    let columns = sessions.iter().filter(|text| !text.contains("seats_total"));
    assert!(columns.clone().count() >= 82 && columns.clone().all(|text| !text.contains(EMAIL)));

    // The key above: both are there until the data keys are sealed anew, then the new one alone.
    world.stop().await;
    let refused = world.settings();
    let with = |settings: &license_core::Settings, personal_data| {
        let mut settings = settings.clone();
        settings.personal_data = personal_data;
        settings
    };
    for (settings, says) in [(sealed_under(2, None), "Wrapped(1)"), (None, "NoKey")] {
        let error =
            Service::start(with(&refused, settings), world.clock.clone()).await.unwrap_err();
        let StartError::Vault(error) = error else { panic!("{error:?}") };
        assert!(format!("{error:?}").contains(says), "{error:?}");
    }
    world.personal_data = sealed_under(2, Some(1));
    world.start().await;
    assert_eq!(reseal(&world, false).await.rewrapped, 2);
    let world = with_key(world, 2, None).await;
    shows(&world.call(admin("acme"), "GET", &session, Value::Null).await.body);

    // A key that seals nothing any more is forgotten when no kept answer can need it.
    assert_eq!(reseal(&world, false).await.dropped, 0);
    world.advance_secs(3 * 86_400).await;
    assert_eq!(reseal(&world, false).await.dropped, 1);
    shows(&world.call(admin("acme"), "GET", &session, Value::Null).await.body);
}

crate::harness::on_both_stores! {
    what_is_known_of_people_is_sealed_at_rest_and_shown_to_who_may_see_it,
    data_keys_and_the_key_above_them_are_rotated_while_the_service_serves,
}

#[tokio::test]
async fn a_value_that_was_moved_to_another_row_does_not_open_there() {
    let world = with_key(World::new().await, 1, None).await;
    let license = world.license("acme", "editor", 9).await;
    let (one, two) =
        (acquire(&world, &license.key, "a").await, acquire(&world, &license.key, "b").await);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path("license.db"));
    let mut intruder = options.connect().await.unwrap();
    let moved = "UPDATE session SET user_email = (SELECT user_email FROM session WHERE id = ?1) WHERE id = ?2";
    let moved = sqlx::query(moved).bind(one.text("id")).bind(two.text("id"));
    assert_eq!(moved.execute(&mut intruder).await.unwrap().rows_affected(), 1);
    let session = format!("/api/v1/license/sessions/{}", two.text("id"));
    let read = world.call(admin("acme"), "GET", &session, Value::Null).await;
    assert!(read.body["user_email"].is_null(), "{read:?}");
    assert_eq!(read.body["metadata"], json!({"hostname": HOST}));
    let operator = world.running.as_ref().unwrap().operator();
    let settings = world.settings();
    let mut rows = 0;
    let done = operator
        .reseal_personal_data(&settings, true, Duration::ZERO, &mut |done| rows = done)
        .await
        .unwrap();
    assert_eq!((done.left, rows), (1, 1), "what does not open is told, and stays");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let mut world = World::new().await;
    world.stop().await;
    for text in ["", "AAAA", "not base64"] {
        let key = Secret::new(text.to_owned());
        world.personal_data = Some(PersonalData { key, former_key: None });
        let error = Service::start(world.settings(), world.clock.clone()).await.unwrap_err();
        assert!(matches!(error, StartError::Vault(VaultError::Form("key"))), "{error:?}");
    }
}

#[test]
fn the_commands_rotate_and_say_what_they_did() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = crate::process::Machine::with("personal_data: { key: 'file:personal.key' }\n");
    std::fs::write(machine.path("personal.key"), STANDARD.encode([7; 32])).unwrap();
    std::fs::set_permissions(machine.path("personal.key"), std::fs::Permissions::from_mode(0o600))
        .unwrap();
    machine.license("3");
    let said = machine.said(&["data-key", "rotate"]);
    assert!(said.starts_with("0 rows sealed anew under generation 2, 0 left"), "{said}");
    let said = machine.said(&["data-key", "reseal"]);
    assert!(said.starts_with("0 rows sealed anew under generation 2, 0 left"), "{said}");
    let without = crate::process::Machine::new();
    without.license("3");
    let refused = without.admin(&["data-key", "rotate"]);
    assert!(!refused.status.success(), "{refused:?}");
}
