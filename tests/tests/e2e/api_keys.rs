//! Keys that the edge issues, and certificates that say who calls: of the same rank as tokens, and one of all at a time.

use portcullis::api_keys::ApiKey;
use portcullis::revocations::Entry;
use portcullis_config::Timestamp;
use portcullis_identity::revocation::Revoked;
use portcullis_tests::{Answer, Authority, Edge, Manner, Origin};
use rustls::version::TLS13;
use serde_json::{Value, json};

use super::process;

const KEYS: &str = "keys: { kind: api_keys }";
const ROUTES: [&str; 3] = [
    "{ path: /, backend: origin, identity: { any: [dev, keys], scopes: [seats] } }",
    "{ path: /tokens, backend: origin, identity: { any: [dev] } }",
    "{ path: /open, backend: origin, identity: none }",
];

fn key(edge: &Edge, scopes: &[&str]) -> String {
    let key = ApiKey {
        provider: "keys".to_owned(),
        tenant: "acme".to_owned(),
        subject: "ci".to_owned(),
        roles: vec!["builder".to_owned()],
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        issued: Timestamp::from_secs(edge.now_secs()),
        expires: None,
        by: "test".to_owned(),
        note: None,
        hash: [0; 32],
        previous: None,
    };
    edge.shared().api_keys.issue(key).unwrap().1.expose().to_owned()
}

/// A part of a key's text: 1 is the id, 2 the secret.
fn part(text: &str, at: usize) -> &str {
    text.split('_').nth(at).unwrap()
}

