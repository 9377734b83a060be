//! A tenant keeps to what is its own: the tenants that a request names, and the objects that others were told of.

use portcullis_tests::{Answer, Edge, Origin};
use serde_json::{Value, json};

const DECLARED: &str = "{ path: /, backend: origin, identity: { any: [dev], tenant: { \
     path: '/api/*/tenants/{id}', query: tenant_id, header: X-Org-Id, body: org.id } } }";
const OWNED: &str = "{ path: /, backend: origin, identity: { any: [dev], owners: [session] } }";
const SESSIONS: &str = "owners: { session: { answer: sessions.session_id, path: '/sessions/{id}', \
     query: session_id, body: session_id } }";

struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

impl Ask<'_> {
    const fn get<'a>(target: &'a str) -> Ask<'a> {
        Ask { method: "GET", target, headers: &[], body: "" }
    }

    const fn post<'a>(kind: &'a [(&'a str, &'a str)], body: &'a str) -> Ask<'a> {
        Ask { method: "POST", target: "/seats", headers: kind, body }
    }

    async fn by_http1(&self, edge: &Edge, token: &str) -> Answer {
        let fields: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let Self { method, target, body, .. } = self;
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\
             {fields}Content-Length: {length}\r\n\r\n{body}"
        );
        edge.client().await.ask(request).await
    }

    async fn by_http2(&self, edge: &Edge, token: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        let lower: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(lower.iter().map(|(name, value)| (name.as_str(), *value)));
        edge.h2().await.ask(self.method, self.target, &headers, self.body.as_bytes()).await
    }

    /// Asks by both versions, which have to agree, and returns the status.
    async fn status(&self, edge: &Edge, token: &str) -> u16 {
        let (h1, h2) = (self.by_http1(edge, token).await, self.by_http2(edge, token).await);
        assert_eq!((h1.status, h1.error()), (h2.status, h2.error()), "{}", self.target);
        h1.status
    }
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_names_another_tenant_is_refused_in_every_place_and_spelling() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[DECLARED]).start().await;
    let token = edge.token("ada", "acme");
    for ask in [
        Ask::get("/"),
        Ask::get("/api/v1/tenants"),
        Ask::get("/api/v1/tenants/acme/seats?tenant_id=acme&tenant_id="),
        Ask { headers: &[("X-Org-Id", "acme"), ("X-Other", "b")], ..Ask::get("/") },
        Ask::post(JSON, r#"{"org":{"id":"acme"},"id":"b"}"#),
        Ask::post(FORM, "org.id=acme&id=b"),
        Ask::post(&[], ""),
    ] {
        assert_eq!(ask.status(&edge, &token).await, 200, "{} {}", ask.target, ask.body);
    }
    for ask in [
        Ask::get("/api/v1/tenants/b"),
        Ask::get("/api/v1/tenants/b/seats"),
        Ask::get("/api//v1/tenants/b"),
        Ask::get("/api/v1/./tenants/b"),
        Ask::get("/x/../api/v1/tenants/b"),
        Ask::get("/api/v1/%74enants/b"),
        Ask::get("/api/v1%2ftenants/b"),
        Ask::get("/api/v1/tenants/ACME"),
        Ask::get("/api/v1/tenants/acme%00"),
        Ask::get("/?tenant_id=b"),
        Ask::get("/?tenant_id=acme&tenant_id=b"),
        Ask::get("/?a=1;tenant_id=b"),
        Ask::get("/?tenant%5Fid=b"),
        Ask::get("/?TENANT_ID=b"),
        Ask::get("/?tenant_id[]=b"),
        Ask { headers: &[("X-Org-Id", "b")], ..Ask::get("/") },
        Ask { headers: &[("x_org.id", "b")], ..Ask::get("/") },
        Ask { headers: &[("X-Org-Id", "acme"), ("X-Org-Id", "b")], ..Ask::get("/") },
        Ask::post(JSON, r#"{"org":{"id":"b"}}"#),
        Ask::post(JSON, r#"{"org":{"id":"acme"},"org":{"id":"b"}}"#),
        Ask::post(JSON, r#"{"ORG":[{"Id":"acme"},{"id":"b"}]}"#),
        Ask::post(JSON, r#"{"org":{"id":{}}}"#),
        Ask::post(&[], r#"{"org":{"id":"b"}}"#),
        Ask::post(FORM, "org.id=b"),
        Ask::post(FORM, "a=1;org_id=b"),
    ] {
        origin.forget();
        let case = format!("{} {:?} {}", ask.target, ask.headers, ask.body);
        assert_eq!(ask.status(&edge, &token).await, 403, "{case}");
        origin.saw_nothing();
    }
    for (ask, status) in [
        (Ask::post(JSON, r#"{"org":{"id":"acme"}"#), 400),
        (Ask::post(FORM, r#"{"org":{"id":"b"}}"#), 400),
        (Ask::post(&[("Content-Type", "text/plain")], "org.id=b"), 415),
        (Ask::post(&[("Content-Type", "multipart/form-data; boundary=x")], "--x"), 415),
    ] {
        assert_eq!(ask.status(&edge, &token).await, status, "{}", ask.body);
        origin.saw_nothing();
    }
    let anybody = Ask::get("/api/v1/tenants/b").by_http1(&edge, "nonsense").await;
    assert_eq!(anybody.status, 401, "nobody learns of tenants without a token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_another_tenant_was_told_of_is_refused_with_the_evidence() {
    let answer: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 56\r\n\r\n\
        {\"sessions\":[{\"session_id\":\"s-1\"},{\"session_id\":\"s-2\"}]}";
    let other: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let origin = Origin::in_turn(&[answer, other]).await;
    let edge =
        Edge::builder(&origin).routes(&[OWNED, DECLARED_API]).identity(SESSIONS).start().await;
    let (ada, eve) = (edge.token("ada", "acme"), edge.token("eve", "other"));
    assert_eq!(Ask::get("/sessions/s-1").by_http1(&edge, &eve).await.status, 200, "not known yet");
    edge.counts("edge_owner_answers_total{outcome=\"learnt\"} 1\n").await;
    // The first answer was to `other`: these two are its own now.
    for target in ["/sessions/s-1", "/sessions/s-2/heartbeat", "/?session_id=s-1", "/sessions/s-3"]
    {
        assert_eq!(Ask::get(target).status(&edge, &eve).await, 200, "{target}");
    }
    for ask in [
        Ask::get("/sessions/s-1"),
        Ask::get("/sessions/%73-2/heartbeat"),
        Ask::get("/sessions/s-1;x=1"),
        Ask::get("/?session_id=s-3&session_id=s-2"),
        Ask::post(JSON, r#"{"session_id":"s-1"}"#),
    ] {
        origin.forget();
        assert_eq!(ask.status(&edge, &ada).await, 403, "{} {}", ask.target, ask.body);
        origin.saw_nothing();
    }
    assert_eq!(Ask::get("/sessions/s-4").status(&edge, &ada).await, 200, "nobody's");
    let unknown = Ask::get("/api/tenants/nobody").by_http1(&edge, &ada).await;
    let link = [("Sec-Fetch-Site", "cross-site")];
    let known = Ask { headers: &link, ..Ask::get("/api/tenants/other") };
    let known = known.by_http1(&edge, &ada).await;
    assert_eq!(constant(&unknown), constant(&known), "the same, whether or not it is there");
    assert_eq!(known.json()["message"], json!("Tenant access denied"));
    edge.counts("security_events_total{type=\"tenant_breach\"} 12\n").await;
    let mut events: Vec<Value> = edge.event_log();
    events.retain(|event| event["type"] == "tenant_breach" && event.get("event_id").is_some());
    assert_eq!(events.len(), 12, "{events:?}");
    let first = &events[0];
    assert_eq!(
        (&first["response"]["action"], &first["user_id"], &first["tenant_id"]),
        (&json!("BLOCKED"), &json!("ada"), &json!("acme"))
    );
    let said = |at: usize| (events[at]["attempted_tenant"].clone(), events[at]["breach"].clone());
    let breach = |attempted: &str, object: &str, exists: bool, cross: bool| {
        (json!(attempted), json!({ "object": object, "exists": exists, "cross_site": cross }))
    };
    assert_eq!(said(0), breach("other", "s-1", true, false));
    assert_eq!(said(10), breach("nobody", "nobody", false, false));
    assert_eq!(said(11), breach("other", "other", true, true));
}

const DECLARED_API: &str = "{ path: /api, backend: origin, identity: { any: [dev], tenant: { path: '/api/tenants/{id}' } } }";

/// What is left of an answer without what names the request.
fn constant(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    (answer.status, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_label_of_a_wildcard_host_is_a_tenant() {
    let origin = Origin::start().await;
    let top = "  '*.wild.test':\n    routes:\n      - { path: /, backend: origin, identity: { any: [dev], tenant: { host: true } } }";
    let edge = Edge::builder(&origin).routes(&[DECLARED]).top(top).start().await;
    let token = edge.token("ada", "acme");
    for (host, status) in [("acme.wild.test", 200), ("ACME.wild.test", 200), ("b.wild.test", 403)] {
        let manner = portcullis_tests::Manner {
            server_name: host.to_ascii_lowercase(),
            ..portcullis_tests::Manner::default()
        };
        let request =
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = edge.client_as(&manner).await.ask(request).await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_learnt_from_answers_up_to_their_bytes() {
    for (what, bytes, outcome) in [
        ("one under", 16_383, "learnt"),
        ("at it", 16_384, "learnt"),
        ("one over", 16_385, "too_large"),
    ] {
        let body = format!("{:<bytes$}", r#"{"sessions":{"session_id":"s-1"}}"#);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n{body}"
        );
        let origin = Origin::answering(answer.leak().as_bytes()).await;
        let edge = Edge::builder(&origin).routes(&[OWNED]).identity(SESSIONS).start().await;
        assert_eq!(Ask::get("/").by_http1(&edge, &edge.token("ada", "acme")).await.status, 200);
        edge.counts(&format!("edge_owner_answers_total{{outcome=\"{outcome}\"}} 1\n")).await;
        let foreign = Ask::get("/sessions/s-1").by_http1(&edge, &edge.token("eve", "other")).await;
        assert_eq!(foreign.status, if outcome == "learnt" { 403 } else { 200 }, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_logs_say_which_objects_were_asked_for_and_whose_they_are() {
    let body = r#"{"sessions":{"session_id":"s-1"}}"#;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let origin = Origin::answering(answer.leak().as_bytes()).await;
    let edge = Edge::builder(&origin).routes(&[OWNED]).identity(SESSIONS).start().await;
    let (ada, eve) = (edge.token("ada", "acme"), edge.token("eve", "other"));
    assert_eq!(Ask::get("/").by_http1(&edge, &ada).await.status, 200);
    edge.counts("edge_owner_answers_total{outcome=\"learnt\"} 1\n").await;
    let own = Ask::get("/sessions/s-1?session_id=s-9").by_http1(&edge, &ada).await;
    assert_eq!(own.status, 200);
    assert_eq!(Ask::get("/sessions/s-1").by_http1(&edge, &eve).await.status, 403);
    let lines = edge.logged(3).await;
    assert_eq!(lines[0].get("objects"), None);
    assert_eq!(lines[1]["objects"], json!(["session:s-1", "session:s-9"]));
    assert_eq!(lines[1].get("attemptedTenant"), None);
    assert_eq!(lines[2]["objects"], json!(["session:s-1"]));
    assert_eq!(lines[2]["attemptedTenant"], "acme");
    let mut events = edge.event_log();
    events.retain(|event| event["type"] == "tenant_breach");
    assert_eq!(events[0]["objects"], json!(["session:s-1"]));
    assert_eq!(
        (&events[0]["attempted_tenant"], &events[0]["user_id"]),
        (&json!("acme"), &json!("eve"))
    );
}
