//! The guard against servers on loopback that answer as they like.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use portcullis_config::model::Url;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// An HTTPS server on loopback that gives one fixed answer, whatever is asked, and closes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) authority: CertificateDer<'static>,
    answer: Arc<Mutex<Vec<u8>>>,
    /// What was asked, one text a request.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one for `localhost`.
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let authority = params.self_signed(&key).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![authority.clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) =
            (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (given, heard) = (Arc::clone(&answer), Arc::clone(&asked));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = vec![0; 4096];
                let Ok(read) = stream.read(&mut request).await else { continue };
                request.truncate(read);
                heard.lock().unwrap().push(String::from_utf8(request).unwrap());
                let answer = given.lock().unwrap().clone();
                drop(stream.write_all(&answer).await);
                drop(stream.shutdown().await);
            }
        });
        Self { address, authority, answer, asked }
    }

    /// Says what is answered from now on: a whole HTTP answer.
    pub(crate) fn answers(&self, answer: impl Into<Vec<u8>>) {
        *self.answer.lock().unwrap() = answer.into();
    }

    /// Answers 200 with this body.
    pub(crate) fn serves(&self, body: &str) {
        let length = body.len();
        self.answers(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"{length}\"\r\n\r\n{body}"
        ));
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("https://localhost:{}/list", self.address.port())).unwrap()
    }

    /// A guard that may come here.
    pub(crate) fn guard(&self) -> Egress {
        let rules = model::Egress {
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..model::Egress::default()
        };
        Egress::new(rules, Some(vec![self.authority.clone()]))
    }
}

const fn request(url: &Url) -> Request<'_> {
    Request { url, etag: None, bytes_max: 1000, time_max: Duration::from_secs(10) }
}

async fn fetch(server: &Server) -> Result<Fetched, EgressError> {
    let url = server.url();
    server.guard().fetch(request(&url)).await
}

#[tokio::test]
async fn a_body_is_fetched_with_its_tag_and_not_again_while_the_tag_holds() {
    let server = Server::start().await;
    server.serves("192.0.2.1\n");
    let Fetched::Body { bytes, etag } = fetch(&server).await.unwrap() else { panic!("no body") };
    assert_eq!((bytes.as_slice(), etag.as_deref()), (&b"192.0.2.1\n"[..], Some("\"10\"")));
    server.answers("HTTP/1.1 304 Not Modified\r\n\r\n");
    let url = server.url();
    let again = Request { etag: etag.as_deref(), ..request(&url) };
    assert_eq!(server.guard().fetch(again).await.unwrap(), Fetched::NotModified);
    let asked = server.asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /list HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains(&format!("host: localhost:{}\r\n", server.address.port())));
    assert!(asked[1].contains("if-none-match: \"10\"\r\n"), "{}", asked[1]);
}

#[tokio::test]
async fn answers_that_prove_nothing_are_refused() {
    let server = Server::start().await;
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{}", "x".repeat(1001));
    for (answer, expected) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            "redirect",
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "status"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n192.0.2.1\n", "broken"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n192.0.2.1\n\r\n", "broken"),
        ("HTTP/1.1 200 OK\r\n\r\n192.0.2.1\n", "broken"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "broken"),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "redirect"),
        ("nonsense\r\n\r\n", "broken"),
        (long.as_str(), "too_large"),
    ] {
        server.answers(answer);
        assert_eq!(fetch(&server).await.unwrap_err().label(), expected, "{answer}");
    }
    assert_eq!(server.asked.lock().unwrap().len(), 10, "a redirect was not followed");
}

