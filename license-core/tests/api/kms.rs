//! Keys in Google Cloud KMS, which a fake plays with the shapes that the API documents; and leases while it is down.

mod fake;

use crate::harness::{Answer, START, Who, World, bare, user};
use fake::{Fake, Trouble};
use http::Method;
use license_core::settings::{
    Endpoint, GoogleCredentials, GoogleKms, KeyPlace, Secret, ServiceAccount,
};
use license_core::signing::{Algorithm, KeySet, verify, verify_license_file, verify_offline};
use license_core::{Clock as _, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: u64 = 3600;
const RECEIPTS: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/receipts";
const P256: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/p256";
const FILES: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/files";

fn here(port: u16) -> Endpoint {
    Endpoint { is_tls: false, host: "127.0.0.1".to_owned(), port }
}

fn place(fake: &Fake) -> GoogleKms {
    GoogleKms {
        receipts: RECEIPTS.to_owned(),
        files: Some(FILES.to_owned()),
        credentials: GoogleCredentials::Metadata(here(fake.port())),
        endpoint: here(fake.port()),
        roots: None,
    }
}

async fn over(mut world: World, place: GoogleKms) -> World {
    world.stop().await;
    world.signs = true;
    world.lease.offline_max = Duration::from_secs(72 * HOUR);
    world.key_place = Some(KeyPlace::GoogleKms(place));
    world.start().await;
    world
}

async fn keys(world: &World) -> KeySet {
    let answer =
        world.client().await.send(bare(Method::GET, "/.well-known/jwks.json", b"", &[])).await;
    KeySet::parse(answer.body.to_string().as_bytes()).unwrap()
}

/// Returns the receipt that came with an answer, or fetches it where a busy machine signed too late for that.
async fn receipt(world: &World, who: Who<'_>, answer: &Answer) -> String {
    if let Some(receipt) = answer.body["receipt"].as_str() {
        return receipt.to_owned();
    }
    let target = format!("/api/v1/license/sessions/{}/receipt", answer.text("id"));
    world.call(who, "GET", &target, Value::Null).await.text("receipt").to_owned()
}

async fn file(world: &World, license: &str) -> Answer {
    let target = format!("/api/v1/license/{license}/file");
    world.call(user("acme", "anna"), "GET", &target, Value::Null).await
}

async fn everything_is_signed_in_the_cloud(world: World) {
    let fake = Fake::start().await;
    let world = over(world, place(&fake)).await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let got = world.acquire(anna, &license.key, "hw").await;
    let keys_now = keys(&world).await;
    verify(&receipt(&world, anna, &got).await, &keys_now, world.clock.now()).unwrap();
    let signed = file(&world, &license.id).await;
    let keys_now = keys(&world).await;
    verify_license_file(signed.text("license_file"), &keys_now, world.clock.now()).unwrap();
    let session = format!("/api/v1/license/sessions/{}", got.text("id"));
    let lent = world
        .call(anna, "POST", &format!("{session}/borrow"), json!({"duration_secs": HOUR}))
        .await;
    let mut memory = Default::default();
    let now = Timestamp::from_millis(START);
    verify_offline(lent.text("borrow_token"), &keys_now, "hw", &mut memory, now).unwrap();
    // One token serves all requests, and each key has one version.
    assert_eq!((fake.tokens(), fake.versions(RECEIPTS), fake.versions(FILES)), (1, 1, 1));
}

async fn a_cloud_signs_receipts_with_another_curve_and_another_key_takes_over_at_once(
    mut world: World,
) {
    let fake = Fake::start().await;
    world.algorithms.receipts = Algorithm::Es256;
    let mut settings = place(&fake);
    settings.receipts = P256.to_owned();
    let world = over(world, settings).await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    for number in 0..20 {
        // Numbers with a leading zero, and without, come up among so many.
        let got = world.acquire(anna, &license.key, &format!("hw-{}", number % 9)).await;
        let text = receipt(&world, anna, &got).await;
        verify(&text, &keys(&world).await, world.clock.now()).unwrap();
    }
    // Another key in the settings: the one before is nobody's here any more, and nothing waits a day.
    let mut world = world;
    world.algorithms.receipts = Algorithm::EdDsa;
    let world = over(world, place(&fake)).await;
    let got = world.acquire(anna, &license.key, "hw-0").await;
    verify(&receipt(&world, anna, &got).await, &keys(&world).await, world.clock.now()).unwrap();
    assert_eq!((fake.versions(P256), fake.versions(RECEIPTS)), (1, 1));
}

async fn leases_go_on_while_the_signer_is_down(world: World) {
    let fake = Fake::start().await;
    let world = over(world, place(&fake)).await;
    let license = world.license("acme", "editor", 2).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "hw").await;
    verify(&receipt(&world, anna, &held).await, &keys(&world).await, world.clock.now()).unwrap();

    fake.has(Trouble::Down);
    let session = format!("/api/v1/license/sessions/{}", held.text("id"));
    let beat = world.heartbeat(anna, held.text("id")).await;
    assert_eq!(beat.status, 200, "{beat:?}");
    assert!(beat.body.get("receipt").is_none());
    let more = world.acquire(anna, &license.key, "hw-2").await;
    assert_eq!(more.status, 201, "{more:?}");
    assert_eq!(world.release(anna, more.text("id")).await.status, 204);
    let fetch = format!("{session}/receipt");
    world.call(anna, "GET", &fetch, Value::Null).await.refused(503, "signing_unavailable");

    // What is nothing without a signature is refused, and nothing of it happened.
    let before = world.call(anna, "GET", &session, Value::Null).await;
    let borrow = format!("{session}/borrow");
    for _ in 0..5 {
        let refused = world.call(anna, "POST", &borrow, json!({"duration_secs": HOUR})).await;
        refused.refused(503, "signing_unavailable");
    }
    let after = world.call(anna, "GET", &session, Value::Null).await;
    assert!(after.body["borrowed_until"].is_null(), "{after:?}");
    assert_eq!(after.body["lease_epoch"], before.body["lease_epoch"]);
    assert_eq!(file(&world, &license.id).await.status, 503);

    // The breaker stands open: nobody asks the signer meanwhile.
    let metrics = world.running.as_ref().unwrap().metrics().render();
    assert!(metrics.contains("license_signer_breaker_state 2"), "{metrics}");
    let asked = fake.signatures();
    assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
    assert_eq!(fake.signatures(), asked);
    // The signer is back, and the breaker's time is over: the first try closes it.
    fake.has(Trouble::None);
    world.advance_secs(5).await;
    let fetched = world.call(anna, "GET", &fetch, Value::Null).await;
    verify(fetched.text("receipt"), &keys(&world).await, world.clock.now()).unwrap();
    let metrics = world.running.as_ref().unwrap().metrics().render();
    assert!(metrics.contains("license_signer_breaker_state 0"), "{metrics}");
    assert!(metrics.contains("license_signing_failures_total{reason=\"breaker_open\"}"));
    let lent = world.call(anna, "POST", &borrow, json!({"duration_secs": HOUR})).await;
    assert_eq!(lent.status, 200, "{lent:?}");
}

