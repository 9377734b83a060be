//! The trust boundary: the edge's assertion and nothing else.

use crate::harness::{Edge, START, Who, World, bare, user};
use http::Method;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

const ACQUIRE: &str = "/api/v1/license/acquire";

#[tokio::test]
async fn health_needs_no_assertion_and_everything_else_does() {
    let world = World::new().await;
    let mut client = world.client().await;
    for path in ["/health", "/health/", "/ready"] {
        assert_eq!(client.send(bare(Method::GET, path, b"", &[])).await.status, 200, "{path}");
    }
    client.send(bare(Method::POST, "/health", b"", &[])).await.refused(405, "method_not_allowed");
    for (method, path) in [
        (Method::POST, ACQUIRE),
        (Method::GET, "/api/v1/licenses/x/"),
        (Method::PATCH, "/api/v1/license/sessions/x/heartbeat"),
        (Method::DELETE, "/api/v1/license/sessions/x"),
        (Method::GET, "/"),
        (Method::GET, "/api/v1/nothing"),
    ] {
        client.send(bare(method, path, b"", &[])).await.refused(401, "missing_auth");
    }
}

#[tokio::test]
async fn identity_headers_count_for_nothing() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    let body = json!({"license_key": license.key.as_str(), "hardware_id": "a"}).to_string();
    let plain = [("x-edge-subject", "anna"), ("x-edge-tenant", "acme"), ("x-edge-roles", "admin")];
    let answer =
        world.client().await.send(bare(Method::POST, ACQUIRE, body.as_bytes(), &plain)).await;
    answer.refused(401, "missing_auth");
}

#[tokio::test]
async fn an_assertion_for_another_request_key_or_time_is_refused() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    let body = json!({"license_key": license.key.as_str(), "hardware_id": "a"}).to_string();
    let (anna, now) = (user("acme", "anna"), START / 1000);
    let sign = |method: &str, target: &str, body: &str, now: u64| {
        world.edge.assertion(anna, method, target, body.as_bytes(), now)
    };
    let good = sign("POST", ACQUIRE, &body, now);
    let forged = [
        sign("PUT", ACQUIRE, &body, now),
        sign("POST", "/api/v1/licenses/acquire", &body, now),
        sign("POST", ACQUIRE, "{}", now),
        sign("POST", ACQUIRE, &body, now - 66),
        sign("POST", ACQUIRE, &body, now + 6),
        Edge::new().assertion(anna, "POST", ACQUIRE, body.as_bytes(), now),
        "x".to_owned(),
    ];
    for assertion in &forged {
        let request =
            bare(Method::POST, ACQUIRE, body.as_bytes(), &[("x-edge-assertion", assertion)]);
        world.client().await.send(request).await.refused(401, "invalid_token");
    }
    let twice = [("x-edge-assertion", good.as_str()), ("x-edge-assertion", good.as_str())];
    world
        .client()
        .await
        .send(bare(Method::POST, ACQUIRE, body.as_bytes(), &twice))
        .await
        .refused(401, "missing_auth");
    let request = bare(Method::POST, ACQUIRE, body.as_bytes(), &[("x-edge-assertion", &good)]);
    assert_eq!(world.client().await.send(request).await.status, 201);
}

#[tokio::test]
async fn a_caller_without_a_tenant_is_refused() {
    let world = World::new().await;
    let nobody = Who { tenant: None, subject: "anna", role: "member" };
    world.ask(nobody, Method::POST, ACQUIRE, b"{}").await.refused(403, "missing_tenant");
}

#[tokio::test]
async fn an_edge_key_that_leaves_the_file_is_believed_no_longer() {
    let world = World::new().await;
    let anna = user("acme", "anna");
    world.ask(anna, Method::GET, "/api/v1/nothing", b"").await.refused(404, "not_found");
    let next = Edge::new();
    std::fs::write(world.path("edge.jwks"), next.jwks()).unwrap();
    world.ask(anna, Method::GET, "/api/v1/nothing", b"").await.refused(401, "invalid_token");
    let assertion = next.assertion(anna, "GET", "/api/v1/nothing", b"", START / 1000);
    let request = bare(Method::GET, "/api/v1/nothing", b"", &[("x-edge-assertion", &assertion)]);
    world.client().await.send(request).await.refused(404, "not_found");
}

