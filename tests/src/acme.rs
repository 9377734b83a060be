//! A small ACME server (RFC 8555): what an authority does as far as a client of ours meets it, on loopback.
//!
//! It verifies every signature, nonce and URL, fetches the proofs of `http-01` and shakes hands for those of
//! `tls-alpn-01` (RFC 8737) itself, and issues for the time of the test's clock.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use rcgen::PublicKeyData;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509CertificationRequest};

use crate::builder::BEGIN_SECS;
use crate::client::{self, Manner};
use crate::{Authority, within};

/// How long its certificates live.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The OID of `id-pe-acmeIdentifier` (RFC 8737, section 3).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// How the server behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// As it should.
    Well,
    /// It answers every order with a problem and 503.
    Down,
    /// It answers its directory with a page of HTML.
    Rubbish,
    /// It issues for another name than was ordered.
    ForAnother,
    /// It asks for the proof of another name than was ordered.
    AsksForAnother,
}

/// An ACME server on loopback.
#[derive(Debug)]
pub struct AcmeServer {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    authority: Authority,
    base: String,
    state: Mutex<State>,
    /// Where the names lead to: the plain port and the TLS port. A proof waits until it is known.
    places: watch::Sender<Option<(SocketAddr, SocketAddr)>>,
}

#[derive(Debug)]
struct State {
    how: How,
    now_secs: u64,
    nonces: BTreeSet<String>,
    nonces_given: u64,
    accounts: Vec<Jwk>,
    orders: Vec<Order>,
    issued: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Order {
    names: Vec<String>,
    account: usize,
    /// What came of each proof.
    proofs: Vec<Option<Result<(), String>>>,
    chain: Option<String>,
}

impl Order {
    fn status(&self) -> &'static str {
        if self.proofs.iter().any(|proof| matches!(proof, Some(Err(_)))) {
            "invalid"
        } else if self.chain.is_some() {
            "valid"
        } else if self.proofs.iter().all(Option::is_some) {
            "ready"
        } else {
            "pending"
        }
    }
}

/// What is said in place of a good answer: status, kind of problem, words.
type Problem = (StatusCode, &'static str, String);

fn problem(kind: &'static str, words: impl Into<String>) -> Problem {
    (StatusCode::BAD_REQUEST, kind, words.into())
}

impl AcmeServer {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub async fn start() -> Self {
        let authority = Authority::new();
        let tls = TlsAcceptor::from(authority.server(&["127.0.0.1"], &["http/1.1"], None));
        let listener = crate::listening();
        let address = listener.local_addr().expect("a bound socket");
        let state = State {
            how: How::Well,
            now_secs: BEGIN_SECS,
            nonces: BTreeSet::new(),
            nonces_given: 0,
            accounts: Vec::new(),
            orders: Vec::new(),
            issued: Vec::new(),
        };
        let base = format!("https://{address}");
        let inner = Arc::new(Inner {
            authority,
            base,
            state: Mutex::new(state),
            places: watch::Sender::new(None),
        });
        let serving = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tls.clone(), tcp, Arc::clone(&serving)));
            }
        });
        Self { address, inner }
    }

    /// Returns the URL of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{}/directory", self.address)
    }

    /// Writes the root that its TLS is trusted by.
    pub fn write_root(&self, path: &Path) {
        self.inner.authority.write_root(path);
    }

    /// Says where the names that are ordered lead to.
    pub fn reaches(&self, plain: SocketAddr, tls: SocketAddr) {
        self.inner.places.send_replace(Some((plain, tls)));
    }

    /// Changes how it behaves.
    ///
    /// # Panics
    ///
    /// When a request has broken off inside of the server.
    pub fn behaves(&self, how: How) {
        self.inner.state.lock().unwrap().how = how;
    }

    /// Moves its clock.
    ///
    /// # Panics
    ///
    /// When a request has broken off inside of the server.
    pub fn set_clock(&self, now_secs: u64) {
        self.inner.state.lock().unwrap().now_secs = now_secs;
    }

    /// Returns how many accounts and orders there are.
    ///
    /// # Panics
    ///
    /// When a request has broken off inside of the server.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let state = self.inner.state.lock().unwrap();
        (state.accounts.len(), state.orders.len())
    }

    /// Forgets every account.
    ///
    /// # Panics
    ///
    /// When a request has broken off inside of the server.
    pub fn forget_accounts(&self) {
        self.inner.state.lock().unwrap().accounts.clear();
    }

    /// Returns the leaves that it has issued, in DER.
    ///
    /// # Panics
    ///
    /// When a request has broken off inside of the server.
    #[must_use]
    pub fn issued(&self) -> Vec<Vec<u8>> {
        self.inner.state.lock().unwrap().issued.clone()
    }
}

