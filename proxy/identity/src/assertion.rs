//! The edge's own assertion: a short-lived Ed25519 token that carries who is calling to the origin, bound to the one
//! request by method, target and body. The origin verifies it with the public keys that [`public_jwks`] writes.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use crate::base64url;

/// The header that carries the assertion.
pub const HEADER: &str = "X-Edge-Assertion";
/// How long an assertion is valid, in seconds.
pub const LIFETIME_SECS: u64 = 60;

/// The key that signs assertions.
pub struct AssertionKey {
    pair: Ed25519KeyPair,
    kid: String,
    /// The header, encoded: it is the same for every assertion of a key.
    header: String,
}

/// What one assertion says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inward<'a> {
    /// Who is calling.
    pub subject: &'a str,
    /// For which tenant.
    pub tenant: Option<&'a str>,
    /// In which roles.
    pub roles: &'a [String],
    /// The request's id; the assertion's `jti`.
    pub request_id: &'a str,
    /// The method as forwarded.
    pub method: &'a str,
    /// Path and query as forwarded.
    pub target: &'a str,
    /// SHA-256 of the body as forwarded; of nothing, where there is none.
    pub body_sha256: &'a [u8; 32],
}

/// A key that cannot sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadAssertionKey {
    /// Not PKCS#8 of an Ed25519 key, in PEM or DER.
    #[error("the key is not an Ed25519 private key in PKCS#8 (PEM or DER)")]
    NotPkcs8,
    /// The system gave no randomness.
    #[error("no key could be generated")]
    NoRandomness,
}

impl AssertionKey {
    /// Reads a private key in PKCS#8, PEM or DER.
    ///
    /// # Errors
    /// When it is none, or not of Ed25519.
    pub fn from_pkcs8(key: &[u8]) -> Result<Self, BadAssertionKey> {
        let der = pem_to_der(key)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map_err(|_| BadAssertionKey::NotPkcs8)?;
        Ok(Self::new(pair))
    }

    /// Makes a key, and its PKCS#8 in PEM to be stored where only the edge can read.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<(Self, Zeroizing<String>), BadAssertionKey> {
        let pair = Ed25519KeyPair::generate().map_err(|_| BadAssertionKey::NoRandomness)?;
        let der = pair.to_pkcs8v1().map_err(|_| BadAssertionKey::NoRandomness)?;
        let body = Zeroizing::new(STANDARD.encode(der.as_ref()));
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body);
        Ok((Self::new(pair), Zeroizing::new(pem)))
    }

    fn new(pair: Ed25519KeyPair) -> Self {
        let kid = thumbprint(pair.public_key().as_ref());
        let header = json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": kid}).to_string();
        Self { pair, kid, header: base64url::encode(header) }
    }

    /// Returns the key's id: its RFC 7638 thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Makes the assertion for one request. Cost: one Ed25519 signature.
    #[must_use]
    pub fn mint(&self, inward: &Inward<'_>, now: Timestamp) -> String {
        let issued = now.as_secs();
        let mut claims = json!({
            "iss": "portcullis",
            "aud": "license-core",
            "sub": inward.subject,
            "roles": inward.roles,
            "iat": issued,
            "exp": issued + LIFETIME_SECS,
            "jti": inward.request_id,
            "htm": inward.method,
            "htu": inward.target,
            "bh": base64url::encode(inward.body_sha256),
        });
        if let (Some(tenant), Some(claims)) = (inward.tenant, claims.as_object_mut()) {
            claims.insert("tenant".to_owned(), tenant.into());
        }
        let signed = format!("{}.{}", self.header, base64url::encode(claims.to_string()));
        let signature = base64url::encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

impl std::fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AssertionKey({})", self.kid)
    }
}

/// Writes the public keys as a JWKS. While keys change it holds the new one and the old one.
pub fn public_jwks<'a>(keys: impl IntoIterator<Item = &'a AssertionKey>) -> String {
    let keys: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let x = base64url::encode(key.pair.public_key());
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": x})
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

/// RFC 7638 with RFC 8037: the required members in order, hashed.
fn thumbprint(public_key: &[u8]) -> String {
    let x = base64url::encode(public_key);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    base64url::encode(digest(&SHA256, members.as_bytes()))
}

fn pem_to_der(key: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadAssertionKey> {
    let not_pkcs8 = BadAssertionKey::NotPkcs8;
    let text = match std::str::from_utf8(key) {
        Ok(text) if text.contains("-----BEGIN ") => text,
        _ => return Ok(Zeroizing::new(key.to_vec())),
    };
    let (_, rest) = text.split_once("-----BEGIN PRIVATE KEY-----").ok_or(not_pkcs8)?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----").ok_or(not_pkcs8)?;
    let body: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    STANDARD.decode(&*body).map(Zeroizing::new).map_err(|_| not_pkcs8)
}

#[cfg(test)]
mod tests;
