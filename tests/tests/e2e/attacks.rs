//! Attacks in query, header, JSON and form bodies: refused, and the origin sees nothing; their harmless twins pass.

use portcullis_tests::{Edge, Origin};

const POLICY: &str = r#"
name: tested
rules:
  - priority: 10
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})" } }
  - priority: 11
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('xss-core-stable', {'sensitivity': 1})" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

struct Case {
    path: String,
    header: (&'static str, &'static str),
    body: String,
}

fn get(path: &str) -> Case {
    Case { path: path.to_owned(), header: ("accept", "*/*"), body: String::new() }
}

fn post(content_type: &'static str, body: impl Into<String>) -> Case {
    Case { path: "/".to_owned(), header: ("content-type", content_type), body: body.into() }
}

/// One case over HTTP/1.1 and over HTTP/2: the status, the same on both.
async fn status(edge: &Edge, case: &Case) -> u16 {
    let method = if case.body.is_empty() { "GET" } else { "POST" };
    let (name, value) = case.header;
    let head = format!("{method} {} HTTP/1.1\r\nHost: edge.test\r\n{name}: {value}\r\n", case.path);
    let request = format!("{head}Content-Length: {}\r\n\r\n{}", case.body.len(), case.body);
    let h1 = edge.client().await.ask(request).await.status;
    let h2 =
        edge.h2().await.ask(method, &case.path, &[case.header], case.body.as_bytes()).await.status;
    assert_eq!(h1, h2, "{}", case.path);
    h1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_are_403_wherever_they_stand_and_the_origin_sees_nothing() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(POLICY).start().await;
    let padding = "x".repeat(100_000);
    for case in [
        get("/?id=1%27%20OR%20%271%27%3D%271%27--%20"),
        get("/?q=%3Cscript%3Ealert(1)%3C/script%3E"),
        Case { header: ("user-agent", "<script>alert(1)</script>"), ..get("/") },
        Case { header: ("x-comment", "1' UNION SELECT password FROM users-- x"), ..get("/") },
        post("application/json", r#"{"key":"1' UNION SELECT password FROM users-- "}"#),
        post(
            "application/x-www-form-urlencoded",
            "a=b&key=1%27+UNION+SELECT+password+FROM+users--+",
        ),
        post(
            "application/x-www-form-urlencoded",
            format!("pad={padding}&key=1%27+UNION+SELECT+password+FROM+users--+"),
        ),
    ] {
        assert_eq!(status(&edge, &case).await, 403, "{} {:?}", case.path, case.header);
        origin.saw_nothing();
    }
    let metrics = edge.metrics();
    assert!(metrics.contains("security_events_total{type=\"sql_injection\"}"), "{metrics}");
    assert!(edge.request_log()[0].to_string().contains("preconfiguredExprIds"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_harmless_twins_pass() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(POLICY).start().await;
    let padding = "x".repeat(100_000);
    for case in [
        get("/?id=1"),
        get("/?q=a%20script%20about%20alerts"),
        Case { header: ("user-agent", "a script about alerts"), ..get("/") },
        Case { header: ("x-comment", "the union of select users"), ..get("/") },
        post("application/json", r#"{"key":"CODI-1234-ABCD"}"#),
        post("application/x-www-form-urlencoded", "a=b&key=union+station"),
        post("application/x-www-form-urlencoded", format!("pad={padding}&key=1")),
    ] {
        assert_eq!(status(&edge, &case).await, 200, "{} {:?}", case.path, case.header);
    }
}
