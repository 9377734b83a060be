//! Files that are made once, whole, and with the mode that a secret needs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| DevError::Make { path: path.to_owned(), source })
}

/// Writes a file under another name and moves it to its place, so that a reader sees all of it or none.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DevError> {
    let failed = |source| DevError::Make { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directory(parent)?;
    }
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}.tmp", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&hidden)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&hidden, path));
    written.map_err(failed)
}

/// The mode of a secret.
pub(super) const SECRET: u32 = 0o600;
/// The mode of what everybody may read.
pub(super) const PUBLIC: u32 = 0o644;
