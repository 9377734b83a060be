//! Sign-in protection: failures counted from the origin's answers, and the events that they make.

use std::time::Duration;

use portcullis::bypass::{Secrecy, add_key};
use portcullis_incident::Category;
use portcullis_tests::{Answer, Edge, Manner, Origin};
use serde_json::{Value, json};

const FAILED: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n\
    {\"error\":{\"reason\":\"invalid_password\"}}";
const SUCCEEDED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
    12\r\n{\"user\":{\"id\":\"use\r\n8\r\nr-123\"}}\r\n0\r\n\r\n";
const CONFLICT: &[u8] = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n";
const BROKEN: &[u8] = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";

fn route(kind: &str, more: &str) -> String {
    format!(
        "{{ path: /login, backend: origin, identity: none, sign_in: {{ kind: {kind}, \
         account: ['json:email', 'form:user'], reason: 'json:error.reason', user: 'json:user.id', \
         account_failures: 3, address_failures: 6, stuffing_accounts: 4{more} }} }}"
    )
}

fn body(account: &str) -> String {
    format!("{{\"email\":\"{account}\",\"password\":\"x\"}}")
}

async fn post(edge: &Edge, from: u8, account: &str, headers: &str) -> Answer {
    let body = body(account);
    let manner = Manner { from: [127, 0, 0, from].into(), ..Manner::default() };
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: edge.test\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    edge.client_as(&manner).await.ask(request).await
}

async fn events(edge: &Edge, kind: &str, count: usize) -> Vec<Value> {
    loop {
        let events = edge.event_log();
        // What failed is told twice: in the services' words, and to the incident desk.
        let of_kind = |event: &&Value| match event.get("event") {
            Some(name) => name == kind,
            None => event["type"] == kind && kind != "login_failed",
        };
        let found: Vec<Value> = events.iter().filter(of_kind).cloned().collect();
        if found.len() >= count {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounts_failures_are_counted_from_the_answers_and_told_with_the_services_names() {
    let origin = Origin::answering(FAILED).await;
    let edge = Edge::builder(&origin).routes(&[&route("sign_in", "")]).start().await;
    for (from, account) in
        [(2, "Alice@Example.com"), (3, " alice@example.com"), (4, "alice@example.com")]
    {
        assert_eq!(post(&edge, from, account, "").await.status, 401);
        events(&edge, "login_failed", usize::from(from) - 1).await;
    }
    origin.forget();
    let refused = post(&edge, 5, "ALICE@example.com", "").await;
    assert_eq!((refused.status, refused.error().as_str()), (429, "rate_limited"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((900..=1013).contains(&wait), "{wait}");
    origin.saw_nothing();
    assert_eq!(post(&edge, 5, "bob@example.com", "").await.status, 401);
    let told = events(&edge, "login_failed", 4).await;
    let [first, ..] = told.as_slice() else { panic!("{told:?}") };
    let id = first["requestId"].clone();
    assert_eq!(
        *first,
        json!({
            "level": 40, "time": 1_767_225_600_000_u64, "event": "login_failed",
            "reason": "invalid_password", "email": "alice@example.com", "ip": "127.0.0.2",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "msg": "Security: Login failed - invalid password", "source": "edge", "requestId": id,
        })
    );
    events(&edge, "brute_force", 1).await;
    edge.advance(Duration::from_secs(wait));
    assert_eq!(post(&edge, 5, "alice@example.com", "").await.status, 401);
    edge.counts("edge_sign_ins_total{event=\"login_failed\"} 5").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_succeeds_and_what_the_origin_leaves_open_is_no_failure() {
    let origin = Origin::in_turn(&[BROKEN, BROKEN, BROKEN, BROKEN, SUCCEEDED, FAILED]).await;
    let edge = Edge::builder(&origin).routes(&[&route("sign_in", "")]).start().await;
    for status in [500, 500, 500, 500, 200] {
        assert_eq!(post(&edge, 2, "alice", "").await.status, status);
    }
    let told = events(&edge, "login_success", 1).await;
    assert_eq!(told[0]["userId"], "user-123");
    assert_eq!(told[0]["level"], 30);
    assert_eq!((&told[0]["reason"], &told[0]["email"]), (&Value::Null, &json!("alice")));
    for n in 0..3 {
        assert_eq!(post(&edge, 3, "alice", "").await.status, 401);
        events(&edge, "login_failed", n + 1).await;
    }
    assert_eq!(post(&edge, 4, "alice", "").await.status, 429, "a stranger");
    assert_eq!(post(&edge, 2, "alice", "").await.status, 401, "who has signed in from here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_accounts_from_one_network_raise_credential_stuffing_once() {
    let origin = Origin::answering(FAILED).await;
    let edge = Edge::builder(&origin).routes(&[&route("sign_in", "")]).start().await;
    for n in 0..6_u8 {
        let account = format!("user-{n}");
        assert_eq!(post(&edge, 2 + n % 3, &account, "").await.status, 401);
        events(&edge, "login_failed", usize::from(n) + 1).await;
    }
    let told = events(&edge, "credential_stuffing", 1).await;
    assert_eq!(told.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_origin_refuses_feeds_the_scenarios_of_the_incident_desk() {
    let origin = Origin::answering(FAILED).await;
    let route = route("sign_in", "")
        .replace(
            "account_failures: 3, address_failures: 6",
            "account_failures: 50, address_failures: 50",
        )
        .replace("stuffing_accounts: 4", "stuffing_accounts: 64");
    for redact in ["", "log: { requests: off, events: off, redact: [email] }"] {
        let edge = Edge::builder(&origin).routes(&[&route]).start().await;
        if !redact.is_empty() {
            let plain = "log: { requests: off, events: off }";
            edge.rewrite(|text| text.replace(plain, redact));
            edge.publish().unwrap();
        }
        let raised = |kind: &str| {
            let events = edge.event_log();
            events.into_iter().filter(|event| event["type"] == kind).collect::<Vec<_>>()
        };
        // Ten failures of one account, each from another address: nobody is refused for it by the limits.
        for n in 0..10 {
            assert_eq!(post(&edge, 10 + n, "Ada@example.com", "").await.status, 401);
            while raised("login_failed").len() <= usize::from(n) {
                tokio::task::yield_now().await;
            }
        }
        let failed = raised("login_failed");
        let account = &failed[0]["actor"]["account"];
        assert_eq!(account == "ada@example.com", redact.is_empty(), "{account}");
        assert!(failed.iter().all(|event| event["actor"]["account"] == *account), "{failed:?}");
        let incidents = edge.incidents();
        let of = |category| incidents.iter().filter(move |one| one.category == category).count();
        assert_eq!((of(Category::BruteForce), of(Category::LoginFailed)), (1, 0), "{incidents:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_names_no_account_or_two_never_reaches_the_origin() {
    let origin = Origin::answering(FAILED).await;
    let edge = Edge::builder(&origin).routes(&[&route("sign_in", "")]).start().await;
    for body in ["", "{}", "{\"email\":\"a\",\"Email\":\"b\"}", "user=a&user=b", "<email>a</email>"]
    {
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(edge.client().await.ask(request).await.status, 400, "{body}");
        let h2 = edge.h2().await.ask("POST", "/login", &[], body.as_bytes()).await;
        assert_eq!(h2.status, 400, "{body}");
    }
    origin.saw_nothing();
    assert_eq!(edge.get("/login").await.status, 401, "the page itself is no attempt");
    assert_eq!(edge.h2().await.ask("POST", "/login", &[], b"user=a").await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_and_changes_of_passwords_are_told_by_their_own_names() {
    let origin = Origin::in_turn(&[CONFLICT, CONFLICT, SUCCEEDED]).await;
    let edge = Edge::builder(&origin).routes(&[&route("registration", "")]).start().await;
    for (status, event) in [(409, "register_conflict"), (409, ""), (200, "register_success")] {
        assert_eq!(post(&edge, 2, "alice", "").await.status, status);
        if !event.is_empty() {
            events(&edge, event, 1).await;
        }
    }
    let changing = "{ path: /login, backend: origin, identity: { any: [dev] }, sign_in: { kind: password_change, \
                    reason: 'json:error.reason', account_failures: 2 } }";
    let origin = Origin::in_turn(&[SUCCEEDED, FAILED]).await;
    let edge = Edge::builder(&origin).routes(&[changing]).start().await;
    let bearer = format!("Authorization: Bearer {}\r\n", edge.token("alice", "acme"));
    assert_eq!(post(&edge, 2, "-", &bearer).await.status, 200);
    let told = events(&edge, "password_change_success", 1).await;
    assert_eq!((&told[0]["userId"], &told[0]["email"]), (&json!("alice"), &Value::Null));
    for n in 0..2 {
        assert_eq!(post(&edge, 3, "-", &bearer).await.status, 401);
        let told = events(&edge, "password_change_failed", n + 1).await;
        assert_eq!(told[n]["reason"], "invalid_password");
    }
    assert_eq!(post(&edge, 4, "-", &bearer).await.status, 429, "the caller's own failures");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_test_lifts_nothing_where_accounts_sign_in() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("load-test.keys");
    let secret = add_key(&keys, Secrecy::Static, 1).unwrap().unwrap();
    let top = format!("load_test: {{ keys: 'file:{}', from: [127.0.0.0/8] }}", keys.display());
    let origin = Origin::answering(FAILED).await;
    let builder = Edge::builder(&origin).environment("staging").top(&top);
    let edge = builder.routes(&[&route("sign_in", "")]).start().await;
    let bypass = format!("X-Load-Test-Bypass: {}\r\n", *secret);
    for n in 0..3 {
        assert_eq!(post(&edge, 2, "alice", &bypass).await.status, 401);
        events(&edge, "login_failed", n + 1).await;
    }
    assert_eq!(post(&edge, 3, "alice", &bypass).await.status, 429);
    edge.counts("edge_load_test_bypasses_total{outcome=\"elsewhere\"} 4").await;
}
