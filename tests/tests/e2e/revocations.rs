//! Tokens that were good and are no more, tokens that are remembered, and what is counted of refusals.

use std::time::Duration;

use portcullis::clock::{Clock, System};
use portcullis::revocations::Entry;
use portcullis_config::Timestamp;
use portcullis_identity::revocation::Revoked;
use portcullis_tests::{Answer, Claims, Edge, Issuer, Origin};
use serde_json::{Value, json};

use super::process;

const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] } }";

async fn ask(edge: &Edge, path: &str, token: &str) -> Answer {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    edge.client().await.ask(request).await
}

fn revoke(edge: &Edge, what: &str, before: Option<u64>) {
    let entry = Entry {
        before: before.map(Timestamp::from_secs),
        since: Timestamp::from_secs(edge.now_secs()),
        by: "test".to_owned(),
        reason: None,
    };
    edge.shared().revocations.revoke(what.parse().unwrap(), entry).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_is_refused_on_the_very_next_request_though_it_is_remembered() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).start().await;
    let now = edge.now_secs();
    let token = |subject: &str, tenant: &str, id: &str| {
        let mut claims = edge.claims(subject, tenant);
        claims.insert("jti".to_owned(), json!(id));
        edge.sign(&claims)
    };
    let (ada, bob) = (token("ada", "t1", "a"), token("bob", "t2", "b"));
    for (what, before) in [
        ("subject:dev/ada", None),
        ("tenant:t1", None),
        ("token:dev/a", None),
        ("subject:dev/ada", Some(now + 1)),
        ("tenant:t1", Some(now + 1)),
    ] {
        assert_eq!(ask(&edge, "/", &ada).await.status, 200, "{what}");
        revoke(&edge, what, before);
        origin.forget();
        let refused = ask(&edge, "/", &ada).await;
        assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_token"), "{what}");
        origin.saw_nothing();
        assert_eq!(ask(&edge, "/", &bob).await.status, 200, "{what}");
        let what: Revoked = what.parse().unwrap();
        assert!(edge.shared().revocations.undo(&what).unwrap().is_some());
    }
    for what in ["subject:dev/ada", "tenant:t1"] {
        revoke(&edge, what, Some(now));
        assert_eq!(ask(&edge, "/", &ada).await.status, 200, "issued at that moment: {what}");
    }
    revoke(&edge, "key:dev/k1", None);
    assert_eq!(ask(&edge, "/", &bob).await.status, 401, "everything that the key signed");
    let log = edge.logged(18).await;
    assert!(log.iter().any(|line| line.to_string().contains("revoked_tenant")), "{log:?}");
    let line = "edge_token_refusals_total{provider=\"dev\",reason=\"revoked_key\"} 1";
    assert!(edge.metrics().contains(line), "{}", edge.metrics());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_verified_once_and_not_past_its_end() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).start().await;
    let token = edge.token("ada", "t1");
    for _ in 0..5 {
        assert_eq!(ask(&edge, "/", &token).await.status, 200);
    }
    let figures = edge.shared().tokens.figures();
    assert_eq!((figures.entries, figures.misses_total, figures.hits_total), (1, 1, 4));
    edge.advance(Duration::from_secs(629));
    assert_eq!(ask(&edge, "/", &token).await.status, 200);
    edge.advance(Duration::from_secs(1));
    assert_eq!(ask(&edge, "/", &token).await.status, 401);
}

