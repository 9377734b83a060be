//! The key that the edge's assertions are signed with, and those before it that backends still accept.
//!
//! A new key is published before it signs, and an old one is withdrawn after the last assertion of it has ended: at no
//! moment does a backend that reads the key set's file see a signature that it does not know.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use portcullis_config::Timestamp;
use portcullis_identity::assertion::{AssertionKey, public_jwks};

use crate::atomic_file;

/// The most old keys that are accepted at a time.
pub(crate) const RETIRED_MAX: usize = 8;

/// The key that signs, and the keys that have signed.
#[derive(Debug)]
pub struct Signing {
    current: ArcSwap<AssertionKey>,
    retired: Mutex<Vec<Retired>>,
    jwks: PathBuf,
}

/// A key that signs no more.
#[derive(Debug)]
struct Retired {
    key: Arc<AssertionKey>,
    until: Timestamp,
}

/// Why a key is not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// It is the key that signs, or one that has signed lately.
    #[error(
        "the key `{0}` signs already, or has signed lately: put another one in its place first"
    )]
    Known(String),
    /// There are too many.
    #[error("{RETIRED_MAX} old keys are accepted still: wait until one has had its time")]
    Full,
    /// A file cannot be written; the key that signs is what it was.
    #[error("`{}` cannot be written, so the key is not rotated: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Signing {
    /// Signs with `key` and publishes it alone.
    ///
    /// # Errors
    /// When the file of public keys cannot be written.
    pub fn open(key: AssertionKey, jwks: PathBuf) -> Result<Self, RotationError> {
        let signing = Self { current: ArcSwap::from_pointee(key), retired: Mutex::default(), jwks };
        signing.publish([&*signing.current.load_full()])?;
        Ok(signing)
    }

    /// Returns the key that signs now.
    #[must_use]
    pub fn key(&self) -> Arc<AssertionKey> {
        self.current.load_full()
    }

    /// Returns the file of public keys, for backends.
    #[must_use]
    pub const fn jwks(&self) -> &PathBuf {
        &self.jwks
    }

    /// Returns the ids of the old keys that are accepted still, and until when.
    #[must_use]
    pub fn retired(&self) -> Vec<(String, Timestamp)> {
        self.held().iter().map(|old| (old.key.kid().to_owned(), old.until)).collect()
    }

    /// Publishes `new`, keeps it by `keep`, and signs with it; the key before it is accepted until `until`.
    ///
    /// # Errors
    /// When it is not new, there are too many, or a file cannot be written. Then the old key signs on.
    pub fn rotate(
        &self,
        new: AssertionKey,
        until: Timestamp,
        keep: impl FnOnce() -> Result<(), RotationError>,
    ) -> Result<(), RotationError> {
        let mut retired = self.held();
        let current = self.key();
        let is_known = |known: &AssertionKey| known.kid() == new.kid();
        if is_known(&current) || retired.iter().any(|old| is_known(&old.key)) {
            return Err(RotationError::Known(new.kid().to_owned()));
        }
        if retired.len() >= RETIRED_MAX {
            return Err(RotationError::Full);
        }
        let old = retired.iter().map(|old| &*old.key);
        self.publish([&new, &current].into_iter().chain(old))?;
        keep()?;
        retired.push(Retired { key: current, until });
        self.current.store(Arc::new(new));
        Ok(())
    }

    /// Withdraws the old keys that have had their time. For a periodic task.
    ///
    /// # Errors
    /// When the file cannot be written; it is tried again.
    pub fn withdraw(&self, now: Timestamp) -> Result<(), RotationError> {
        let mut retired = self.held();
        if retired.iter().all(|old| now < old.until) {
            return Ok(());
        }
        let current = self.key();
        let left = retired.iter().filter(|old| now < old.until).map(|old| &*old.key);
        self.publish(std::iter::once(&*current).chain(left))?;
        retired.retain(|old| now < old.until);
        Ok(())
    }

    fn publish<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k AssertionKey>,
    ) -> Result<(), RotationError> {
        let text = format!("{}\n", public_jwks(keys));
        if fs::read(&self.jwks).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        let written = atomic_file::replace(&self.jwks, text.as_bytes(), atomic_file::PUBLIC);
        written.map_err(|source| RotationError::Write { path: self.jwks.clone(), source })
    }

    fn held(&self) -> MutexGuard<'_, Vec<Retired>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> AssertionKey {
        AssertionKey::generate().unwrap().0
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_an_old_one_until_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let jwks = dir.path().join("keys.json");
        let signing = Signing::open(made(), jwks.clone()).unwrap();
        let first = signing.key().kid().to_owned();
        let published = || fs::read_to_string(&jwks).unwrap();
        let new = made();
        let second = new.kid().to_owned();
        let before = || {
            assert!(published().contains(&first) && published().contains(&second));
            assert_eq!(signing.key().kid(), first);
            Ok(())
        };
        signing.rotate(new, at(60), before).unwrap();
        assert_eq!(signing.key().kid(), second);
        signing.withdraw(at(59)).unwrap();
        assert!(published().contains(&first));
        signing.withdraw(at(60)).unwrap();
        assert!(!published().contains(&first) && published().contains(&second));
        assert!(signing.retired().is_empty());
    }

    #[test]
    fn a_key_that_cannot_be_kept_does_not_sign() {
        let dir = tempfile::tempdir().unwrap();
        let signing = Signing::open(made(), dir.path().join("keys.json")).unwrap();
        let kid = signing.key().kid().to_owned();
        let refuse = || Err(RotationError::Full);
        signing.rotate(made(), at(60), refuse).unwrap_err();
        assert_eq!(signing.key().kid(), kid);
        fs::remove_dir_all(dir.path()).unwrap();
        let never = || panic!("an unpublished key is not kept");
        signing.rotate(made(), at(60), never).unwrap_err();
        assert_eq!(signing.key().kid(), kid);
    }

    #[test]
    fn old_keys_are_accepted_up_to_the_cap() {
        let dir = tempfile::tempdir().unwrap();
        let signing = Signing::open(made(), dir.path().join("keys.json")).unwrap();
        let rotate = || signing.rotate(made(), at(60), || Ok(()));
        for _ in 2..RETIRED_MAX {
            rotate().unwrap();
        }
        for (what, is_full) in [("one under", false), ("at it", false), ("one over", true)] {
            assert_eq!(matches!(rotate(), Err(RotationError::Full)), is_full, "{what}");
        }
    }
}
