//! OCSP staples: sent while they hold, exchanged without a restart, left out and told once they do not.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_tests::{Edge, Manner, OcspSays, Origin, ocsp_response};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// A library that keeps what was stapled.
#[derive(Debug)]
struct Keeping {
    inner: Arc<WebPkiServerVerifier>,
    stapled: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Keeping {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        ocsp.clone_into(&mut self.stapled.lock().unwrap());
        self.inner.verify_server_cert(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What a fresh client is stapled.
async fn stapled(edge: &Edge) -> Vec<u8> {
    let roots = Arc::new(edge.authority().roots());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let inner = inner.build().unwrap();
    let keeping = Arc::new(Keeping { inner, stapled: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&keeping) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut client = edge.connect(&Manner::default(), Arc::new(config)).await.unwrap();
    let answer = client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    keeping.stapled.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staple_is_sent_while_it_holds_and_exchanged_by_a_reload() {
    let origin = Origin::start().await;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("staple.der");
    let edge = Edge::builder(&origin).start().await;
    let certificate = edge.directory().join("tls.crt");
    let response = |says, next: Option<&str>| ocsp_response(&certificate, says, next);
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).unwrap();
    assert_eq!(stapled(&edge).await, b"", "none is named");

    let first = response(OcspSays::Good, Some("20260101010000Z"));
    write(&path, &first);
    let with = format!("key: file:tls.key, ocsp: 'file:{}' }}", path.display());
    edge.rewrite(|text| text.replace("key: file:tls.key }", &with));
    edge.publish().unwrap();
    assert_eq!(stapled(&edge).await, first);
    edge.advance(Duration::from_secs(3599));
    assert_eq!(stapled(&edge).await, first, "one second before its end");
    edge.advance(Duration::from_secs(1));
    assert_eq!(stapled(&edge).await, b"", "at its end");
    assert_eq!(stapled(&edge).await, b"");
    edge.counts("edge_ocsp_staples_left_out_total 2").await;

    let second = response(OcspSays::Good, Some("20260102000000Z"));
    write(&path, &second);
    edge.publish().unwrap();
    assert_eq!(stapled(&edge).await, second);
    write(&path, &response(OcspSays::Revoked, Some("20260102000000Z")));
    edge.publish().unwrap();
    assert_eq!(stapled(&edge).await, b"", "what is not good is not sent");

    let another = home.path().join("another.crt");
    edge.authority().write(&["edge.test"], &another, &home.path().join("another.key"));
    for (bytes, says) in [
        (ocsp_response(&another, OcspSays::Good, Some("20260102000000Z")), "serial number"),
        (response(OcspSays::Good, None), "nextUpdate"),
        (second[..second.len() - 1].to_vec(), "no OCSP response"),
        (vec![0x30, 3, 0x0a, 1, 6], "error (`6`"),
        (b"-----BEGIN".to_vec(), "no OCSP response"),
    ] {
        write(&path, &bytes);
        let refused = edge.publish().unwrap_err().0;
        assert!(refused.contains("ocsp-invalid") && refused.contains(says), "{refused}");
    }
    // Whatever is cut out of it or turned over in it is refused or read, and never a broken edge.
    for at in 0..second.len() {
        let mut damaged = second.clone();
        damaged[at] ^= 0xff;
        write(&path, &damaged);
        drop(edge.publish());
    }
}
