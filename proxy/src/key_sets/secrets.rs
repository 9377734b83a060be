//! The file of a provider's shared secrets, as an operator exchanges them.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_config::{SecretError, SecretRef};
use portcullis_identity::Algorithm;
use portcullis_identity::keys;

use crate::atomic_file::{self, SECRET};

/// Why no secret is added to a file.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file is there and cannot be read, or others than its owner may touch it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It holds something else, or nothing can be added.
    #[error("the secrets of `{}` stay as they are: {source}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: keys::SecretsError,
    },
    /// It cannot be written.
    #[error("`{}` cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Puts a new secret for `algorithm` at the head of a file, which is made where there is none, and leaves up to `keep` of
/// those that were there. Returns the ids of all, the new one first.
///
/// # Errors
///
/// When the file is something else, or cannot be replaced.
pub fn add_secret(
    path: &Path,
    algorithm: Algorithm,
    keep: usize,
) -> Result<Vec<String>, SecretFileError> {
    let is_there = path.symlink_metadata().is_ok();
    let before = if is_there { Some(SecretRef::File(path.to_owned()).read()?) } else { None };
    let before = before.as_ref().map(portcullis_config::Secret::expose);
    write(path, keys::add_secret(before, algorithm, keep))
}

/// Leaves only the newest secret of a file, and returns its id.
///
/// # Errors
///
/// When the file is something else, or cannot be replaced.
pub fn retire_secrets(path: &Path) -> Result<Vec<String>, SecretFileError> {
    let before = SecretRef::File(path.to_owned()).read()?;
    write(path, keys::retire_secrets(before.expose()))
}

fn write(
    path: &Path,
    made: Result<keys::MadeSecrets, keys::SecretsError>,
) -> Result<Vec<String>, SecretFileError> {
    let made = made.map_err(|source| SecretFileError::Keys { path: path.to_owned(), source })?;
    let written = atomic_file::replace(path, &made.text, SECRET);
    written.map_err(|source| SecretFileError::Write { path: path.to_owned(), source })?;
    Ok(made.kids)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_of_secrets_is_its_owners_alone_and_nothing_else_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batch.jwks.json");
        let first = add_secret(&path, Algorithm::Hs256, 1).unwrap();
        let second = add_secret(&path, Algorithm::Hs256, 1).unwrap();
        assert_eq!(second[1..], first);
        assert_eq!(retire_secrets(&path).unwrap(), second[..1]);
        let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let shared = add_secret(&path, Algorithm::Hs256, 1).unwrap_err();
        assert!(matches!(shared, SecretFileError::Secret(SecretError::SharedMode { .. })));
        let other = dir.path().join("notes.txt");
        atomic_file::replace(&other, b"notes", SECRET).unwrap();
        let refused = add_secret(&other, Algorithm::Hs256, 1).unwrap_err();
        assert!(matches!(refused, SecretFileError::Keys { .. }), "{refused}");
        assert_eq!(std::fs::read(&other).unwrap(), b"notes");
    }
}