const DENIED: &str = "
name: tested
rules:
  - priority: 10
    action: deny(403)
    match: { expr: { expression: \"request.path == '/denied'\" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_good_tokens_are_counted_apart_and_challenges_name_what_is_wrong() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).policy(DENIED).start().await;
    let token = edge.token("ada", "t1");
    let counted = |count: u64| {
        let line = format!(
            "edge_refusals_with_valid_token_total{{reason=\"denied_by_policy\"}} {count}\n"
        );
        assert!(edge.metrics().contains(&line), "{}", edge.metrics());
    };
    assert_eq!(ask(&edge, "/denied", "nonsense").await.status, 403);
    counted(0);
    assert_eq!(ask(&edge, "/denied", &token).await.status, 403, "never seen before");
    counted(1);
    assert_eq!(ask(&edge, "/", &token).await.status, 200);
    assert_eq!(ask(&edge, "/denied", &token).await.status, 403, "remembered");
    counted(2);
    for (answer, expected) in [
        (ask(&edge, "/", "nonsense").await, "Bearer error=\"invalid_token\""),
        (edge.get("/").await, "Bearer"),
        (ask(&edge, "/?access_token=x", &token).await, "Bearer error=\"invalid_request\""),
    ] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_revokes_by_command_and_by_file_and_keeps_it_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (origin, issuer) = (Origin::start().await, Issuer::with_key("k1"));
    std::fs::write(home.join("policy.yaml"), process::policy("/never")).unwrap();
    std::fs::write(home.join("jwks.json"), json!({ "keys": [issuer.jwk()] }).to_string()).unwrap();
    std::fs::write(home.join("revoked.txt"), "# nothing yet\n").unwrap();
    let text = process::configuration(&origin)
        .replace("identity: none", "identity: { any: [main] }")
        + "identity:\n  revocations: revoked.txt\n  providers:\n    main: { kind: static, issuer: 'https://id.test', \
           audience: license-api, algorithms: [ES256], jwks: jwks.json }\n";
    std::fs::write(home.join("portcullis.yaml"), text).unwrap();
    assert!(process::run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let now = System::new().now().as_secs();
    let token = |subject: &str| {
        let claims: Claims = serde_json::from_value(json!({
            "iss": "https://id.test", "aud": "license-api", "sub": subject, "tenant_id": "t1",
            "iat": now - 10, "exp": now + 600,
        }))
        .unwrap();
        issuer.sign(&claims)
    };
    let operate = |arguments: &[&str]| {
        let output = process::run(home, &[arguments, &["--socket", "admin.sock"]].concat());
        (output.status.success(), process::text(&output.stdout) + &process::text(&output.stderr))
    };
    let ask = |edge: &process::Portcullis, subject: &str| {
        let authorization = format!("Authorization: Bearer {}", token(subject));
        process::ask(home, edge, "/", &["-H", &authorization]).0
    };
    let edge = process::serve(home);
    assert_eq!(ask(&edge, "ada"), "200");
    let (done, said) = operate(&["token", "revoke", "subject:main/ada", "--reason", "laptop lost"]);
    assert!(done && said.contains("subject:main/ada") && said.contains("before"), "{said}");
    assert_eq!((ask(&edge, "ada"), ask(&edge, "bob")), ("401".to_owned(), "200".to_owned()));
    let (_, listed) = operate(&["token", "ls", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["what"], &listed[0]["reason"]),
        (&json!("subject:main/ada"), &json!("laptop lost"))
    );
    for (wrong, help) in
        [("ada", "write `subject:PROVIDER/NAME`"), ("subject:mian/ada", "there are main")]
    {
        let (done, said) = operate(&["token", "revoke", wrong]);
        assert!(!done && said.contains(help), "{said}");
    }
    drop(edge);
    let edge = process::serve(home);
    assert_eq!(ask(&edge, "ada"), "401", "it is kept");
    assert!(operate(&["token", "undo", "subject:main/ada"]).1.contains("accepted again"));
    assert_eq!(ask(&edge, "ada"), "200");
    assert!(!operate(&["token", "undo", "subject:main/ada"]).0);

    std::fs::write(home.join("revoked.txt"), "tenant:t1 before 2999-01-01T00:00:00Z\n").unwrap();
    // Nothing is written beside the file meanwhile: the watch waits until its directory is quiet.
    let deadline = System::new().now().plus(Duration::from_secs(20));
    loop {
        let (_, shown) = operate(&["status", "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        if shown["generation"] == json!(2) {
            break;
        }
        assert!(System::new().now() < deadline, "{shown}");
    }
    assert_eq!(ask(&edge, "bob"), "401");
    std::fs::write(home.join("revoked.txt"), "tenant:t1 before then\nsubject:mian/x\n").unwrap();
    let (done, said) = operate(&["reload"]);
    assert!(!done && said.contains("line 1") && said.contains("no provider `mian`"), "{said}");
    assert_eq!(ask(&edge, "bob"), "401", "a broken file accepts nobody again");
    let audit = std::fs::read_to_string(home.join("state/audit.jsonl")).unwrap();
    assert!(audit.contains("token revoke subject:main/ada"), "{audit}");
}
