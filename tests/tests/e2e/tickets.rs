//! Sessions are resumed by tickets: for their lifetime, at every node with the same keys, across a restart and an upgrade.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_tests::{Edge, Manner, Origin, within};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DEFAULT_VERSIONS, HandshakeKind, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::process::{Portcullis, configuration, policy, run, serve, text};
use super::upgrades::{SOCKET, end, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";
const HOUR: Duration = Duration::from_secs(3600);

/// Connects, asks, and says how the handshake went; an error is the handshake's.
async fn shake(edge: &Edge, client: &Arc<ClientConfig>) -> std::io::Result<HandshakeKind> {
    let mut connection = edge.connect(&Manner::default(), Arc::clone(client)).await?;
    assert_eq!(connection.ask(GET).await.status, 200);
    Ok(connection.tls().handshake_kind().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_resumed_until_its_ticket_is_too_old() {
    for version in [&TLS12, &TLS13] {
        let origin = Origin::start().await;
        let edge = Edge::builder(&origin).tls_versions("['1.2', '1.3']").start().await;
        let client = edge.authority().client(&["http/1.1"], &[version]);
        assert_eq!(shake(&edge, &client).await.unwrap(), HandshakeKind::Full);
        assert_eq!(shake(&edge, &client).await.unwrap(), HandshakeKind::Resumed);
        edge.advance(12 * HOUR);
        assert_eq!(shake(&edge, &client).await.unwrap(), HandshakeKind::Resumed);
        edge.advance(14 * HOUR);
        assert_eq!(shake(&edge, &client).await.unwrap(), HandshakeKind::Full);
        edge.counts("edge_session_tickets_total{outcome=\"opened\"} 2").await;
        edge.counts("edge_session_tickets_total{outcome=\"unknown\"} 1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_one_file_resume_each_others_sessions_and_a_key_that_left_it_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("tickets.keys");
    let turn = |keep| portcullis::tickets::add_secret(&keys, keep).unwrap();
    turn(0);
    let origin = Origin::start().await;
    let sharing = format!("session_tickets: {{ keys: 'file:{}' }}", keys.display());
    let here = Edge::builder(&origin).top(&sharing).start().await;
    let there = Edge::builder(&origin).top(&sharing).start().await;
    let apart = Edge::builder(&origin).start().await;
    // It trusts the authority of the first only: the others' certificates would end a full handshake.
    let client = here.authority().client(&["http/1.1"], DEFAULT_VERSIONS);
    assert_eq!(shake(&here, &client).await.unwrap(), HandshakeKind::Full);
    assert_eq!(shake(&there, &client).await.unwrap(), HandshakeKind::Resumed);
    assert!(shake(&apart, &client).await.is_err(), "no node without the file");

    let client = here.authority().client(&["http/1.1"], DEFAULT_VERSIONS);
    assert_eq!(shake(&here, &client).await.unwrap(), HandshakeKind::Full);
    turn(1);
    here.publish().unwrap();
    assert_eq!(shake(&here, &client).await.unwrap(), HandshakeKind::Resumed, "it still opens");
    turn(0);
    here.publish().unwrap();
    assert_eq!(shake(&here, &client).await.unwrap(), HandshakeKind::Full, "it has left the file");

    std::fs::write(&keys, "nothing of the kind\n").unwrap();
    let refused = here.publish().unwrap_err().0;
    assert!(refused.contains("ticket-keys-invalid") && refused.contains("line 1"), "{refused}");
}

/// A library that trusts the development certificate in `home`.
fn client(home: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(home.join("tls.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Connects to a process, asks, and says how the handshake went.
async fn shake_with(edge: &Portcullis, client: &Arc<ClientConfig>) -> HandshakeKind {
    let port: u16 = edge.address.rsplit(':').next().unwrap().parse().unwrap();
    let asked = async {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(client));
        let mut tls = connector.connect("edge.test".try_into().unwrap(), tcp).await.unwrap();
        let request = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while tls.read_buf(&mut answer).await.unwrap() > 0 {}
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
        tls.get_ref().1.handshake_kind().unwrap()
    };
    within("an answer", asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_outlive_a_restart_with_the_file_and_an_upgrade_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let plain = configuration(&origin);
    std::fs::write(home.join("portcullis.yaml"), &plain).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/old")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());

    let edge = serve(home);
    let library = client(home);
    assert_eq!(shake_with(&edge, &library).await, HandshakeKind::Full);
    assert!(run(home, &[&["upgrade"][..], &SOCKET].concat()).status.success());
    assert_eq!(shake_with(&edge, &library).await, HandshakeKind::Resumed, "after an upgrade");
    end(status(home)["pid"].as_u64().unwrap());
    let edge = serve(home);
    assert_eq!(shake_with(&edge, &library).await, HandshakeKind::Full, "after a restart");
    drop(edge);

    let made = run(home, &["tls", "ticket-key", "tickets.keys"]);
    assert_eq!(text(&made.stdout), "tickets.keys: 1 key\n", "{}", text(&made.stderr));
    let shared = format!("{plain}session_tickets: {{ keys: 'file:tickets.keys' }}\n");
    std::fs::write(home.join("portcullis.yaml"), shared).unwrap();
    let library = client(home);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let edge = serve(home);
        assert_eq!(shake_with(&edge, &library).await, expected);
    }
}
