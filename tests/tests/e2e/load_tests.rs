//! The bypass of limits for load tests: in staging it lifts limits and nothing else, in production nothing at all.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::bypass::{Secrecy, add_key};
use portcullis_tests::{Answer, Builder, Edge, Origin};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::process::{ask, configuration, run, serve, text};

/// Three requests a minute, then the WAF.
const THREE: &str = r#"
name: tested
rules:
  - priority: 100
    action: rate_based_ban
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
    rateLimitOptions:
      conformAction: continue
      exceedAction: deny(429)
      enforceOnKey: IP
      rateLimitThreshold: { count: 3, intervalSec: 60 }
      banDurationSec: 600
  - priority: 200
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;
const ROUTES: [&str; 2] = [
    "{ path: /, backend: origin, identity: none }",
    "{ path: /api, backend: origin, identity: { any: [dev] } }",
];
const ATTACK: &str = "/?id=1%27%20UNION%20SELECT%20password%20FROM%20users--";

fn load_test(keys: &Path) -> String {
    format!("load_test: {{ keys: 'file:{}', from: [127.0.0.0/8] }}", keys.display())
}

fn limited(origin: &Origin) -> Builder {
    Edge::builder(origin).policy(THREE).routes(&ROUTES)
}

async fn get(edge: &Edge, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: edge.test\r\n{headers}\r\n");
    edge.client().await.ask(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_staging_it_lifts_limits_and_neither_the_waf_nor_identity() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("load-test.keys");
    let secret = add_key(&keys, Secrecy::Static, 1).unwrap().unwrap();
    let origin = Origin::start().await;
    let edge = limited(&origin).environment("staging").top(&load_test(&keys)).start().await;
    let bypass = format!("X-Load-Test-Bypass: {}\r\nX_Load.Test_Bypass: 1\r\n", *secret);
    for n in 0..20 {
        assert_eq!(get(&edge, "/", &bypass).await.status, 200, "request {n}");
    }
    assert_eq!(origin.seen().len(), 20);
    let told = |name: &String| name.contains("load");
    assert!(origin.seen().iter().all(|seen| !seen.names().iter().any(told)));
    assert_eq!(get(&edge, ATTACK, &bypass).await.status, 403, "the WAF stands");
    assert_eq!(get(&edge, "/api", &bypass).await.status, 401, "identity stands");
    let token = edge.token("alice", "acme");
    let both = format!("{bypass}Authorization: Bearer {token}\r\n");
    assert_eq!(get(&edge, "/api", &both).await.status, 200);
    // Two of them are none, and so is a wrong one; nothing before has been counted against the address.
    let twice = format!("{bypass}{bypass}");
    for (headers, status) in [
        ("", 200),
        (&twice, 200),
        ("X-Load-Test-Bypass: wrong\r\n", 200),
        ("", 429),
        (&bypass, 200),
    ] {
        assert_eq!(get(&edge, "/", headers).await.status, status, "{headers}");
    }
    let log = edge.logged(28).await;
    let marked = log.iter().filter(|line| line["loadTest"].as_str().is_some_and(is_name)).count();
    assert_eq!(marked, 24, "{log:?}");
    assert!(!format!("{log:?}").contains(secret.as_str()));
    // The one that was limited without the bypass is an event, none of the load test's is.
    let events = edge.event_log();
    assert!(events.iter().all(|event| event["type"] == "ban"), "{events:?}");
    for line in [
        "edge_load_test_bypasses_total{outcome=\"lifted\"} 24",
        "edge_load_test_bypasses_total{outcome=\"invalid\"} 2",
        "edge_load_test_requests_total{code=\"200\",reason=\"none\"} 22",
        "edge_load_test_requests_total{code=\"403\",reason=\"denied_by_policy\"} 1",
        "http_requests_total{code=\"200\"} 3",
    ] {
        edge.counts(line).await;
    }
    edge.counts("edge_refusals_total{reason=\"denied_by_policy\"} 0").await;
}

fn is_name(name: &str) -> bool {
    name.starts_with("secret:") || name.starts_with("token:")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_production_the_file_is_refused_and_the_header_lifts_nothing() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("load-test.keys");
    let secret = add_key(&keys, Secrecy::Static, 1).unwrap().unwrap();
    let origin = Origin::start().await;
    for environment in ["production", "development"] {
        let builder = limited(&origin).environment(environment);
        let refused = builder.top(&load_test(&keys)).try_start().await.unwrap_err().0;
        assert!(refused.contains("load-test-outside-staging"), "{refused}");
        let edge = limited(&origin).environment(environment).start().await;
        let bypass = format!("X-Load-Test-Bypass: {}\r\n", *secret);
        origin.forget();
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(get(&edge, "/", &bypass).await.status);
        }
        assert_eq!(statuses, [200, 200, 200, 429]);
        assert!(origin.seen().iter().all(|seen| seen.headers("x-load-test-bypass").is_empty()));
        edge.counts("edge_load_test_bypasses_total{outcome=\"off\"} 4").await;
        assert!(edge.logged(4).await.iter().all(|line| line["loadTest"] == Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_lifts_the_cap_on_one_clients_requests_in_work() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("load-test.keys");
    let secret = add_key(&keys, Secrecy::Static, 1).unwrap().unwrap();
    let origin = Origin::start().await;
    let top = format!("{}\nlimits: {{ requests_per_client: 1 }}", load_test(&keys));
    let edge = Edge::builder(&origin).environment("staging").top(&top).start().await;
    let mut held = edge.client().await;
    held.send("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\n\r\n").await;
    while get(&edge, "/", "").await.status != 429 {}
    let bypass = format!("X-Load-Test-Bypass: {}\r\n", *secret);
    assert_eq!(get(&edge, "/", &bypass).await.status, 200);
    assert_eq!(get(&edge, "/", "").await.status, 429);
    assert_eq!(held.ask("12345").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_command_line_lifts_limits_on_its_routes_until_its_key_is_retired() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let configuration = configuration(&origin)
        .replace("environment: development", "environment: staging")
        .replace("path: /,", "path: /api, backend: origin, identity: none }, { path: /,");
    let sections = "load_test: { keys: 'file:load-test.keys', from: [127.0.0.1] }\n";
    std::fs::write(home.join("portcullis.yaml"), format!("{configuration}{sections}")).unwrap();
    std::fs::write(home.join("policy.yaml"), THREE).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let made = run(home, &["dev", "bypass-key", "load-test.keys"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mint = |routes: &str| {
        let from = ["--for", "2h", "--from", "127.0.0.0/8", "--routes", routes];
        run(home, &[&["dev", "bypass", "--config", "portcullis.yaml"][..], &from].concat())
    };
    let refused = mint("edge.test/nowhere");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("its routes are edge.test/api, edge.test/"));
    let token = text(&mint("edge.test/api").stdout);
    let header = format!("X-Load-Test-Bypass: {}", token.trim());
    let edge = serve(home);
    let status = |path: &str| ask(home, &edge, path, &["-H", &header]).0;
    for _ in 0..6 {
        assert_eq!(status("/api"), "200");
    }
    assert_eq!(status("/").as_str(), "200", "not its route: it is counted");
    assert!(run(home, &["dev", "bypass-key", "load-test.keys"]).status.success());
    let reload = || run(home, &["reload", "--socket", "admin.sock"]).status.success();
    assert!(reload());
    assert_eq!(status("/api"), "200", "the key before stays for a time");
    let retired = ["dev", "bypass-key", "--keep", "0", "load-test.keys"];
    assert!(run(home, &retired).status.success() && reload());
    let statuses: Vec<_> = (0..4).map(|_| status("/api")).collect();
    assert_eq!(statuses.last().map(String::as_str), Some("429"), "{statuses:?}");
}

/// An origin that has eight workers, each of which takes twenty milliseconds for a request: 400 a second at most.
async fn with_eight_workers() -> SocketAddr {
    let listener = portcullis_tests::listening();
    let address = listener.local_addr().unwrap();
    let workers = Arc::new(Semaphore::new(8));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream, Arc::clone(&workers)));
        }
    });
    address
}