async fn serve(tls: TlsAcceptor, tcp: TcpStream, inner: Arc<Inner>) {
    let Ok(stream) = tls.accept(tcp).await else { return };
    let service = service_fn(move |request| answer(Arc::clone(&inner), request));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // The client may go as it likes.
    drop(served);
}

async fn answer(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = match inner.answer(request).await {
        Ok(answered) => answered,
        Err((status, kind, detail)) => {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let body = json!({ "type": kind, "detail": detail, "status": status.as_u16() });
            Answered { status, ..Answered::json(&body) }
        }
    };
    let mut response = Response::builder()
        .status(answered.status)
        .header("replay-nonce", inner.nonce())
        .header("content-type", answered.kind);
    if let Some(location) = answered.location {
        response = response.header("location", location);
    }
    Ok(response.body(Full::new(Bytes::from(answered.body))).expect("an answer"))
}

struct Answered {
    status: StatusCode,
    kind: &'static str,
    location: Option<String>,
    body: String,
}

impl Answered {
    fn json(body: &Value) -> Self {
        let status = StatusCode::OK;
        Self { status, kind: "application/json", location: None, body: body.to_string() }
    }

    fn made(location: String, body: &Value) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..Self::json(body) }
    }
}

/// A request whose signature holds.
struct Signed {
    account: Option<usize>,
    key: Jwk,
    payload: Vec<u8>,
}

impl Signed {
    fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| problem("malformed", error.to_string()))
    }
}

