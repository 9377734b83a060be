//! An issuer of tokens, with its key in a JWKS file.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
};
use serde_json::{Map, Value, json};

/// The `iss` that the harness configures.
pub(crate) const ISSUER: &str = "https://issuer.test";
/// The `aud` that the harness configures.
pub(crate) const AUDIENCE: &str = "license-api";

/// The claims of a token, to be changed at will.
pub type Claims = Map<String, Value>;

/// An issuer with one key.
pub struct Issuer {
    key: KeyPair,
    kid: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn new() -> Self {
        Self::with_key("k1")
    }

    /// Makes one whose ES256 key has this id.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn with_key(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
        Self { key, kid: kid.to_owned() }
    }

    /// Makes one as Google is: its RS256 key has this id.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    #[must_use]
    pub fn with_rsa_key(kid: &str) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        Self { key: key.expect("a key can be made"), kid: kid.to_owned() }
    }

    /// Returns a map of its key's id to a certificate, as Google serves it.
    ///
    /// # Panics
    ///
    /// When the certificate cannot be made.
    #[must_use]
    pub fn certificates(&self) -> String {
        let params = CertificateParams::new(vec!["securetoken.test".to_owned()]).expect("a name");
        let certificate = params.self_signed(&self.key).expect("the key signs").pem();
        json!({ self.kid.as_str(): certificate }).to_string()
    }

    /// Returns its public ES256 key as a JWK.
    ///
    /// # Panics
    ///
    /// When it has no such key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let point = self.key.der_bytes();
        let (x, y) = point.get(1..65).expect("an uncompressed point").split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// Writes its public key as a JWKS.
    pub(crate) fn publish(&self, path: &Path) {
        std::fs::write(path, json!({ "keys": [self.jwk()] }).to_string())
            .expect("the key set can be written");
    }

    /// Signs claims as they are.
    ///
    /// # Panics
    ///
    /// When they do not serialise.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        let pem = self.key.serialize_pem();
        let (algorithm, key) = if self.key.algorithm() == &PKCS_RSA_SHA256 {
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()))
        } else {
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes()))
        };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(algorithm) };
        let key = key.expect("a key in PEM");
        encode(&header, claims, &key).expect("claims serialise")
    }
}

/// Claims that the configured provider accepts at `now` (seconds), for 10 minutes.
pub(crate) fn claims(subject: &str, tenant: Option<&str>, now_secs: u64) -> Claims {
    let mut claims = Claims::new();
    claims.insert("iss".to_owned(), ISSUER.into());
    claims.insert("aud".to_owned(), AUDIENCE.into());
    claims.insert("sub".to_owned(), subject.into());
    claims.insert("iat".to_owned(), now_secs.into());
    claims.insert("exp".to_owned(), (now_secs + 600).into());
    claims.insert("roles".to_owned(), json!(["member"]));
    if let Some(tenant) = tenant {
        claims.insert("tenant_id".to_owned(), tenant.into());
    }
    claims
}
