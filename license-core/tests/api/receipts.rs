//! Receipts: signed with keys of the service's own, verified without it, across rotations, and not after revocation.

use crate::harness::{Answer, World, bare, user};
use crate::process::Machine;
use http::Method;
use license_core::Clock as _;
use license_core::signing::{KeySet, Receipt, Unverified, verify, verify_license_file};
use serde_json::json;

const DAY: u64 = 86_400;

async fn with_signing(mut world: World) -> World {
    world.stop().await;
    world.signs = true;
    world.start().await;
    world
}

async fn keys(world: &World) -> (usize, KeySet) {
    let answer =
        world.client().await.send(bare(Method::GET, "/.well-known/jwks.json", b"", &[])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["cache-control"], "public, max-age=3600");
    let count = answer.body["keys"].as_array().unwrap().len();
    (count, KeySet::parse(answer.body.to_string().as_bytes()).unwrap())
}

async fn verified(world: &World, answer: &Answer) -> Result<Receipt, Unverified> {
    verify(answer.text("receipt"), &keys(world).await.1, world.clock.now())
}

async fn restart_after(world: &mut World, secs: u64) {
    world.advance_secs(secs).await;
    world.stop().await;
    world.start().await;
}

async fn a_receipt_follows_its_lease_and_its_key_follows_the_calendar(world: World) {
    let mut world = with_signing(world).await;
    world.lease.age_max = std::time::Duration::from_secs(7 * DAY);
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let got = world.acquire(anna, &license.key, "hw-1").await;
    let receipt = verified(&world, &got).await.unwrap();
    assert_eq!(receipt.session_id, got.text("session_id"));
    assert_eq!(receipt.license_id, license.id);
    assert_eq!(
        (receipt.tenant.as_str(), receipt.subject.as_str(), receipt.epoch),
        ("acme", "anna", 1)
    );
    assert!(receipt.is_for("hw-1"));
    world.advance_secs(180).await;
    let beat = world.heartbeat(anna, got.text("session_id")).await;
    let renewed = verified(&world, &beat).await.unwrap();
    assert_eq!(renewed.expires_at, receipt.expires_at + 180);
    assert_eq!(keys(&world).await.0, 1);

    // The 89th day: the next key is published, the first one signs.
    restart_after(&mut world, 89 * DAY).await;
    assert_eq!(keys(&world).await.0, 2);
    let old = world.acquire(anna, &license.key, "hw-2").await;
    // A day later the next one signs, and what the first one signed verifies still.
    restart_after(&mut world, DAY).await;
    let new = world.acquire(anna, &license.key, "hw-3").await;
    assert_ne!(header(&old), header(&new));
    let then = license_core::Timestamp::from_millis(world.clock.now().as_millis() - DAY * 1000);
    assert!(verify(old.text("receipt"), &keys(&world).await.1, then).is_ok());
    assert!(verified(&world, &new).await.is_ok());
    // Eight days on it is retired.
    restart_after(&mut world, 8 * DAY).await;
    assert_eq!(
        verify(old.text("receipt"), &keys(&world).await.1, then),
        Err(Unverified::UnknownKey)
    );
}

fn header(answer: &Answer) -> &str {
    answer.text("receipt").split('.').next().unwrap()
}

#[tokio::test]
async fn on_sqlite_a_receipt_follows_its_lease() {
    a_receipt_follows_its_lease_and_its_key_follows_the_calendar(World::new().await).await;
}

#[tokio::test]
async fn on_postgres_a_receipt_follows_its_lease() {
    if let Some(world) = World::on_postgres().await {
        a_receipt_follows_its_lease_and_its_key_follows_the_calendar(world).await;
    }
}

async fn a_receipt_verifies_across_two_rotations(world: World) {
    let mut world = with_signing(world).await;
    let license = world.license("acme", "editor", 9).await;
    let got = world.acquire(user("acme", "anna"), &license.key, "hw-1").await;
    let then = world.clock.now();
    let mut kids = vec![header(&got).to_owned()];
    for round in 1..=2 {
        let operator = world.running.as_ref().unwrap().operator();
        let rotated = operator.rotate_signing_keys(&world.settings(), world.clock.clone()).await;
        assert_eq!(rotated.unwrap(), 1);
        restart_after(&mut world, DAY).await;
        let (count, keys) = keys(&world).await;
        assert_eq!(count, round + 1);
        assert!(verify(got.text("receipt"), &keys, then).is_ok(), "after rotation {round}");
        let new = world.acquire(user("acme", "anna"), &license.key, "hw-1").await;
        assert!(verified(&world, &new).await.is_ok());
        assert!(!kids.iter().any(|kid| kid == header(&new)));
        kids.push(header(&new).to_owned());
    }
}

