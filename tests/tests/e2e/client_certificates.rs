//! Mutual TLS per server name: who has to show a certificate, what policies and the log then know, and no way round it.

use std::path::Path;
use std::sync::Arc;

use portcullis_tests::{Authority, Builder, Client, Edge, Manner, Origin, within};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use serde_json::Value;

/// An edge whose `edge.test` asks for certificates of `clients`, and whose `other.test` does not.
async fn edge(origin: &Origin, home: &Path, clients: &Authority, mode: &str) -> Edge {
    builder(origin, home, clients, mode).start().await
}

fn builder(origin: &Origin, home: &Path, clients: &Authority, mode: &str) -> Builder {
    let ca = home.join("clients.pem");
    clients.write_root(&ca);
    let asks = format!("client_certificates: {{ ca: 'file:{}', mode: {mode} }}", ca.display());
    Edge::builder(origin).tls_versions("['1.2', '1.3']").host(&asks)
}

fn to(name: &str) -> Manner {
    Manner { server_name: name.to_owned(), ..Manner::default() }
}

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// The status that a client gets, or none where its handshake or its connection fails.
async fn status(edge: &Edge, config: &Arc<ClientConfig>, name: &str, host: &str) -> Option<u16> {
    let mut client = edge.connect(&to(name), Arc::clone(config)).await.ok()?;
    // With TLS 1.3 a client learns only here that its handshake was refused.
    client.send(get(host)).await;
    client.maybe_answer().await.map(|answer| answer.status)
}

