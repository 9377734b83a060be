//! An office of 400 clients behind one address works under the shipped policy, while a stranger is limited.

use std::time::Duration;

use portcullis_tests::{Answer, Edge, LicenseHome, Manner, Origin, Way};
use serde_json::{Value, json};

const CLIENTS: usize = 400;
const SHIPPED: &str = include_str!("../../../config/policies/license-api.yaml");
const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] }, body: { limit: 1MiB, inspect: 1MiB, oversize: deny } }";

async fn ask(edge: &Edge, user: usize, method: &str, path: &str, body: &Value) -> Answer {
    let token = edge.token(&format!("user-{user}"), "acme");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    edge.client().await.ask(head + &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_clients_behind_one_address_lose_nothing() {
    let (home, origin) = (LicenseHome::new(), Origin::start().await);
    let builder =
        Edge::builder(&origin).server(&home.server()).backend("assertion: true, no_store: true");
    let edge =
        builder.routes(&[ROUTE]).list("known-bad", "192.0.2.0/24\n").policy(SHIPPED).start().await;
    let license = home.start(Way::Embedded, &edge, "acme", 400).await;
    let mut sessions = Vec::with_capacity(CLIENTS);
    for user in 0..CLIENTS {
        let body = json!({ "license_key": license.key, "hardware_id": format!("machine-{user}") });
        let answer = ask(&edge, user, "POST", "/api/v1/license/acquire", &body).await;
        assert_eq!(answer.status, 201, "client {user}: {}", answer.body.escape_ascii());
        sessions.push(answer.json()["session_id"].as_str().unwrap().to_owned());
        edge.advance(Duration::from_millis(140));
    }
    for round in 1..=3 {
        // 124 s of the 180 have gone by: 56 s went with the round before.
        edge.advance(Duration::from_secs(124));
        for (user, session) in sessions.iter().enumerate() {
            let path = format!("/api/v1/license/sessions/{session}/heartbeat");
            let answer = ask(&edge, user, "PATCH", &path, &Value::Null).await;
            assert_eq!(
                answer.status,
                200,
                "round {round}, client {user}: {}",
                answer.body.escape_ascii()
            );
            edge.advance(Duration::from_millis(140));
        }
    }
    stranger_is_banned_and_the_office_is_not(&edge, &sessions).await;
}

/// Somebody in the office hammers without a token: that is banned, the working clients are not.
async fn stranger_is_banned_and_the_office_is_not(edge: &Edge, sessions: &[String]) {
    let mut hammer = edge.client_as(&Manner::default()).await;
    for n in 1..=100 {
        assert_eq!(
            hammer.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.status,
            401,
            "request {n}"
        );
    }
    let banned = hammer.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
    assert_eq!((banned.status, banned.header("retry-after")), (429, Some("600")));
    let path = format!("/api/v1/license/sessions/{}/heartbeat", sessions[0]);
    assert_eq!(ask(edge, 0, "PATCH", &path, &Value::Null).await.status, 200);
}
