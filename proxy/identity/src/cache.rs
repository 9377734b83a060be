//! Verified tokens, remembered: a signature costs 30 µs and more, a client sends the same token for an hour. Bounded,
//! keyed by digest, never past a token's end, never across a change of provider, rules or keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use portcullis_config::Timestamp;

use crate::identity::Identity;
use crate::jws::TOKEN_BYTES_MAX;
use crate::refusal::{Refusal, Why};
use crate::revocation::Revocations;
use crate::verifier::{Verifier, choose};

const SHARDS: usize = 16;
/// How many entries of a full shard are compared when one has to go.
const SAMPLE: usize = 8;

/// The digest of a token and of what verified it.
type Digest = [u8; 32];

/// Remembers what was verified. Refusals are not remembered: they would let strangers fill it.
#[derive(Debug)]
pub struct TokenCache {
    shards: Vec<Mutex<HashMap<Digest, Arc<Identity>>>>,
    entries_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The cache's own figures, for the metrics page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheFigures {
    /// Tokens remembered now.
    pub entries: u64,
    /// The cap on tokens.
    pub entries_max: u64,
    /// Tokens found.
    pub hits_total: u64,
    /// Tokens that had to be verified.
    pub misses_total: u64,
}

impl TokenCache {
    /// Makes a cache for at most so many tokens (at least 16); each costs its claims and about 200 bytes.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries_max: entries_max.max(SHARDS),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Verifies a token with whichever of the route's providers issued it, from memory where it can, and asks the
    /// revocations every time.
    ///
    /// # Errors
    /// As [`Verifier::verify`], and when the token is revoked.
    pub fn verify<'v>(
        &self,
        verifiers: impl IntoIterator<Item = &'v Verifier, IntoIter: Clone>,
        revocations: &Revocations,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Arc<Identity>, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::InvalidToken(Why::TooLong));
        }
        let verifiers = verifiers.into_iter();
        let digest = digest(verifiers.clone(), token);
        let identity = match self.find(&digest, now) {
            Some(identity) => identity,
            None => self.verify_anew(choose(verifiers, token)?, digest, token, now)?,
        };
        match revocations.why(&identity) {
            Some(why) => Err(Refusal::InvalidToken(why)),
            None => Ok(identity),
        }
    }

    /// Returns who a token speaks for if it has been verified lately and is still good; verifies nothing. Cost: one SHA-256.
    pub fn recall<'v>(
        &self,
        verifiers: impl IntoIterator<Item = &'v Verifier>,
        revocations: &Revocations,
        token: &[u8],
        now: Timestamp,
    ) -> Option<Arc<Identity>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let digest = digest(verifiers.into_iter(), token);
        let found = self.shard(&digest).get(&digest).filter(|found| now < found.expires).cloned();
        found.filter(|identity| revocations.why(identity).is_none())
    }

    /// Returns the cache's figures.
    #[must_use]
    pub fn figures(&self) -> CacheFigures {
        CacheFigures {
            entries: self.shards.iter().map(|shard| lock(shard).len() as u64).sum(),
            entries_max: self.entries_max as u64,
            hits_total: self.hits.load(Ordering::Relaxed),
            misses_total: self.misses.load(Ordering::Relaxed),
        }
    }

    /// Forgets the tokens that have ended. For a periodic task; correctness does not need it.
    pub fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            lock(shard).retain(|_, identity| now < identity.expires);
        }
    }

    fn find(&self, digest: &Digest, now: Timestamp) -> Option<Arc<Identity>> {
        let found = self.shard(digest).get(digest).filter(|found| now < found.expires).cloned();
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn verify_anew(
        &self,
        verifier: &Verifier,
        digest: Digest,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Arc<Identity>, Refusal> {
        let identity = Arc::new(verifier.verify(token, now)?);
        let mut shard = self.shard(&digest);
        if shard.len() >= self.entries_max / SHARDS {
            let first = shard.iter().take(SAMPLE).min_by_key(|(_, identity)| identity.expires);
            if let Some(digest) = first.map(|(digest, _)| *digest) {
                shard.remove(&digest);
            }
        }
        shard.insert(digest, Arc::clone(&identity));
        Ok(identity)
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, HashMap<Digest, Arc<Identity>>> {
        let [first, ..] = digest;
        lock(self.shards.get(usize::from(*first) % SHARDS).expect("there are 16 shards"))
    }
}

/// An entry is inserted or removed whole; a panic in between cannot be seen.
fn lock(
    shard: &Mutex<HashMap<Digest, Arc<Identity>>>,
) -> MutexGuard<'_, HashMap<Digest, Arc<Identity>>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Digests a token together with everything that would verify it. Cost: one SHA-256 over token and 32 bytes a provider.
fn digest<'v>(verifiers: impl Iterator<Item = &'v Verifier>, token: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    let mut count = 0_u32;
    for verifier in verifiers {
        context.update(verifier.fingerprint());
        count += 1;
    }
    // Last the number of fingerprints: a token that starts with one must not pass for a longer list.
    context.update(token);
    context.update(&count.to_be_bytes());
    let mut digest = [0; 32];
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

#[cfg(test)]
mod tests;
