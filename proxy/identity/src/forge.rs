//! For tests: keys and tokens of every kind, the good ones and the forged.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::model::{
    Alg, ClaimPath, ClaimRules, HmacProvider, KeySource, Provider, StaticProvider,
};
use portcullis_config::{SecretRef, Timestamp};
use serde_json::{Value, json};

use crate::base64url::encode;
use crate::{Identity, Refusal, Verifier, Why};

pub(crate) const ISSUER: &str = "https://issuer.example.com";
pub(crate) const AUDIENCE: &str = "license-api";
pub(crate) const NOW_SECS: u64 = 1_800_000_000;

pub(crate) static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
pub(crate) static OTHER_RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
pub(crate) static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
pub(crate) static ED: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW_SECS)
}

/// A set with one key of each kind: `rsa`, `ec` and `ed`.
pub(crate) fn jwks() -> Value {
    json!({"keys": [rsa_jwk(&RSA, "rsa"), ec_jwk(&EC, "ec"), ed_jwk(&ED, "ed")]})
}

pub(crate) fn rsa_jwk(key: &RsaKeyPair, kid: &str) -> Value {
    let key = key.public_key();
    let n = encode(key.modulus().big_endian_without_leading_zero());
    let e = encode(key.exponent().big_endian_without_leading_zero());
    json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": n, "e": e})
}

pub(crate) fn ec_jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "x": x, "y": y})
}

pub(crate) fn ed_jwk(key: &Ed25519KeyPair, kid: &str) -> Value {
    let x = encode(key.public_key());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": x})
}

/// The RSA key as the PEM that an operator has, which is also what a forger takes for a secret.
pub(crate) fn rsa_pem() -> String {
    let der: PublicKeyX509Der<'_> = RSA.public_key().as_der().unwrap();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der.as_ref())
    )
}

pub(crate) fn provider(keys: KeySource) -> StaticProvider {
    StaticProvider {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: vec![Alg::Rs256, Alg::Es256, Alg::EdDsa],
        keys,
        claims: ClaimRules {
            tenant_claim: ["firebase.tenant", "tenant_id"]
                .into_iter()
                .map(|path| ClaimPath::parse(path).unwrap())
                .collect(),
            roles_claim: ClaimPath::parse("roles"),
            scopes_claim: ClaimPath::parse("scope").into_iter().collect(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(3600),
        },
    }
}

pub(crate) fn verifier_of(jwks: &Value) -> Verifier {
    let provider = Provider::Static(provider(KeySource::Jwks("keys".into())));
    Verifier::compile("main", &provider, jwks.to_string().as_bytes()).unwrap()
}

pub(crate) fn verifier() -> Verifier {
    verifier_of(&jwks())
}

/// Claims that are right.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "tenant_id": "acme",
        "iat": NOW_SECS - 60, "exp": NOW_SECS + 600, "jti": "t-1", "roles": ["admin", "user"],
    })
}

/// The right claims with one changed; `null` takes it out.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    with(claims(), name, value)
}

pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    object
}

/// A header for each of [`jwks`]' keys.
pub(crate) fn header(alg: &str) -> Value {
    let kid = match alg {
        "ES256" => "ec",
        "EdDSA" => "ed",
        _ => "rsa",
    };
    json!({"alg": alg, "kid": kid, "typ": "JWT"})
}

pub(crate) fn unsigned(header: &str, payload: &str) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

pub(crate) fn append(signed: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{signed}.{}", encode(signature))
}

pub(crate) fn by_rsa(key: &RsaKeyPair, header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let mut signature = vec![0; key.public_modulus_len()];
    let rng = SystemRandom::new();
    key.sign(&signature::RSA_PKCS1_SHA256, &rng, signed.as_bytes(), &mut signature).unwrap();
    append(&signed, signature)
}

pub(crate) fn by_ec(key: &EcdsaKeyPair, header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    append(&signed, signature)
}

pub(crate) fn by_ed(key: &Ed25519KeyPair, header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let signature = key.sign(signed.as_bytes());
    append(&signed, signature)
}

pub(crate) fn by_secret(secret: &[u8], header: &str, payload: &str) -> String {
    by_mac(hmac::HMAC_SHA256, secret, header, payload)
}

pub(crate) fn by_mac(mac: hmac::Algorithm, secret: &[u8], header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let tag = hmac::sign(&hmac::Key::new(mac, secret), signed.as_bytes());
    append(&signed, tag)
}

/// A provider that shares these secrets with its issuer, each with its id and algorithm.
pub(crate) fn shares(secrets: &[(&str, &str, &[u8])]) -> Result<Verifier, crate::KeyError> {
    let keys: Vec<_> = secrets
        .iter()
        .map(
            |(kid, alg, secret)| json!({"kty": "oct", "kid": kid, "alg": alg, "k": encode(secret)}),
        )
        .collect();
    let StaticProvider { issuer, audience, claims, .. } = provider(KeySource::Jwks("".into()));
    let secrets = SecretRef::Env("SECRETS".to_owned());
    let provider = Provider::Hmac(HmacProvider { issuer, audience, secrets, claims });
    Verifier::compile("shared", &provider, json!({ "keys": keys }).to_string().as_bytes())
}

/// A token that is right, with these claims.
pub(crate) fn token(claims: &Value) -> String {
    by_ec(&EC, &header("ES256").to_string(), &claims.to_string())
}

/// A token that is right but for its header.
pub(crate) fn token_with(name: &str, value: Value) -> String {
    by_ec(&EC, &with(header("ES256"), name, value).to_string(), &claims().to_string())
}

pub(crate) fn verify(token: &str) -> Result<Identity, Refusal> {
    verifier().verify(token.as_bytes(), now())
}

/// Returns why a token is refused; nothing when it is not.
pub(crate) fn why(token: &str) -> Option<Why> {
    match verify(token) {
        Ok(_) => None,
        Err(Refusal::InvalidToken(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).unwrap();
    bytes
}
