//! Shared secrets: a JWK set of `oct` keys (RFC 7518 section 6.4), each with its id and the one algorithm that it is for.
//!
//! Public keys have no place in it, and no secret has one among public keys: what one provider takes for a secret never
//! verifies a token of another that publishes its keys, nor the other way round.

use aws_lc_rs::rand;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::jwk::{self, Members};
use super::{Collected, KEY_SET_BYTES_MAX, KEYS_MAX, Key, KeyError, KeyFault, KeySet, read};
use crate::algorithm::Algorithm;
use crate::base64url;

/// The most secrets that are left when one is added.
const SECRETS_KEPT_MAX: usize = 7;
/// Bytes of an id that is made here.
const KID_BYTES: usize = 8;

impl KeySet {
    /// Reads a JWK set of shared secrets.
    ///
    /// # Errors
    /// When it is no such set, or one of its keys is no secret, lacks its id or its algorithm, or is shorter than that
    /// algorithm's hash.
    pub fn from_secrets(text: &[u8]) -> Result<Self, KeyError> {
        let mut collected = Collected::default();
        for key in Secrets::read(text)?.keys()? {
            let Value::Object(members) = key else { return Err(KeyError::Malformed) };
            let kid = jwk::kid(members)?;
            let key = secret(key, members)
                .map_err(|why| KeyError::BadSecret { kid: kid.clone(), why })?;
            collected.add(kid, Ok(key))?;
        }
        collected.finish()
    }
}

fn secret(key: &Value, members: &Members) -> Result<Key, KeyFault> {
    if !jwk::is_secret(key) {
        return Err(KeyFault::NotSecret);
    }
    if let Some(missing) = ["kid", "alg"].into_iter().find(|name| !members.contains_key(*name)) {
        return Err(KeyFault::Unsaid(missing));
    }
    jwk::read(members, &Algorithm::OF_SECRETS)
}

/// A set as it was read. What is secret of it is wiped when it is dropped.
struct Secrets(Members);

impl Secrets {
    fn read(text: &[u8]) -> Result<Self, KeyError> {
        let set = Self(read(text)?);
        if set.keys()?.len() > KEYS_MAX { Err(KeyError::TooMany) } else { Ok(set) }
    }

    /// Reads a set of which every key can be used.
    fn checked(text: &[u8]) -> Result<Self, KeyError> {
        KeySet::from_secrets(text)?;
        Self::read(text)
    }

    fn keys(&self) -> Result<&Vec<Value>, KeyError> {
        let Some(Value::Array(keys)) = self.0.get("keys") else { return Err(KeyError::Malformed) };
        Ok(keys)
    }

    /// Takes out all but the first so many.
    fn leave(&mut self, most: usize) -> Result<&mut Vec<Value>, KeyError> {
        let Some(Value::Array(keys)) = self.0.get_mut("keys") else {
            return Err(KeyError::Malformed);
        };
        keys.drain(keys.len().min(most)..).for_each(|mut gone| wipe(&mut gone));
        Ok(keys)
    }

    /// Writes the set.
    fn made(&self) -> Result<MadeSecrets, KeyError> {
        let kids = self.keys()?.iter().filter_map(|key| key.get("kid")?.as_str());
        let kids = kids.map(str::to_owned).collect();
        // Room for all of it at once: a growing buffer would leave copies behind unwiped.
        let mut text = Zeroizing::new(Vec::with_capacity(KEY_SET_BYTES_MAX));
        serde_json::to_writer_pretty(&mut *text, &self.0).map_err(|_| KeyError::Malformed)?;
        text.push(b'\n');
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        Ok(MadeSecrets { text, kids })
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let Some(Value::Array(keys)) = self.0.get_mut("keys") else { return };
        keys.iter_mut().for_each(wipe);
    }
}

fn wipe(key: &mut Value) {
    if let Some(Value::String(secret)) = key.get_mut("k") {
        secret.zeroize();
    }
}

/// A set with a new secret in it.
pub struct MadeSecrets {
    /// The set, as it is to be written.
    pub text: Zeroizing<Vec<u8>>,
    /// The ids of its keys, the new one first.
    pub kids: Vec<String>,
}

impl std::fmt::Debug for MadeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeSecrets").field("kids", &self.kids).finish_non_exhaustive()
    }
}

/// Why no secret is made.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// What is there is no set of secrets, or has no room.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The algorithm is one of public keys.
    #[error("`{}` has no shared secrets: choose `HS256`, `HS384` or `HS512`", .0.as_str())]
    NoMac(Algorithm),
    /// The system gives no randomness.
    #[error("no secret can be made: the system has no randomness to give")]
    NoRandomness,
}

/// Puts a new secret for `algorithm` at the head of a set, or of none, and leaves up to `keep` of those that were there.
///
/// # Errors
/// When what is there is no set of secrets, or the algorithm has none.
pub fn add_secret(
    before: Option<&[u8]>,
    algorithm: Algorithm,
    keep: usize,
) -> Result<MadeSecrets, SecretsError> {
    let (_, bytes) = algorithm.mac().ok_or(SecretsError::NoMac(algorithm))?;
    let mut set = match before {
        Some(text) => Secrets::checked(text)?,
        None => Secrets(Members::from_iter([("keys".to_owned(), json!([]))])),
    };
    let keys = set.leave(keep.min(SECRETS_KEPT_MAX))?;
    let (kid, k) = (random(KID_BYTES)?, random(bytes)?);
    keys.insert(
        0,
        json!({"kty": "oct", "kid": *kid, "alg": algorithm.as_str(), "use": "sig", "k": *k}),
    );
    Ok(set.made()?)
}

/// Leaves only the newest secret of a set, the one at its head.
///
/// # Errors
/// When it is no set of secrets.
pub fn retire_secrets(text: &[u8]) -> Result<MadeSecrets, SecretsError> {
    let mut set = Secrets::checked(text)?;
    set.leave(1)?;
    Ok(set.made()?)
}

fn random(bytes: usize) -> Result<Zeroizing<String>, SecretsError> {
    let mut drawn = Zeroizing::new(vec![0; bytes]);
    rand::fill(&mut drawn).map_err(|_| SecretsError::NoRandomness)?;
    Ok(Zeroizing::new(base64url::encode(&*drawn)))
}

#[cfg(test)]
mod tests;
