//! What a handshake agrees on: the certificate by what the client can check, the key exchange by what both have.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{DEFAULT_VERSIONS, NamedGroup, SignatureScheme, SupportedProtocolVersion};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use portcullis_tests::{Client, Edge, Manner, Origin};

/// A library that checks only such signatures of a server. What an authority signs is another matter.
fn checking(can: impl Fn(SignatureScheme) -> bool) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let checked = &mut provider.signature_verification_algorithms;
    let kept: Vec<_> = checked.mapping.iter().filter(|(scheme, _)| can(*scheme)).copied().collect();
    checked.mapping = kept.leak();
    provider
}

fn is_rsa(scheme: SignatureScheme) -> bool {
    format!("{scheme:?}").starts_with("RSA")
}

/// Which kind of key stands in the certificate that a client was shown.
fn shown(client: &Client) -> &'static str {
    let der = client.certificate();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let key = certificate.public_key().parsed().unwrap();
    if matches!(key, PublicKey::RSA(_)) { "rsa" } else { "ecdsa" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_is_shown_the_certificate_that_it_can_check() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).rsa_beside("['1.2', '1.3']").start().await;
    let versions: [&[&'static SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];
    for versions in versions {
        for (provider, expected) in [
            (aws_lc_rs::default_provider(), "ecdsa"),
            (checking(is_rsa), "rsa"),
            (checking(|scheme| !is_rsa(scheme)), "ecdsa"),
        ] {
            let config = edge.authority().client_with(provider, &["http/1.1"], versions);
            for name in ["edge.test", "other.test"] {
                let manner = Manner { server_name: name.to_owned(), ..Manner::default() };
                let mut client = edge.connect(&manner, config.clone()).await.unwrap();
                assert_eq!(shown(&client), expected, "{name} {versions:?}");
                let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
                assert_eq!(client.ask(request).await.status, 200, "{name} {versions:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_can_check_no_certificate_gets_no_connection() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let config = edge.authority().client_with(checking(is_rsa), &["http/1.1"], DEFAULT_VERSIONS);
    let refused = edge.connect(&Manner::default(), config).await.unwrap_err();
    assert!(refused.to_string().contains("HandshakeFailure"), "{refused}");
    edge.counts("edge_connections_refused_total{cause=\"handshake_failed\"} 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_exchange_is_hybrid_where_both_have_it() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let without = |group: NamedGroup| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.retain(|offered| offered.name() != group);
        provider
    };
    for (provider, expected) in [
        (aws_lc_rs::default_provider(), NamedGroup::X25519MLKEM768),
        (without(NamedGroup::X25519MLKEM768), NamedGroup::X25519),
    ] {
        let config = edge.authority().client_with(provider, &["http/1.1"], DEFAULT_VERSIONS);
        let mut client = edge.connect(&Manner::default(), config).await.unwrap();
        let agreed = client.tls().negotiated_key_exchange_group().unwrap().name();
        assert_eq!(agreed, expected);
        let answer = client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
        assert_eq!(answer.status, 200);
    }
}
