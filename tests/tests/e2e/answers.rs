//! What is done with the origin's answers before the client hears anything.

use std::path::Path;

use portcullis_tests::{Builder, Edge, Manner, Origin};

/// Rules in the layout of a CRS: a leak in a header, a leak in a body.
const RULES: &str = "SecResponseBodyMimeType text/plain application/json\n\
    SecRule RESPONSE_HEADERS:X-Debug \"@contains secret\" \"id:1001,phase:3,deny,log,msg:'debug header'\"\n\
    SecRule RESPONSE_BODY \"@contains stack trace\" \"id:1002,phase:4,deny,log,msg:'stack trace'\"\n";

fn write_rules(home: &Path) {
    std::fs::create_dir(home.join("rules")).unwrap();
    std::fs::write(home.join("crs-setup.conf"), "SecRuleEngine On\n").unwrap();
    std::fs::write(home.join("rules/RESPONSE-900.conf"), RULES).unwrap();
}

fn inspecting(origin: &Origin, rules: &Path, inspection: &str) -> Builder {
    let top = format!("rulesets: {{ answers: {{ crs: '{}' }} }}", rules.display());
    let route = format!(
        "{{ path: /, backend: origin, identity: none, response_inspection: {{ ruleset: answers{inspection} }} }}"
    );
    Edge::builder(origin).top(&top).routes(&[&route])
}

