//! The license service's administration: through the edge by role, and by the edge's own command line.

use std::process::Command;

use portcullis_tests::{Answer, Edge, License, LicenseHome, Origin, Way, binary};
use serde_json::{Value, json};
use tempfile::TempDir;

const SHIPPED: &str = include_str!("../../../config/policies/license-api.yaml");
const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] }, body: { limit: 1MiB, inspect: 1MiB, oversize: deny } }";
const OPEN: &str = "{ path: /health, backend: origin, identity: none }";

async fn edge_and_license() -> (Edge, License, LicenseHome) {
    let (home, origin) = (LicenseHome::new(), Origin::start().await);
    let builder =
        Edge::builder(&origin).server(&home.server()).backend("assertion: true, no_store: true");
    let builder = builder.routes(&[ROUTE, OPEN]).list("known-bad", "192.0.2.0/24\n");
    let edge = builder.policy(SHIPPED).start().await;
    let license = home.start(Way::Embedded, &edge, "acme", 3).await;
    (edge, license, home)
}

/// A token of somebody with these roles.
fn token(edge: &Edge, subject: &str, tenant: &str, roles: &[&str]) -> String {
    let mut claims = edge.claims(subject, tenant);
    claims.insert("roles".to_owned(), json!(roles));
    edge.sign(&claims)
}

async fn ask(edge: &Edge, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    edge.client().await.ask(head + &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_role_reaches_the_service_and_a_members_does_not() {
    let (edge, license, _home) = edge_and_license().await;
    let ada = token(&edge, "ada", "acme", &["license-admin"]);
    let anna = token(&edge, "anna", "acme", &["member"]);
    let new = json!({"name": "viewer", "product": "Viewer", "seats": 2});
    let denied = ask(&edge, &anna, "POST", "/api/v1/license", new.clone()).await;
    assert_eq!((denied.status, denied.json()["error"].as_str()), (403, Some("insufficient_scope")));
    let made = ask(&edge, &ada, "POST", "/api/v1/license", new).await;
    assert_eq!(made.status, 201, "{}", made.body.escape_ascii());
    let made = made.json();
    let path = format!("/api/v1/license/{}", made["id"].as_str().unwrap());
    let changed = ask(&edge, &ada, "PATCH", &path, json!({"seats": 5})).await;
    assert_eq!((changed.status, changed.json()["seats_total"].as_u64()), (200, Some(5)));
    let listed = ask(&edge, &ada, "GET", "/api/v1/licenses/", Value::Null).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    // What an administrator does takes effect for who works.
    let acquire = json!({"license_key": license.key, "hardware_id": "m1"});
    let held = ask(&edge, &anna, "POST", "/api/v1/license/acquire", acquire.clone()).await;
    assert_eq!(held.status, 201);
    let holders = ask(&edge, &ada, "GET", "/api/v1/license/sessions", Value::Null).await.json();
    assert_eq!(holders["items"][0]["user_id"], "anna");
    let suspend = json!({"status": "suspended"});
    assert_eq!(ask(&edge, &ada, "PATCH", "/api/v1/subject/anna", suspend).await.status, 200);
    let refused = ask(&edge, &anna, "POST", "/api/v1/license/acquire", acquire).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (403, Some("subject_suspended"))
    );
    // An administrator of another tenant administers nothing here.
    let eve = token(&edge, "eve", "rival", &["license-admin"]);
    let foreign = ask(&edge, &eve, "PATCH", &path, json!({"seats": 0})).await;
    assert_eq!(
        (foreign.status, foreign.json()["message"].as_str()),
        (403, Some("Tenant access denied"))
    );
    // The trail names who acted.
    let usage = format!("/api/v1/license/{}/usage", license.id);
    assert_eq!(ask(&edge, &ada, "GET", &usage, Value::Null).await.status, 200);
}

/// The second seed's three tests, against the API through the edge with the shipped policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_seeds_three_tests_stand() {
    let (edge, license, _home) = edge_and_license().await;
    let anna = edge.token("anna", "acme");
    let attack = json!({"license_key": "no-license-key", "hardware_id": "m1"});
    let malformed = ask(&edge, &anna, "POST", "/api/v1/license/acquire", attack).await;
    assert_eq!(malformed.status, 400, "{}", malformed.body.escape_ascii());
    assert!(malformed.json()["detail"].as_str().unwrap().contains("Invalid license key format"));
    let mallory = edge.token("mallory", "rival");
    let path = format!("/api/v1/licenses/{}/", license.id);
    let foreign = ask(&edge, &mallory, "GET", &path, Value::Null).await;
    assert_eq!(foreign.status, 403);
    assert!(foreign.json()["detail"].as_str().unwrap().contains("Tenant access denied"));
    let mut client = edge.client().await;
    for number in 1..=101 {
        let answer = client.ask("GET /health HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
        let expected = if number <= 100 { 200 } else { 429 };
        assert_eq!(answer.status, expected, "request {number}");
    }
}

#[test]
fn the_edges_binary_operates_the_embedded_license_service() {
    let directory = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary("portcullis"));
        command.current_dir(directory.path()).arg("license").args(arguments).output().unwrap()
    };
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", output.stderr.escape_ascii());
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::write(
        directory.path().join("license.yaml"),
        "version: 1\nlisten: { unix: l.sock }\ndatabase: { sqlite: own.db }\nedge_keys: edge.jwks\n",
    )
    .unwrap();
    let own = ["--service", "license.yaml"];
    let own = |arguments: &[&'static str]| [&own[..], arguments].concat();
    assert!(said(&own(&["tenant", "create", "acme"])).contains("created"));
    let made = said(&own(&[
        "license",
        "create",
        "--tenant",
        "acme",
        "--name",
        "editor",
        "--product",
        "Editor",
        "--seats",
        "2",
    ]));
    assert!(made.contains("key     LIC-"), "{made}");
    said(&own(&["burst", "acme/editor", "+20", "--for", "8h"]));
    let listed = said(&own(&["license", "ls", "--tenant", "acme", "--json"]));
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!(
        (listed["name"].as_str(), listed["seats_total"].as_u64()),
        (Some("editor"), Some(22))
    );
    assert!(said(&own(&["license", "ls", "--tenant", "acme"])).contains("0/22 seats"));
    assert_eq!(said(&own(&["session", "ls", "--tenant", "acme", "--name", "editor"])), "");
    assert_eq!(said(&own(&["key", "ls"])), "");
    assert!(said(&own(&["audit", "verify", "--tenant", "acme"])).contains("events"));
    assert!(said(&own(&["audit", "export", "--tenant", "acme"])).contains("license.burst"));
    for (bad, says) in [
        (own(&["burst", "editor", "+20", "--for", "8h"]), "acme/editor"),
        (own(&["burst", "acme/editor", "+x", "--for", "8h"]), "not a number of seats"),
        (own(&["burst", "acme/viewer", "+20", "--for", "8h"]), "no such license"),
        (own(&["burst", "acme/editor", "+20", "--for", "32d"]), "31 days"),
        (vec!["--service", "absent.yaml", "key", "ls"], "absent.yaml"),
        (vec!["--config", "absent.yaml", "key", "ls"], "absent.yaml"),
    ] {
        let output = run(&bad);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(says), "{bad:?}: {text}");
    }
    // Without a word it is the embedded default, with what a first run of it made.
    std::fs::create_dir(directory.path().join("data")).unwrap();
    assert!(said(&["tenant", "create", "local"]).contains("created"));
    assert!(directory.path().join("data/license.db").exists());
}