#[tokio::test]
async fn what_is_not_listed_is_not_connected_to() {
    let server = Server::start().await;
    server.serves("192.0.2.1\n");
    let url = server.url();
    let trusted = || Some(vec![server.authority.clone()]);
    let strict = Egress::new(model::Egress::default(), trusted());
    let refused = strict.fetch(request(&url)).await.unwrap_err();
    assert_eq!(refused.label(), "forbidden_address", "{refused}");
    let text = format!("https://127.0.0.1:{}/", server.address.port());
    let refused = strict.fetch(request(&Url::parse(&text).unwrap())).await.unwrap_err();
    assert_eq!(refused.label(), "forbidden_address", "{refused}");
    let plain = Url::parse(&format!("http://localhost:{}/", server.address.port())).unwrap();
    assert_eq!(server.guard().fetch(request(&plain)).await.unwrap_err().label(), "plain_http");
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    let (server, other) = (Server::start().await, Server::start().await);
    server.serves("192.0.2.1\n");
    let url = server.url();
    assert_eq!(other.guard().fetch(request(&url)).await.unwrap_err().label(), "tls");
    let text = format!("https://127.0.0.1:{}/", server.address.port());
    let by_address = Url::parse(&text).unwrap();
    let refused = server.guard().fetch(request(&by_address)).await.unwrap_err();
    assert_eq!(refused.label(), "tls", "the certificate is for `localhost`");
}

#[tokio::test]
async fn time_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port()));
    let url = url.unwrap();
    let server = Server::start().await;
    let hurried = Request { time_max: Duration::from_millis(50), ..request(&url) };
    assert_eq!(server.guard().fetch(hurried).await.unwrap_err().label(), "timed_out");
    drop(listener);
}

#[tokio::test]
async fn an_answer_of_an_issuer_is_read_up_to_its_bytes() {
    const MOST: usize = portcullis_identity::keys::KEY_SET_BYTES_MAX;
    let server = Server::start().await;
    let url = server.url();
    for (what, bytes, read) in [
        ("one under", MOST - 1, Ok(MOST - 1)),
        ("at it", MOST, Ok(MOST)),
        ("one over", MOST + 1, Err("too_large")),
    ] {
        server.serves(&"x".repeat(bytes));
        let fetched = server.guard().fetch(Request { bytes_max: MOST, ..request(&url) }).await;
        let length = fetched.as_ref().map(|fetched| match fetched {
            Fetched::Body { bytes, .. } => bytes.len(),
            Fetched::NotModified => 0,
        });
        assert_eq!(length.map_err(EgressError::label), read, "{what}");
    }
}

#[tokio::test]
async fn an_answer_of_an_acme_authority_is_read_up_to_its_bytes() {
    const MOST: usize = crate::acme::BYTES_MAX;
    let server = Server::start().await;
    for (what, bytes, read) in [
        ("one under", MOST - 1, Ok(MOST - 1)),
        ("at it", MOST, Ok(MOST)),
        ("one over", MOST + 1, Err("too_large")),
    ] {
        server.serves(&"x".repeat(bytes));
        let request = http::Request::post(server.url().as_str()).body(Full::from("{}")).unwrap();
        let asked = server.guard().ask(request, MOST, Duration::from_secs(10)).await;
        let length = asked.as_ref().map(|answer| answer.body().len());
        assert_eq!(length.map_err(EgressError::label), read, "{what}");
    }
}

#[tokio::test]
async fn what_is_asked_is_judged_like_what_is_fetched() {
    let egress = Egress::new(model::Egress::default(), None);
    for (url, expected) in [
        ("https://127.0.0.1/new-order", "forbidden_address"),
        ("https://[::1]/new-order", "forbidden_address"),
        ("https://169.254.169.254/latest", "forbidden_address"),
        ("http://192.0.2.1/", "plain_http"),
        ("https://user@192.0.2.1/", "no_url"),
        ("ftp://192.0.2.1/", "no_url"),
        ("/new-order", "no_url"),
    ] {
        let request = http::Request::post(url).body(Full::from("{}")).unwrap();
        let asked = egress.ask(request, 100, Duration::from_secs(5)).await;
        assert_eq!(asked.unwrap_err().label(), expected, "{url}");
    }
}
