//! Cloud KMS and a metadata server on one loopback port, with the shapes of the API's reference (v1).

use aws_lc_rs::digest::{Digest, SHA256, SHA512};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA512, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    None,
    Down,
    Hangs,
    Forbidden,
    Redirect,
    RequestNotVerified,
    SignatureDamaged,
    ChecksumDamaged,
    OtherVersion,
    OtherKey,
    NotJson,
    TooLong,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

struct Inner {
    trouble: Mutex<Trouble>,
    /// Versions by their key's name.
    keys: Mutex<BTreeMap<String, Vec<Pair>>>,
    tokens: AtomicUsize,
    signatures: AtomicUsize,
    followed: AtomicUsize,
    account: OnceLock<RsaKeyPair>,
}

pub(super) struct Fake {
    inner: Arc<Inner>,
    port: u16,
    certificate: String,
}

const TOKEN: &str = "ya29.token";

impl Fake {
    pub(super) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(super) async fn start_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Self::serve(Some(made)).await
    }

    async fn serve(made: Option<rcgen::CertifiedKey<rcgen::KeyPair>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            trouble: Mutex::new(Trouble::None),
            keys: Mutex::default(),
            tokens: AtomicUsize::new(0),
            signatures: AtomicUsize::new(0),
            followed: AtomicUsize::new(0),
            account: OnceLock::new(),
        });
        let certificate = made.as_ref().map(|made| made.cert.pem()).unwrap_or_default();
        let acceptor = made.map(|made| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
                .unwrap();
            TlsAcceptor::from(Arc::new(config))
        });
        let served = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (inner, acceptor) = (served.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(inner.clone(), request));
                    let connection = http1::Builder::new();
                    // A client that goes away is no failure of the fake's.
                    match acceptor {
                        None => {
                            drop(connection.serve_connection(TokioIo::new(stream), service).await)
                        }
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            drop(connection.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        Self { inner, port, certificate }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(super) fn has(&self, trouble: Trouble) {
        *self.inner.trouble.lock().unwrap() = trouble;
    }

    pub(super) fn tokens(&self) -> usize {
        self.inner.tokens.load(Ordering::SeqCst)
    }

    pub(super) fn signatures(&self) -> usize {
        self.inner.signatures.load(Ordering::SeqCst)
    }

    pub(super) fn followed(&self) -> usize {
        self.inner.followed.load(Ordering::SeqCst)
    }

    pub(super) fn versions(&self, key: &str) -> usize {
        self.inner.keys.lock().unwrap().get(key).map_or(0, Vec::len)
    }

    /// Makes the account's key, and returns it in PEM.
    pub(super) fn account_key(&self) -> String {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = pem("PRIVATE KEY", der.as_ref());
        self.inner.account.set(pair).unwrap();
        pem
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Bit by bit, as RFC 3720 defines it.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

type Answer = Response<Full<Bytes>>;

fn json_answer(status: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string()));
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

fn error(status: u16, word: &str) -> Answer {
    json_answer(status, &json!({"error": {"code": status, "message": "no", "status": word}}))
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    if path == "/elsewhere" {
        inner.followed.fetch_add(1, Ordering::SeqCst);
    }
    if path.starts_with("/computeMetadata/") {
        assert_eq!(parts.headers["metadata-flavor"], "Google");
        inner.tokens.fetch_add(1, Ordering::SeqCst);
        let body = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"});
        let mut answer = json_answer(200, &body);
        answer.headers_mut().insert("metadata-flavor", http::HeaderValue::from_static("Google"));
        return Ok(answer);
    }
    let bearer = parts.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    if !inner.believes(bearer) {
        return Ok(error(401, "UNAUTHENTICATED"));
    }
    let trouble = *inner.trouble.lock().unwrap();
    if trouble == Trouble::Hangs {
        std::future::pending::<()>().await;
    }
    if let Some(answer) = troubled(trouble) {
        return Ok(answer);
    }
    let path = path.strip_prefix("/v1/").unwrap();
    Ok(match (parts.method.as_str(), path.split_once("/cryptoKeyVersions")) {
        ("GET", Some((key, ""))) => {
            let keys = inner.keys.lock().unwrap();
            let versions = keys.get(key).map(Vec::as_slice).unwrap_or_default();
            let shown: Vec<_> =
                versions.iter().zip(1..).map(|(pair, number)| version(key, number, pair)).collect();
            json_answer(200, &json!({"cryptoKeyVersions": shown, "totalSize": shown.len()}))
        }
        ("POST", Some((key, ""))) => {
            let pair = if key.ends_with("/files") {
                Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa4096).unwrap()))
            } else if key.ends_with("/p256") {
                Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
            } else {
                Pair::Ed25519(Ed25519KeyPair::generate().unwrap())
            };
            let mut keys = inner.keys.lock().unwrap();
            let versions = keys.entry(key.to_owned()).or_default();
            versions.push(pair);
            json_answer(200, &version(key, versions.len(), versions.last().unwrap()))
        }
        (_, Some((key, rest))) => inner.of_version(key, rest, &body, trouble),
        (_, None) => error(404, "NOT_FOUND"),
    })
}

