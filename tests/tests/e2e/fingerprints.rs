//! JA3 and JA4 at the edge: one library has one fingerprint, and rules, limits and bans go by it.

use portcullis_policy::{Ban, BanKey, BanOrigin};
use portcullis_tests::{Edge, Manner, Origin};
use rustls::version::TLS12;
use serde_json::Value;

/// Denies a library that offers TLS 1.2 and no more; everyone else has two requests a minute per fingerprint.
fn policy(kind: &str) -> String {
    format!(
        r#"
name: libraries
rules:
  - priority: 10
    action: deny(403)
    match: {{ expr: {{ expression: "origin.tls_ja4_fingerprint.startsWith('t12')" }} }}
  - priority: 20
    action: throttle
    match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ["*"] }} }}
    rateLimitOptions:
      rateLimitThreshold: {{ count: 2, intervalSec: 60 }}
      exceedAction: deny(429)
      enforceOnKey: {kind}
  - priority: 2147483647
    action: allow
    match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ["*"] }} }}
"#
    )
}

const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";

fn prints(line: &Value) -> (&str, &str) {
    let data = |name: &str| {
        let path = format!("/jsonPayload/securityPolicyRequestData/{name}");
        line.pointer(&path).and_then(Value::as_str).unwrap_or_default()
    };
    (data("tlsJa3Fingerprint"), data("tlsJa4Fingerprint"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_and_a_limit_go_by_the_library() {
    for kind in ["TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT"] {
        let origin = Origin::start().await;
        let edge = Edge::builder(&origin)
            .tls_versions("['1.2', '1.3']")
            .plain_serving()
            .policy(&policy(kind))
            .start()
            .await;
        let manner = Manner::default();
        let mut old = edge.handshake(&manner, &[&TLS12]).await.unwrap();
        assert_eq!(old.ask(GET).await.status, 403, "{kind}");
        // The library shuffles its extensions from connection to connection, which a JA3 shows and a JA4 does not.
        let mut client = edge.client().await;
        for expected in [200, 200, 429] {
            assert_eq!(client.ask(GET).await.status, expected, "{kind}");
        }
        if kind == "TLS_JA4_FINGERPRINT" {
            assert_eq!(edge.get("/").await.status, 429, "another connection of the same library");
        }
        let without = "GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n";
        assert_eq!(edge.plain(without).await.status, 200, "no TLS, another counter");

        let log = edge.request_log();
        let (ja3, ja4) = prints(&log[0]);
        assert!(ja3.len() == 32 && ja4.starts_with("t12d"), "{ja3} {ja4}");
        let (ja3, ja4) = prints(&log[1]);
        assert!(ja3.len() == 32 && ja4.len() == 36 && ja4.starts_with("t13d"), "{ja3} {ja4}");
        assert_eq!(ja4.get(8..10), Some("h1"), "{ja4}");
        assert_eq!(prints(&log[1]), prints(&log[3]));
        assert_eq!(prints(log.last().unwrap()), ("", ""), "no TLS, no fingerprint");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_fingerprint_is_refused_and_another_is_not() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    assert_eq!(edge.get("/").await.status, 200);
    let log = edge.request_log();
    let (_, ja4) = prints(&log[0]);
    let now = edge.shared().clock.now();
    let ban = Ban {
        key: BanKey::Fingerprint(ja4.into()),
        until: None,
        since: now,
        reason: "a scraper's library".to_owned(),
        origin: BanOrigin::Operator("test".to_owned()),
        definition: None,
        generation: 1,
    };
    edge.shared().state.add_ban(ban, now).unwrap();
    assert_eq!(edge.get("/").await.status, 429);
    // Another ALPN is another fingerprint.
    assert_eq!(edge.h2().await.ask("GET", "/", &[], &[]).await.status, 200);
}
