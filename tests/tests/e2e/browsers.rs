//! What a route does for browsers: other origins, forged requests, cookies.

use portcullis_tests::{Answer, Edge, Origin};

const CORS: &str = "{ path: /, backend: origin, identity: { any: [dev] }, cors: { origins: ['https://*.example.com'], \
    credentials: ['https://portal.example.com'], methods: [GET, PUT], headers: [Content-Type, Authorization], \
    expose: [X-Request-Id], max_age: 5m } }";
/// What an origin says of other origins is the edge's to say.
const LAX: &[u8] = b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
    Vary: Accept-Encoding\r\nContent-Length: 2\r\n\r\nok";

async fn ask(edge: &Edge, method: &str, headers: &str) -> Answer {
    let request =
        format!("{method} / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0\r\n{headers}\r\n");
    edge.client().await.ask(request).await
}

fn allowed(answer: &Answer) -> [Option<&str>; 2] {
    ["access-control-allow-origin", "access-control-allow-credentials"]
        .map(|name| answer.header(name))
}

fn values<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let found = answer.headers.iter().filter(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_reads_what_the_route_lets_it_read_and_refusals_too() {
    let origin = Origin::answering(LAX).await;
    let edge = Edge::builder(&origin).routes(&[CORS]).start().await;
    let token = format!("Authorization: Bearer {}\r\n", edge.token("alice", "acme"));
    for (from, expected) in [
        ("https://app.example.com", [Some("https://app.example.com"), None]),
        ("https://portal.example.com", [Some("https://portal.example.com"), Some("true")]),
        ("https://example.com", [None, None]),
        ("https://a.b.example.com", [None, None]),
        ("https://evilexample.com", [None, None]),
        ("https://app.example.com.evil.test", [None, None]),
        ("http://app.example.com", [None, None]),
        ("null", [None, None]),
    ] {
        for (token, status) in [(token.as_str(), 200), ("", 401)] {
            let answer = ask(&edge, "GET", &format!("Origin: {from}\r\n{token}")).await;
            assert_eq!((answer.status, allowed(&answer)), (status, expected), "{from}");
            assert!(values(&answer, "vary").contains(&"Origin"), "{from}");
        }
    }
    let twice = "Origin: https://app.example.com\r\nOrigin: https://app.example.com\r\n";
    assert_eq!(allowed(&ask(&edge, "GET", &format!("{twice}{token}")).await), [None, None]);
    let without = ask(&edge, "GET", &token).await;
    assert_eq!((without.status, allowed(&without)), (200, [None, None]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_is_answered_at_the_edge_without_a_token() {
    let origin = Origin::answering(LAX).await;
    let edge = Edge::builder(&origin).routes(&[CORS]).start().await;
    for (from, method, names, is_allowed) in [
        ("https://app.example.com", "PUT", "authorization, content-type", true),
        ("https://app.example.com", "PUT", "", true),
        ("https://app.example.com", "DELETE", "", false),
        ("https://app.example.com", "put", "", false),
        ("https://app.example.com", "GET", "x-other", false),
        ("https://evil.test", "GET", "", false),
    ] {
        let headers = format!(
            "Origin: {from}\r\nAccess-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: {names}\r\n"
        );
        let answer = ask(&edge, "OPTIONS", &headers).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{method} {names}");
        assert_eq!(answer.header("access-control-allow-origin"), is_allowed.then_some(from));
        let methods = is_allowed.then_some("GET, PUT");
        assert_eq!(answer.header("access-control-allow-methods"), methods, "{method} {names}");
        let max_age = is_allowed.then_some("300");
        assert_eq!(answer.header("access-control-max-age"), max_age);
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        let mut h2 = edge.h2().await;
        let fields = [("origin", from), ("access-control-request-method", method)];
        let fields = [&fields[..], &[("access-control-request-headers", names)]].concat();
        let answer = h2.ask("OPTIONS", "/", &fields, b"").await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), is_allowed.then_some(from));
    }
    origin.saw_nothing();
    assert_eq!(ask(&edge, "OPTIONS", "").await.status, 401, "no preflight: as any other request");
}

const FORGING: &str = "{ path: /, backend: origin, identity: none, csrf: { cookies: [session], \
    origins: ['https://forms.example.com'] } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_site_sends_with_the_persons_cookies_is_refused() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[FORGING]).start().await;
    const COOKIE: &str = "Cookie: theme=dark; session=s\r\n";
    for (method, headers, is_refused) in [
        ("POST", "Sec-Fetch-Site: same-origin\r\n", false),
        ("POST", "Sec-Fetch-Site: none\r\n", false),
        ("POST", "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.test\r\n", true),
        ("POST", "Sec-Fetch-Site: same-site\r\nOrigin: https://other.test\r\n", true),
        ("POST", "Sec-Fetch-Site: cross-site\r\nOrigin: https://forms.example.com\r\n", false),
        ("POST", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Site: same-origin\r\n", true),
        ("POST", "Sec-Fetch-Site: Same-Origin\r\n", true),
        ("POST", "Origin: https://edge.test\r\n", false),
        ("POST", "Origin: http://edge.test\r\n", true),
        ("POST", "Origin: https://edge.test.evil.test\r\n", true),
        ("POST", "Origin: https://edge.test\r\nOrigin: https://evil.test\r\n", true),
        ("POST", "Origin: null\r\n", true),
        ("POST", "", true),
        ("DELETE", "Sec-Fetch-Site: cross-site\r\n", true),
        ("GET", "Sec-Fetch-Site: cross-site\r\n", false),
        ("OPTIONS", "", false),
    ] {
        origin.forget();
        let answer = ask(&edge, method, &format!("{COOKIE}{headers}")).await;
        assert_eq!(answer.status, if is_refused { 403 } else { 200 }, "{method} {headers}");
        if is_refused {
            assert_eq!(answer.error(), "cross_site_request");
            origin.saw_nothing();
        }
    }
    for headers in ["", "Cookie: theme=dark\r\n", "Authorization: Bearer x\r\n"] {
        let cross = format!("Sec-Fetch-Site: cross-site\r\n{headers}");
        assert_eq!(
            ask(&edge, "POST", &cross).await.status,
            200,
            "{headers}: nothing to forge with"
        );
    }
    edge.counts("edge_refusals_total{reason=\"cross_site_request\"} 10").await;
}

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: public\r\n\
    Set-Cookie: session=s; Path=/; SameSite=None\r\nSet-Cookie: theme=dark\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_with_the_page_and_has_to_come_back_and_cookies_are_made_strict() {
    let origin = Origin::answering(PAGE).await;
    let route = "{ path: /, backend: origin, identity: none, csrf: { token_cookie: __Host-csrf }, \
                 cookies: { same_site: lax, script: [theme] } }";
    let edge = Edge::builder(&origin).routes(&[route]).start().await;
    let page = ask(&edge, "GET", "").await;
    let set = values(&page, "set-cookie");
    let [session, theme, csrf] = set[..] else { panic!("{set:?}") };
    assert_eq!(session, "session=s; Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(theme, "theme=dark; Secure; SameSite=Lax");
    let rest = csrf.strip_prefix("__Host-csrf=").unwrap();
    let (token, attributes) = rest.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; SameSite=Strict");
    assert_eq!((token.len(), page.header("cache-control")), (32, Some("no-store")));
    let cookie = format!("Cookie: session=s; __Host-csrf={token}\r\n");
    let again = ask(&edge, "GET", &cookie).await;
    assert_eq!(
        (values(&again, "set-cookie").len(), again.header("cache-control")),
        (2, Some("public"))
    );
    let header = format!("X-CSRF-Token: {token}\r\n");
    let other = format!("X-CSRF-Token: {}\r\n", "0".repeat(32));
    let here = "Sec-Fetch-Site: same-origin\r\n";
    let there = "Sec-Fetch-Site: cross-site\r\n";
    let twice = format!("Cookie: __Host-csrf={0}; __Host-csrf={0}\r\n", "0".repeat(32));
    let short = "Cookie: __Host-csrf=a\r\nX-CSRF-Token: a\r\n";
    for (headers, status) in [
        (format!("{cookie}{header}{here}"), 200),
        (format!("{cookie}{header}"), 200),
        (format!("{cookie}{header}{there}"), 403),
        (format!("{cookie}{here}"), 403),
        (format!("{cookie}{other}{here}"), 403),
        (format!("{twice}{other}{here}"), 403),
        (format!("{short}{here}"), 403),
        (format!("Cookie: session=s\r\n{header}{here}"), 403),
    ] {
        assert_eq!(ask(&edge, "POST", &headers).await.status, status, "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_has_headers_of_its_own_and_browsers_report_to_the_edge() {
    let origin = Origin::start().await;
    let routes = [
        "{ path: /, backend: origin, identity: none }",
        "{ path: /page, backend: origin, identity: { any: [dev] }, headers: pages }",
    ];
    let profiles = "headers: { profiles: { pages: { set: { Content-Security-Policy: \"default-src 'none'\" }, remove: [X-Frame-Options] } } }";
    let edge = Edge::builder(&origin)
        .routes(&routes)
        .host("csp_reports: /reports")
        .top(profiles)
        .start()
        .await;
    let token = format!("Authorization: Bearer {}\r\n", edge.token("alice", "acme"));
    let get = async |path: &str, headers: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: edge.test\r\n{headers}\r\n");
        edge.client().await.ask(request).await
    };
    let policy = "default-src 'none'; report-uri /reports; report-to csp";
    for (path, headers, status, frame, is_own) in [
        ("/page", token.as_str(), 200, Some("SAMEORIGIN"), true),
        ("/page", "", 401, None, true),
        ("/", "", 200, Some("DENY"), false),
    ] {
        let answer = get(path, headers).await;
        assert_eq!((answer.status, answer.header("x-frame-options")), (status, frame), "{path}");
        let said = answer.header("content-security-policy").unwrap();
        assert_eq!(said == policy, is_own, "{said}");
        assert!(said.ends_with("; report-uri /reports; report-to csp"), "{said}");
        assert_eq!(answer.header("reporting-endpoints"), Some("csp=\"/reports\""));
    }
    origin.forget();
    let old = r#"{"csp-report":{"document-uri":"https://edge.test/a?token=s","effective-directive":"script-src","blocked-uri":"inline","disposition":"enforce"}}"#;
    let new = r#"[{"type":"csp-violation","body":{"documentURL":"https://edge.test/b","effectiveDirective":"img-src","blockedURL":"https://x.test/","disposition":"report"}},{"type":"other","body":{}}]"#;
    let many = format!("[{}]", vec![r#"{"type":"csp-violation","body":{}}"#; 50].join(","));
    for (body, status) in
        [(old, 202), (new, 202), ("nonsense", 202), (&many, 202), (&"x".repeat(20_000), 413)]
    {
        let mut h2 = edge.h2().await;
        assert_eq!(
            h2.ask("POST", "/reports", &[("cookie", "a=b")], body.as_bytes()).await.status,
            status
        );
    }
    origin.saw_nothing();
    edge.counts("edge_csp_reports_total{outcome=\"written\"} 10").await;
    let events = edge.event_log();
    let told: Vec<_> = events.iter().filter(|event| event["type"] == "csp_violation").collect();
    assert_eq!(told[0]["documentUri"], "https://edge.test/a?token=[redacted]");
    assert_eq!(
        (&told[0]["directive"], &told[1]["directive"]),
        (&"script-src".into(), &"img-src".into())
    );
    assert_eq!(get("/reports", "").await.status, 200, "only what is sent there is the edge's");
}
