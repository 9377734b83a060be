//! Bad input: each kind has its own clear refusal, and none of it reaches the store.

use crate::harness::{World, user};
use http::Method;
use serde_json::{Value, json};

const ACQUIRE: &str = "/api/v1/license/acquire";

#[tokio::test]
async fn what_is_no_license_key_is_refused_as_such_whatever_else_is_wrong() {
    let world = World::new().await;
    let good = world.license("acme", "editor", 1).await;
    let mut typo = good.key.as_str().to_owned();
    let last = typo.pop().unwrap();
    typo.push(if last == '7' { '8' } else { '7' });
    for key in
        ["' OR 1=1--", "", "TEST", "CODITECT-AAAA-BBBB-CCCC", &typo, &"A".repeat(10_000), "é"]
    {
        for body in
            [json!({"license_key": key}), json!({"license_key": key, "hardware_id": "test123"})]
        {
            let answer = world
                .ask(user("acme", "anna"), Method::POST, ACQUIRE, body.to_string().as_bytes())
                .await;
            answer.refused(400, "invalid_license_key");
            assert_eq!(answer.text("detail"), "Invalid license key format");
        }
    }
    // The same key as people type it.
    let typed = world.acquire(user("acme", "anna"), &good.key.to_lowercase(), "a").await;
    assert_eq!(typed.status, 201);
}

#[tokio::test]
async fn bodies_of_other_shapes_are_refused_and_take_no_seat() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 100).await;
    let key = license.key.as_str();
    let anna = user("acme", "anna");
    let good = json!({"license_key": key, "hardware_id": "a"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let many = |count: usize| {
        (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>()
    };
    let bad = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        format!("{good} x"),
        json!({"hardware_id": "a"}).to_string(),
        json!({"license_key": key}).to_string(),
        with("license_key", json!(7)),
        with("license_key", json!([key])),
        with("hardware_id", json!("")),
        with("hardware_id", json!("a".repeat(129))),
        with("hardware_id", json!("a b")),
        with("hardware_id", json!(5)),
        with("machine_id", json!("other")),
        with("user_email", json!("nobody")),
        with("user_email", json!(format!("a@{}", "b".repeat(253)))),
        with("metadata", json!([])),
        with("metadata", json!({"a": 1})),
        with("metadata", json!({"a": {"b": "c"}})),
        with("metadata", Value::Object(many(17))),
        with("metadata", json!({"k": "v".repeat(257)})),
        with("metadata", json!({"k".repeat(65): "v"})),
        with("metadata", json!({"k": "a\u{0}b"})),
        with("unknown", json!(1)),
        format!(r#"{{"license_key":"{key}","license_key":"{key}","hardware_id":"a"}}"#),
        format!(r#"{{"license_key":"{key}","hardware_id":"a","metadata":{{"a":"1","a":"2"}}}}"#),
        "[".repeat(100_000),
    ];
    for body in &bad {
        let answer = world.ask(anna, Method::POST, ACQUIRE, body.as_bytes()).await;
        if body.is_empty() {
            answer.refused(415, "unsupported_media_type");
        } else {
            answer.refused(400, "invalid_request");
        }
        assert!(!answer.body.to_string().contains(key), "{answer:?}");
        assert_eq!(answer.body["conclusive"], false);
    }
    let broken = [good.to_string().as_bytes(), b"\xff"].concat();
    world.ask(anna, Method::POST, ACQUIRE, &broken).await.refused(400, "invalid_request");
    let shown =
        world.ask(anna, Method::GET, &format!("/api/v1/licenses/{}/", license.id), b"").await;
    assert_eq!(shown.body["seats_used"], 0);

    for body in [
        with("machine_id", json!("a")),
        with("hardware_id", json!("a".repeat(128))),
        with("user_email", json!(format!("a@{}", "b".repeat(252)))),
        with("metadata", Value::Object(many(16))),
        with("metadata", json!({"k".repeat(64): "v".repeat(256)})),
        with("ip_address", json!("1.2.3.4")),
    ] {
        let answer = world.ask(anna, Method::POST, ACQUIRE, body.as_bytes()).await;
        assert!(answer.status.is_success(), "{body} {answer:?}");
    }
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_read_and_one_byte_more_is_not() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    let mut body = json!({"license_key": license.key.as_str(), "hardware_id": "a"}).to_string();
    body.push_str(&" ".repeat(1024 * 1024 - body.len()));
    let anna = user("acme", "anna");
    assert_eq!(world.ask(anna, Method::POST, ACQUIRE, body.as_bytes()).await.status, 201);
    body.push(' ');
    world.ask(anna, Method::POST, ACQUIRE, body.as_bytes()).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn other_media_types_methods_and_paths_are_refused() {
    let world = World::new().await;
    let anna = user("acme", "anna");
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let mut request = world.request(anna, Method::POST, ACQUIRE, b"{}");
        request.headers_mut().insert("content-type", media.parse().unwrap());
        world.client().await.send(request).await.refused(415, "unsupported_media_type");
    }
    let mut request = world.request(anna, Method::POST, ACQUIRE, b"{}");
    request
        .headers_mut()
        .insert("content-type", "Application/JSON; charset=utf-8".parse().unwrap());
    world.client().await.send(request).await.refused(400, "invalid_request");
    let wrong = world.ask(anna, Method::GET, ACQUIRE, b"").await;
    wrong.refused(405, "method_not_allowed");
    assert_eq!(wrong.headers["allow"], "POST");
    world.ask(anna, Method::GET, "/api/v2/license/acquire", b"").await.refused(404, "not_found");
}

#[tokio::test]
async fn ids_that_are_no_ids_and_bodies_that_say_something_are_refused() {
    let world = World::new().await;
    let anna = user("acme", "anna");
    for id in ["1", "%27%20OR%201=1", "%ff", "0189-", "..%2f"] {
        let shown = world.ask(anna, Method::GET, &format!("/api/v1/licenses/{id}/"), b"").await;
        assert_eq!(shown.status, 400, "{id} {shown:?}");
    }
    let target = "/api/v1/license/sessions/01890000-0000-7000-8000-000000000000/heartbeat";
    world.ask(anna, Method::PATCH, target, br#"{"a":1}"#).await.refused(400, "invalid_request");
    world.ask(anna, Method::PATCH, target, b"x").await.refused(400, "invalid_request");
}