impl Inner {
    fn nonce(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.nonces_given += 1;
        let nonce = format!("nonce-{}", state.nonces_given);
        state.nonces.insert(nonce.clone());
        nonce
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answered, Problem> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let how = self.state.lock().unwrap().how;
        match (request.method().clone(), parts.as_slice()) {
            (Method::GET, ["directory"]) => return Ok(self.directory(how)),
            (Method::HEAD, ["nonce"]) => return Ok(Answered::json(&json!({}))),
            _ => {}
        }
        let signed = self.verify(request, &path).await?;
        let number = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok());
        match parts.as_slice() {
            ["account"] => Ok(self.account(signed.key)),
            ["order"] if how == How::Down => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "serverInternal",
                "down for the night".to_owned(),
            )),
            ["order"] => self.order(&signed),
            ["order", _] => self.show_order(number(1), &signed),
            ["authz", ..] => self.authorization(number(1), number(2), how),
            ["challenge", _, _, kind] => {
                self.prove(number(1), number(2), kind, &signed.key).await?;
                self.challenge(number(1), number(2), kind)
            }
            ["finalize", _] => self.finalize(number(1), &signed, how),
            ["cert", _] => self.certificate(number(1)),
            _ => Err(problem("malformed", "there is nothing")),
        }
    }

    fn directory(&self, how: How) -> Answered {
        if how == How::Rubbish {
            let body = "<html><h1>It works!</h1></html>".to_owned();
            return Answered { kind: "text/html", body, ..Answered::json(&json!({})) };
        }
        let base = &self.base;
        Answered::json(&json!({
            "newNonce": format!("{base}/nonce"),
            "newAccount": format!("{base}/account"),
            "newOrder": format!("{base}/order"),
        }))
    }

    /// RFC 8555, section 6: the key, the nonce and the URL are the request's.
    async fn verify(&self, request: Request<Incoming>, path: &str) -> Result<Signed, Problem> {
        let kind = request.headers().get("content-type").cloned();
        if kind.is_none_or(|kind| kind != "application/jose+json") {
            return Err(problem("malformed", "no JOSE"));
        }
        let body = request.into_body().collect().await.expect("a whole body").to_bytes();
        let body: Value = serde_json::from_slice(&body).expect("a JWS is JSON");
        let part = |name: &str| body[name].as_str().expect("a part of the JWS").to_owned();
        let (protected, payload) = (part("protected"), part("payload"));
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let head: Value = serde_json::from_slice(&decode(&protected)).expect("a header is JSON");
        if head["alg"] != "ES256" || head["url"] != format!("{}{path}", self.base) {
            return Err(problem("malformed", format!("not for this URL: {head}")));
        }
        let mut state = self.state.lock().unwrap();
        if !state.nonces.remove(head["nonce"].as_str().unwrap_or_default()) {
            return Err(problem("badNonce", "not a nonce of ours"));
        }
        let account = head["kid"].as_str().and_then(|kid| {
            kid.strip_prefix(&format!("{}/account/", self.base))?.parse::<usize>().ok()
        });
        let key: Jwk = match account {
            Some(account) => {
                let known = state.accounts.get(account).cloned();
                known.ok_or_else(|| problem("accountDoesNotExist", "no such account"))?
            }
            None => serde_json::from_value(head["jwk"].clone()).expect("a key"),
        };
        drop(state);
        let signed = format!("{protected}.{payload}");
        let verifier = DecodingKey::from_jwk(&key).expect("a key of P-256");
        let signature = part("signature");
        let holds = jsonwebtoken::crypto::verify(
            &signature,
            signed.as_bytes(),
            &verifier,
            Algorithm::ES256,
        );
        if !holds.expect("a signature") {
            return Err(problem("unauthorized", "the signature does not hold"));
        }
        Ok(Signed { account, key, payload: decode(&payload) })
    }

    fn account(&self, key: Jwk) -> Answered {
        let mut state = self.state.lock().unwrap();
        state.accounts.push(key);
        let location = format!("{}/account/{}", self.base, state.accounts.len() - 1);
        Answered::made(location, &json!({ "status": "valid" }))
    }

    fn order(&self, signed: &Signed) -> Result<Answered, Problem> {
        let wanted = signed.json()?;
        let names = wanted["identifiers"].as_array().expect("identifiers").iter();
        let names: Vec<String> =
            names.map(|one| one["value"].as_str().expect("a name").to_owned()).collect();
        let account = signed.account.ok_or_else(|| problem("malformed", "no account"))?;
        let proofs = vec![None; names.len()];
        let mut state = self.state.lock().unwrap();
        state.orders.push(Order { names, account, proofs, chain: None });
        let number = state.orders.len() - 1;
        let shown = self.shown(number, &state.orders[number]);
        Ok(Answered::made(format!("{}/order/{number}", self.base), &shown))
    }

    fn shown(&self, number: usize, order: &Order) -> Value {
        let base = &self.base;
        let authorizations: Vec<String> =
            (0..order.names.len()).map(|at| format!("{base}/authz/{number}/{at}")).collect();
        let mut shown = json!({
            "status": order.status(),
            "authorizations": authorizations,
            "finalize": format!("{base}/finalize/{number}"),
        });
        if order.chain.is_some() {
            shown["certificate"] = json!(format!("{base}/cert/{number}"));
        }
        shown
    }

    fn at(&self, number: Option<usize>) -> Result<(usize, Order), Problem> {
        let found =
            number.and_then(|at| Some((at, self.state.lock().unwrap().orders.get(at).cloned()?)));
        found.ok_or_else(|| problem("malformed", "no such order"))
    }

    fn show_order(&self, number: Option<usize>, signed: &Signed) -> Result<Answered, Problem> {
        let (number, order) = self.at(number)?;
        if signed.account != Some(order.account) {
            return Err(problem("unauthorized", "somebody else's order"));
        }
        Ok(Answered::json(&self.shown(number, &order)))
    }

    fn authorization(
        &self,
        number: Option<usize>,
        at: Option<usize>,
        how: How,
    ) -> Result<Answered, Problem> {
        let (number, order) = self.at(number)?;
        let at = at.filter(|at| *at < order.names.len());
        let at = at.ok_or_else(|| problem("malformed", "no such authorization"))?;
        let name = if how == How::AsksForAnother { "another.test" } else { &order.names[at] };
        let status = match &order.proofs[at] {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        };
        let challenges: Vec<Value> =
            ["http-01", "tls-alpn-01"].map(|kind| self.challenged(number, at, kind, &order)).into();
        Ok(Answered::json(&json!({
            "status": status,
            "identifier": { "type": "dns", "value": name },
            "challenges": challenges,
        })))
    }

    fn challenged(&self, number: usize, at: usize, kind: &str, order: &Order) -> Value {
        let mut shown = json!({
            "type": kind,
            "url": format!("{}/challenge/{number}/{at}/{kind}", self.base),
            "token": token(number, at),
            "status": "pending",
        });
        match &order.proofs[at] {
            None => {}
            Some(Ok(())) => shown["status"] = json!("valid"),
            Some(Err(why)) => {
                shown["status"] = json!("invalid");
                let kind = "urn:ietf:params:acme:error:incorrectResponse";
                shown["error"] = json!({ "type": kind, "detail": why });
            }
        }
        shown
    }

    fn challenge(
        &self,
        number: Option<usize>,
        at: Option<usize>,
        kind: &str,
    ) -> Result<Answered, Problem> {
        let (number, mut order) = self.at(number)?;
        let at = at.unwrap_or_default();
        // An authority looks later than it answers: what it found stands in the authorization.
        order.proofs[at] = None;
        Ok(Answered::json(&self.challenged(number, at, kind, &order)))
    }

    async fn prove(
        &self,
        number: Option<usize>,
        at: Option<usize>,
        kind: &str,
        key: &Jwk,
    ) -> Result<(), Problem> {
        let (number, order) = self.at(number)?;
        let at = at.unwrap_or_default();
        let mut places = self.places.subscribe();
        let known = within("knowing the way", places.wait_for(Option::is_some)).await;
        let (plain, tls) = known.expect("the server lives").expect("it is known");
        let token = token(number, at);
        let thumbprint = key.thumbprint(ThumbprintHash::SHA256).expect("a key has one");
        let expected = format!("{token}.{thumbprint}");
        let name = &order.names[at];
        let found = if kind == "http-01" {
            proved_by_http(plain, name, &token, &expected).await
        } else {
            proved_by_handshake(tls, name, &expected).await
        };
        self.state.lock().unwrap().orders[number].proofs[at] = Some(found);
        Ok(())
    }

    fn finalize(
        &self,
        number: Option<usize>,
        signed: &Signed,
        how: How,
    ) -> Result<Answered, Problem> {
        let (number, mut order) = self.at(number)?;
        if order.status() != "ready" {
            return Err(problem("orderNotReady", "prove the names first"));
        }
        let wanted = signed.json()?;
        let csr = wanted["csr"].as_str().expect("a CSR");
        let csr = BASE64_URL_SAFE_NO_PAD.decode(csr).expect("base64url");
        let (key, mut names) = read_request(&csr);
        if names != order.names {
            return Err(problem("badCSR", format!("{names:?} were not ordered")));
        }
        if how == How::ForAnother {
            names = vec!["another.test".to_owned()];
        }
        let mut state = self.state.lock().unwrap();
        let chain = self.authority.certify(&key, &names, state.now_secs, LIFETIME);
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate");
        state.issued.push(leaf.to_vec());
        order.chain = Some(chain);
        let shown = self.shown(number, &order);
        state.orders[number] = order;
        Ok(Answered::json(&shown))
    }

    fn certificate(&self, number: Option<usize>) -> Result<Answered, Problem> {
        let (_, order) = self.at(number)?;
        let body = order.chain.ok_or_else(|| problem("malformed", "nothing is issued"))?;
        let kind = "application/pem-certificate-chain";
        Ok(Answered { kind, body, ..Answered::json(&json!({})) })
    }
}

