//! Keys in Google Cloud KMS, over its REST API (v1): `asymmetricSign`, `getPublicKey`, `cryptoKeyVersions`. Cloud KMS
//! does not rotate asymmetric keys, so that each generation is a version that the service makes, or takes over when
//! its login may not. Every checksum that the API has is sent and checked.

mod client;
mod crc32c;
mod credentials;
mod der;
mod ecdsa;
mod public_key;

pub(crate) use credentials::metadata_server;

use super::algorithm::{Algorithm, Use};
use super::port::{KeyPort, Made, PortError, PrivateKey};
use crate::clock::Clock;
use crate::settings::GoogleKms;
use crate::store::SealedKey;
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::Client;
use crc32c::crc32c;
use credentials::Credentials;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the store's name of such a key begins with; the version's resource name follows.
pub(super) const SCHEME: &str = "gcp-kms:";

/// The most versions that one look reads; a key has fewer than that for two decades.
const VERSIONS_MAX: u32 = 100;

/// The keys in Cloud KMS.
pub(super) struct Kms {
    api: Arc<Api>,
    settings: GoogleKms,
}

struct Api {
    client: Client,
    credentials: Credentials,
}

impl Kms {
    /// Takes the settings. Nothing is asked before a key is needed.
    pub(super) fn open(settings: &GoogleKms, clock: Arc<dyn Clock>) -> Self {
        let api = Api {
            client: Client::new(settings.endpoint.clone(), settings.roots.clone()),
            credentials: Credentials::new(settings, clock),
        };
        Self { api: Arc::new(api), settings: settings.clone() }
    }

    fn crypto_key(&self, usage: Use) -> Result<&str, PortError> {
        match usage {
            Use::Receipts => Ok(&self.settings.receipts),
            Use::Files => self.settings.files.as_deref().ok_or_else(|| {
                PortError::Refused("`signing.google_kms` names no key for `files`".to_owned())
            }),
        }
    }
}

/// Returns the API's name of an algorithm.
const fn api_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::EdDsa => "EC_SIGN_ED25519",
        Algorithm::Es256 => "EC_SIGN_P256_SHA256",
        Algorithm::Rs512 => "RSA_SIGN_PKCS1_4096_SHA512",
    }
}

fn version_of(key: &SealedKey) -> Option<&str> {
    str::from_utf8(key.sealed.strip_prefix(SCHEME.as_bytes())?).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    name: String,
    state: String,
    algorithm: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    #[serde(default)]
    crypto_key_versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicKey {
    pem: String,
    algorithm: String,
    #[serde(deserialize_with = "int64")]
    pem_crc32c: i64,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signature {
    signature: String,
    #[serde(deserialize_with = "int64")]
    signature_crc32c: i64,
    #[serde(default)]
    verified_digest_crc32c: bool,
    #[serde(default)]
    verified_data_crc32c: bool,
    name: String,
}

/// JSON has no 64-bit integers: the API writes them as texts.
fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| D::Error::custom("not an integer"))
}

#[async_trait]
impl KeyPort for Kms {
    /// A version of another key than the settings name is somebody else's: the store's word is not enough to ask for it.
    fn holds(&self, key: &SealedKey) -> bool {
        let Ok(crypto_key) = self.crypto_key(key.usage) else { return false };
        let number = version_of(key)
            .and_then(|version| version.strip_prefix(crypto_key))
            .and_then(|rest| rest.strip_prefix("/cryptoKeyVersions/"));
        number.is_some_and(is_number)
    }

    async fn make(
        &self,
        usage: Use,
        algorithm: Algorithm,
        known: &[SealedKey],
    ) -> Result<Made, PortError> {
        let version = self.unused(usage, algorithm, known).await?;
        let public = self.api.public_key(&version, algorithm).await?;
        Ok(Made { public, sealed: format!("{SCHEME}{version}").into_bytes() })
    }

    async fn open(&self, key: &SealedKey) -> Result<Box<dyn PrivateKey>, PortError> {
        let version = version_of(key).unwrap_or_default().to_owned();
        if !self.holds(key) {
            let text = format!("`{version}` is no version of a key that the settings name");
            return Err(PortError::Refused(text));
        }
        Ok(Box::new(KmsKey { api: self.api.clone(), version, algorithm: key.algorithm }))
    }
}

fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Kms {
    /// Finds an enabled version that no generation has used, or makes one.
    async fn unused(
        &self,
        usage: Use,
        algorithm: Algorithm,
        known: &[SealedKey],
    ) -> Result<String, PortError> {
        let path = format!("{}/cryptoKeyVersions", self.crypto_key(usage)?);
        let target = format!("{path}?pageSize={VERSIONS_MAX}");
        let versions: Versions = self.api.call(Method::GET, &target, None).await?;
        let is_free = |version: &&Version| {
            version.algorithm == api_name(algorithm)
                && !known.iter().any(|key| version_of(key) == Some(&version.name))
        };
        let mut free = versions.crypto_key_versions.iter().filter(is_free);
        if let Some(version) = free.clone().find(|version| version.state == "ENABLED") {
            return Ok(version.name.clone());
        }
        if free.any(|version| version.state == "PENDING_GENERATION") {
            return Err(pending());
        }
        let made: Version = self.api.call(Method::POST, &path, Some(json!({}))).await?;
        if made.algorithm != api_name(algorithm) {
            return Err(PortError::Refused(format!(
                "the key makes versions of `{}`, not of `{}`",
                made.algorithm.escape_debug(),
                api_name(algorithm)
            )));
        }
        if made.state == "ENABLED" { Ok(made.name) } else { Err(pending()) }
    }
}

fn pending() -> PortError {
    PortError::Down("the new version is being generated".to_owned())
}

fn mangled(what: &str) -> PortError {
    PortError::Down(format!("the answer is not whole: {what}"))
}

impl Api {
    async fn public_key(&self, version: &str, algorithm: Algorithm) -> Result<Vec<u8>, PortError> {
        let target = format!("{version}/publicKey");
        let key: PublicKey = self.call(Method::GET, &target, None).await?;
        if i64::from(crc32c(key.pem.as_bytes())) != key.pem_crc32c {
            return Err(mangled("the checksum of the public key differs"));
        }
        if key.name != version || key.algorithm != api_name(algorithm) {
            return Err(mangled("it is the public key of another version"));
        }
        public_key::of_pem(&key.pem, algorithm)
            .ok_or_else(|| PortError::Refused("the public key is not of its form".to_owned()))
    }

    async fn sign(
        &self,
        version: &str,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, PortError> {
        let body = match algorithm {
            Algorithm::EdDsa => json!({
                "data": STANDARD.encode(message), "dataCrc32c": crc32c(message).to_string(),
            }),
            Algorithm::Es256 => digest_body("sha256", digest(&SHA256, message).as_ref()),
            Algorithm::Rs512 => digest_body("sha512", digest(&SHA512, message).as_ref()),
        };
        let target = format!("{version}:asymmetricSign");
        let signed: Signature = self.call(Method::POST, &target, Some(body)).await?;
        let is_verified = match algorithm {
            Algorithm::EdDsa => signed.verified_data_crc32c,
            Algorithm::Es256 | Algorithm::Rs512 => signed.verified_digest_crc32c,
        };
        if !is_verified {
            return Err(mangled("what was to be signed did not arrive whole"));
        }
        if signed.name != version {
            return Err(mangled("another version signed"));
        }
        let signature = STANDARD.decode(&signed.signature);
        let signature = signature.map_err(|_| mangled("the signature is not base64"))?;
        if i64::from(crc32c(&signature)) != signed.signature_crc32c {
            return Err(mangled("the checksum of the signature differs"));
        }
        match algorithm {
            Algorithm::EdDsa | Algorithm::Rs512 => Ok(signature),
            Algorithm::Es256 => ecdsa::fixed(&signature)
                .ok_or_else(|| mangled("the signature is not two numbers of P-256")),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> Result<T, PortError> {
        let token = self.credentials.token().await?;
        let body = body.map(|body| body.to_string());
        let answer = self.client.send(method, &format!("/v1/{target}"), &token, body).await?;
        if answer.status == StatusCode::OK {
            return serde_json::from_slice(&answer.body)
                .map_err(|_| mangled("it is not of the form that the API documents"));
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            self.credentials.forget().await;
        }
        let text = format!("the API answers {} {}", answer.status.as_u16(), word(&answer.body));
        // Everything else (a permission, a name, a disabled version, a redirect) wants somebody's hand.
        if answer.status.is_server_error()
            || matches!(
                answer.status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::REQUEST_TIMEOUT
                    | StatusCode::UNAUTHORIZED
            )
        {
            return Err(PortError::Down(text));
        }
        Err(PortError::Refused(text))
    }
}

/// Returns the error's own word (`PERMISSION_DENIED`), where it is one.
fn word(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    let body = serde_json::from_slice::<Body>(body).ok();
    let word = body.map(|body| body.error.status).filter(|word| {
        word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    word.unwrap_or_default()
}

fn digest_body(name: &str, hash: &[u8]) -> Value {
    json!({"digest": {name: STANDARD.encode(hash)}, "digestCrc32c": crc32c(hash).to_string()})
}

struct KmsKey {
    api: Arc<Api>,
    version: String,
    algorithm: Algorithm,
}

#[async_trait]
impl PrivateKey for KmsKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError> {
        self.api.sign(&self.version, self.algorithm, message).await
    }
}
