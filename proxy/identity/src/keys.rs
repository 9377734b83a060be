//! Key sets: public keys by id, each pinned to the algorithms that it may verify. A set is read from a JWKS, from one
//! PEM key or certificate, from a map of ids to certificates, or from a JWKS of shared secrets.

mod der;
mod jwk;
mod pem;
mod roca;
mod secrets;

use std::collections::HashMap;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::Value;

pub use secrets::{MadeSecrets, SecretsError, add_secret, retire_secrets};

use crate::algorithm::{Algorithm, KeyKind};
use crate::json;

/// The largest key set that is read, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;
/// The most keys in a set.
pub const KEYS_MAX: usize = 100;
/// The longest key id, in bytes.
pub const KID_BYTES_MAX: usize = 256;

/// Keys that verify tokens.
#[derive(Debug)]
pub struct KeySet {
    by_id: HashMap<String, Key>,
    /// The one key of a set that names none.
    nameless: Option<Key>,
    skipped: Vec<SkippedKey>,
}

/// One key, ready to verify under each algorithm that it is pinned to.
#[derive(Debug)]
pub(crate) struct Key {
    pins: Vec<(Algorithm, Material)>,
}

#[derive(Debug)]
enum Material {
    Public(Box<ParsedPublicKey>),
    Secret(Box<hmac::Key>),
}

/// A key of a set that verifies nothing here, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedKey {
    /// Its id, where it has one.
    pub kid: Option<String>,
    /// Why it is left out.
    pub why: KeyFault,
}

/// What is wrong with one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFault {
    /// Not for signatures: `use` or `key_ops`.
    #[error("its `use` or `key_ops` is not for verifying signatures")]
    WrongUse,
    /// Its `kty`, `crv` or `alg` is none that is known here, or they do not fit each other.
    #[error("its `kty`, `crv` and `alg` name no algorithm that is known here")]
    UnknownKind,
    /// Its algorithm is not one that the provider may use.
    #[error("its algorithm is not among the provider's `algorithms`")]
    NotConfigured,
    /// A member is missing or malformed.
    #[error("a member is missing or malformed")]
    Malformed,
    /// An RSA key below 2048 or above 8192 bits.
    #[error("an RSA key has from 2048 to 8192 bits")]
    RsaSize,
    /// An RSA exponent below 65537 or even.
    #[error("an RSA key's exponent is odd and at least 65537")]
    RsaExponent,
    /// An RSA key of the ROCA family (CVE-2017-15361), which can be factored.
    #[error("the RSA key comes from a broken generator (ROCA)")]
    Roca,
    /// A point that is not on its curve, or the like.
    #[error("the key is not valid for its algorithm")]
    Invalid,
    /// A shared secret shorter than its hash.
    #[error("the secret is shorter than its algorithm's hash")]
    ShortSecret,
    /// A key with another `kty` than `oct` where shared secrets are meant.
    #[error("it is no shared secret: its `kty` has to be `oct`")]
    NotSecret,
    /// A shared secret without `kid` or `alg`.
    #[error("a shared secret needs its `{0}`")]
    Unsaid(&'static str),
}

/// Why a key set does not load.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// More than [`KEY_SET_BYTES_MAX`] bytes.
    #[error("the key set is larger than {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// Neither a JWKS nor a map of certificates, or with a member twice.
    #[error("the key set is no JSON object of keys (or names a member twice)")]
    Malformed,
    /// More than [`KEYS_MAX`] keys.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// Two keys with one id: which is meant is a guess.
    #[error("the key id `{0}` stands twice")]
    DuplicateKid(String),
    /// A key id longer than [`KID_BYTES_MAX`].
    #[error("a key id is longer than {KID_BYTES_MAX} bytes")]
    LongKid,
    /// Shared secrets beside public keys: the classic confusion of algorithms.
    #[error("the key set mixes shared secrets with public keys")]
    Mixed,
    /// The set holds a private key. Whoever reads the file can sign.
    #[error("the key set holds a private key; give only public ones")]
    PrivateKey,
    /// Not one PEM block with a public key or certificate.
    #[error("the file is not one PEM block with a public key or certificate")]
    Pem,
    /// A key among shared secrets that cannot be used. All of them have to be right: nobody else would notice a secret
    /// that is too short, and the issuer would sign with it.
    #[error("the key `{}` cannot be used: {why}", kid.as_deref().unwrap_or("without id"))]
    BadSecret {
        /// Its id, where it has one.
        kid: Option<String>,
        /// What is wrong with it.
        why: KeyFault,
    },
    /// No key of the set can verify anything.
    #[error("no key can be used{}", first(.0))]
    NoUsableKey(Vec<SkippedKey>),
    /// The provider has no issuer.
    #[error("a provider needs an issuer")]
    NoIssuer,
    /// The provider has no audience.
    #[error("a provider needs an audience")]
    NoAudience,
    /// The provider has no algorithm.
    #[error("a provider needs at least one algorithm")]
    NoAlgorithm,
    /// The leeway is more than a minute.
    #[error("the leeway is at most 60 s")]
    Leeway,
}

