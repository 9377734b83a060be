//! An issuer of tokens for development: a P-256 key beside the key set that the edge reads.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_config::model::{ClaimPath, StaticProvider};
use portcullis_config::{SecretRef, Timestamp};
use serde_json::{Map, Value, json};

use super::files::{self, DevError};

/// The key's file, beside the key set.
const KEY_FILE: &str = "issuer.key";

/// The development issuer of one provider. It signs with ES256.
#[derive(Debug)]
pub struct Issuer {
    key: EcdsaKeyPair,
    /// The public key's coordinates, in base64url.
    point: (String, String),
    key_id: String,
    jwks: PathBuf,
}

/// What a token is to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenWish {
    /// The subject.
    pub user: String,
    /// The tenant, at the provider's first `tenant_claim`; none for a token without one.
    pub tenant: Option<String>,
    /// The roles, where the provider has a `roles_claim`.
    pub roles: Vec<String>,
    /// How long it is valid.
    pub ttl: Duration,
}

impl Issuer {
    /// Opens the issuer that stands for `provider`; makes its key, with mode 0600, if there is none.
    ///
    /// # Errors
    /// When the key cannot be made, or the one that is there cannot be read.
    pub fn open(provider: &StaticProvider) -> Result<Self, DevError> {
        let jwks = provider.keys.path().to_owned();
        let path = jwks.with_file_name(KEY_FILE);
        if !path.exists() {
            let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random())
                .map_err(|error| DevError::Crypto(error.to_string()))?;
            files::write(&path, key.as_ref(), files::SECRET)?;
        }
        let unusable = |why: String| DevError::Unusable { path: PathBuf::from(&path), why };
        let secret = SecretRef::File(path.clone()).read().map_err(|e| unusable(e.to_string()))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secret.expose())
            .map_err(|error| unusable(error.to_string()))?;
        let point = coordinates(key.public_key().as_ref())
            .ok_or_else(|| unusable("it is no P-256 key".to_owned()))?;
        Ok(Self { key_id: thumbprint(&point), point, key, jwks })
    }

    /// Writes the key set that the edge reads, if it is not there or has another key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn publish(&self) -> Result<(), DevError> {
        let (x, y) = &self.point;
        let set = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id,
            "x": x, "y": y,
        }]});
        let text = format!("{set:#}\n");
        match fs::read(&self.jwks) {
            Ok(there) if there == text.as_bytes() => Ok(()),
            Ok(_) | Err(_) => files::write(&self.jwks, text.as_bytes(), files::PUBLIC),
        }
    }

    /// Signs a token that `provider` accepts from `now` on.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn token(
        &self,
        provider: &StaticProvider,
        wish: &TokenWish,
        now: Timestamp,
    ) -> Result<String, DevError> {
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(provider.issuer)),
            ("aud".to_owned(), json!(provider.audience)),
            ("sub".to_owned(), json!(wish.user)),
            ("iat".to_owned(), json!(now.as_secs())),
            ("exp".to_owned(), json!(now.plus(wish.ttl).as_secs())),
            ("jti".to_owned(), json!(uuid::Uuid::new_v4().to_string())),
        ]);
        if let (Some(tenant), Some(path)) = (&wish.tenant, provider.claims.tenant_claim.first()) {
            place(&mut claims, path, json!(tenant));
        }
        if let Some(path) = provider.claims.roles_claim.as_ref().filter(|_| !wish.roles.is_empty())
        {
            place(&mut claims, path, json!(wish.roles));
        }
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.key_id}).to_string();
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(&header), part(&Value::Object(claims).to_string()));
        let signature = self
            .key
            .sign(&random(), signed.as_bytes())
            .map_err(|error| DevError::Crypto(error.to_string()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Puts a value at a path of nested objects.
fn place(claims: &mut Map<String, Value>, path: &ClaimPath, value: Value) {
    let Some((last, outer)) = path.names().split_last() else { return };
    let mut object = claims;
    for name in outer {
        let nested = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        match nested {
            Value::Object(nested) => object = nested,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {
                return;
            }
        }
    }
    object.insert(last.clone(), value);
}

fn random() -> SystemRandom {
    SystemRandom::new()
}

/// The two coordinates of an uncompressed point of P-256 (SEC 1, section 2.3.3), in base64url.
fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    Some((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// The key's id: RFC 7638's thumbprint, whose members stand in this order without spaces.
fn thumbprint((x, y): &(String, String)) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::model::{Alg, ClaimRules, KeySource};
    use std::path::Path;

    #[test]
    fn a_claim_is_placed_at_its_path() {
        let mut claims = Map::new();
        place(&mut claims, &ClaimPath::parse("tenant").unwrap(), json!("a"));
        place(&mut claims, &ClaimPath::parse("firebase.tenant").unwrap(), json!("b"));
        place(&mut claims, &ClaimPath::parse("tenant.inner").unwrap(), json!("c"));
        assert_eq!(Value::Object(claims), json!({"tenant": "a", "firebase": {"tenant": "b"}}));
    }

    fn provider(jwks: &Path) -> StaticProvider {
        StaticProvider {
            issuer: "https://issuer.test".to_owned(),
            audience: "license-api".to_owned(),
            algorithms: vec![Alg::Es256],
            keys: KeySource::Jwks(jwks.to_owned()),
            claims: ClaimRules {
                tenant_claim: vec![ClaimPath::parse("tenant_id").unwrap()],
                roles_claim: None,
                scopes_claim: ClaimPath::parse("scope").into_iter().collect(),
                leeway: Duration::ZERO,
                max_lifetime: Duration::from_secs(3600),
            },
        }
    }

    #[test]
    fn the_key_is_made_once_and_its_set_follows_it() {
        let dir = tempfile::tempdir().unwrap();
        let jwks = dir.path().join("dev/jwks.json");
        let provider = provider(&jwks);
        let first = Issuer::open(&provider).unwrap();
        first.publish().unwrap();
        let again = Issuer::open(&provider).unwrap();
        assert_eq!(first.key_id, again.key_id);
        assert!(fs::read_to_string(&jwks).unwrap().contains(&first.key_id));
        fs::write(dir.path().join("dev/issuer.key"), "broken").unwrap();
        assert!(Issuer::open(&provider).unwrap_err().to_string().contains("made again"));
    }
}