async fn work(mut stream: TcpStream, workers: Arc<Semaphore>) -> Option<()> {
    let mut unread = Vec::new();
    loop {
        while !unread.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut unread).await.ok()? == 0 {
                return None;
            }
        }
        unread.clear();
        let worker = workers.acquire().await.ok()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(worker);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok()?;
    }
}

const CONNECTIONS: usize = 32;
const REQUESTS_EACH: usize = 40;

/// Requests per second that the origin serves to clients of its own.
async fn directly(origin: SocketAddr) -> f64 {
    let begun = Instant::now();
    let clients = (0..CONNECTIONS).map(|_| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(origin).await.unwrap();
            let mut answer = Vec::new();
            for _ in 0..REQUESTS_EACH {
                stream.write_all(b"GET /api HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.unwrap();
                answer.clear();
                while !answer.ends_with(b"\r\n\r\nok") {
                    assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    per_second(begun)
}

fn per_second(begun: Instant) -> f64 {
    f64::from(u32::try_from(CONNECTIONS * REQUESTS_EACH).unwrap()) / begun.elapsed().as_secs_f64()
}

/// The same through the edge, with policy, WAF and identity.
async fn through(edge: &Edge, headers: &str) -> f64 {
    let request = format!("GET /api?name=alice HTTP/1.1\r\nHost: edge.test\r\n{headers}\r\n");
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(edge.client().await);
    }
    let begun = Instant::now();
    let running: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let request = request.clone();
            tokio::spawn(async move {
                for _ in 0..REQUESTS_EACH {
                    assert_eq!(client.ask(&request).await.status, 200);
                }
            })
        })
        .collect();
    for client in running {
        client.await.unwrap();
    }
    per_second(begun)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures: cargo test -p portcullis-tests --test e2e -- --ignored --nocapture reaches_the_origins_capacity"]
async fn a_load_test_reaches_the_origins_capacity_with_waf_and_identity_on() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("load-test.keys");
    let secret = add_key(&keys, Secrecy::Static, 1).unwrap().unwrap();
    let origin = with_eight_workers().await;
    let edge = Edge::before(origin).policy(THREE).routes(&ROUTES).environment("staging");
    let edge = edge.top(&load_test(&keys)).start().await;
    let token = edge.token("alice", "acme");
    let headers = format!("X-Load-Test-Bypass: {}\r\nAuthorization: Bearer {token}\r\n", *secret);
    let (alone, behind) = (directly(origin).await, through(&edge, &headers).await);
    println!(
        "origin alone {alone:.0} requests/s, through the edge {behind:.0} ({:.2})",
        behind / alone
    );
    assert!(behind > 0.9 * alone, "{behind:.0} of {alone:.0}");
    assert_eq!(get(&edge, ATTACK, &headers).await.status, 403);
    assert!(edge.event_log().is_empty(), "no event, no incident");
}
