//! Answers that are signed because the client asks, verified by what clients use.

use crate::harness::{Client, World, user};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use license_core::Clock as _;
use license_core::signing::{BadResponse, Exchange, KeySet, SignedResponse, verify_response};
use serde_json::{Value, json};

async fn signing(world: World) -> World {
    let mut world = world;
    world.stop().await;
    world.signs = true;
    world.start().await;
    world
}

/// What a client sees of an answer: the bytes, not what they mean.
struct Seen {
    method: Method,
    target: String,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn verified(&self, keys: &KeySet, world: &World) -> Result<SignedResponse, BadResponse> {
        let exchange = Exchange {
            method: self.method.as_str(),
            target: &self.target,
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        };
        verify_response(exchange, keys, world.clock.now())
    }
}

async fn ask(client: &mut Client, mut request: Request<Full<Bytes>>, accept: &str) -> Seen {
    request.headers_mut().insert("accept-signature", accept.parse().unwrap());
    let (method, target) = (request.method().clone(), request.uri().to_string());
    let (status, headers, body) = client.send_for_bytes(request).await;
    Seen { method, target, status, headers, body }
}

async fn keys(world: &World) -> KeySet {
    let bare = crate::harness::bare(Method::GET, "/.well-known/jwks.json", b"", &[]);
    let answer = world.client().await.send(bare).await;
    KeySet::parse(answer.body.to_string().as_bytes()).unwrap()
}

async fn every_kind_of_answer_is_signed_for_who_asks(world: World) {
    let world = signing(world).await;
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let keys = keys(&world).await;
    let mut client = world.client().await;
    let acquire =
        |hardware: &str| json!({"license_key": *license.key, "hardware_id": hardware}).to_string();
    let target = "/api/v1/license/acquire";
    let body = acquire("hw");
    let request = world.request(anna, Method::POST, target, body.as_bytes());
    let granted = ask(&mut client, request, "sig=();nonce=\"n-1\";tag=\"t\"").await;
    assert_eq!(granted.status, 201);
    let signed = granted.verified(&keys, &world).unwrap();
    assert_eq!((signed.nonce.as_deref(), signed.tag.as_deref()), (Some("n-1"), Some("t")));
    assert_eq!(signed.created, world.clock.now().as_secs());
    // A refusal, a thing that is read, one that is not changed, an empty answer, and the key set itself.
    let body = acquire("other");
    let request = world.request(ben, Method::POST, target, body.as_bytes());
    let refused = ask(&mut client, request, "sig=()").await;
    assert_eq!(refused.status, 409);
    refused.verified(&keys, &world).unwrap();
    let session: Value = serde_json::from_slice(&granted.body).unwrap();
    let target = format!("/api/v1/license/sessions/{}", session["id"].as_str().unwrap());
    let read = ask(&mut client, world.request(anna, Method::GET, &target, b""), "sig=()").await;
    read.verified(&keys, &world).unwrap();
    let mut request = world.request(anna, Method::GET, &target, b"");
    request.headers_mut().insert("if-none-match", read.headers["etag"].clone());
    let same = ask(&mut client, request, "sig=()").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    same.verified(&keys, &world).unwrap();
    let gone = ask(&mut client, world.request(anna, Method::DELETE, &target, b""), "sig=()").await;
    assert_eq!(gone.status, 204);
    gone.verified(&keys, &world).unwrap();
    let request = crate::harness::bare(Method::GET, "/openapi.json", b"", &[]);
    ask(&mut client, request, "sig=()").await.verified(&keys, &world).unwrap();

    // One answer for another is found out, and so is an answer to another request.
    let swapped = Seen { body: refused.body.clone(), ..granted };
    assert_eq!(swapped.verified(&keys, &world), Err(BadResponse::Digest));
    let elsewhere = Seen { target: "/api/v1/license/validate".to_owned(), ..refused };
    assert!(matches!(elsewhere.verified(&keys, &world), Err(BadResponse::Signature(_))));
}

async fn what_is_asked_for_is_covered_and_what_cannot_be_goes_out_unsigned(world: World) {
    let world = signing(world).await;
    let mut client = world.client().await;
    let health = || crate::harness::bare(Method::GET, "/health", b"", &[]);
    let wanted =
        "s1=(\"@status\" \"content-type\" \"cache-control\" \"@path\";req);created;alg=\"ed25519\"";
    let seen = ask(&mut client, health(), wanted).await;
    let input = seen.headers["signature-input"].to_str().unwrap();
    let list = "s1=(\"@status\" \"content-type\" \"cache-control\" \"@path\";req);created=";
    assert!(input.starts_with(list), "{input}");
    assert!(seen.headers["signature"].to_str().unwrap().starts_with("s1=:"));
    // A client that leaves out the body's digest is told by its verifier.
    let keys = keys(&world).await;
    assert_eq!(seen.verified(&keys, &world), Err(BadResponse::Coverage));
    for not_done in [
        "sig=(\"@target-uri\";req)",
        "sig=(\"x-absent\")",
        "sig=(\"@status\" \"@status\")",
        "sig=();keyid=\"other\"",
        "sig=();alg=\"rsa-pss-sha512\"",
        "sig=();expires",
        "sig=(",
        "nonsense",
    ] {
        let seen = ask(&mut client, health(), not_done).await;
        assert_eq!(seen.status, 200, "{not_done}");
        assert!(!seen.headers.contains_key("signature"), "{not_done}");
        assert_eq!(seen.verified(&keys, &world), Err(BadResponse::Unsigned));
    }
    // Nobody who does not ask pays for it.
    let plain = client.send(health()).await;
    assert!(!plain.headers.contains_key("content-digest"));
}

crate::harness::on_both_stores! {
    every_kind_of_answer_is_signed_for_who_asks,
    what_is_asked_for_is_covered_and_what_cannot_be_goes_out_unsigned,
}

#[tokio::test]
async fn a_service_that_does_not_sign_answers_unsigned() {
    let world = World::new().await;
    let mut client = world.client().await;
    let request = crate::harness::bare(Method::GET, "/health", b"", &[]);
    let seen = ask(&mut client, request, "sig=()").await;
    assert_eq!(seen.status, 200);
    assert!(!seen.headers.contains_key("signature"));
}
