//! Seats through the edge: the same tests with the license service in this process and as its own binary.

use portcullis_tests::{Answer, Edge, License, LicenseHome, Origin, Way};
use serde_json::{Value, json};

const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] }, body: { limit: 1MiB, inspect: 1MiB, oversize: deny } }";
const WAYS: [Way; 2] = [Way::Embedded, Way::OwnProcess];

/// The two protocols that a client may speak.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    H1,
    H2,
}

async fn edge_and_license(way: Way) -> (Edge, License, LicenseHome) {
    let home = LicenseHome::new();
    let origin = Origin::start().await;
    let builder =
        Edge::builder(&origin).server(&home.server()).backend("assertion: true, no_store: true");
    let edge = builder.routes(&[ROUTE]).start().await;
    let license = home.start(way, &edge, "acme", 3).await;
    (edge, license, home)
}

async fn ask(
    edge: &Edge,
    protocol: Protocol,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    match protocol {
        Protocol::H1 => {
            let length = body.len();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            edge.client().await.ask(head + &body).await
        }
        Protocol::H2 => {
            let authorization = format!("Bearer {token}");
            let headers =
                [("authorization", authorization.as_str()), ("content-type", "application/json")];
            edge.h2().await.ask(method, path, &headers, body.as_bytes()).await
        }
    }
}

async fn acquire(edge: &Edge, protocol: Protocol, token: &str, key: &str, machine: &str) -> Answer {
    let body = json!({ "license_key": key, "hardware_id": machine });
    ask(edge, protocol, token, "POST", "/api/v1/license/acquire", &body).await
}

fn session(answer: &Answer) -> String {
    let body = answer.json();
    let id = body.get("session_id").or_else(|| body.get("id")).and_then(Value::as_str);
    id.unwrap_or_else(|| panic!("no session in {body}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_is_acquired_kept_and_released_over_both_protocols() {
    for way in WAYS {
        let (edge, license, _home) = edge_and_license(way).await;
        for protocol in [Protocol::H1, Protocol::H2] {
            let token = edge_token(&edge, way);
            let acquired = acquire(&edge, protocol, &token, &license.key, "machine-1").await;
            assert_eq!(acquired.status, 201, "{way:?} {protocol:?} {:?}", acquired.json());
            assert_eq!(acquired.header("cache-control"), Some("no-store"));
            let again = acquire(&edge, protocol, &token, &license.key, "machine-1").await;
            assert_eq!(
                (again.status, session(&again)),
                (200, session(&acquired)),
                "{way:?} {protocol:?}"
            );
            let path = format!("/api/v1/license/sessions/{}", session(&acquired));
            let kept =
                ask(&edge, protocol, &token, "PATCH", &format!("{path}/heartbeat"), &Value::Null)
                    .await;
            assert_eq!(kept.status, 200, "{way:?} {protocol:?}");
            let released = ask(&edge, protocol, &token, "DELETE", &path, &Value::Null).await;
            assert!(
                matches!(released.status, 200 | 204),
                "{way:?} {protocol:?} {}",
                released.status
            );
            let gone =
                ask(&edge, protocol, &token, "PATCH", &format!("{path}/heartbeat"), &Value::Null)
                    .await;
            assert_eq!(gone.status, 410, "{way:?} {protocol:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fourth_of_three_seats_is_refused_with_a_hint() {
    for way in WAYS {
        let (edge, license, _home) = edge_and_license(way).await;
        let token = edge_token(&edge, way);
        for machine in ["m1", "m2", "m3"] {
            assert_eq!(
                acquire(&edge, Protocol::H1, &token, &license.key, machine).await.status,
                201,
                "{way:?}"
            );
        }
        let fourth = acquire(&edge, Protocol::H1, &token, &license.key, "m4").await;
        assert_eq!(fourth.status, 409, "{way:?}");
        assert!(fourth.header("retry-after").is_some(), "{way:?}");
        let body = fourth.json();
        assert_eq!(body.pointer("/source"), Some(&json!("license")), "{body}");
        assert_eq!(body.pointer("/details/max_seats"), Some(&json!(3)), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_own_refusals_reach_the_client() {
    for way in WAYS {
        let (edge, license, _home) = edge_and_license(way).await;
        let token = edge_token(&edge, way);
        let malformed = acquire(&edge, Protocol::H1, &token, "no key at all", "m1").await;
        assert_eq!(malformed.status, 400, "{way:?}");
        assert_eq!(
            malformed.json().pointer("/detail"),
            Some(&json!("Invalid license key format")),
            "{way:?}"
        );
        let stranger = stranger_token(&edge, way);
        let foreign = ask(
            &edge,
            Protocol::H1,
            &stranger,
            "GET",
            &format!("/api/v1/licenses/{}/", license.id),
            &Value::Null,
        )
        .await;
        let missing = "/api/v1/licenses/00000000-0000-7000-8000-000000000000/";
        let missing = ask(&edge, Protocol::H1, &stranger, "GET", missing, &Value::Null).await;
        assert_eq!((foreign.status, missing.status), (403, 403), "{way:?}");
        assert_eq!(
            foreign.json().pointer("/message"),
            Some(&json!("Tenant access denied")),
            "{way:?}"
        );
        assert_eq!(foreign.json().get("details"), missing.json().get("details"), "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_when_no_heartbeat_comes_and_is_not_revived() {
    let (edge, license, _home) = edge_and_license(Way::Embedded).await;
    let token = edge.token("maria", "acme");
    let acquired = acquire(&edge, Protocol::H1, &token, &license.key, "m1").await;
    edge.advance(std::time::Duration::from_secs(361));
    let token = edge.token("maria", "acme");
    let path = format!("/api/v1/license/sessions/{}/heartbeat", session(&acquired));
    let late = ask(&edge, Protocol::H1, &token, "PATCH", &path, &Value::Null).await;
    assert_eq!(late.status, 410);
    assert_eq!(late.json().pointer("/conclusive"), Some(&json!(true)));
}

/// The binary verifies the edge's assertion by the machine's clock, so the edge's clock has to agree with it.
fn edge_token(edge: &Edge, way: Way) -> String {
    meet(edge, way);
    edge.token("maria", "acme")
}

fn stranger_token(edge: &Edge, way: Way) -> String {
    meet(edge, way);
    edge.token("mallory", "rival")
}

#[expect(clippy::disallowed_methods, reason = "a process of its own lives on the machine's clock")]
fn meet(edge: &Edge, way: Way) {
    if way == Way::OwnProcess {
        let machine = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        edge.advance(machine.saturating_sub(std::time::Duration::from_secs(edge.now_secs())));
    }
}