const CLEAN: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
const LEAKS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\na stack trace";
const DEBUGS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Debug: a secret\r\nContent-Length: 5\r\n\r\nhello";
const EMPTY: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_the_rules_refuse_never_reaches_the_client() {
    let rules = tempfile::tempdir().unwrap();
    write_rules(rules.path());
    for (inspection, answer, status, body) in [
        (", body: 64KiB", CLEAN, 200, "hello"),
        (", body: 64KiB", CHUNKED, 200, "hello world"),
        (", body: 64KiB", EMPTY, 204, ""),
        (", body: 64KiB", LEAKS, 403, ""),
        (", body: 64KiB", DEBUGS, 403, ""),
        ("", CLEAN, 200, "hello"),
        ("", DEBUGS, 403, ""),
        ("", LEAKS, 200, "a stack trace"),
        (", body: 64KiB, on_match: log", LEAKS, 200, "a stack trace"),
        (", body: 64KiB, on_match: log", DEBUGS, 200, "hello"),
    ] {
        let origin = Origin::answering(answer).await;
        let edge = inspecting(&origin, rules.path(), inspection).start().await;
        let what = format!("{inspection}, {}", answer.escape_ascii());
        let h1 = edge.get("/page").await;
        let h2 = edge.h2().await.ask("POST", "/page", &[], b"a body").await;
        for answer in [&h1, &h2] {
            assert_eq!(answer.status, status, "{what}");
            if status == 403 {
                assert_eq!(answer.error(), "answer_withheld", "{what}");
                assert!(!answer.body.escape_ascii().to_string().contains("stack"), "{what}");
                assert_eq!(answer.header("x-debug"), None, "{what}");
            } else {
                assert_eq!(answer.body, body.as_bytes(), "{what}");
            }
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{what}");
        }
        assert_eq!(origin.seen()[1].body, b"a body");
        let told =
            edge.request_log().iter().all(|line| line.to_string().contains("the answer matched"));
        assert_eq!(told, status == 403 || inspection.contains("log"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_judged_by_its_start_and_comes_whole() {
    let rules = tempfile::tempdir().unwrap();
    write_rules(rules.path());
    for (leak_at, status) in [(100, 403), (300_000, 200)] {
        let mut body = vec![b'x'; 500_000];
        body[leak_at..leak_at + 11].copy_from_slice(b"stack trace");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer: &'static [u8] = Box::leak([head.as_bytes(), &body].concat().into_boxed_slice());
        let origin = Origin::answering(answer).await;
        let edge = inspecting(&origin, rules.path(), ", body: 64KiB").start().await;
        let mut client = edge.client().await;
        for _ in 0..2 {
            let answer = client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
            assert_eq!(answer.status, status, "{leak_at}");
            assert!(status != 200 || answer.body == body, "{leak_at}: {}", answer.body.len());
            if status != 200 {
                break;
            }
        }
        assert!(edge.metrics().contains("edge_body_bytes_held 0"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_fails_under_inspection_is_told_as_ever() {
    let rules = tempfile::tempdir().unwrap();
    write_rules(rules.path());
    let silent = Origin::answering(b"").await;
    let edge = inspecting(&silent, rules.path(), ", body: 64KiB")
        .backend("read_timeout: 300ms")
        .start()
        .await;
    assert_eq!(edge.get("/").await.status, 504);
    let down = Origin::start().await;
    let edge = inspecting(&down, rules.path(), ", body: 64KiB").start().await;
    drop(down);
    tokio::task::yield_now().await;
    assert_eq!(edge.get("/").await.status, 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_rule_set_withholds_an_error_of_a_database() {
    const CRS: &str = "/usr/share/modsecurity-crs";
    if !Path::new(CRS).is_dir() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "install modsecurity-crs");
        eprintln!("skipped: `{CRS}` is not there (Debian's modsecurity-crs)");
        return;
    }
    let leaks: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 112\r\n\r\n\
        <html><body>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version";
    for (answer, status) in [(CLEAN, 200), (leaks, 403)] {
        let origin = Origin::answering(answer).await;
        let edge = inspecting(&origin, Path::new(CRS), ", body: 64KiB").start().await;
        let got = edge.get("/").await;
        assert_eq!(got.status, status, "{} {:?}", got.body.escape_ascii(), edge.request_log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_answers_are_set_and_removed_by_the_route() {
    let origin = Origin::start().await;
    let route = "{ path: /, backend: origin, identity: none, response_headers: { set: { X-Frame-Options: SAMEORIGIN, \
                 Cache-Control: 'max-age=60' }, remove: [Content-Type] } }";
    let edge = Edge::builder(&origin).routes(&[route]).start().await;
    for answer in [edge.get("/").await, edge.h2().await.ask("GET", "/", &[], b"").await] {
        assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
        assert_eq!(answer.header("cache-control"), Some("max-age=60"));
        assert_eq!(answer.header("content-type"), None);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_of_an_origins_error_is_replaced_where_asked() {
    const ERROR: &[u8] = b"HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\nETag: x\r\nContent-Length: 19\r\n\r\nTraceback: line 1234";
    const EMPTY: &[u8] = b"HTTP/1.1 502 Oh\r\nContent-Length: 0\r\n\r\n";
    const MISSING: &[u8] = b"HTTP/1.1 404 No\r\nContent-Length: 7\r\n\r\nnothing";
    let route = "{ path: /, backend: origin, identity: none, replace_errors: true }";
    for (answer, status, replaced) in
        [(&ERROR[..ERROR.len() - 1], 500, true), (MISSING, 404, false)]
    {
        let origin = Origin::answering(answer).await;
        let edge = Edge::builder(&origin).routes(&[route]).start().await;
        let mut client = edge.client().await;
        for _ in 0..2 {
            let answer = client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
            assert_eq!(answer.status, status);
            if replaced {
                assert_eq!(
                    (answer.error().as_str(), answer.header("etag")),
                    ("upstream_failed", None)
                );
                assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
            } else {
                assert_eq!(answer.body, b"nothing");
            }
        }
        let h2 = edge.h2().await.ask("GET", "/", &[], b"").await;
        assert_eq!(h2.status, status);
        assert_eq!(h2.body.starts_with(b"{\"error\""), replaced, "{}", h2.body.escape_ascii());
    }
    let origin = Origin::answering(EMPTY).await;
    let edge = Edge::builder(&origin).routes(&[route]).start().await;
    let mut client = edge.client().await;
    for _ in 0..2 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.status, 502);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_may_keep_path_and_query_and_a_wildcard_serves_one_label() {
    let origin = Origin::start().await;
    let top = "  '*.wild.test':\n    routes:\n      - { path: /, redirect: { to: 'https://edge.test/', keep_target: true } }\n  \
               own.wild.test:\n    routes:\n      - { path: /, backend: origin, identity: none }";
    let edge = Edge::builder(&origin).top(top).start().await;
    let ask = async |server_name: &str, host: &str, target: &str| {
        let manner = Manner { server_name: server_name.to_owned(), ..Manner::default() };
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        edge.client_as(&manner).await.ask(request).await
    };
    for (target, location) in [
        ("/", "https://edge.test/"),
        ("/a/b?c=d&e", "https://edge.test/a/b?c=d&e"),
        ("//evil.test/", "https://edge.test//evil.test/"),
    ] {
        let answer = ask("any.wild.test", "any.wild.test", target).await;
        assert_eq!((answer.status, answer.header("location")), (308, Some(location)), "{target}");
    }
    assert_eq!(ask("own.wild.test", "OWN.wild.test", "/").await.status, 200);
    for host in ["wild.test", "a.b.wild.test", "wild.test.evil.test"] {
        assert_eq!(ask("edge.test", host, "/").await.status, 404, "{host}");
    }
}

/// Rules that count failed sign-ins of an address, as sites write them.
const COUNTING: &str = "SecAction \"id:1101,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
    SecRule RESPONSE_STATUS \"@streq 401\" \"id:1102,phase:3,pass,nolog,setvar:ip.failed=+1\"\n\
    SecRule IP:failed \"@gt 3\" \"id:1103,phase:3,deny,log,msg:'failed sign-ins'\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rules_count_in_a_collection_outlives_requests_and_reloads() {
    let rules = tempfile::tempdir().unwrap();
    write_rules(rules.path());
    std::fs::write(rules.path().join("rules/RESPONSE-900.conf"), COUNTING).unwrap();
    let origin = Origin::answering(
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno",
    )
    .await;
    let edge = inspecting(&origin, rules.path(), "").start().await;
    for _ in 0..3 {
        assert_eq!(edge.get("/sign-in").await.status, 401);
    }
    let changed = COUNTING.replace("failed sign-ins", "too many failed sign-ins");
    std::fs::write(rules.path().join("rules/RESPONSE-900.conf"), changed).unwrap();
    edge.publish().unwrap();
    assert_eq!(edge.get("/sign-in").await.status, 403);
    let log = edge.request_log();
    assert!(log.iter().any(|line| line.to_string().contains("too many failed sign-ins")));
    assert!(edge.shared().state.figures().collection_bytes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_for_answers_know_the_requests_id() {
    let rules = tempfile::tempdir().unwrap();
    write_rules(rules.path());
    for (wanted, status) in [("@rx ^[0-9a-f]{8}-[0-9a-f]{4}-7", 403), ("@rx ^$", 200)] {
        let text = format!(
            "SecRule UNIQUE_ID \"{wanted}\" \"id:1003,phase:3,deny,log,msg:'%{{UNIQUE_ID}}'\"\n"
        );
        std::fs::write(rules.path().join("rules/RESPONSE-900.conf"), text).unwrap();
        let origin = Origin::answering(CLEAN).await;
        let edge = inspecting(&origin, rules.path(), "").start().await;
        let answer = edge.get("/").await;
        assert_eq!(answer.status, status, "{wanted}");
        let id = answer.header("x-request-id").expect("each answer has the id");
        let log = edge.logged(1).await;
        let says = log[0]["detail"].as_str().unwrap_or_default().contains(id);
        assert_eq!(says, status == 403, "{log:?}");
    }
}