fn first(skipped: &[SkippedKey]) -> String {
    skipped.first().map_or_else(String::new, |key| {
        format!(": `{}`: {}", key.kid.as_deref().unwrap_or("without id"), key.why)
    })
}

impl KeySet {
    /// Reads a JWKS (RFC 7517). Keys that cannot verify here are left out and told by [`Self::skipped`].
    ///
    /// # Errors
    /// When the set as a whole cannot be trusted, or nothing in it can be used.
    pub fn from_jwks(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let set = read(text)?;
        let Some(Value::Array(keys)) = set.get("keys") else { return Err(KeyError::Malformed) };
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let kinds = |secret: bool| keys.iter().any(|key| jwk::is_secret(key) == secret);
        if kinds(true) && kinds(false) {
            return Err(KeyError::Mixed);
        }
        if keys.iter().any(jwk::is_private) {
            return Err(KeyError::PrivateKey);
        }
        let mut collected = Collected::default();
        for key in keys {
            let Value::Object(members) = key else { return Err(KeyError::Malformed) };
            collected.add(jwk::kid(members)?, jwk::read(members, algorithms))?;
        }
        collected.finish()
    }

    /// Reads one PEM block: a public key, an RSA public key or a certificate. The key has no id and serves every token.
    ///
    /// # Errors
    /// When it is no such block, or the key cannot be used.
    pub fn from_pem(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let spki = pem::public_key(text)?;
        let mut collected = Collected::default();
        collected.add(None, Key::from_spki(&spki, algorithms))?;
        collected.finish()
    }

    /// Reads Google's map of key ids to PEM certificates.
    ///
    /// # Errors
    /// As [`Self::from_jwks`].
    pub fn from_certificates(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let map = read(text)?;
        if map.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let mut collected = Collected::default();
        for (kid, certificate) in &map {
            let Value::String(certificate) = certificate else { return Err(KeyError::Malformed) };
            let spki = pem::public_key(certificate.as_bytes())?;
            collected.add(Some(checked_kid(kid)?), Key::from_spki(&spki, algorithms))?;
        }
        collected.finish()
    }

    /// Returns the set that verifies nothing.
    pub(crate) fn none() -> Self {
        Self { by_id: HashMap::new(), nameless: None, skipped: Vec::new() }
    }

    /// Returns the keys that were left out.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Returns how many keys can verify.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len() + usize::from(self.nameless.is_some())
    }

    /// Says whether no key can verify; a set that was read never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds the key for a token. A token without id is served only where there is one key; a set of one nameless key
    /// (a PEM file) serves every id.
    pub(crate) fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match kid {
            Some(kid) if self.by_id.is_empty() => {
                self.nameless.as_ref().filter(|_| kid.len() <= KID_BYTES_MAX)
            }
            Some(kid) => self.by_id.get(kid),
            None if self.len() == 1 => self.by_id.values().next().or(self.nameless.as_ref()),
            None => None,
        }
    }
}

fn read(text: &[u8]) -> Result<serde_json::Map<String, Value>, KeyError> {
    if text.len() > KEY_SET_BYTES_MAX {
        return Err(KeyError::TooLarge);
    }
    json::object(text).ok_or(KeyError::Malformed)
}

fn checked_kid(kid: &str) -> Result<String, KeyError> {
    if kid.len() > KID_BYTES_MAX {
        return Err(KeyError::LongKid);
    }
    Ok(kid.to_owned())
}

