//! Webhooks: what happens to seats and licenses is told, signed, at least once, and nowhere where it must not go.

use crate::harness::{Answer, World, admin, on_both_stores, user};
use crate::process::Machine;
use crate::receiver::{Received, Receiver, SILENT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use license_core::settings::{Secret, Secrets, Webhooks};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

on_both_stores! {
    what_happens_to_seats_is_told_and_signed,
    a_message_that_is_not_taken_is_sent_again_under_its_id,
    a_receiver_that_is_gone_or_sends_elsewhere_is_told_no_more,
    secrets_are_rotated_with_an_overlap,
    the_end_of_a_term_is_told_once_before_and_once_after,
    a_webhook_is_administered_and_bounded,
    secrets_have_a_key_of_their_own_that_can_be_replaced,
}

/// Lets the world send to loopback addresses.
async fn telling(mut world: World) -> World {
    world.stop().await;
    world.signs = true;
    world.webhooks = Webhooks { allow: vec!["127.0.0.0/8".parse().unwrap()], ca: None };
    world.start().await;
    world
}

fn secrets_key(byte: u8) -> Secret {
    Secret::new(STANDARD.encode([byte; 32]))
}

/// Without a wrapping key, as beside a hardware module or a cloud, and through a change of the key.
async fn secrets_have_a_key_of_their_own_that_can_be_replaced(world: World) {
    let mut world = telling(world).await;
    let receiver = Receiver::new().await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let key = |byte: u8, former: Option<u8>| {
        Some(Secrets { key: secrets_key(byte), former_key: former.map(secrets_key) })
    };
    world.secrets = key(1, None);
    world.stop().await;
    world.start().await;
    let made = hook(&world, &receiver.url(), json!(["license.seat.acquired"])).await;
    for (round, (present, former)) in [(1, None), (2, Some(1))].into_iter().enumerate() {
        world.secrets = key(present, former);
        world.stop().await;
        world.start().await;
        let got = world.acquire(anna, &license.key, &round.to_string()).await;
        assert!(got.body.get("receipt").is_none(), "it has no signing key: {got:?}");
        let all = receiver.count(round + 1).await;
        assert!(all.iter().all(|message| message.is_signed_by(&[made.text("secret")])));
    }
    // Sealed anew, the secret needs the former key no longer.
    let rotate = format!("/api/v1/webhook/{}/rotate-secret", made.text("id"));
    let again = world.call(admin("acme"), "POST", &rotate, json!({"overlap_secs": 0})).await;
    assert_eq!(again.status, 200, "{again:?}");
    world.secrets = key(2, None);
    world.stop().await;
    world.start().await;
    world.acquire(anna, &license.key, "last").await;
    let all = receiver.count(3).await;
    assert!(all.last().unwrap().is_signed_by(&[again.text("secret")]));
}

async fn hook(world: &World, url: &str, events: Value) -> Answer {
    let mut body = json!({ "url": url });
    if !events.is_null() {
        body["events"] = events;
    }
    let made = world.call(admin("acme"), "POST", "/api/v1/webhooks/", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

fn of<'a>(all: &'a [Received], kind: &str) -> Vec<&'a Received> {
    all.iter().filter(|message| message.kind() == kind).collect()
}

async fn what_happens_to_seats_is_told_and_signed(world: World) {
    let world = telling(world).await;
    let receiver = Receiver::new().await;
    let license = world.license("acme", "editor", 1).await;
    let made = hook(&world, &receiver.url(), Value::Null).await;
    // Another tenant's webhook hears nothing of this one's seats.
    world.license("other", "editor", 1).await;
    let stranger = Receiver::new().await;
    let body = json!({ "url": stranger.url() });
    assert_eq!(world.call(admin("other"), "POST", "/api/v1/webhook", body).await.status, 201);
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    assert_eq!(world.release(anna, held.text("id")).await.status, 204);
    let gone = world.acquire(anna, &license.key, "a").await;
    world.advance_secs(361).await;
    // The expiry is written down by whoever asks for the seat.
    let last = world.acquire(ben, &license.key, "b").await;
    let taken = format!("/api/v1/license/sessions/{}/force-release", last.text("id"));
    assert_eq!(world.call(admin("acme"), "POST", &taken, Value::Null).await.status, 204);

    let all = receiver.count(7).await;
    assert_eq!(all.len(), 7, "the second denial of an hour is not told: {all:?}");
    assert!(all.iter().all(|message| message.is_signed_by(&[made.text("secret")])));
    assert_eq!(all.iter().map(Received::id).collect::<HashSet<_>>().len(), 7);
    let acquired = of(&all, "license.seat.acquired");
    assert_eq!(acquired.len(), 3);
    let told =
        acquired.iter().find(|one| one.body["data"]["session_id"] == held.body["id"]).unwrap();
    assert_eq!(told.body["data"]["license_id"], license.id.as_str());
    assert_eq!(told.body["data"]["lease_epoch"], held.body["lease_epoch"]);
    assert_eq!(told.body["data"]["tenant_id"], "acme");
    assert_eq!(told.body["timestamp"], held.body["started_at"]);
    assert_eq!(of(&all, "license.seats.exhausted").len(), 1);
    let released = of(&all, "license.seat.released");
    let how: HashSet<&str> =
        released.iter().map(|one| one.body["data"]["how"].as_str().unwrap()).collect();
    assert_eq!(how, HashSet::from(["released", "revoked"]));
    let timeout = of(&all, "license.seat.timeout");
    assert_eq!(timeout[0].body["data"]["session_id"], gone.body["id"]);
    assert!(stranger.all().is_empty());
    until(&world, made.text("id"), |hook| hook["waiting"] == 0).await;
    assert!(
        world
            .running
            .as_ref()
            .unwrap()
            .metrics()
            .render()
            .contains(r#"license_webhook_deliveries_total{result="taken"} 7"#)
    );
}

/// Waits until the webhook looks so.
async fn until(world: &World, id: &str, looks: impl Fn(&Value) -> bool) -> Value {
    let mut shown = Value::Null;
    for _ in 0..600 {
        shown = world
            .call(admin("acme"), "GET", &format!("/api/v1/webhook/{id}"), Value::Null)
            .await
            .body;
        if looks(&shown) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never looked so: {shown}");
}

async fn a_message_that_is_not_taken_is_sent_again_under_its_id(world: World) {
    let world = telling(world).await;
    let receiver = Receiver::new().await;
    let license = world.license("acme", "editor", 1).await;
    let made = hook(&world, &receiver.url(), json!(["license.seat.acquired"])).await;
    receiver.answers(500);
    world.acquire(user("acme", "anna"), &license.key, "a").await;
    receiver.count(1).await;
    let failed = until(&world, made.text("id"), |hook| hook["failure"] == "status 500").await;
    assert_eq!((failed["waiting"].as_u64(), failed["status"].as_str()), (Some(1), Some("active")));
    world.advance_secs(4).await;
    assert_eq!(receiver.all().len(), 1, "five seconds are not over");
    world.advance_secs(2).await;
    receiver.count(2).await;
    until(&world, made.text("id"), |hook| hook["failed_at"] != failed["failed_at"]).await;
    receiver.answers(200);
    world.advance_secs(331).await;
    let all = receiver.count(3).await;
    assert!(all.iter().all(|one| one.id() == all[0].id() && one.text == all[0].text));
    until(&world, made.text("id"), |hook| hook["waiting"] == 0 && hook["delivered_at"].is_string())
        .await;
    // Nine times failed, three days later: given up, and the webhook with it.
    receiver.answers(503);
    world.acquire(user("acme", "anna"), &license.key, "a").await;
    let session = world
        .call(
            admin("acme"),
            "POST",
            &format!("/api/v1/license/{}/release-all", license.id),
            Value::Null,
        )
        .await;
    assert_eq!(session.body["released"], 1);
    world.acquire(user("acme", "anna"), &license.key, "a").await;
    for tries in 4..=13 {
        receiver.count(tries).await;
        until(&world, made.text("id"), |hook| hook["failure"] == "status 503").await;
        until(&world, made.text("id"), |_| true).await;
        world.advance_secs(96_000).await;
    }
    let ended = until(&world, made.text("id"), |hook| hook["status"] == "disabled").await;
    assert_eq!(
        (ended["reason"].as_str(), ended["waiting"].as_u64()),
        (Some("unanswered"), Some(0))
    );
}

async fn a_receiver_that_is_gone_or_sends_elsewhere_is_told_no_more(world: World) {
    let world = telling(world).await;
    let (gone, elsewhere) = (Receiver::new().await, Receiver::new().await);
    let license = world.license("acme", "editor", 9).await;
    gone.answers(410);
    elsewhere.answers(307);
    let first = hook(&world, &gone.url(), Value::Null).await;
    let second = hook(&world, &elsewhere.url(), Value::Null).await;
    world.acquire(user("acme", "anna"), &license.key, "a").await;
    let ended = until(&world, first.text("id"), |hook| hook["status"] == "disabled").await;
    assert_eq!((ended["reason"].as_str(), ended["waiting"].as_u64()), (Some("gone"), Some(0)));
    let redirected = until(&world, second.text("id"), |hook| hook["failure"].is_string()).await;
    assert!(
        redirected["failure"].as_str().unwrap().contains("redirect (status 307)"),
        "{redirected}"
    );
    world.acquire(user("acme", "anna"), &license.key, "b").await;
    elsewhere.count(2).await;
    assert_eq!(gone.all().len(), 1);
    // Enabled again it hears of what happens from then on.
    gone.answers(200);
    let enable = json!({"status": "active"});
    let target = format!("/api/v1/webhook/{}", first.text("id"));
    assert_eq!(world.call(admin("acme"), "PATCH", &target, enable).await.body["status"], "active");
    world.acquire(user("acme", "anna"), &license.key, "c").await;
    assert_eq!(gone.count(2).await[1].kind(), "license.seat.acquired");
}

async fn secrets_are_rotated_with_an_overlap(world: World) {
    let world = telling(world).await;
    let receiver = Receiver::new().await;
    world.license("acme", "editor", 1).await;
    let made = hook(&world, &receiver.url(), Value::Null).await;
    let (first, id) = (made.text("secret"), made.text("id"));
    let rotate = format!("/api/v1/webhook/{id}/rotate-secret");
    let rotated = world.call(admin("acme"), "POST", &rotate, json!({"overlap_secs": 600})).await;
    let second = rotated.text("secret");
    assert_ne!(first, second);
    let test = format!("/api/v1/webhook/{id}/test");
    assert_eq!(world.call(admin("acme"), "POST", &test, Value::Null).await.status, 202);
    let all = receiver.count(1).await;
    assert_eq!(all[0].kind(), "webhook.test");
    assert!(all[0].is_signed_by(&[second, first]), "{all:?}");
    world.advance_secs(601).await;
    assert_eq!(world.call(admin("acme"), "POST", &test, Value::Null).await.status, 202);
    assert!(receiver.count(2).await[1].is_signed_by(&[second]));
    let shown = world.call(admin("acme"), "GET", "/api/v1/webhook", Value::Null).await;
    assert!(!shown.body.to_string().contains("whsec_"), "{shown:?}");
    let long = world.call(admin("acme"), "POST", &rotate, json!({"overlap_secs": 604_801})).await;
    long.refused(400, "invalid_request");
}

async fn the_end_of_a_term_is_told_once_before_and_once_after(world: World) {
    let mut world = telling(world).await;
    let receiver = Receiver::new().await;
    let license = world.license("acme", "editor", 1).await;
    hook(&world, &receiver.url(), json!(["license.expiring", "license.expired"])).await;
    let target = format!("/api/v1/license/{}", license.id);
    let term = json!({"expires_at": "2027-01-18T08:00:00Z"});
    assert_eq!(world.call(admin("acme"), "PATCH", &target, term).await.status, 200);
    for _ in 0..2 {
        // Terms are looked at when a service starts, and every minute.
        world.stop().await;
        world.start().await;
    }
    let all = receiver.count(1).await;
    assert_eq!((all.len(), all[0].kind()), (1, "license.expiring"));
    assert_eq!(all[0].body["data"]["expires_at"], "2027-01-18T08:00:00.000Z");
    world.advance_secs(4 * 86_400).await;
    world.stop().await;
    world.start().await;
    let all = receiver.count(2).await;
    assert_eq!((all.len(), all[1].kind()), (2, "license.expired"));
}

async fn a_webhook_is_administered_and_bounded(mut world: World) {
    world.license("acme", "editor", 1).await;
    let url = json!({"url": "https://hooks.example.com/x"});
    let without = world.call(admin("acme"), "POST", "/api/v1/webhook", url.clone()).await;
    without.refused(503, "signing_unavailable");
    world = telling(world).await;
    let member = world.call(user("acme", "anna"), "GET", "/api/v1/webhook", Value::Null).await;
    member.refused(403, "insufficient_scope");
    for (bad, field) in [
        (json!({"url": "http://hooks.example.com/"}), "url"),
        (json!({"url": "https://169.254.169.254/latest"}), "url"),
        (json!({"url": "https://[::1]/"}), "url"),
        (json!({"url": "https://a:b@hooks.example.com/"}), "url"),
        (json!({"url": "https://hooks.example.com/", "events": ["license.sold"]}), "events"),
        (json!({"url": "https://hooks.example.com/", "events": []}), "events"),
        (json!({"url": "https://hooks.example.com/", "secret": "x"}), "body"),
    ] {
        let refused = world.call(admin("acme"), "POST", "/api/v1/webhook", bad.clone()).await;
        refused.refused(400, "invalid_request");
        assert_eq!(refused.body["details"]["field"], field, "{bad}");
    }
    let mut ids = vec![];
    for _ in 0..10 {
        ids.push(
            hook(&world, "https://hooks.example.com/x", Value::Null).await.text("id").to_owned(),
        );
    }
    world
        .call(admin("acme"), "POST", "/api/v1/webhook", url)
        .await
        .refused(409, "too_many_webhooks");
    let listed = world.call(admin("acme"), "GET", "/api/v1/webhooks?limit=4", Value::Null).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 4);
    assert!(listed.headers.contains_key("etag"));
    let target = format!("/api/v1/webhook/{}", ids[0]);
    // Another tenant's administrator finds nothing there.
    for (method, path, body) in [
        ("GET", target.clone(), Value::Null),
        ("PATCH", target.clone(), json!({"status": "disabled"})),
        ("DELETE", target.clone(), Value::Null),
        ("POST", format!("{target}/test"), Value::Null),
        ("POST", format!("{target}/rotate-secret"), json!({})),
    ] {
        world.call(admin("other"), method, &path, body).await.refused(404, "not_found");
    }
    let change = json!({"url": "https://hooks.example.com/y", "events": ["license.expired"], "status": "disabled"});
    let changed = world.call(admin("acme"), "PATCH", &target, change).await;
    assert_eq!(changed.body["events"], json!(["license.expired"]));
    assert_eq!(
        (changed.body["status"].as_str(), changed.body["reason"].as_str()),
        (Some("disabled"), Some("by hand"))
    );
    let test = world.call(admin("acme"), "POST", &format!("{target}/test"), Value::Null).await;
    test.refused(404, "not_found");
    assert_eq!(world.call(admin("acme"), "DELETE", &target, Value::Null).await.status, 204);
    world.call(admin("acme"), "DELETE", &target, Value::Null).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_behind_tls_is_trusted_by_its_certificate_alone() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let receiver = Receiver::with(Some(Arc::new(config).into())).await;
    let mut world = telling(World::new().await).await;
    world.license("acme", "editor", 1).await;
    std::fs::write(world.path("ca.pem"), certified.cert.pem()).unwrap();
    let made =
        hook(&world, &format!("https://localhost:{}/hook", receiver.port()), Value::Null).await;
    let test = format!("/api/v1/webhook/{}/test", made.text("id"));
    assert_eq!(world.call(admin("acme"), "POST", &test, Value::Null).await.status, 202);
    let refused = until(&world, made.text("id"), |hook| hook["failure"].is_string()).await;
    assert!(refused["failure"].as_str().unwrap().starts_with("no TLS"), "{refused}");
    assert!(receiver.all().is_empty());
    world.webhooks.ca = Some(world.path("ca.pem"));
    world.stop().await;
    world.start().await;
    world.advance_secs(6).await;
    assert_eq!(receiver.count(1).await[0].kind(), "webhook.test");
    // A name that leads to an address which is not listed is refused when it is connected to.
    world.webhooks.allow.clear();
    world.stop().await;
    world.start().await;
    assert_eq!(world.call(admin("acme"), "POST", &test, Value::Null).await.status, 202);
    let refused = until(&world, made.text("id"), |hook| {
        hook["waiting"] == 1 && hook["failed_at"] != refused["failed_at"]
    })
    .await;
    assert!(refused["failure"].as_str().unwrap().contains("not public"), "{refused}");
    assert_eq!(receiver.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_seat_is_told_although_the_service_is_killed() {
    let machine =
        Machine::with("signing: { wrapping_key: w.key }\nwebhooks: { allow: [127.0.0.1] }\n");
    let key = machine.license("1000");
    let mut child = machine.serve();
    let receiver = Receiver::new().await;
    let said = machine.said(&[
        "webhook",
        "create",
        "--tenant",
        "acme",
        "--url",
        &receiver.url(),
        "--events",
        "license.seat.acquired",
    ]);
    let id = said.lines().next().unwrap().strip_prefix("webhook ").unwrap().to_owned();
    let secret = said.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let mut acknowledged = HashSet::new();
    // Messages are on their way, and nobody knows whether they were taken.
    receiver.answers(SILENT);
    for round in 0..3 {
        let mut client = machine.client().await;
        for step in 0..20 {
            let body =
                json!({"license_key": key, "hardware_id": format!("{round}-{step}")}).to_string();
            let (status, held) =
                machine.ask(&mut client, "POST", "/api/v1/license/acquire", &body).await.unwrap();
            assert_eq!(status, 201, "{held}");
            acknowledged.insert(held["id"].as_str().unwrap().to_owned());
        }
        receiver.count(1 + round).await;
        child.kill().unwrap();
        child.wait().unwrap();
        // The minute passes for which a lost process has its messages.
        let options = SqliteConnectOptions::new().filename(machine.path("l.db"));
        let mut file = options.connect().await.unwrap();
        sqlx::raw_sql("UPDATE webhook_outbox SET due_at = 0").execute(&mut file).await.unwrap();
        if round == 2 {
            receiver.answers(204);
        }
        child = machine.serve();
    }
    let told = |all: &[Received]| -> HashSet<String> {
        all.iter().map(|one| one.body["data"]["session_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = receiver.until(|all| told(all).is_superset(&acknowledged)).await;
    assert_eq!(told(&all), acknowledged);
    assert!(all.iter().all(|one| one.is_signed_by(&[&secret])));
    let ids: HashSet<&str> = all.iter().map(Received::id).collect();
    assert_eq!(ids.len(), acknowledged.len(), "a repetition has the id of what it repeats");
    assert!(all.len() > ids.len(), "something was on its way when the service was killed");
    let mut left = String::new();
    for _ in 0..600 {
        left = machine.said(&["webhook", "ls", "--tenant", "acme", "--json"]);
        if serde_json::from_str::<Value>(left.trim()).unwrap()["waiting"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(left.contains(r#""waiting":0"#), "{left}");
    let table = machine.said(&["webhook", "ls", "--tenant", "acme"]);
    assert!(table.contains(&id) && table.contains("active"), "{table}");
    machine.said(&["webhook", "disable", "--tenant", "acme", &id]);
    machine.said(&["webhook", "enable", "--tenant", "acme", &id]);
    assert!(
        machine
            .said(&["webhook", "rotate", "--tenant", "acme", &id, "--overlap", "2h"])
            .contains("whsec_")
    );
    machine.said(&["webhook", "test", "--tenant", "acme", &id]);
    machine.said(&["webhook", "rm", "--tenant", "acme", &id]);
    let refused =
        machine.admin(&["webhook", "create", "--tenant", "acme", "--url", "https://10.0.0.1/"]);
    assert!(
        String::from_utf8(refused.stderr.clone()).unwrap().contains("webhooks.allow"),
        "{refused:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