crate::harness::on_both_stores! {
    everything_is_signed_in_the_cloud,
    a_cloud_signs_receipts_with_another_curve_and_another_key_takes_over_at_once,
    leases_go_on_while_the_signer_is_down,
}

#[tokio::test]
async fn nothing_that_was_damaged_or_forged_on_its_way_is_handed_out() {
    let fake = Fake::start().await;
    let world = over(World::new().await, place(&fake)).await;
    let license = world.license("acme", "editor", 99).await;
    let anna = user("acme", "anna");
    let troubles = [
        Trouble::RequestNotVerified,
        Trouble::SignatureDamaged,
        Trouble::ChecksumDamaged,
        Trouble::OtherVersion,
        Trouble::OtherKey,
        Trouble::NotJson,
        Trouble::TooLong,
        Trouble::Redirect,
        Trouble::Forbidden,
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        fake.has(trouble);
        let got = world.acquire(anna, &license.key, &format!("bad-{number}")).await;
        assert_eq!(got.status, 201, "{got:?}");
        assert!(got.body.get("receipt").is_none(), "{trouble:?}: {got:?}");
        fake.has(Trouble::None);
        // Its twin is signed, so that no failure follows another and the breaker stays closed.
        let got = world.acquire(anna, &license.key, &format!("good-{number}")).await;
        let good = receipt(&world, anna, &got).await;
        verify(&good, &keys(&world).await, world.clock.now()).unwrap();
    }
    assert_eq!(fake.followed(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn a_signer_that_hangs_holds_up_no_lease_and_nobody_wears_it_out_by_asking_for_signed_answers()
 {
    let fake = Fake::start().await;
    let world = over(World::new().await, place(&fake)).await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    // Whoever the edge did not vouch for gets no signature of a signer that is somewhere else.
    let asked = fake.signatures();
    let ask = [("accept-signature", "sig=()")];
    let open = world.client().await.send(bare(Method::GET, "/health", b"", &ask)).await;
    assert!(open.status == 200 && !open.headers.contains_key("signature"), "{open:?}");
    let stranger = world.client().await.send(bare(Method::GET, "/api/v1/license", b"", &ask)).await;
    stranger.refused(401, "missing_auth");
    assert!(!stranger.headers.contains_key("signature"));
    assert_eq!(fake.signatures(), asked);
    let mut client = world.client().await;
    let mut is_signed = false;
    // An answer does not wait for long, so that a busy machine may need another.
    for _ in 0..50 {
        let mut request = world.request(anna, Method::GET, "/api/v1/license/sessions", b"");
        request.headers_mut().insert("accept-signature", "sig=()".parse().unwrap());
        is_signed |= client.send(request).await.headers.contains_key("signature");
        if is_signed {
            break;
        }
    }
    assert!(is_signed);

    fake.has(Trouble::Hangs);
    let got = world.acquire(anna, &license.key, "hw").await;
    assert_eq!(got.status, 201, "{got:?}");
    assert!(got.body.get("receipt").is_none());
    assert_eq!(world.heartbeat(anna, got.text("id")).await.status, 200);
    let metrics = world.running.as_ref().unwrap().metrics().render();
    let late = metrics
        .lines()
        .find_map(|line| line.strip_prefix("license_signing_failures_total{reason=\"late\"} "));
    assert!(late.unwrap().parse::<u32>().unwrap() >= 2, "{metrics}");
}

#[tokio::test]
async fn a_signer_that_is_down_when_the_service_starts_stops_no_lease_and_is_asked_again() {
    let fake = Fake::start().await;
    fake.has(Trouble::Down);
    let mut world = over(World::new().await, place(&fake)).await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let got = world.acquire(anna, &license.key, "hw").await;
    assert_eq!(got.status, 201, "{got:?}");
    assert!(got.body.get("receipt").is_none());
    fake.has(Trouble::Forbidden);
    world.stop().await;
    let refused = license_core::Service::start(world.settings(), world.clock.clone()).await;
    let text = format!("{:?}", refused.unwrap_err());
    assert!(text.contains("403 PERMISSION_DENIED"), "{text}");
    fake.has(Trouble::None);
    world.start().await;
    let got = world.acquire(anna, &license.key, "hw").await;
    verify(&receipt(&world, anna, &got).await, &keys(&world).await, world.clock.now()).unwrap();
}

#[tokio::test]
async fn a_service_account_signs_for_itself_over_tls_that_is_verified() {
    let fake = Fake::start_tls().await;
    let mut settings = place(&fake);
    settings.credentials = GoogleCredentials::ServiceAccount(ServiceAccount {
        client_email: "license@p.example".to_owned(),
        private_key_id: "key-1".to_owned(),
        private_key: Secret::new(fake.account_key()),
    });
    settings.endpoint = Endpoint { is_tls: true, host: "localhost".to_owned(), port: fake.port() };
    let world = World::new().await;
    settings.roots = Some(world.path("roots.pem"));
    std::fs::write(world.path("roots.pem"), fake.certificate()).unwrap();
    let world = over(world, settings.clone()).await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let got = world.acquire(anna, &license.key, "hw").await;
    verify(&receipt(&world, anna, &got).await, &keys(&world).await, world.clock.now()).unwrap();

    // Another authority's certificate is not believed, and nothing is sent to who shows it.
    let other = Fake::start_tls().await;
    settings.endpoint.port = other.port();
    let world = over(world, settings).await;
    let got = world.acquire(user("acme", "anna"), &license.key, "hw").await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body.get("receipt").is_none());
    assert_eq!(other.signatures(), 0);
}
