//! An issuer of tokens, with its key in a JWKS file.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Map, Value, json};

/// The `iss` that the harness configures.
pub(crate) const ISSUER: &str = "https://issuer.test";
/// The `aud` that the harness configures.
pub(crate) const AUDIENCE: &str = "license-api";

/// The claims of a token, to be changed at will.
pub type Claims = Map<String, Value>;

/// An issuer with one ES256 key.
pub struct Issuer {
    key: KeyPair,
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
        Self { key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made") }
    }

    /// Writes its public key as a JWKS.
    pub(crate) fn publish(&self, path: &Path) {
        let point = self.key.der_bytes();
        let (x, y) = point.get(1..65).expect("an uncompressed point").split_at(32);
        let key = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        std::fs::write(path, json!({ "keys": [key] }).to_string())
            .expect("the key set can be written");
    }

    /// Signs claims as they are.
    ///
    /// # Panics
    ///
    /// When they do not serialise.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        let key =
            EncodingKey::from_ec_pem(self.key.serialize_pem().as_bytes()).expect("a key in PEM");
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
