//! The edge's public keys: a JWKS file of Ed25519 keys, read again whenever it changes.

use crate::settings::ReadError;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

const FILE_BYTES_MAX: u64 = 64 * 1024;
const KEYS_MAX: usize = 100;

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file is no JWKS.
    #[error("`{path}` is not a JSON web key set")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops being one.
        #[source]
        source: serde_json::Error,
    },
    /// A key is of another kind, or is not named by its thumbprint, or there are none or too many.
    #[error("`{path}`: {problem}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with the keys.
        problem: &'static str,
    },
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    kid: Option<String>,
}

/// The keys of one reading of the file.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<(String, UnparsedPublicKey<Vec<u8>>)>,
}

impl KeySet {
    /// Returns the key of that thumbprint.
    pub(super) fn find(&self, kid: &str) -> Option<&UnparsedPublicKey<Vec<u8>>> {
        self.keys.iter().find(|(known, _)| known == kid).map(|(_, key)| key)
    }

    fn load(path: &Path) -> Result<Self, KeySetError> {
        let text = crate::settings::read_limited(path, FILE_BYTES_MAX)?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &[u8], path: &Path) -> Result<Self, KeySetError> {
        let set: Jwks = serde_json::from_slice(text)
            .map_err(|source| KeySetError::Json { path: path.to_owned(), source })?;
        let wrong = |problem| KeySetError::Keys { path: path.to_owned(), problem };
        if set.keys.is_empty() || set.keys.len() > KEYS_MAX {
            return Err(wrong("it must hold 1 to 100 keys"));
        }
        let keys =
            set.keys.iter().map(|jwk| public_key(jwk).map_err(wrong)).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }
}

fn public_key(jwk: &Jwk) -> Result<(String, UnparsedPublicKey<Vec<u8>>), &'static str> {
    if jwk.kty != "OKP" || jwk.crv != "Ed25519" {
        return Err("every key must be an Ed25519 public key");
    }
    let point = URL_SAFE_NO_PAD.decode(&jwk.x).map_err(|_| "`x` is not base64url")?;
    if point.len() != 32 {
        return Err("`x` must hold 32 bytes");
    }
    let kid = thumbprint(&jwk.x);
    if jwk.kid.as_ref().is_some_and(|named| *named != kid) {
        return Err("`kid` must be the key's RFC 7638 thumbprint");
    }
    Ok((kid, UnparsedPublicKey::new(&ED25519, point)))
}

/// Returns the RFC 7638 thumbprint of an Ed25519 key, `x` being base64url.
pub(crate) fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

/// The key set's file and its last good reading.
#[derive(Debug)]
pub(crate) struct KeySource {
    path: PathBuf,
    last: RwLock<(Option<Stamp>, Arc<KeySet>)>,
}

/// What changes when a file is written or replaced.
type Stamp = (u64, i64, i64, u64);

impl KeySource {
    /// Reads the file for the first time; without one good key set the service does not start.
    pub(crate) fn open(path: &Path) -> Result<Self, KeySetError> {
        let stamp = stamp(path);
        let keys = Arc::new(KeySet::load(path)?);
        Ok(Self { path: path.to_owned(), last: RwLock::new((stamp, keys)) })
    }

    /// Returns the current keys. Costs one `stat`; reads the file again when it changed. A bad file keeps the last
    /// good keys and is told in the log once per change.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        let stamp = stamp(&self.path);
        {
            let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
            if last.0 == stamp {
                return last.1.clone();
            }
        }
        let loaded = KeySet::load(&self.path);
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        last.0 = stamp;
        match loaded {
            Ok(keys) => {
                tracing::info!(path = %self.path.display(), "edge keys read again");
                last.1 = Arc::new(keys);
            }
            Err(error) => tracing::warn!(%error, "edge keys not read, the last good ones stay"),
        }
        last.1.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let seen = std::fs::metadata(path).ok()?;
    Some((seen.ino(), seen.mtime(), seen.mtime_nsec(), seen.len()))
}
