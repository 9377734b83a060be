//! What signing keys sign with, as the settings choose it: every algorithm for receipts and for files, in this process
//! and in a hardware module, and the change from one to another.

use crate::harness::{Answer, Client, World, bare, on_both_stores, user};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use license_core::Clock as _;
use license_core::settings::Algorithms;
use license_core::signing::{
    Algorithm, Exchange, KeySet, verify, verify_license_file, verify_response,
};
use serde_json::Value;
use std::time::Duration;

const DAY: u64 = 86_400;

on_both_stores! {
    every_algorithm_signs_receipts_and_files,
    another_algorithm_takes_over_after_a_day_and_what_was_signed_verifies_on,
}

async fn signing_with(world: World, receipts: Algorithm, files: Algorithm) -> World {
    let mut world = world;
    world.stop().await;
    world.signs = true;
    world.algorithms = Algorithms { receipts, files };
    world.start().await;
    // A busy module may make the key a few rounds later, and the day begins with the key.
    for _ in 0..600 {
        if key_set(&world).await["keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["alg"] == receipts.as_str())
        {
            return world;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no key for {} was made", receipts.as_str());
}

async fn key_set(world: &World) -> Value {
    world.client().await.send(bare(Method::GET, "/.well-known/jwks.json", b"", &[])).await.body
}

async fn keys(world: &World) -> KeySet {
    KeySet::parse(key_set(world).await.to_string().as_bytes()).unwrap()
}

fn named_in(jws: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(jws.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["alg"].as_str().unwrap().to_owned()
}

async fn receipt(world: &World, answer: &Answer) -> String {
    // A busy machine may sign too late for the answer.
    if let Some(receipt) = answer.body["receipt"].as_str() {
        return receipt.to_owned();
    }
    let target = format!("/api/v1/license/sessions/{}/receipt", answer.text("id"));
    let fetched = world.call(user("acme", "anna"), "GET", &target, Value::Null).await;
    fetched.text("receipt").to_owned()
}

async fn file(world: &World, license: &str) -> Answer {
    let target = format!("/api/v1/license/{license}/file");
    world.call(user("acme", "anna"), "GET", &target, Value::Null).await
}

/// Asks for a signed answer, and returns the algorithm that the signature names.
async fn signed_answer(world: &World, keys: &KeySet) -> Option<String> {
    let (target, accept) = ("/api/v1/license/sessions", "sig=();nonce=\"n\"");
    let mut client: Client = world.client().await;
    let mut request = world.request(user("acme", "anna"), Method::GET, target, b"");
    request.headers_mut().insert("accept-signature", accept.parse().unwrap());
    let (status, headers, body) = client.send_for_bytes(request).await;
    let exchange = Exchange { method: "GET", target, status, headers: &headers, body: &body };
    let believed = verify_response(exchange, keys, world.clock.now()).unwrap();
    assert_eq!(believed.nonce.as_deref(), Some("n"));
    let input = headers["signature-input"].to_str().unwrap().to_owned();
    input.split(";alg=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned())
}

async fn every_algorithm_signs_receipts_and_files(world: World) {
    let mut world = world;
    let license = world.license("acme", "editor", 9).await;
    for (receipts, files, in_answers) in [
        (Algorithm::Es256, Algorithm::EdDsa, Some("ecdsa-p256-sha256")),
        (Algorithm::Rs512, Algorithm::Es256, None),
        (Algorithm::EdDsa, Algorithm::EdDsa, Some("ed25519")),
    ] {
        // Keys of another algorithm are followed after a day.
        world = signing_with(world, receipts, files).await;
        world.advance_secs(DAY).await;
        world.stop().await;
        world.start().await;
        let got = world.acquire(user("acme", "anna"), &license.key, "hw").await;
        let (receipt, signed) = (receipt(&world, &got).await, file(&world, &license.id).await);
        let (text, keys) = (signed.text("license_file"), keys(&world).await);
        let now = world.clock.now();
        verify(&receipt, &keys, now).unwrap();
        assert_eq!(named_in(&receipt), receipts.as_str());
        verify_license_file(text, &keys, now).unwrap();
        assert_eq!(
            (named_in(text).as_str(), signed.text("algorithm")),
            (files.as_str(), files.as_str())
        );
        assert_eq!(signed_answer(&world, &keys).await.as_deref(), in_answers);
        // Another bit, and it proves nothing.
        let (start, signature) = receipt.rsplit_once('.').unwrap();
        let mut other = URL_SAFE_NO_PAD.decode(signature).unwrap();
        other[7] ^= 1;
        assert!(verify(&format!("{start}.{}", URL_SAFE_NO_PAD.encode(other)), &keys, now).is_err());
        assert_eq!(world.release(user("acme", "anna"), got.text("id")).await.status, 204);
    }
}

async fn another_algorithm_takes_over_after_a_day_and_what_was_signed_verifies_on(world: World) {
    let world = signing_with(world, Algorithm::EdDsa, Algorithm::Rs512).await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    let old = receipt(&world, &world.acquire(anna, &license.key, "hw").await).await;
    let then = world.clock.now();
    let mut world = signing_with(world, Algorithm::Es256, Algorithm::Rs512).await;
    let same = receipt(&world, &world.acquire(anna, &license.key, "hw").await).await;
    assert_eq!(named_in(&same), "EdDSA", "the new key is published first");
    world.advance_secs(DAY).await;
    world.stop().await;
    world.start().await;
    let new = receipt(&world, &world.acquire(anna, &license.key, "hw").await).await;
    assert_eq!(named_in(&new), "ES256");
    verify(&new, &keys(&world).await, world.clock.now()).unwrap();
    verify(&old, &keys(&world).await, then).unwrap();
    // Eight days later what was signed before is over, and its key leaves the key set.
    world.advance_secs(8 * DAY).await;
    world.stop().await;
    world.start().await;
    assert!(verify(&old, &keys(&world).await, then).is_err());
}
