//! What reaches the origin, and what of its answer reaches the client.

use portcullis_tests::{Answer, Edge, Manner, Origin, within};

/// What every answer carries.
const EVERY_ANSWER: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[track_caller]
fn has_every_header(answer: &Answer) {
    for (name, value) in EVERY_ANSWER {
        assert_eq!(answer.header(name), Some(*value), "{answer:?}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    for part in ["default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(answer.header("permissions-policy").is_some());
    assert!(answer.header("x-request-id").is_some());
    assert_eq!((answer.header("server"), answer.header("x-powered-by")), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_the_security_headers_and_none_names_the_software() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin)
        .routes(&[
            "{ path: /api, backend: origin, identity: { any: [dev] } }",
            "{ path: /old, redirect: { to: 'https://edge.test/new' } }",
            "{ path: /open, backend: origin, identity: none }",
        ])
        .start()
        .await;
    for (path, status) in
        [("/open", 200), ("/api", 401), ("/old", 308), ("/nowhere", 404), ("/open/../api", 400)]
    {
        let answer = edge.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        has_every_header(&answer);
        let h2 = edge.h2().await.ask("GET", path, &[], b"").await;
        assert_eq!(h2.status, status, "{path}");
        has_every_header(&h2);
    }
    let unparsed = edge.client().await.ask("GET / HTTP/9\r\nHost: edge.test\r\n\r\n").await;
    assert_eq!((unparsed.status, unparsed.error().as_str()), (400, "bad_request"));
    has_every_header(&unparsed);
    let connect = edge
        .client()
        .await
        .ask("CONNECT edge.test:443 HTTP/1.1\r\nHost: edge.test:443\r\n\r\n")
        .await;
    assert_eq!((connect.status, connect.error().as_str()), (405, "method_not_allowed"));
    has_every_header(&connect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_has_the_one_shape_and_the_log_and_the_metrics_know_it() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let answer = edge.client().await.ask("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n").await;
    assert_eq!(answer.status, 404);
    let body = answer.json();
    assert_eq!(body["error"], "not_found");
    assert_eq!(body["message"], body["detail"]);
    assert_eq!(body["source"], "edge");
    assert_eq!((&body["retryable"], &body["conclusive"]), (&false.into(), &false.into()));
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
    let metrics = edge.metrics();
    assert!(metrics.contains("http_requests_total{code=\"404\"} 1"), "{metrics}");
    assert!(metrics.contains("edge_refusals_total{reason=\"unknown_host\"} 1"), "{metrics}");
    let log = edge.request_log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].to_string().contains(answer.header("x-request-id").unwrap()), "{log:?}");
    origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_is_one_line_and_one_count_even_if_its_body_goes_by_a_subrequest() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let mut client = edge.client().await;
    let body = "x".repeat(100_000);
    for _ in 0..2 {
        let request = format!(
            "POST /a HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(client.ask(request).await.status, 200);
    }
    assert_eq!(edge.logged(2).await.len(), 2);
    let metrics = edge.metrics();
    assert!(metrics.contains("http_requests_total{code=\"200\"} 2"), "{metrics}");
    assert!(metrics.contains("http_server_requests_in_flight 0"), "{metrics}");
    assert!(metrics.contains("edge_body_bytes_held 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_and_forwarding_headers_of_a_client_reach_no_origin_in_any_spelling() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let names = [
        "X-Edge-Subject",
        "x_edge_subject",
        "X.Edge.Tenant",
        "X-Edge-Assertion",
        "X-EDGE_ROLES",
        "X-Edge-Request-Id",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Forwarded",
    ];
    let forged: String = names.iter().map(|name| format!("{name}: forged\r\n")).collect();
    let bodies = [("GET", String::new()), ("POST", "x".repeat(10)), ("POST", "x".repeat(100_000))];
    for (method, body) in bodies {
        let head = format!(
            "{method} / HTTP/1.1\r\nHost: edge.test\r\nConnection: keep-alive, x-unknown\r\n"
        );
        let request =
            format!("{head}{forged}X-Other: kept\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(edge.client().await.ask(request).await.status, 200);
        let seen = origin.only();
        let text = seen.head.escape_ascii().to_string();
        assert!(!text.contains("forged"), "{text}");
        assert_eq!(seen.headers("X-Forwarded-For"), ["127.0.0.1"]);
        assert_eq!(seen.headers("X-Forwarded-Proto"), ["https"]);
        assert_eq!(seen.headers("X-Forwarded-Host"), ["edge.test"]);
        assert_eq!(seen.headers("X-Other"), ["kept"]);
        assert_eq!(seen.headers("X-Request-Id").len(), 1);
        assert_eq!(seen.headers("X-Request-Id"), seen.headers("X-Edge-Request-Id"));
        origin.forget();
    }
    let nominating =
        "GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close, x_edge_subject\r\n\r\n";
    assert_eq!(edge.client().await.ask(nominating).await.status, 400);
    origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_whom_trusted_hops_name_and_nobody_else() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("trusted_hops: [127.0.0.9/32]").start().await;
    for (from, expected) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "203.0.113.7, 127.0.0.9")] {
        let manner = Manner { from: from.parse().unwrap(), ..Manner::default() };
        let request =
            "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: 8.8.8.8, 203.0.113.7\r\n\r\n";
        assert_eq!(edge.client_as(&manner).await.ask(request).await.status, 200);
        assert_eq!(origin.only().headers("X-Forwarded-For"), [expected]);
        origin.forget();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trusted_hops_are_believed_by_the_one_header_that_is_set() {
    let origin = Origin::start().await;
    for header in ["Forwarded", "CF-Connecting-IP"] {
        let top = format!("trusted_hops: [127.0.0.9/32]\nclient_address_header: {header}");
        let edge = Edge::builder(&origin).top(&top).start().await;
        let (believed, other) = match header {
            "Forwarded" => ("for=203.0.113.7", "8.8.8.8"),
            _ => ("203.0.113.7", "for=8.8.8.8"),
        };
        let other_header = if header == "Forwarded" { "CF-Connecting-IP" } else { "Forwarded" };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: 8.8.8.8\r\n{header}: {believed}\r\n{other_header}: {other}\r\n\r\n"
        );
        for (from, expected) in
            [("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "203.0.113.7, 127.0.0.9")]
        {
            let manner = Manner { from: from.parse().unwrap(), ..Manner::default() };
            assert_eq!(edge.client_as(&manner).await.ask(&request).await.status, 200);
            let seen = origin.only();
            assert_eq!(seen.headers("X-Forwarded-For"), [expected], "{header}");
            assert!(seen.headers(header).is_empty(), "it is told anew, never passed on");
            origin.forget();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_backend_with_no_store_are_not_to_be_kept() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).backend("no_store: true").start().await;
    assert_eq!(edge.get("/").await.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_down_is_502_and_one_that_is_silent_is_504() {
    let origin = Origin::start().await;
    let down = Origin::start().await;
    let edge = Edge::builder(&down).start().await;
    drop(down);
    tokio::task::yield_now().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n".to_owned(),
        format!(
            "POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 100000\r\n\r\n{}",
            "x".repeat(100_000)
        ),
    ] {
        let answer = edge.client().await.ask(request).await;
        assert_eq!((answer.status, answer.error().as_str()), (502, "upstream_unreachable"));
        has_every_header(&answer);
    }
    drop(origin);
    let silent = Origin::answering(b"").await;
    let edge = Edge::builder(&silent).backend("timeout: 1s").start().await;
    let answer = edge.get("/").await;
    assert_eq!((answer.status, answer.error().as_str()), (504, "upstream_timeout"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_survives_refusals() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin)
        .routes(&[
            "{ path: /open, backend: origin, identity: none }",
            "{ path: /api, backend: origin, identity: { any: [dev] } }",
        ])
        .start()
        .await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        assert_eq!(
            client.ask("GET /nowhere HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.status,
            404
        );
        let refused = "POST /api HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(client.ask(refused).await.status, 401);
        assert_eq!(client.ask("GET /open HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.status, 200);
    }
    let mut h2 = edge.h2().await;
    for _ in 0..3 {
        assert_eq!(h2.ask("POST", "/api", &[], b"hello").await.status, 401);
        assert_eq!(h2.ask("GET", "/open", &[], b"").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_asked_in_turn() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let edge = Edge::builder(&first)
        .server(&format!("{}', '{}", first.address(), second.address()))
        .start()
        .await;
    for _ in 0..6 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_left_to_the_next_in_turn() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let edge = Edge::builder(&first)
        .server(&format!("{}', '{}", first.address(), second.address()))
        .start()
        .await;
    drop(first);
    for request in [
        "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 2\r\n\r\nab",
    ] {
        for _ in 0..4 {
            assert_eq!(edge.client().await.ask(request).await.status, 200);
        }
    }
    assert_eq!(second.seen().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_whose_probes_fail_is_503() {
    let origin = Origin::answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let health = "health: { path: /health, every: 1s, timeout: 500ms, unhealthy: 1 }";
    let edge = Edge::builder(&origin).backend(health).start().await;
    within("a probe", async {
        while edge.metrics().contains("edge_backend_servers_up{backend=\"origin\"} 1")
            || origin.seen().is_empty()
        {
            tokio::task::yield_now().await;
        }
        while !edge.metrics().contains("edge_backend_servers_up{backend=\"origin\"} 0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let probe = origin.only();
    assert_eq!(probe.line(), "GET /health HTTP/1.1");
    let answer = edge.get("/").await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "upstream_unavailable"));
}