async fn a_license_file_says_what_the_license_is(world: World) {
    let world = with_signing(world).await;
    let license = world.license("acme", "editor", 9).await;
    let target = format!("/api/v1/license/{}", license.id);
    let ada = crate::harness::admin("acme");
    for name in ["export", "sso"] {
        let given =
            world.ask(ada, Method::PUT, &format!("{target}/entitlements/{name}"), b"").await;
        assert_eq!(given.status, 204);
    }
    let got = world.ask(user("acme", "anna"), Method::GET, &format!("{target}/file"), b"").await;
    assert_eq!(got.status, 200, "{got:?}");
    let (count, keys) = keys(&world).await;
    assert_eq!(count, 2, "the RSA key is published");
    let now = world.clock.now();
    let file = verify_license_file(got.text("license_file"), &keys, now).unwrap();
    assert_eq!((file.tenant.as_str(), file.name.as_str(), file.seats), ("acme", "editor", 9));
    assert_eq!(file.entitlements, ["export", "sso"]);
    assert_eq!(file.expires_at, now.as_secs() + 7 * DAY);
    // A file is no receipt, and a byte more or less is no file.
    assert_eq!(verify(got.text("license_file"), &keys, now), Err(Unverified::Malformed));
    let longer = format!("{}A", got.text("license_file"));
    assert!(verify_license_file(&longer, &keys, now).is_err());
    let late = license_core::Timestamp::from_millis(now.as_millis() + (7 * DAY + 60) * 1000);
    assert_eq!(verify_license_file(got.text("license_file"), &keys, late), Err(Unverified::Time));
    world
        .ask(user("other", "x"), Method::GET, &format!("{target}/file"), b"")
        .await
        .refused(403, "tenant_access_denied");
}

crate::harness::on_both_stores! {
    a_license_file_says_what_the_license_is,
    a_receipt_verifies_across_two_rotations,
}

#[tokio::test]
async fn a_service_without_a_wrapping_key_gives_no_receipts() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    let got = world.acquire(user("acme", "anna"), &license.key, "hw").await;
    assert!(got.body.get("receipt").is_none());
    world
        .client()
        .await
        .send(bare(Method::GET, "/.well-known/jwks.json", b"", &[]))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn a_lost_wrapping_key_is_not_replaced_silently() {
    let mut world = with_signing(World::new().await).await;
    world.stop().await;
    std::fs::remove_file(world.path("wrapping.key")).unwrap();
    let error =
        license_core::Service::start(world.settings(), world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, license_core::StartError::Signing(_)), "{error:?}");
    std::fs::copy(world.path("edge.jwks"), world.path("wrapping.key")).unwrap();
    let error =
        license_core::Service::start(world.settings(), world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, license_core::StartError::Signing(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_revoked_key_signed_proves_nothing_and_leases_go_on() {
    let machine = Machine::with(&crate::hsm::signing_yaml());
    let key = machine.license("9");
    let acquire = |hardware: &str| json!({"license_key": key, "hardware_id": hardware}).to_string();
    let target = "/api/v1/license/acquire";
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let (_, before) = machine.ask(&mut client, "POST", target, &acquire("a")).await.unwrap();
    let (_, set) = machine.ask(&mut client, "GET", "/.well-known/jwks.json", "").await.unwrap();
    let now = license_core::SystemClock::new().now();
    let old = KeySet::parse(set.to_string().as_bytes()).unwrap();
    assert!(verify(before["receipt"].as_str().unwrap(), &old, now).is_ok());

    let listed = machine.said(&["key", "ls"]);
    let kid = listed.split_whitespace().next().unwrap();
    assert!(listed.contains("active"), "{listed}");
    let told = machine.said(&["key", "revoke", "--dry-run", kid]);
    assert!(
        told.starts_with("1 receipts of live leases") && told.contains("and 0 borrow"),
        "{told}"
    );
    machine.said(&["key", "revoke", kid]);
    assert!(!machine.admin(&["key", "revoke", kid]).status.success());
    child.kill().unwrap();
    child.wait().unwrap();

    let mut child = machine.serve();
    let mut client = machine.client().await;
    let (status, after) = machine.ask(&mut client, "POST", target, &acquire("a")).await.unwrap();
    assert_eq!(status, 200);
    let (_, set) = machine.ask(&mut client, "GET", "/.well-known/jwks.json", "").await.unwrap();
    let new = KeySet::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(verify(before["receipt"].as_str().unwrap(), &new, now), Err(Unverified::UnknownKey));
    assert!(verify(after["receipt"].as_str().unwrap(), &new, now).is_ok());
    assert!(machine.said(&["key", "ls"]).contains("revoked"));
    let none = machine.admin(&["key", "revoke", "--dry-run", "unknown"]);
    assert!(!none.status.success());
    child.kill().unwrap();
    child.wait().unwrap();
}
