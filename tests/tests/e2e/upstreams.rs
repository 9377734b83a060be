//! Which server is asked, what happens when one fails, and what is done for a backend that is full.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_tests::{Authority, Builder, Edge, H2Origin, Manner, Origin, within};

const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";
const BROKEN: &[u8] = b"";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n";

/// An edge before two servers.
fn before(first: &Origin, second: &Origin) -> Builder {
    Edge::builder(first).server(&format!("{}', '{}", first.address(), second.address()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_asked_in_proportion_to_their_weights() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let servers =
        format!("{}', {{ server: '{}', weight: 3 }}, '{0}", first.address(), second.address());
    let edge = Edge::builder(&first).server(&servers).start().await;
    let mut client = edge.client().await;
    for _ in 0..50 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    let (first, second) = (first.seen().len(), second.seen().len());
    assert!(first.abs_diff(20) <= 2 && second.abs_diff(30) <= 2, "{first} and {second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_stays_with_one_server_and_clients_are_spread() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let edge = before(&first, &second).backend("affinity: client_ip").start().await;
    let mut taken = BTreeSet::new();
    for last in 1..=12 {
        let manner = Manner { from: [127, 0, 0, last].into(), ..Manner::default() };
        for _ in 0..3 {
            assert_eq!(edge.client_as(&manner).await.ask(GET).await.status, 200);
        }
        let counts = (first.seen().len(), second.seen().len());
        assert!(counts == (3, 0) || counts == (0, 3), "{counts:?}");
        taken.insert(counts);
        first.forget();
        second.forget();
    }
    assert_eq!(taken.len(), 2, "all clients went to one server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_keeps_requests_together_and_without_it_they_go_in_turn() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let edge = before(&first, &second).backend("affinity: header:X-Tenant").start().await;
    let tenant = "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Tenant: acme\r\n\r\n";
    for _ in 0..4 {
        assert_eq!(edge.client().await.ask(tenant).await.status, 200);
    }
    let counts = (first.seen().len(), second.seen().len());
    assert!(counts == (4, 0) || counts == (0, 4), "{counts:?}");
    for _ in 0..4 {
        assert_eq!(edge.client().await.ask(GET).await.status, 200);
    }
    let counts = (first.seen().len(), second.seen().len());
    assert!(counts == (6, 2) || counts == (2, 6), "{counts:?}");
}

/// Waits until so many requests are in work. A client has its answer before the edge has put the request away.
async fn in_work(edge: &Edge, requests: usize) {
    let line = format!("edge_backend_requests_in_flight{{backend=\"origin\"}} {requests}\n");
    within("the end of a request", edge.counts(&line)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_with_fewer_requests_in_work_is_asked() {
    let (silent, quick) = (Origin::answering(b"").await, Origin::start().await);
    let edge = before(&silent, &quick).backend("balance: least_connections").start().await;
    let mut hanging = edge.client().await;
    hanging.send(GET).await;
    within("the first server", async {
        while silent.seen().is_empty() && quick.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    if silent.seen().is_empty() {
        hanging.answer().await;
        in_work(&edge, 0).await;
        hanging.send(GET).await;
        within("the silent server", async {
            while silent.seen().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    quick.forget();
    for _ in 0..6 {
        in_work(&edge, 1).await;
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert_eq!((silent.seen().len(), quick.seen().len()), (1, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_found_by_its_name() {
    let origin = Origin::start().await;
    let server = format!("localhost:{}", origin.address().port());
    let edge = Edge::builder(&origin).server(&server).start().await;
    assert_eq!(edge.get("/").await.status, 200);
    let nowhere = Edge::builder(&origin).server("nowhere.invalid:80").start().await;
    let answer = nowhere.get("/").await;
    assert_eq!((answer.status, answer.error().as_str()), (502, "upstream_unreachable"));
    let metrics = nowhere.metrics();
    assert!(!metrics.contains("edge_backend_name_errors_total{backend=\"origin\"} 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_breaks_off_is_repeated_if_its_method_may_be() {
    const POST: &str = "POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 2\r\n\r\nab";
    const PUT: &str = "PUT / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 2\r\n\r\nab";
    for (request, retries, status, seen) in [
        (GET, "{}", 200, 2),
        (PUT, "{}", 200, 2),
        (POST, "{}", 502, 1),
        (GET, "{ attempts: 0 }", 502, 1),
        (GET, "{ budget_percent: 0 }", 502, 1),
    ] {
        let origin = Origin::in_turn(&[BROKEN, OK]).await;
        let edge = Edge::builder(&origin).backend(&format!("retries: {retries}")).start().await;
        let answer = edge.client().await.ask(request).await;
        assert_eq!((answer.status, origin.seen().len()), (status, seen), "{request} {retries}");
        if status == 200 {
            assert_eq!(origin.seen()[0].body, origin.seen()[1].body);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_tries_have_a_budget() {
    let origin = Origin::in_turn(&[BROKEN, BROKEN]).await;
    let edge = Edge::builder(&origin).start().await;
    for _ in 0..110 {
        assert_eq!(edge.get("/").await.status, 502);
    }
    assert_eq!(origin.seen().len(), 210, "a hundred are granted");
    let metrics = edge.metrics();
    for line in ["result=\"sent\"} 100", "result=\"over_budget\"} 10"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_requests_is_left_out_for_a_while() {
    let (good, bad) = (Origin::start().await, Origin::answering(UNAVAILABLE).await);
    let outliers = "outliers: { failures: 2, eject: 30s }, slow_start: 10s";
    let edge = before(&good, &bad).backend(outliers).start().await;
    let ask = async || edge.get("/").await.status;
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(ask().await == 503);
    }
    assert_eq!((refused, bad.seen().len()), (2, 2), "two in a row are enough");
    let metrics = edge.metrics();
    assert!(metrics.contains("edge_backend_ejections_total{backend=\"origin\""), "{metrics}");
    edge.advance(Duration::from_secs(31));
    for _ in 0..22 {
        ask().await;
    }
    let back = bad.seen().len() - 2;
    assert!((1..=4).contains(&back), "it comes back with a small share: {back} of 22");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_server_is_never_left_out() {
    let bad = Origin::answering(UNAVAILABLE).await;
    let edge = Edge::builder(&bad).backend("outliers: { failures: 1 }").start().await;
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.status, 503);
    }
    assert_eq!(bad.seen().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_backend_is_503_with_the_time_to_come_again() {
    let silent = Origin::answering(b"").await;
    let capacity = "capacity: { in_flight: 1 }";
    let edge = Edge::builder(&silent).backend(capacity).start().await;
    let mut inside = edge.client().await;
    inside.send(GET).await;
    within("the request that is inside", async {
        while silent.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = edge.get("/").await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(silent.seen().len(), 1);
    let metrics = edge.metrics();
    for line in [
        "edge_backend_shed_total{backend=\"origin\"} 1",
        "edge_backend_requests_in_flight{backend=\"origin\"} 1",
        "edge_refusals_total{reason=\"upstream_busy\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_full_backend_is_served_when_there_is_room() {
    let origin = Origin::in_turn(&[BROKEN, BROKEN, OK]).await;
    let capacity =
        "capacity: { in_flight: 1, queue: 20, queue_timeout: 20s }, retries: { attempts: 0 }";
    let edge = Edge::builder(&origin).backend(capacity).start().await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(edge.client().await);
    }
    let asking = clients
        .into_iter()
        .map(|mut client| tokio::spawn(async move { client.ask(GET).await.status }));
    let asking: Vec<_> = asking.collect();
    let mut statuses = Vec::new();
    for one in asking {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 10].as_slice(), &[502; 2]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_falls_silent_or_takes_too_long_is_cut() {
    let half = Origin::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    let edge = Edge::builder(&half).backend("read_timeout: 300ms").start().await;
    let mut client = edge.client().await;
    client.send(GET).await;
    let came = client.closed().await;
    assert!(came.ends_with(b"half"), "{}", came.escape_ascii());
    let log = edge.request_log();
    assert!(log[0].to_string().contains("upstream_timeout"), "{log:?}");
    let silent = Origin::answering(b"").await;
    let edge = Edge::builder(&silent).backend("read_timeout: 300ms").start().await;
    let answer = edge.get("/").await;
    assert_eq!((answer.status, answer.error().as_str()), (504, "upstream_timeout"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_a_server_is_verified_and_the_edge_shows_its_own_certificate() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (ours, other, edges) = (Authority::new(), Authority::new(), Authority::new());
    ours.write_root(&path("ours.pem"));
    other.write_root(&path("other.pem"));
    edges.write(&["edge"], &path("edge.crt"), &path("edge.key"));
    let file = |name: &str| format!("'file:{}'", path(name).display());
    let shown = format!("cert: {}, key: {}", file("edge.crt"), file("edge.key"));
    for (tls, clients, status) in [
        (format!("name: origin.test, ca: {}", file("ours.pem")), None, 200),
        (format!("ca: {}", file("ours.pem")), None, 200),
        (format!("name: other.test, ca: {}", file("ours.pem")), None, 502),
        (format!("name: origin.test, ca: {}", file("other.pem")), None, 502),
        ("name: origin.test".to_owned(), None, 502),
        (format!("ca: {}, {shown}", file("ours.pem")), Some(&edges), 200),
        (format!("ca: {}", file("ours.pem")), Some(&edges), 502),
    ] {
        let server = ours.server(&["origin.test", "127.0.0.1"], &["http/1.1"], clients);
        let origin = Origin::tls(server).await;
        let edge = Edge::builder(&origin).backend(&format!("tls: {{ {tls} }}")).start().await;
        let answer = edge.get("/").await;
        assert_eq!(answer.status, status, "{tls}: {}", answer.body.escape_ascii());
        assert_eq!(origin.seen().len(), usize::from(status == 200), "{tls}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_may_speak_http2_with_tls_and_by_prior_knowledge() {
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    let authority = Authority::new();
    authority.write_root(&ca);
    let tls = format!(", tls: {{ ca: 'file:{}' }}", ca.display());
    let server = authority.server(&["127.0.0.1"], &["h2"], None);
    for (config, tls) in [(None, ""), (Some(server), tls.as_str())] {
        let origin = H2Origin::start(config).await;
        let unused = Origin::start().await;
        let edge = Edge::builder(&unused)
            .server(&origin.address().to_string())
            .backend(&format!("protocol: http2{tls}"))
            .start()
            .await;
        for body in ["", "small", &"x".repeat(64 * 1024), &"x".repeat(300_000)] {
            let request = format!(
                "POST /a HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = edge.client().await.ask(request).await;
            assert_eq!(answer.status, 200, "{} bytes", body.len());
            assert!(answer.body == body.as_bytes(), "{} bytes", body.len());
            let answer = edge.h2().await.ask("POST", "/a", &[], body.as_bytes()).await;
            assert_eq!((answer.status, answer.body.len()), (200, body.len()));
        }
        assert_eq!(origin.seen().len(), 8);
        for seen in origin.seen() {
            assert_eq!(seen.line, "POST /a edge.test");
            assert_eq!(seen.headers.get("x-forwarded-host").unwrap(), "edge.test");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_tls_are_probed_with_it() {
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    let authority = Authority::new();
    authority.write_root(&ca);
    let origin = Origin::tls(authority.server(&["127.0.0.1"], &["http/1.1"], None)).await;
    let keys = format!(
        "tls: {{ ca: 'file:{}' }}, health: {{ path: /health, every: 1s, timeout: 900ms, unhealthy: 1 }}",
        ca.display()
    );
    let edge = Edge::builder(&origin).backend(&keys).start().await;
    within("a probe", async {
        while origin.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(origin.seen()[0].line(), "GET /health HTTP/1.1");
    assert_eq!(edge.get("/").await.status, 200);
}
