//! The files of the development set-up.

use std::io;
use std::path::{Path, PathBuf};

use crate::atomic_file;
pub(super) use crate::atomic_file::{PUBLIC, SECRET};

/// Why something of the development set-up cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A file or directory cannot be made.
    #[error("`{}` cannot be made: {source}", path.display())]
    Make {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that was made before cannot be read back.
    #[error("`{}` cannot be used ({why}): remove it, and it is made again", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The library that makes keys and certificates refused.
    #[error("no key or certificate can be made: {0}")]
    Crypto(String),
    /// The configuration has no provider with a key file.
    #[error("the configuration has no identity provider that a development issuer could stand for")]
    NoProvider,
}

/// Makes a directory with mode 0700 if it is not there.
pub(super) fn make_directory(path: &Path) -> Result<(), DevError> {
    let made = atomic_file::private_directory(path);
    made.map_err(|source| DevError::Make { path: path.to_owned(), source })
}

/// Writes a file and the directory that it is in.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DevError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directory(parent)?;
    }
    let written = atomic_file::replace(path, bytes, mode);
    written.map_err(|source| DevError::Make { path: path.to_owned(), source })
}