fn token(number: usize, at: usize) -> String {
    format!("token-of-order_{number}-name_{at}")
}

/// The key of a certificate's request.
struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

fn read_request(der: &[u8]) -> (RequestedKey, Vec<String>) {
    let (_, request) = X509CertificationRequest::from_der(der).expect("a CSR");
    let key = &request.certification_request_info.subject_pki.subject_public_key;
    let mut found = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
        for name in &names.general_names {
            let GeneralName::DNSName(name) = name else { continue };
            found.push((*name).to_owned());
        }
    }
    (RequestedKey(key.data.to_vec()), found)
}

/// RFC 8555, section 8.3.
async fn proved_by_http(
    to: SocketAddr,
    name: &str,
    token: &str,
    expected: &str,
) -> Result<(), String> {
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    );
    let answer = client::plain(to, &request).await;
    if answer.status == 200 && answer.body.trim_ascii_end() == expected.as_bytes() {
        return Ok(());
    }
    Err(format!("the answer is {} and not the key authorization", answer.status))
}

/// RFC 8737, section 3.
async fn proved_by_handshake(to: SocketAddr, name: &str, expected: &str) -> Result<(), String> {
    let shaken = handshake(to, name, &[b"acme-tls/1"]).await;
    let stream = shaken.map_err(|error| format!("no handshake: {error}"))?;
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("it does not speak acme-tls/1".to_owned());
    }
    let leaf = session.peer_certificates().and_then(<[_]>::first).ok_or("no certificate")?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let names = leaf.subject_alternative_name().ok().flatten().ok_or("it has no names")?;
    if names.value.general_names != [GeneralName::DNSName(name)] {
        return Err("it is not for this name alone".to_owned());
    }
    let sha256 = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = sha256.tls13().expect("a suite of TLS 1.3").common.hash_provider;
    let digest = hash.hash(expected.as_bytes());
    let octets = [&[0x04, 0x20], digest.as_ref()].concat();
    let is_proof = leaf.extensions().iter().any(|extension| {
        extension.oid.to_id_string() == ACME_IDENTIFIER
            && extension.critical
            && extension.value == octets
    });
    if is_proof { Ok(()) } else { Err("it does not hold the digest".to_owned()) }
}

/// Returns the certificate that a client is shown for a name, in DER, whoever has signed it.
///
/// # Errors
///
/// The handshake's.
///
/// # Panics
///
/// When none is shown.
pub async fn shown_to(to: SocketAddr, name: &str) -> std::io::Result<Vec<u8>> {
    let stream = handshake(to, name, &[b"http/1.1"]).await?;
    let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
    Ok(chain[0].to_vec())
}

async fn handshake(
    to: SocketAddr,
    name: &str,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config =
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks it")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let manner = Manner { server_name: name.to_owned(), ..Manner::default() };
    within("a handshake", client::tls(to, &manner, Arc::new(config))).await
}

/// Trusts whoever has the key: what is shown is looked at by the test.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not offered".to_owned()))
    }

    /// By the bare key: a certificate with the critical extension of a proof is none to the usual verifier, as it should.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, leaf) = X509Certificate::from_der(leaf).expect("a certificate");
        let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        verify_tls13_signature_with_raw_key(
            message,
            &key,
            signed,
            &provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}