/// Returns what is answered to everything while something is wrong with the whole.
fn troubled(trouble: Trouble) -> Option<Answer> {
    let plain = |body: Vec<u8>| Response::new(Full::new(Bytes::from(body)));
    if trouble == Trouble::Down {
        return Some(error(503, "UNAVAILABLE"));
    }
    if trouble == Trouble::Forbidden {
        return Some(error(403, "PERMISSION_DENIED"));
    }
    if trouble == Trouble::Redirect {
        let answer = Response::builder().status(307).header("location", "/elsewhere");
        return Some(answer.body(Full::default()).unwrap());
    }
    if trouble == Trouble::TooLong {
        return Some(plain(vec![b' '; 64 * 1024 + 1]));
    }
    (trouble == Trouble::NotJson).then(|| plain(b"<html>".to_vec()))
}

fn algorithm(pair: &Pair) -> &'static str {
    match pair {
        Pair::Ed25519(_) => "EC_SIGN_ED25519",
        Pair::P256(_) => "EC_SIGN_P256_SHA256",
        Pair::Rsa(_) => "RSA_SIGN_PKCS1_4096_SHA512",
    }
}

fn version(key: &str, number: usize, pair: &Pair) -> Value {
    json!({
        "name": format!("{key}/cryptoKeyVersions/{number}"), "state": "ENABLED",
        "createTime": "2026-11-26T12:00:00.000000000Z", "generateTime": "2026-11-26T12:00:00.000000000Z",
        "protectionLevel": "HSM", "algorithm": algorithm(pair),
    })
}

impl Inner {
    /// Believes its own token, or a JWT that the account's key signed for this API.
    fn believes(&self, bearer: &str) -> bool {
        let Some(account) = self.account.get() else { return bearer == TOKEN };
        let (signed, signature) = bearer.rsplit_once('.').unwrap();
        let key =
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        key.verify(signed.as_bytes(), &signature).is_ok()
            && claims["aud"] == "https://cloudkms.googleapis.com/"
            && claims["iss"] == "license@p.example"
            && claims["sub"] == claims["iss"]
            && claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() == 3600
    }

    fn of_version(&self, key: &str, rest: &str, body: &[u8], trouble: Trouble) -> Answer {
        let rest = rest.strip_prefix('/').unwrap();
        let end = rest.find([':', '/']).unwrap();
        let (number, action) = rest.split_at(end);
        let keys = self.keys.lock().unwrap();
        let pair = keys.get(key).and_then(|all| all.get(number.parse::<usize>().unwrap() - 1));
        let Some(pair) = pair else { return error(404, "NOT_FOUND") };
        let name = format!("{key}/cryptoKeyVersions/{number}");
        match action {
            "/publicKey" => {
                let der = match pair {
                    Pair::Ed25519(pair) => {
                        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                        der.as_ref().to_vec()
                    }
                    Pair::P256(pair) => {
                        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                        der.as_ref().to_vec()
                    }
                    Pair::Rsa(pair) => {
                        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                        der.as_ref().to_vec()
                    }
                };
                let pem = pem("PUBLIC KEY", &der);
                let crc = crc32c(pem.as_bytes()).to_string();
                json_answer(
                    200,
                    &json!({"pem": pem, "algorithm": algorithm(pair), "pemCrc32c": crc, "name": name,
                        "protectionLevel": "HSM"}),
                )
            }
            ":asymmetricSign" => self.sign(pair, &name, body, trouble),
            _ => error(404, "NOT_FOUND"),
        }
    }

    fn sign(&self, pair: &Pair, name: &str, body: &[u8], trouble: Trouble) -> Answer {
        self.signatures.fetch_add(1, Ordering::SeqCst);
        let asked: Value = serde_json::from_slice(body).unwrap();
        let decoded = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
        let number = |text: &Value| text.as_str().unwrap().parse::<u32>().unwrap();
        let (mut signature, field) = match pair {
            Pair::Ed25519(pair) => {
                let data = decoded(&asked["data"]);
                assert_eq!(number(&asked["dataCrc32c"]), crc32c(&data));
                let other = Ed25519KeyPair::generate().unwrap();
                let pair = if trouble == Trouble::OtherKey { &other } else { pair };
                (pair.sign(&data).as_ref().to_vec(), "verifiedDataCrc32c")
            }
            Pair::P256(pair) => {
                let hash = decoded(&asked["digest"]["sha256"]);
                assert_eq!(number(&asked["digestCrc32c"]), crc32c(&hash));
                let digest = Digest::import_less_safe(&hash, &SHA256).unwrap();
                (pair.sign_digest(&digest).unwrap().as_ref().to_vec(), "verifiedDigestCrc32c")
            }
            Pair::Rsa(pair) => {
                let hash = decoded(&asked["digest"]["sha512"]);
                assert_eq!(number(&asked["digestCrc32c"]), crc32c(&hash));
                let mut signature = vec![0; pair.public_modulus_len()];
                let digest = Digest::import_less_safe(&hash, &SHA512).unwrap();
                pair.sign_digest(&RSA_PKCS1_SHA512, &digest, &mut signature).unwrap();
                (signature, "verifiedDigestCrc32c")
            }
        };
        let mut crc = crc32c(&signature);
        if trouble == Trouble::SignatureDamaged {
            signature[7] ^= 1;
        }
        crc ^= u32::from(trouble == Trouble::ChecksumDamaged);
        let more = if trouble == Trouble::OtherVersion { "0" } else { "" };
        let name = format!("{name}{more}");
        json_answer(
            200,
            &json!({"signature": STANDARD.encode(&signature), "signatureCrc32c": crc.to_string(),
                field: trouble != Trouble::RequestNotVerified, "name": name, "protectionLevel": "HSM"}),
        )
    }
}
