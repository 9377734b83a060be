//! Keys that the edge issues itself: shown once, kept as hashes in the state directory, found by the id in their text.
//!
//! A key is `pck_`, an id of 12 and a secret of 64 hexadecimal digits. The secret is 256 bits of the system's randomness,
//! so its SHA-256 cannot be turned back, and a slow hash would only be a lever for whoever sends keys.

mod file;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use portcullis_config::Timestamp;
use portcullis_identity::{Identity, Refusal, Why};
use serde_json::Map;

use crate::atomic_file;
use text::Hash;
pub use text::KeyText;

/// The most keys: each change writes them all.
pub(crate) const KEYS_MAX: usize = 10_000;
/// The largest file that is read: the longest texts of every key fit.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// The provider that it is of.
    pub provider: String,
    /// The tenant that it speaks for.
    pub tenant: String,
    /// The subject that it is.
    pub subject: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends; none means never.
    pub expires: Option<Timestamp>,
    /// By whom it was issued.
    pub by: String,
    /// What for, in the operator's words.
    pub note: Option<String>,
    /// The SHA-256 of its text.
    pub hash: [u8; 32],
    /// That of its text before it was rotated, and until when it is taken.
    pub previous: Option<([u8; 32], Timestamp)>,
}

/// Every key, by id.
#[derive(Debug, Default)]
pub struct KeyBook {
    keys: Mutex<BTreeMap<String, ApiKey>>,
    index: ArcSwap<HashMap<String, Known>>,
    file: Option<PathBuf>,
}

/// What a request is asked against.
#[derive(Debug)]
struct Known {
    key: ApiKey,
    identity: Arc<Identity>,
}

/// Why a key is not issued or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyBookError {
    /// There are too many.
    #[error("{KEYS_MAX} keys are issued already: revoke some")]
    Full,
    /// Nobody has this id.
    #[error("there is no key `{0}`: see `portcullis key ls`")]
    Unknown(String),
    /// The system gave no randomness.
    #[error("the system gives no randomness for a key")]
    NoRandomness,
    /// The file cannot be written.
    #[error("the key cannot be kept on disk: {0}")]
    Io(#[from] io::Error),
}

impl KeyBook {
    /// Reads the file of an earlier process; none means that there are no keys.
    ///
    /// # Errors
    /// When there is a file that cannot be read or is not ours.
    pub fn open(path: &Path) -> io::Result<Self> {
        let keys = match atomic_file::read(path, FILE_BYTES_MAX)? {
            Some(bytes) => file::parse(&bytes).ok_or(io::ErrorKind::InvalidData)?,
            None => BTreeMap::new(),
        };
        let index = ArcSwap::from_pointee(index(&keys));
        Ok(Self { keys: Mutex::new(keys), index, file: Some(path.to_owned()) })
    }

    /// Issues a key and returns its id and its text, which nobody can show again. The hash that `key` brings is replaced.
    ///
    /// # Errors
    /// When there are too many, or the disk refuses; then it is not issued.
    pub fn issue(&self, key: ApiKey) -> Result<(String, KeyText), KeyBookError> {
        let mut keys = self.held();
        if keys.len() >= KEYS_MAX {
            return Err(KeyBookError::Full);
        }
        let text = KeyText::draw(|id| !keys.contains_key(id)).ok_or(KeyBookError::NoRandomness)?;
        let id = text.id().to_owned();
        let mut changed = keys.clone();
        changed.insert(id.clone(), ApiKey { hash: text.hash(), previous: None, ..key });
        self.change(&mut keys, changed)?;
        Ok((id, text))
    }

