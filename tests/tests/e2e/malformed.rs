//! What is not HTTP as we accept it: each has its own refusal, and the origin sees nothing.

use portcullis_tests::{Edge, Origin, Seen, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_refused_and_the_origin_sees_nothing() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let wide: String = (0..101).map(|n| format!("H{n}: x\r\n")).collect();
    let wider: String = (0..300).map(|n| format!("H{n}: x\r\n")).collect();
    let fat = format!("A: {}\r\n", "x".repeat(40_000));
    let long = "x".repeat(9000);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: edge.test\r\nHost: other.test\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: user@edge.test\r\n\r\n".to_owned(), 400),
        ("GET http://other.test/ HTTP/1.1\r\nHost: edge.test\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: edge.test\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: edge.test\r\nA : b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: edge.test\r\nA: b\r\n c\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: edge.test\r\nA: \u{1}\r\n\r\n".to_owned(), 400),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.0\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), 400),
        ("TRACE / HTTP/1.1\r\nHost: edge.test\r\n\r\n".to_owned(), 405),
        ("POST / HTTP/1.1\r\nHost: edge.test\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na".to_owned(), 417),
        ("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\na".to_owned(), 415),
        ("GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(), 501),
        (format!("GET / HTTP/1.1\r\nHost: edge.test\r\n{wide}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: edge.test\r\n{wider}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: edge.test\r\n{fat}\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: edge.test\r\n\r\n"), 414),
        ("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n".to_owned(), 404),
    ] {
        let answer = edge.client().await.ask(&request).await;
        let shown: String = request.chars().take(120).collect();
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.json()["source"], "edge", "{shown}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{shown}");
        origin.saw_nothing();
    }
    assert_eq!(edge.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_decodes_into_another_route_is_refused() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin)
        .routes(&[
            "{ path: /open, backend: origin, identity: none }",
            "{ path: /api, backend: origin, identity: { any: [dev] } }",
        ])
        .start()
        .await;
    for path in ["/open/../api", "/open/..%2fapi", "/open/%2e%2e/api", "/open/\\..\\..\\api"] {
        assert_eq!(edge.get(path).await.status, 400, "{path}");
        origin.saw_nothing();
    }
    for path in ["/open/a/../b", "/open/%2e/b", "/open//b", "/open/%61"] {
        assert_eq!(edge.get(path).await.status, 200, "{path}");
        assert!(origin.only().line().contains(path), "{path}");
        origin.forget();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_expects_100_continue_gets_it_from_the_edge_and_not_for_too_much() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let head = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: edge.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    for length in [5, 100_000] {
        let mut client = edge.client().await;
        assert_eq!(client.ask(head(length)).await.status, 100);
        origin.saw_nothing();
        assert_eq!(client.ask("x".repeat(length)).await.status, 200);
        let seen = origin.only();
        assert_eq!((seen.body.len(), seen.headers("expect").len()), (length, 0));
        origin.forget();
    }
    let mut client = edge.client().await;
    assert_eq!(client.ask(head(1024 * 1024 + 1)).await.status, 413);
    assert!(client.closed().await.is_empty());
    origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_408() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { body_timeout: 100ms }").start().await;
    let late = "POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\n\r\nhel";
    let answer = edge.client().await.ask(late).await;
    assert_eq!((answer.status, answer.error().as_str()), (408, "request_timeout"));
    origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_above_the_budget_of_the_process_are_503() {
    let origin = Origin::start().await;
    let edge =
        Edge::builder(&origin).top("limits: { body: 1MiB, body_buffer: 1MiB }").start().await;
    let post = |length: usize, sent: usize| {
        let head =
            format!("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {length}\r\n\r\n");
        head + &"x".repeat(sent)
    };
    let mut slow = edge.client().await;
    slow.send(post(1_000_000, 999_999)).await;
    within("the first body to be held", async {
        while !edge.metrics().contains("edge_body_bytes_held 999999") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = edge.client().await.ask(post(100_000, 100_000)).await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
    origin.saw_nothing();
    assert_eq!(slow.ask("x").await.status, 200);
    within("the first body to be given back", async {
        while !edge.metrics().contains("edge_body_bytes_held 0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(edge.client().await.ask(post(100_000, 100_000)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_parse_is_logged_with_what_is_known_of_it() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    for request in
        ["GET /known HTTP/1.1\r\nHost: edge.test\r\nA : b\r\n\r\n", "\u{1}nonsense\r\n\r\n"]
    {
        assert_eq!(edge.client().await.ask(request).await.status, 400);
    }
    let log = edge.request_log();
    let logged = |at: usize, field: &str| log[at]["httpRequest"][field].clone();
    assert_eq!(
        (logged(0, "requestMethod"), logged(0, "requestUrl")),
        ("GET".into(), "https:///known".into())
    );
    assert_eq!(
        (logged(1, "requestMethod"), logged(1, "status")),
        ("\\x01nonsense".into(), 400.into())
    );
    assert!(log.iter().all(|line| line["reason"] == "malformed_request"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_declares_how_paths_are_read_and_the_origin_gets_what_was_judged() {
    let origin = Origin::start().await;
    let policy = r#"
name: tested
rules:
  - priority: 10
    action: deny(403)
    match: { expr: { expression: "request.path == '/n/admin'" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;
    let edge = Edge::builder(&origin)
        .policy(policy)
        .routes(&[
            "{ path: /s, backend: origin, identity: none }",
            "{ path: /p, backend: origin, identity: none, path_form: plain }",
            "{ path: /n, backend: origin, identity: none, path_form: normalized }",
        ])
        .start()
        .await;
    for (target, expected) in [
        ("/s/a//b/%61?q=%2e", Ok("/s/a//b/%61?q=%2e")),
        ("/p/a/%61?q=//", Ok("/p/a/%61?q=//")),
        ("/p/a//b", Err(400)),
        ("/p/a/%2e%2e/b", Err(400)),
        ("/n/a//b/./c/../%64?q=//../%2e", Ok("/n/a/b/d?q=//../%2e")),
        ("/n/x/%2e%2e/%61dmin", Err(403)),
        ("/n//admin", Err(403)),
        ("/n/a%2fb", Err(400)),
        ("/n/a;b", Err(400)),
        ("/n/%c0%ae", Err(400)),
    ] {
        let http2 = edge.h2().await.ask("GET", target, &[], b"").await.status;
        let answer = edge.get(target).await;
        assert_eq!(http2, answer.status, "{target}");
        match expected {
            Ok(seen) => {
                assert_eq!(answer.status, 200, "{target}");
                let lines: Vec<_> = origin.seen().iter().map(Seen::line).collect();
                assert_eq!(lines, [format!("GET {seen} HTTP/1.1"), format!("GET {seen} HTTP/1.1")]);
                origin.forget();
            }
            Err(status) => {
                assert_eq!(answer.status, status, "{target}");
                origin.saw_nothing();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_head_of_a_client_that_says_no_more_never_reaches_the_origin() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).plain_serving().start().await;
    let mut answered = 0;
    for head in [
        "GET / HTTP/1.1\nHost: edge.test\n\n",
        "POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(edge.plain_address()).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            within("the end", async {
                while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
            })
            .await;
            assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", answer.escape_ascii());
            answered += 1;
        }
    }
    assert_eq!(answered, 60);
    within("the lines", edge.logged(60)).await;
    origin.saw_nothing();
}
