//! Rate limits and bans, by a clock that the test moves; beside it every cap of `docs/limits.md` that a client can reach.

#[path = "limits/bodies.rs"]
mod bodies;
#[path = "limits/connections.rs"]
mod connections;
#[path = "limits/heads.rs"]
mod heads;
#[path = "limits/http2.rs"]
mod http2;
#[path = "limits/origins.rs"]
mod origins;
#[path = "limits/requests.rs"]
mod requests;
#[path = "limits/times.rs"]
mod times;

use std::time::Duration;

use portcullis_policy::{Ban, BanOrigin};
use portcullis_tests::{Edge, Manner, Origin};

const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";

const HUNDRED_A_MINUTE: &str = r#"
name: tested
rules:
  - priority: 100
    description: 100 requests per minute of one address without a valid token
    action: rate_based_ban
    match: { expr: { expression: "!token.valid" } }
    rateLimitOptions:
      conformAction: continue
      exceedAction: deny(429)
      enforceOnKey: IP
      rateLimitThreshold: { count: 100, intervalSec: 60 }
      banDurationSec: 600
  - priority: 2147483647
    description: default
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_101st_request_in_a_minute_is_429_and_so_is_every_one_for_600_seconds() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(HUNDRED_A_MINUTE).start().await;
    let mut client = edge.client().await;
    for n in 1..=100 {
        assert_eq!(client.ask(GET).await.status, 200, "request {n}");
    }
    origin.forget();
    let refused = client.ask(GET).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("600"));
    assert!(["banned", "rate_limited"].contains(&refused.error().as_str()));
    for (later, expected) in [(1, "599"), (298, "301"), (300, "1")] {
        edge.advance(Duration::from_secs(later));
        let refused = edge.h2().await.ask("GET", "/", &[], b"").await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some(expected)));
        assert_eq!(refused.error(), "banned");
    }
    origin.saw_nothing();
    let forged = "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n";
    assert_eq!(edge.client().await.ask(forged).await.status, 429, "a forged address moves nobody");
    let elsewhere = Manner { from: "127.0.0.2".parse().unwrap(), ..Manner::default() };
    assert_eq!(
        edge.client_as(&elsewhere).await.ask(GET).await.status,
        200,
        "another address is unaffected"
    );
    edge.advance(Duration::from_secs(1));
    assert_eq!(client.ask(GET).await.status, 200, "the ban is over");
    let metrics = edge.metrics();
    assert!(
        metrics.contains("cloudarmor_blocked_requests_total{policy=\"tested\",rule=\"100\"} 5"),
        "{metrics}"
    );
    assert!(metrics.contains("security_events_total{type="), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valid_token_is_not_counted_with_those_that_have_none() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(HUNDRED_A_MINUTE).start().await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {}\r\n\r\n",
        edge.token("ada", "t")
    );
    let mut client = edge.client().await;
    for n in 1..=101 {
        assert_eq!(client.ask(&request).await.status, 200, "request {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_outlives_a_published_policy_whose_rule_did_not_change() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(HUNDRED_A_MINUTE).start().await;
    let mut client = edge.client().await;
    for _ in 1..=101 {
        client.ask(GET).await;
    }
    edge.publish_policy(
        &HUNDRED_A_MINUTE.replace("description: default", "description: the default"),
    )
    .unwrap();
    assert_eq!(client.ask(GET).await.status, 429);
    assert!(edge.publish_policy("name: [").is_err());
    assert_eq!(client.ask(GET).await.status, 429);
}

fn operators_ban(key: &str, until: portcullis_config::Timestamp) -> Ban {
    Ban {
        key: key.parse().expect("a key"),
        since: until,
        until: Some(until),
        reason: "asked for by the customer".to_owned(),
        origin: BanOrigin::Operator("root".to_owned()),
        definition: None,
        generation: 1,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_ban_is_answered_with_the_time_that_is_left() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let (state, now) = (&edge.shared().state, edge.shared().clock.now());
    state.add_ban(operators_ban("127.0.0.0/24", now.plus(Duration::from_secs(90))), now).unwrap();
    let refused = edge.get("/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("90")));
    assert_eq!(refused.error(), "banned");
    origin.saw_nothing();
    let elsewhere = Manner { from: "127.0.1.1".parse().unwrap(), ..Manner::default() };
    assert_eq!(edge.client_as(&elsewhere).await.ask(GET).await.status, 200);
    edge.advance(Duration::from_secs(90));
    assert_eq!(edge.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_tenant_is_refused_and_its_neighbour_behind_the_same_address_is_not() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin)
        .routes(&["{ path: /, backend: origin, identity: { any: [dev] } }"])
        .start()
        .await;
    let now = edge.shared().clock.now();
    edge.shared()
        .state
        .add_ban(operators_ban("tenant:acme", now.plus(Duration::from_secs(90))), now)
        .unwrap();
    for (tenant, status) in [("acme", 429), ("rival", 200)] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {}\r\n\r\n",
            edge.token("ada", tenant)
        );
        assert_eq!(edge.client().await.ask(request).await.status, status, "{tenant}");
    }
}