#[tokio::test]
async fn every_spelling_of_a_path_is_one_endpoint() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 9).await;
    let anna = user("acme", "anna");
    for root in ["/api/v1/license", "/api/v1/licenses"] {
        for slash in ["", "/"] {
            let body = json!({"license_key": license.key.as_str(), "hardware_id": "a"}).to_string();
            let got = world
                .ask(anna, Method::POST, &format!("{root}/acquire{slash}"), body.as_bytes())
                .await;
            assert_eq!(got.status, 201, "{got:?}");
            let session = format!("{root}/sessions/{}", got.text("session_id"));
            let beat =
                world.ask(anna, Method::PATCH, &format!("{session}/heartbeat{slash}"), b"{}").await;
            assert_eq!(beat.status, 200);
            let shown =
                world.ask(anna, Method::GET, &format!("{root}/{}{slash}", license.id), b"").await;
            assert_eq!(shown.status, 200);
            assert_eq!(
                world.ask(anna, Method::DELETE, &format!("{session}{slash}"), b"").await.status,
                204
            );
        }
    }
}

#[tokio::test]
async fn the_request_id_is_the_edges_or_a_new_one() {
    let world = World::new().await;
    let mut client = world.client().await;
    for (sent, kept) in
        [("r-1", true), (&*"x".repeat(64), true), (&*"x".repeat(65), false), ("a b", false)]
    {
        let request = bare(Method::GET, "/x", b"", &[("x-edge-request-id", sent)]);
        let answer = client.send(request).await;
        assert_eq!(answer.text("request_id") == sent, kept, "{sent}");
    }
}

#[tokio::test]
async fn the_socket_and_the_database_are_for_this_user_alone() {
    let world = World::new().await;
    for name in
        ["license.sock", "license.db", "license.db-wal", "license.db-shm", "license.db.lock"]
    {
        let mode = std::fs::metadata(world.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn the_key_stands_nowhere_in_the_database() {
    let mut world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    assert_eq!(world.acquire(user("acme", "anna"), &license.key, "a").await.status, 201);
    world.stop().await;
    let bytes = std::fs::read(world.path("license.db")).unwrap();
    let key = license.key.as_bytes();
    assert!(!bytes.windows(key.len()).any(|window| window == key));
}

#[tokio::test]
async fn metrics_count_by_route_and_code_and_hold_nothing_that_a_client_wrote() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    let anna = user("acme", "anna");
    let got = world.acquire(anna, &license.key, "hardware-7").await;
    world.heartbeat(anna, got.text("session_id")).await;
    world.acquire(anna, &license.key, "hardware-8").await.refused(409, "no_seats_available");
    world
        .client()
        .await
        .send(bare(Method::GET, "/secret-path", b"", &[]))
        .await
        .refused(401, "missing_auth");
    let text = world.running.as_ref().unwrap().metrics().render();
    for line in [
        r#"license_requests_total{code="201",route="/api/v1/license/acquire"} 1"#,
        r#"license_requests_total{code="200",route="/api/v1/license/sessions/{id}/heartbeat"} 1"#,
        r#"license_requests_total{code="401",route="none"} 1"#,
        r#"license_refusals_total{error="no_seats_available"} 1"#,
        r#"license_store_connections_limit"#,
    ] {
        assert!(text.contains(line), "{line} not in {text}");
    }
    for secret in ["hardware-7", "anna", "acme", "secret-path", got.text("session_id")] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn every_documented_operation_is_served() {
    let world = World::new().await;
    let mut client = world.client().await;
    let document = client.send(bare(Method::GET, "/openapi.json", b"", &[])).await;
    assert_eq!(document.status, 200);
    let mut operations = 0;
    for (path, methods) in document.body["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let target = path
                .replace("{id}", "01890000-0000-7000-8000-000000000000")
                .replace("{name}", "somebody");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = if operation.get("security").is_some() {
                client
                    .send(bare(method.clone(), &target, b"", &[]))
                    .await
                    .refused(401, "missing_auth");
                world.ask(user("acme", "anna"), method, &target, b"").await
            } else {
                client.send(bare(method, &target, b"", &[])).await
            };
            let documented = &operation["responses"][answer.status.as_str()];
            assert!(documented.is_object(), "{path}: {answer:?}");
            operations += 1;
        }
    }
    assert_eq!(operations, 50);
}

#[tokio::test]
async fn the_document_is_a_page_to_read_with_a_slash_and_without() {
    let world = World::new().await;
    let mut pages = vec![];
    for target in ["/docs", "/docs/"] {
        let request = bare(Method::GET, target, b"", &[]);
        let (status, headers, body) = world.client().await.send_for_bytes(request).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(
            headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
        );
        pages.push(String::from_utf8(body).unwrap());
    }
    assert_eq!(pages[0], pages[1], "and every link of it is right from both");
    assert!(pages[0].contains("<code>POST /api/v1/license/acquire</code>"));
    let refused = world.client().await.send(bare(Method::POST, "/docs", b"{}", &[])).await;
    refused.refused(405, "method_not_allowed");
}