/// Keys as they are read, one after the other.
#[derive(Default)]
struct Collected {
    seen: std::collections::HashSet<String>,
    by_id: HashMap<String, Key>,
    nameless: Vec<Key>,
    skipped: Vec<SkippedKey>,
}

impl Collected {
    /// Ids must differ among the keys that are left out too: one day they may not be.
    fn add(&mut self, kid: Option<String>, key: Result<Key, KeyFault>) -> Result<(), KeyError> {
        if let Some(kid) = &kid
            && !self.seen.insert(kid.clone())
        {
            return Err(KeyError::DuplicateKid(kid.clone()));
        }
        match (key, kid) {
            (Err(why), kid) => self.skipped.push(SkippedKey { kid, why }),
            (Ok(key), Some(kid)) => {
                self.by_id.insert(kid, key);
            }
            (Ok(key), None) => self.nameless.push(key),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<KeySet, KeyError> {
        // Without ids two keys cannot be told apart; trying each would let a token choose.
        let nameless = self.nameless.pop();
        if !self.nameless.is_empty() || (nameless.is_some() && !self.by_id.is_empty()) {
            return Err(KeyError::DuplicateKid(String::new()));
        }
        if nameless.is_none() && self.by_id.is_empty() {
            return Err(KeyError::NoUsableKey(self.skipped));
        }
        Ok(KeySet { by_id: self.by_id, nameless, skipped: self.skipped })
    }
}

impl Key {
    /// Pins an RSA key.
    fn rsa(modulus: &[u8], exponent: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyFault> {
        let modulus = der::without_leading_zeros(modulus);
        let bits = der::bits(modulus);
        if !(2048..=8192).contains(&bits) {
            return Err(KeyFault::RsaSize);
        }
        let exponent = der::small_number(exponent).ok_or(KeyFault::RsaExponent)?;
        if exponent < 65_537 || exponent % 2 == 0 {
            return Err(KeyFault::RsaExponent);
        }
        if roca::is_weak(modulus) {
            return Err(KeyFault::Roca);
        }
        Self::public(KeyKind::Rsa, &der::rsa_public_key(modulus, exponent), algorithms)
    }

    /// Pins a public key in the form that its primitive takes.
    fn public(kind: KeyKind, bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyFault> {
        let mut pins = Vec::new();
        for algorithm in algorithms.iter().filter(|algorithm| algorithm.key_kind() == kind) {
            let primitive = algorithm.verification().ok_or(KeyFault::UnknownKind)?;
            let key = ParsedPublicKey::new(primitive, bytes).map_err(|_| KeyFault::Invalid)?;
            pins.push((*algorithm, Material::Public(Box::new(key))));
        }
        Self::pinned(pins)
    }

    /// Pins a shared secret.
    fn secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyFault> {
        let mut pins = Vec::new();
        for algorithm in algorithms {
            let Some((mac, bytes_min)) = algorithm.mac() else { continue };
            if secret.len() < bytes_min {
                return Err(KeyFault::ShortSecret);
            }
            pins.push((*algorithm, Material::Secret(Box::new(hmac::Key::new(mac, secret)))));
        }
        Self::pinned(pins)
    }

    fn from_spki(spki: &der::PublicKey, algorithms: &[Algorithm]) -> Result<Self, KeyFault> {
        match spki {
            der::PublicKey::Rsa { modulus, exponent } => Self::rsa(modulus, exponent, algorithms),
            der::PublicKey::Other(kind, bytes) => Self::public(*kind, bytes, algorithms),
        }
    }

    fn pinned(pins: Vec<(Algorithm, Material)>) -> Result<Self, KeyFault> {
        if pins.is_empty() { Err(KeyFault::NotConfigured) } else { Ok(Self { pins }) }
    }

    /// Says whether the key may verify under an algorithm.
    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.pins.iter().any(|(pinned, _)| *pinned == algorithm)
    }

    /// Verifies a signature; an algorithm that the key is not pinned to verifies nothing.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let Some((_, material)) = self.pins.iter().find(|(pinned, _)| *pinned == algorithm) else {
            return false;
        };
        match material {
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests;
