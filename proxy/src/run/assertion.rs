//! The key of the edge's assertion: made at the first start, or given; its public half for the backends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_config::SecretRef;
use portcullis_config::model::{Assertion, AssertionKey as Source};
use portcullis_identity::assertion::AssertionKey;

use crate::atomic_file;
use crate::signing::{RotationError, Signing};

/// Why there is no key to sign assertions with.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// The key is there and cannot be used.
    #[error("the assertion key `{key}` cannot be used: {why}")]
    Unusable {
        /// The key as configured.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file of public keys cannot be written.
    #[error(transparent)]
    Publish(#[from] RotationError),
    /// A file cannot be written.
    #[error("`{}` cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Reads the key, makes it if it is to be made and is not there, and writes the public key set.
pub(super) fn open(assertion: &Assertion) -> Result<Signing, AssertionError> {
    let key = match &assertion.key {
        Source::Generated(path) if fs::symlink_metadata(path).is_err() => make(path)?,
        Source::Generated(path) => read(&SecretRef::File(path.clone()))?,
        Source::Given(secret) => read(secret)?,
    };
    Ok(Signing::open(key, assertion.jwks.clone())?)
}

fn read(secret: &SecretRef) -> Result<AssertionKey, AssertionError> {
    let unusable = |why: String| AssertionError::Unusable { key: secret.to_string(), why };
    let bytes = secret.read().map_err(|error| unusable(error.to_string()))?;
    AssertionKey::from_pkcs8(bytes.expose()).map_err(|error| unusable(error.to_string()))
}

fn make(path: &Path) -> Result<AssertionKey, AssertionError> {
    let (key, pem) = AssertionKey::generate().map_err(|error| AssertionError::Unusable {
        key: path.display().to_string(),
        why: error.to_string(),
    })?;
    write(path, pem.as_bytes(), atomic_file::SECRET)?;
    tracing::info!(path = %path.display(), "assertion key made");
    Ok(key)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AssertionError> {
    let written = atomic_file::replace(path, bytes, mode);
    written.map_err(|source| AssertionError::Write { path: path.to_owned(), source })
}