    /// Gives a key a new text; the one before is taken until `overlap_ends`. The key stays the one that was issued when it
    /// was: what is revoked by that moment does not come back.
    ///
    /// # Errors
    /// When there is no such key, or the disk refuses; then the old text stands alone.
    pub fn rotate(&self, id: &str, overlap_ends: Timestamp) -> Result<KeyText, KeyBookError> {
        let mut keys = self.held();
        let mut changed = keys.clone();
        let key = changed.get_mut(id).ok_or_else(|| KeyBookError::Unknown(id.to_owned()))?;
        let text = KeyText::of_id(id).ok_or(KeyBookError::NoRandomness)?;
        key.previous = Some((key.hash, overlap_ends));
        key.hash = text.hash();
        self.change(&mut keys, changed)?;
        Ok(text)
    }

    /// Takes a key out of use; the next request that brings it is refused.
    ///
    /// # Errors
    /// When there is no such key, or the disk refuses; then it stands.
    pub fn revoke(&self, id: &str) -> Result<ApiKey, KeyBookError> {
        let mut keys = self.held();
        let mut changed = keys.clone();
        let revoked = changed.remove(id).ok_or_else(|| KeyBookError::Unknown(id.to_owned()))?;
        self.change(&mut keys, changed)?;
        Ok(revoked)
    }

    /// Returns every key with its id.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, ApiKey)> {
        self.held().iter().map(|(id, key)| (id.clone(), key.clone())).collect()
    }

    /// Says who brings a key at `now`. Cost: one SHA-256 and one look-up, whatever the number of keys.
    ///
    /// # Errors
    /// When the text is none of ours, is not known, or has ended. The reason is for the log.
    pub fn verify(&self, text: &[u8], now: Timestamp) -> Result<Arc<Identity>, Refusal> {
        let (id, hash) = text::take_apart(text).ok_or(Refusal::InvalidToken(Why::NotApiKey))?;
        let index = self.index.load();
        let known = index.get(id).ok_or(Refusal::InvalidToken(Why::UnknownApiKey))?;
        let is = |stands: &Hash| verify_slices_are_equal(stands, &hash).is_ok();
        let is_previous = known.key.previous.as_ref().is_some_and(|(before, _)| is(before));
        if !is(&known.key.hash) && !is_previous {
            return Err(Refusal::InvalidToken(Why::WrongApiKey));
        }
        let has_ended = |end: Timestamp| now >= end;
        let overlap = known.key.previous.as_ref().filter(|_| is_previous).map(|(_, until)| *until);
        if known.key.expires.is_some_and(has_ended) || overlap.is_some_and(has_ended) {
            return Err(Refusal::InvalidToken(Why::ExpiredApiKey));
        }
        Ok(Arc::clone(&known.identity))
    }

    fn change(
        &self,
        keys: &mut BTreeMap<String, ApiKey>,
        changed: BTreeMap<String, ApiKey>,
    ) -> io::Result<()> {
        if let Some(path) = &self.file {
            atomic_file::replace(path, file::text(&changed).as_bytes(), atomic_file::SECRET)?;
        }
        self.index.store(Arc::new(index(&changed)));
        *keys = changed;
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, ApiKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(keys: &BTreeMap<String, ApiKey>) -> HashMap<String, Known> {
    let known = |(id, key): (&String, &ApiKey)| {
        let known = Known { key: key.clone(), identity: Arc::new(identity(id, key)) };
        (id.clone(), known)
    };
    keys.iter().map(known).collect()
}

/// Who a key is. Its id is that of a token and of a key, so that both kinds of revocation reach it.
fn identity(id: &str, key: &ApiKey) -> Identity {
    Identity {
        provider: key.provider.clone(),
        subject: key.subject.clone(),
        tenant: Some(key.tenant.clone()),
        roles: key.roles.clone(),
        scopes: key.scopes.clone(),
        token_id: Some(id.to_owned()),
        issuer: "portcullis".to_owned(),
        key_id: Some(id.to_owned()),
        issued: Some(key.issued),
        expires: key.expires.unwrap_or(Timestamp::from_millis(u64::MAX)),
        claims: Map::new(),
    }
}

#[cfg(test)]
mod tests;
