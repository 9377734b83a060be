//! What policies may say beyond Google's schema, at the edge itself: bodies of refusals, parameters, lists, the log.

use std::time::Duration;

use portcullis_tests::{Edge, Origin};
use serde_json::json;

const POLICY: &str = r#"
name: extended
advancedOptionsConfig: { logLevel: VERBOSE, userIpRequestHeaders: [x-real-ip] }
rules:
  - priority: 5
    action: log
    match: { expr: { expression: "request.headers['x-absent'] == 'a'" } }
  - priority: 10
    action: deny(403)
    match: { expr: { expression: "request.params['role'] == 'admin'" } }
    denyBody: { code: 7, id: "{request_id}" }
  - priority: 20
    action: deny(404)
    match: { expr: { expression: "origin.user_ip in lists['bad']" } }
  - priority: 30
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})" } }
  - priority: 35
    action: deny(403)
    preview: true
    match: { expr: { expression: "request.cookies['sid'] == 'old'" } }
  - priority: 40
    action: deny(403)
    expires: 2000-01-01T00:00:00Z
    match: { srcIpRanges: ["*"] }
  - priority: 50
    action: throttle
    match: { expr: { expression: "request.path == '/limited'" } }
    rateLimitOptions:
      rateLimitThreshold: { count: 1, intervalSec: 60 }
      exceedAction: deny(429)
      enforceOnKeyConfigs: [{ enforceOnKeyType: HTTP_HEADER, enforceOnKeyName: token }, { enforceOnKeyType: HTTP_PATH }]
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: edge.test\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_reads_parameters_and_lists_and_answers_with_its_own_body() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(POLICY).list("bad", "192.0.2.7\n").start().await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json_type = "Content-Type: application/json\r\n";
    for request in [
        post("/", form, "a=b&role=admin"),
        post("/", json_type, "{\"role\":\"admin\"}"),
        post("/?role=admin", form, ""),
    ] {
        let answer = edge.client().await.ask(request).await;
        assert_eq!(answer.status, 403);
        let body = answer.json();
        assert_eq!(body["code"], json!(7));
        assert_eq!(body["id"].as_str(), answer.header("x-request-id"));
    }
    let listed = "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Real-IP: 192.0.2.7\r\n\r\n";
    assert_eq!(edge.client().await.ask(listed).await.status, 404);
    origin.saw_nothing();
    assert_eq!(edge.client().await.ask(post("/", form, "role=user")).await.status, 200);
    let log = edge.request_log();
    let user_ip = log[3].pointer("/jsonPayload/securityPolicyRequestData/userIpInfo").unwrap();
    assert_eq!(*user_ip, json!({"source": "x-real-ip", "ipAddress": "192.0.2.7"}));
    let groups = log[3].pointer("/jsonPayload/enforcedSecurityPolicy/addressGroup/names").unwrap();
    assert_eq!(*groups, json!(["bad"]));
    assert_eq!(log[3].pointer("/jsonPayload/ruleErrors").unwrap(), &json!([5, 10, 35]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_gives_the_matched_field_and_no_credential() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(POLICY).list("bad", "192.0.2.7\n").start().await;
    let attack = "1%27%20OR%20%271%27%3D%271%27--%20";
    let cookie = format!(
        "GET /?q={attack}&token=s3cret HTTP/1.1\r\nHost: edge.test\r\nCookie: sid=old\r\n\r\n"
    );
    assert_eq!(edge.client().await.ask(cookie).await.status, 403);
    assert_eq!(edge.get(&format!("/?token={attack}")).await.status, 403);
    let limited = "GET /limited HTTP/1.1\r\nHost: edge.test\r\nToken: s3cret\r\n\r\n";
    assert_eq!(edge.client().await.ask(limited).await.status, 200);
    assert_eq!(edge.client().await.ask(limited).await.status, 429);
    let log = edge.logged(4).await;
    let enforced = |line: usize| &log[line]["jsonPayload"]["enforcedSecurityPolicy"];
    assert_eq!(enforced(0)["matchedFieldType"], "ARG_VALUES");
    assert_eq!(enforced(0)["matchedFieldName"], "q");
    let value = enforced(0)["matchedFieldValue"].as_str().unwrap();
    assert!(!value.is_empty() && value.len() <= 16, "{value}");
    assert!(enforced(0)["matchedLength"].is_u64() && enforced(0)["inspectedBodySize"].is_u64());
    assert_eq!(log[0]["jsonPayload"]["previewSecurityPolicy"]["priority"], 5 + 30);
    assert_eq!(enforced(1)["matchedFieldValue"], "[redacted]");
    assert_eq!(enforced(3)["rateLimitAction"]["key"], "[redacted]");
    let text = log.iter().chain(&edge.event_log()).map(ToString::to_string).collect::<String>();
    assert!(
        !text.contains("s3cret") && !text.contains("27%20OR%20%271%27%3D%271%27--%20\","),
        "{text}"
    );
    let metrics = edge.metrics();
    for line in [
        "edge_policy_rule_hits_total{action=\"DENY\",mode=\"enforced\",outcome=\"DENY\",policy=\"extended\",rule=\"30\"} 2",
        "edge_policy_rule_hits_total{action=\"DENY\",mode=\"preview\",outcome=\"DENY\",policy=\"extended\",rule=\"35\"} 1",
        "edge_waf_signature_hits_total{mode=\"enforced\",policy=\"extended\",signature=\"portcullis-core-id",
        "edge_policy_rule_errors_total{policy=\"extended\",rule=\"5\"} 4",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    edge.stop(Duration::from_secs(1)).await;
}