async fn ask(edge: &Edge, target: &str, headers: &[(&str, &str)]) -> Answer {
    let fields: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\n{fields}\r\n");
    edge.client().await.ask(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_a_credential_like_a_token_and_never_beside_one() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin)
        .routes(&ROUTES)
        .provider(KEYS)
        .backend("assertion: true")
        .start()
        .await;
    let (good, poor) = (key(&edge, &["seats"]), key(&edge, &[]));
    let bearer = format!("Bearer {}", edge.token("ada", "t1"));
    let as_bearer = format!("Bearer {good}");
    let wrong = format!("{}{}", good.split_at(80).0, if good.ends_with('0') { "1" } else { "0" });
    for (target, headers, status, code) in [
        ("/", vec![("X-Api-Key", good.as_str())], 200, ""),
        ("/", vec![("x_api.key", good.as_str())], 200, ""),
        ("/", vec![("X-Api-Key", poor.as_str())], 403, "insufficient_scope"),
        ("/", vec![("X-Api-Key", wrong.as_str())], 401, "invalid_token"),
        ("/", vec![("X-Api-Key", "")], 401, "invalid_token"),
        ("/", vec![("X-Api-Key", "x"), ("X-Other", "y")], 401, "invalid_token"),
        ("/", vec![("Authorization", as_bearer.as_str())], 401, "invalid_token"),
        ("/", vec![("X-Api-Key", &good), ("X-Api-Key", &good)], 401, "invalid_token"),
        ("/", vec![("X-Api-Key", &good), ("X_Api_Key", &good)], 401, "invalid_token"),
        ("/", vec![("X-Api-Key", &good), ("Authorization", &bearer)], 401, "invalid_token"),
        ("/?access_token=x", vec![("X-Api-Key", good.as_str())], 401, "invalid_token"),
        ("/tokens", vec![("X-Api-Key", good.as_str())], 401, "invalid_token"),
        ("/tokens", vec![("X-Api-Key", "x"), ("Authorization", &bearer)], 401, "invalid_token"),
        ("/tokens", vec![("Authorization", bearer.as_str())], 200, ""),
        ("/open", vec![("X-Api-Key", "x")], 200, ""),
        ("/", vec![], 401, "missing_auth"),
    ] {
        origin.forget();
        let answer = ask(&edge, target, &headers).await;
        let said = if status == 200 { String::new() } else { answer.error() };
        assert_eq!((answer.status, said.as_str()), (status, code), "{target} {headers:?}");
        if status != 200 {
            origin.saw_nothing();
            continue;
        }
        let seen = origin.only();
        let names = seen.names();
        assert!(!names.iter().any(|name| name.contains("api")), "{names:?}");
        if headers.iter().any(|(name, _)| *name == "X-Api-Key") && target == "/" {
            let told = |name| seen.headers(name).join(" ");
            assert_eq!(told("X-Edge-Subject") + &told("X-Edge-Tenant"), "ciacme");
            assert_eq!(seen.headers("X-Edge-Assertion").len(), 1);
        }
    }
    let id = part(&good, 1);
    edge.shared().api_keys.revoke(id).unwrap();
    assert_eq!(ask(&edge, "/", &[("X-Api-Key", &good)]).await.status, 401);
    let line = "edge_token_refusals_total{provider=\"none\",reason=\"unknown_api_key\"} 1\n";
    assert!(edge.metrics().contains(line), "{}", edge.metrics());
    let log = format!("{:?}", edge.logged(17).await);
    assert!(!log.contains(part(&good, 2)), "no secret is logged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_revoked_as_a_token_is_by_command_and_by_file() {
    let (origin, home) = (Origin::start().await, tempfile::tempdir().unwrap());
    let file = home.path().join("revoked.txt");
    std::fs::write(&file, "").unwrap();
    let revoked = format!("revocations: '{}'", file.display());
    let builder = Edge::builder(&origin).routes(&ROUTES).provider(KEYS).identity(&revoked);
    let edge = builder.start().await;
    let good = key(&edge, &["seats"]);
    let status = async || ask(&edge, "/", &[("X-Api-Key", &good)]).await.status;
    for what in ["subject:keys/ci".to_owned(), format!("token:keys/{}", part(&good, 1))] {
        assert_eq!(status().await, 200, "{what}");
        let what: Revoked = what.parse().unwrap();
        let since = Timestamp::from_secs(edge.now_secs());
        let entry = Entry { before: None, since, by: "test".to_owned(), reason: None };
        edge.shared().revocations.revoke(what.clone(), entry).unwrap();
        assert_eq!(status().await, 401, "{what}");
        edge.shared().revocations.undo(&what).unwrap();
        std::fs::write(&file, format!("{what}\n")).unwrap();
        edge.publish().unwrap();
        assert_eq!(status().await, 401, "{what} by file");
        std::fs::write(&file, "").unwrap();
        edge.publish().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_says_who_calls_where_the_route_takes_its_word() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    let ca = home.path().join("clients.pem");
    clients.write_root(&ca);
    let host = format!("client_certificates: {{ ca: 'file:{}', mode: request }}", ca.display());
    let machines = "machines: { kind: certificates, clients: [ \
         { certificate: 'uri:spiffe://test/a', tenant: acme, subject: builder, scopes: [seats] } ] }";
    let routes = [
        "{ path: /, backend: origin, identity: { any: [dev, machines], scopes: [seats] } }",
        "{ path: /tokens, backend: origin, identity: { any: [dev] } }",
    ];
    let builder = Edge::builder(&origin).host(&host).provider(machines).routes(&routes);
    let edge = builder.start().await;
    let bearer = format!("Authorization: Bearer {}\r\n", edge.token("ada", "t1"));
    for (node, target, field, status) in [
        ("a", "/", "", 200),
        ("b", "/", "", 401),
        ("a", "/", bearer.as_str(), 401),
        ("b", "/tokens", bearer.as_str(), 200),
        ("a", "/tokens", bearer.as_str(), 200),
        ("a", "/tokens", "", 401),
    ] {
        origin.forget();
        let config = edge.authority().client_of(&clients, node, &["http/1.1"], &[&TLS13]);
        let mut client = edge.connect(&Manner::default(), config).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\n{field}\r\n");
        let answer = client.ask(request).await;
        assert_eq!(answer.status, status, "{node} {target} {field}");
        if (node, target, status) == ("a", "/", 200) {
            let seen = origin.only();
            assert_eq!(seen.headers("X-Edge-Subject"), ["builder"]);
            assert_eq!(seen.headers("X-Edge-Tenant"), ["acme"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_issues_rotates_and_revokes_keys_and_keeps_them_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("policy.yaml"), process::policy("/never")).unwrap();
    let text = process::configuration(&origin)
        .replace("identity: none", "identity: { any: [keys], scopes: [seats] }")
        + "identity: { providers: { keys: { kind: api_keys } } }\n";
    std::fs::write(home.join("portcullis.yaml"), text).unwrap();
    assert!(process::run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let operate = |arguments: &[&str]| {
        let output = process::run(home, &[arguments, &["--socket", "admin.sock"]].concat());
        (output.status.success(), process::text(&output.stdout), process::text(&output.stderr))
    };
    let ask = |edge: &process::Portcullis, key: &str| {
        process::ask(home, edge, "/", &["-H", &format!("X-Api-Key: {key}")]).0
    };
    let edge = process::serve(home);
    let issue = ["key", "issue", "--tenant", "acme", "--subject", "ci", "--scope", "seats"];
    let (done, first, said) =
        operate(&[&issue[..], &["--for", "90d", "--reason", "builds"]].concat());
    let first = first.trim().to_owned();
    assert!(done && first.starts_with("pck_") && said.contains("cannot be shown again"), "{said}");
    assert_eq!(ask(&edge, &first), "200");
    let id = part(&first, 1).to_owned();
    let (_, listed, _) = operate(&["key", "ls", "--json"]);
    assert!(!listed.contains(part(&first, 2)), "{listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let shown = (&listed[0]["id"], &listed[0]["tenant"], &listed[0]["reason"]);
    assert_eq!(shown, (&json!(id), &json!("acme"), &json!("builds")));
    let (_, second, said) = operate(&["key", "rotate", &id, "--overlap", "1h"]);
    let second = second.trim().to_owned();
    assert!(said.contains("is taken until"), "{said}");
    drop(edge);
    let edge = process::serve(home);
    assert_eq!((ask(&edge, &first), ask(&edge, &second)), ("200".to_owned(), "200".to_owned()));
    let (_, third, _) = operate(&["key", "rotate", &id, "--overlap", "0s"]);
    assert_eq!((ask(&edge, &first), ask(&edge, &second)), ("401".to_owned(), "401".to_owned()));
    assert_eq!(ask(&edge, third.trim()), "200");
    let (done, said, _) = operate(&["key", "revoke", &id, "--reason", "leaked"]);
    assert!(done && said.contains("refused from now on"), "{said}");
    assert_eq!(ask(&edge, third.trim()), "401");
    for (wrong, help) in [
        (vec!["key", "revoke", "nobody"], "there is no key `nobody`"),
        (vec!["key", "rotate", "nobody"], "see `portcullis key ls`"),
        ([&issue[..], &["--provider", "kyes"]].concat(), "there are keys"),
        ([&issue[..], &["--role", ""]].concat(), "no plain text"),
    ] {
        let (done, _, said) = operate(&wrong);
        assert!(!done && said.contains(help), "{said}");
    }
    let audit = std::fs::read_to_string(home.join("state/audit.jsonl")).unwrap();
    assert!(audit.contains("key issue keys acme/ci") && audit.contains("leaked"), "{audit}");
    for text in [first.as_str(), second.as_str(), third.trim()] {
        assert!(!audit.contains(part(text, 2)), "{audit}");
    }
}