/// Denies everyone but the node `a` of one authority.
const POLICY: &str = r#"
name: nodes
rules:
  - priority: 10
    action: deny(403)
    match: { expr: { expression: "origin.tls_client_sha256 != '' && !('uri:spiffe://test/a' in origin.tls_client_names)" } }
  - priority: 20
    action: allow
    match: { expr: { expression: "origin.tls_client_subject == 'CN=a' && origin.tls_client_issuer.contains('clients')" } }
  - priority: 2147483647
    action: deny(404)
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_and_the_log_know_who_the_certificate_names() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    let edge = builder(&origin, home.path(), &clients, "request").policy(POLICY).start().await;
    for version in [&TLS12, &TLS13] {
        for (node, expected) in [("a", 200), ("b", 403)] {
            let config = edge.authority().client_of(&clients, node, &["http/1.1"], &[version]);
            assert_eq!(status(&edge, &config, "edge.test", "edge.test").await, Some(expected));
        }
        let nobody = edge.authority().client(&["http/1.1"], &[version]);
        assert_eq!(status(&edge, &nobody, "edge.test", "edge.test").await, Some(404), "asked only");
    }
    // Lines of several connections come in any order.
    let log = edge.logged(6).await;
    let said: Vec<Option<&Value>> = log
        .iter()
        .map(|line| line.pointer("/jsonPayload/securityPolicyRequestData/tlsClientCertificate"))
        .collect();
    for node in ["a", "b"] {
        let subject = format!("CN={node}");
        let named = said.iter().flatten().filter(|said| said["subject"] == subject.as_str());
        let named: Vec<_> = named.collect();
        assert_eq!(named.len(), 2, "{subject}");
        for said in named {
            assert_eq!(said["issuer"], "CN=clients");
            let name = format!("uri:spiffe://test/{node}");
            assert_eq!(said["names"], serde_json::json!([name]));
            assert_eq!(said["sha256"].as_str().map(str::len), Some(64));
        }
    }
    assert_eq!(said.iter().filter(|said| said.is_none()).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_of_the_authority_no_handshake_ends() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let (clients, strangers) = (Authority::named("clients"), Authority::named("clients"));
    for (mode, without) in [("require", None), ("request", Some(200))] {
        let edge = edge(&origin, home.path(), &clients, mode).await;
        for version in [&TLS12, &TLS13] {
            let ours = edge.authority();
            let known = ours.client_of(&clients, "a", &["http/1.1"], &[version]);
            let stranger = ours.client_of(&strangers, "a", &["http/1.1"], &[version]);
            let nobody = ours.client(&["http/1.1"], &[version]);
            assert_eq!(status(&edge, &known, "edge.test", "edge.test").await, Some(200), "{mode}");
            assert_eq!(status(&edge, &stranger, "edge.test", "edge.test").await, None, "{mode}");
            assert_eq!(status(&edge, &nobody, "edge.test", "edge.test").await, without, "{mode}");
            assert_eq!(status(&edge, &nobody, "other.test", "other.test").await, Some(200));
        }
        // The stranger's, and nobody's where one has to be shown, on both versions.
        let refused = if without.is_none() { 4 } else { 2 };
        let counted =
            format!("edge_connections_refused_total{{cause=\"client_certificate\"}} {refused}\n");
        within("the count", edge.counts(&counted)).await;
        let other = "edge_connections_refused_total{cause=\"handshake_failed\"} 0\n";
        assert!(edge.metrics().contains(other), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_name_leads_to_a_host_that_asks_for_certificates() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    for mode in ["require", "request"] {
        let edge = builder(&origin, home.path(), &clients, mode).plain_serving().start().await;
        let nobody = edge.authority().client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
        let before = origin.seen().len();
        // The name of a host that is served, of one that is not but stands in the certificate, and on the same connection
        // after a request that was in order.
        for name in ["other.test", "any.wild.test"] {
            assert_eq!(status(&edge, &nobody, name, "edge.test").await, Some(421), "{name}");
        }
        assert_eq!(origin.seen().len(), before);
        let mut client = edge.connect(&to("other.test"), Arc::clone(&nobody)).await.unwrap();
        assert_eq!(client.ask(get("other.test")).await.status, 200);
        for host in ["edge.test", "EDGE.test", "edge.test.", "edge.test:443"] {
            let mut client = edge.connect(&to("other.test"), Arc::clone(&nobody)).await.unwrap();
            assert_eq!(client.ask(get("other.test")).await.status, 200);
            let refused = client.ask(get(host)).await;
            assert_eq!(refused.status, 421, "{host}");
        }
        // Without TLS nobody shows anything.
        let request = "GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n";
        let plain = edge.plain(request).await;
        assert_eq!(plain.status, 421);
        assert!(plain.body.escape_ascii().to_string().contains("client_certificate_required"));

        let h2 = edge.authority().client(&["h2"], rustls::DEFAULT_VERSIONS);
        let mut reused = edge.h2_connect(&to("other.test"), h2).await.unwrap();
        assert_eq!(reused.ask("GET", "/", &[], &[]).await.status, 200);
        let other = reused.ask_host("edge.test", "GET", "/", &[], &[]).await;
        assert_eq!(other.status, 421, "{mode}");
        assert_eq!(reused.ask("GET", "/", &[], &[]).await.status, 200, "the connection stands");
        edge.stop(std::time::Duration::ZERO).await;
    }
}

/// Connects with a certificate, asks, and says how the handshake went.
async fn shake(edge: &Edge, config: &Arc<ClientConfig>) -> (HandshakeKind, Client) {
    let mut client = edge.connect(&to("edge.test"), Arc::clone(config)).await.unwrap();
    assert_eq!(client.ask(get("edge.test")).await.status, 200);
    (client.tls().handshake_kind().unwrap(), client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_certificate_is_verified_anew_and_counts_while_its_authority_does() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let (clients, others) = (Authority::named("clients"), Authority::named("others"));
    let edge = edge(&origin, home.path(), &clients, "require").await;
    for version in [&TLS12, &TLS13] {
        let config = edge.authority().client_of(&clients, "a", &["http/1.1"], &[version]);
        for _ in 0..2 {
            let (kind, _client) = shake(&edge, &config).await;
            assert_eq!(kind, HandshakeKind::Full, "no ticket carries a certificate");
        }
    }
    let config = edge.authority().client_of(&clients, "a", &["http/1.1"], &[&TLS13]);
    let (_, mut standing) = shake(&edge, &config).await;
    others.write_root(&home.path().join("clients.pem"));
    edge.publish().unwrap();
    assert_eq!(standing.ask(get("edge.test")).await.status, 421, "the authority is gone");
    assert_eq!(status(&edge, &config, "edge.test", "edge.test").await, None);
    let config = edge.authority().client_of(&others, "a", &["http/1.1"], &[&TLS13]);
    assert_eq!(status(&edge, &config, "edge.test", "edge.test").await, Some(200));

    std::fs::write(home.path().join("clients.pem"), "nothing").unwrap();
    let refused = edge.publish().unwrap_err().0;
    assert!(refused.contains("certificate-invalid"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_from_before_a_host_asked_is_no_way_round() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    let edge = Edge::builder(&origin).start().await;
    let config = edge.authority().client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
    assert_eq!(shake(&edge, &config).await.0, HandshakeKind::Full);
    assert_eq!(shake(&edge, &config).await.0, HandshakeKind::Resumed);
    let ca = home.path().join("clients.pem");
    clients.write_root(&ca);
    let asks = format!("    client_certificates: {{ ca: 'file:{}' }}\n", ca.display());
    edge.rewrite(|text| text.replace("  edge.test:\n", &format!("  edge.test:\n{asks}")));
    edge.publish().unwrap();
    assert_eq!(status(&edge, &config, "edge.test", "edge.test").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_and_one_that_no_list_covers_get_no_connection() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    let (ca, crl) = (home.path().join("clients.pem"), home.path().join("clients.crl"));
    clients.write_root(&ca);
    clients.write_crl(&crl, &["b"], 2100);
    let files = format!("ca: 'file:{}', crl: 'file:{}'", ca.display(), crl.display());
    let asks = format!("client_certificates: {{ {files} }}");
    let edge = Edge::builder(&origin).host(&asks).start().await;
    let node = |name| edge.authority().client_of(&clients, name, &["http/1.1"], &[&TLS13]);
    let (a, b) = (node("a"), node("b"));
    let asked =
        async |config: &Arc<ClientConfig>| status(&edge, config, "edge.test", "edge.test").await;
    assert_eq!((asked(&a).await, asked(&b).await), (Some(200), None));

    let (_, mut standing) = shake(&edge, &a).await;
    clients.write_crl(&crl, &["a"], 2100);
    edge.publish().unwrap();
    assert_eq!(standing.ask(get("edge.test")).await.status, 421, "it is verified anew");
    assert_eq!((asked(&a).await, asked(&b).await), (None, Some(200)));

    clients.write_crl(&crl, &[], 2025);
    edge.publish().unwrap();
    assert_eq!((asked(&a).await, asked(&b).await), (None, None), "the list is too old");
    Authority::named("others").write_crl(&crl, &[], 2100);
    edge.publish().unwrap();
    assert_eq!((asked(&a).await, asked(&b).await), (None, None), "nobody's list");

    for bad in ["", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
        std::fs::write(&crl, bad).unwrap();
        let refused = edge.publish().unwrap_err().0;
        assert!(refused.contains("crl-invalid"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_no_certificate() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    let edge = edge(&origin, home.path(), &clients, "require").await;
    let config = edge.authority().client_of(&clients, "a", &["http/1.1"], &[&TLS13]);
    let (_, mut standing) = shake(&edge, &config).await;
    // From 2026-01-01 to 2100-01-01, which is its last second.
    let whole = std::time::Duration::from_secs(4_102_444_800 - 1_767_225_600);
    edge.advance(whole);
    assert_eq!(standing.ask(get("edge.test")).await.status, 200, "its last second");
    edge.advance(std::time::Duration::from_secs(1));
    assert_eq!(standing.ask(get("edge.test")).await.status, 421);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origins_are_told_of_the_certificate_and_of_no_other() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let clients = Authority::named("clients");
    let edge = builder(&origin, home.path(), &clients, "request, header: X-Cert-Of").start().await;
    let known = edge.authority().client_of(&clients, "a", &["http/1.1"], rustls::DEFAULT_VERSIONS);
    let nobody = edge.authority().client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
    let forged = "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Cert-Of: Hash=0\r\nx_cert_of: Hash=1\r\nX-Other: yes\r\n\r\n";
    for (config, is_told) in [(known, true), (nobody, false)] {
        for body in [false, true] {
            let mut client = edge.connect(&to("edge.test"), Arc::clone(&config)).await.unwrap();
            let request = match body {
                // Too large for what Pingora keeps: it goes by a subrequest.
                true => forged.replace("GET", "POST").replace(
                    "X-Other: yes\r\n\r\n",
                    &format!("X-Other: yes\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000)),
                ),
                false => forged.to_owned(),
            };
            assert_eq!(client.ask(request).await.status, 200);
            let seen = origin.only();
            origin.forget();
            assert_eq!(seen.headers("x-other"), ["yes"]);
            assert!(seen.headers("x_cert_of").is_empty());
            let told = seen.headers("x-cert-of");
            assert_eq!(told.len(), usize::from(is_told), "{told:?}");
            for told in told {
                assert!(told.starts_with("Hash=") && !told.starts_with("Hash=0;"), "{told}");
                assert!(told.ends_with(";Subject=\"CN=a\";URI=\"spiffe://test/a\""), "{told}");
            }
        }
    }
}
