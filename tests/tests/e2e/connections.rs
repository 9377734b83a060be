//! Connections: TLS versions, server names, deadlines, permits, redirects, and how an edge stops.

use std::time::Duration;

use portcullis_tests::{Edge, Manner, Origin, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_refused_where_1_3_alone_is_offered() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    assert!(edge.handshake(&Manner::default(), TLS12).await.is_err());
    assert_eq!(edge.handshake(&Manner::default(), TLS13).await.unwrap().ask(GET).await.status, 200);
    assert!(
        edge.metrics().contains("edge_connections_refused_total{cause=\"handshake_failed\"} 1")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_and_1_3_are_served_where_both_are_offered() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).tls_versions("[\"1.2\", \"1.3\"]").start().await;
    for versions in [TLS12, TLS13] {
        assert_eq!(
            edge.handshake(&Manner::default(), versions).await.unwrap().ask(GET).await.status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_closed_at_the_client_hello_deadline() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { client_hello_timeout: 100ms }").start().await;
    let mut silent = edge.tcp().await;
    let mut rest = Vec::new();
    within("the close", silent.read_buf(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    let mut half = edge.tcp().await;
    half.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    drop(within("the close", half.read_buf(&mut rest)).await);
    assert!(
        edge.metrics().contains("edge_connections_refused_total{cause=\"client_hello_timeout\"} 2")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_tls_is_closed_at_once() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let mut plain = edge.tcp().await;
    plain.write_all(GET.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    drop(within("the close", plain.read_buf(&mut rest)).await);
    assert!(rest.is_empty());
    assert!(edge.metrics().contains("edge_connections_refused_total{cause=\"not_tls\"} 1"));
    origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_drips_is_cut_at_its_deadline_on_the_first_and_on_a_later_request() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { head_timeout: 300ms }").start().await;
    for earlier in [0, 1] {
        let mut client = edge.client().await;
        for _ in 0..earlier {
            assert_eq!(client.ask(GET).await.status, 200);
        }
        client.send("GET / HTTP/1.1\r\nHost: edge").await;
        assert!(client.closed().await.is_empty(), "after {earlier} requests");
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_address_are_capped_and_another_address_is_unaffected() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { connections_per_address: 2 }").start().await;
    let mut first = edge.client().await;
    let second = edge.client().await;
    assert!(edge.handshake(&Manner::default(), TLS13).await.is_err());
    let elsewhere = Manner { from: "127.0.0.2".parse().unwrap(), ..Manner::default() };
    assert_eq!(edge.client_as(&elsewhere).await.ask(GET).await.status, 200);
    assert_eq!(first.ask(GET).await.status, 200);
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_for_one_host_does_not_serve_another() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let mut client = edge.client().await;
    let answer = client.ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").await;
    assert_eq!((answer.status, answer.error().as_str()), (421, "misdirected_request"));
    assert_eq!(client.ask(GET).await.status, 200);
    let answer = edge.h2().await.ask_host("other.test", "GET", "/", &[], b"").await;
    assert_eq!(answer.status, 421);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_certificate_is_served_to_the_next_connection() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let mut before = edge.client().await;
    let old = before.certificate();
    edge.renew_certificate().unwrap();
    let mut after = edge.client().await;
    assert_ne!(old, after.certificate());
    for client in [&mut before, &mut after] {
        assert_eq!(client.ask(GET).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plain_listener_answers_nothing_but_the_redirect_of_a_served_host() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).plain_listener().start().await;
    let port = edge.address().port();
    for (request, status, location) in [
        (
            "GET /a?b=c HTTP/1.1\r\nHost: edge.test\r\n\r\n",
            308,
            Some(format!("https://edge.test:{port}/a?b=c")),
        ),
        (
            "POST / HTTP/1.1\r\nHost: EDGE.test:80\r\nContent-Length: 0\r\n\r\n",
            308,
            Some(format!("https://EDGE.test:{port}/")),
        ),
        ("GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n", 404, None),
        ("GET / HTTP/1.1\r\nHost: a@edge.test\r\n\r\n", 400, None),
        ("GET / HTTP/1.1\r\n\r\n", 400, None),
    ] {
        let answer = edge.plain(request).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (status, location.as_deref()),
            "{request}"
        );
        assert!(answer.header("strict-transport-security").is_some(), "{request}");
    }
    origin.saw_nothing();
    let log = edge.request_log();
    let logged = |at: usize, field: &str| log[at]["httpRequest"][field].clone();
    assert_eq!(log.len(), 5);
    assert_eq!(logged(0, "requestUrl"), "http://edge.test/a?b=c");
    assert_eq!((logged(0, "status"), logged(2, "status")), (308.into(), 404.into()));
    for line in ["http_requests_total{code=\"308\"} 2", "http_requests_total{code=\"400\"} 2"] {
        assert!(edge.metrics().contains(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_closes_idle_connections_and_listens_no_more() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let address = edge.address();
    let mut idle = edge.client().await;
    assert_eq!(idle.ask(GET).await.status, 200);
    within("the stop", edge.stop(Duration::from_secs(1))).await;
    assert!(idle.closed().await.is_empty());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_gets_one_request_more_while_the_edge_stops() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let address = edge.address();
    let mut idle = edge.client().await;
    let first = idle.ask(GET).await;
    assert_eq!((first.status, first.header("connection")), (200, Some("keep-alive")));
    let stopping = tokio::spawn(edge.stop(Duration::from_secs(60)));
    within("the end of listening", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {}
    })
    .await;
    let last = idle.ask(GET).await;
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(idle.closed().await.is_empty());
    within("the stop", stopping).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plain_listener_that_serves_judges_and_logs_like_the_other_and_says_http() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).plain_serving().start().await;
    let answer =
        edge.plain("GET /a HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(origin.only().headers("x-forwarded-proto"), ["http"]);
    let answer = edge.plain("\u{1} nonsense\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("x-frame-options")), (400, Some("DENY")));
    let log = edge.request_log();
    assert_eq!(log[0]["httpRequest"]["requestUrl"], "http://edge.test/a");
    assert_eq!((log.len(), &log[0]["tls"]), (2, &serde_json::Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_nothing_after_its_hello_is_closed_at_the_handshake_deadline() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { handshake_timeout: 100ms }").start().await;
    let mut tcp = edge.tcp().await;
    tcp.write_all(&edge.client_hello()).await.unwrap();
    within("the close", async {
        let mut rest = Vec::new();
        while tcp.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let counted = "edge_connections_refused_total{cause=\"handshake_timeout\"} 1";
    within("the count", edge.counts(counted)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_request_is_closed_at_the_idle_deadline() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { idle_timeout: 1s }").start().await;
    let mut client = edge.client().await;
    for _ in 0..2 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert!(client.closed().await.is_empty());
    within("the count", edge.counts("edge_connections_cut_total{cause=\"idle\"} 1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_new_connections_as_the_rate_come_in_and_one_more_begins_a_flood_ban() {
    let origin = Origin::start().await;
    let edge =
        Edge::builder(&origin).top("limits: { connection_rate: 3, flood_ban: 10s }").start().await;
    for _ in 0..3 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    for _ in 0..2 {
        assert!(edge.handshake(&Manner::default(), TLS13).await.is_err());
    }
    let elsewhere = Manner { from: "127.0.0.2".parse().unwrap(), ..Manner::default() };
    assert_eq!(edge.client_as(&elsewhere).await.ask(GET).await.status, 200);
    edge.advance(Duration::from_millis(9999));
    assert!(edge.handshake(&Manner::default(), TLS13).await.is_err());
    edge.advance(Duration::from_millis(1));
    assert_eq!(edge.get("/").await.status, 200);
    assert!(edge.metrics().contains("edge_connections_refused_total{cause=\"flood\"} 3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_hop_opens_as_many_connections_as_it_likes() {
    let origin = Origin::start().await;
    let top = "trusted_hops: [127.0.0.0/8]\nlimits: { connection_rate: 1 }";
    let edge = Edge::builder(&origin).top(top).start().await;
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_below_the_rate_is_408_and_one_above_it_is_served() {
    let origin = Origin::start().await;
    let top = "limits: { min_rate: 1KiB, min_rate_grace: 200ms }";
    let edge = Edge::builder(&origin).top(top).start().await;
    let head = |length: usize| {
        format!("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {length}\r\n\r\n")
    };
    let mut slow = edge.client().await;
    slow.send(head(100) + "x").await;
    let answer = slow.answer().await;
    assert_eq!((answer.status, answer.error().as_str()), (408, "request_timeout"));
    origin.saw_nothing();
    // What came at once has earned the time for the rest.
    let mut fast = edge.client().await;
    fast.send(head(4097) + &"x".repeat(4096)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fast.ask("x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    const LENGTH: usize = 1 << 20;
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + LENGTH, b'x');
    let origin = Origin::answering(answer.leak()).await;
    let top = "limits: { min_rate: 1MiB, min_rate_grace: 200ms }";
    let edge = Edge::builder(&origin).top(top).start().await;
    let mut deaf = edge.client().await;
    deaf.send(GET).await;
    within("the cut", edge.counts("edge_connections_cut_total{cause=\"slow_reader\"} 1")).await;
    let read = edge.client().await.ask(GET).await;
    assert_eq!((read.status, read.body.len()), (200, LENGTH));
}
