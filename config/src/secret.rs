//! Secrets as references: where a secret is, never what it is; and the one way to read it.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The environment variable in which systemd names the directory of a unit's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The largest secret that is read; a key or a certificate chain is far below it.
const SECRET_BYTES_MAX: u64 = 1024 * 1024;
/// The mode bits of a secret's file that give anything to its group or to others.
const SHARED_MODE_BITS: u32 = 0o077;

/// Where a secret is. Cheap to clone, free of the secret itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SecretRef {
    /// `file:/path`: a file that only its owner may read (mode 0600 or 0400).
    File(PathBuf),
    /// `env:NAME`: the value of an environment variable.
    Env(String),
    /// `credential:name`: a file in the directory that `CREDENTIALS_DIRECTORY` names, as systemd's `LoadCredential=` makes it.
    Credential(String),
}

/// Bytes of a secret: wiped when dropped, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why a secret cannot be had. Holds the reference only, never any of the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file or the credential is not there or not readable.
    #[error("cannot read `{path}`: {}", why(.cause))]
    Unreadable {
        /// The file that was tried.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The path names a directory, a socket or a device.
    #[error("`{0}` is not a file")]
    NotAFile(PathBuf),
    /// Group or others may do something with the file.
    #[error("`{path}` has mode {mode:04o}; a secret's file must be readable by its owner only")]
    SharedMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any key.
    #[error("`{0}` is larger than 1 MiB")]
    TooLarge(PathBuf),
    /// The environment variable is not set, or not Unicode.
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    /// The secret is there and empty.
    #[error("the secret `{0}` is empty")]
    Empty(String),
}

impl SecretRef {
    /// Reads the secret now; a rotated secret is seen by the next read.
    ///
    /// # Errors
    /// When it is absent, empty, larger than 1 MiB, or a file that others than its owner may touch.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let secret = match self {
            Self::File(path) => read_file(path, Mode::OwnerOnly),
            Self::Env(name) => read_env(name),
            Self::Credential(name) => read_file(&credential_path(name)?, Mode::Any),
        }?;
        if secret.0.is_empty() { Err(SecretError::Empty(self.to_string())) } else { Ok(secret) }
    }

    /// Returns the file that holds the secret, if a file does: what a reload watches.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Env(_) => None,
            Self::Credential(name) => credential_path(name).ok(),
        }
    }
}

/// Returns the path of the systemd credential `name`.
///
/// # Errors
/// When `CREDENTIALS_DIRECTORY` is not set.
pub fn credential_path(name: &str) -> Result<PathBuf, SecretError> {
    match std::env::var(CREDENTIALS_DIRECTORY) {
        Ok(directory) => Ok(Path::new(&directory).join(name)),
        Err(_) => Err(SecretError::Unset(CREDENTIALS_DIRECTORY.to_owned())),
    }
}

/// Says why a file cannot be read, without the number of the error.
pub(crate) fn why(cause: &std::io::Error) -> String {
    if cause.kind() == std::io::ErrorKind::NotFound {
        return "there is no such file".to_owned();
    }
    cause.kind().to_string()
}

/// Whether the mode of a file is looked at: systemd guards its credentials by the directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    OwnerOnly,
    Any,
}

fn read_file(path: &Path, allowed: Mode) -> Result<Secret, SecretError> {
    let unreadable = |cause| SecretError::Unreadable { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // The open file is asked, not the path: the one that is checked is the one that is read.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if allowed == Mode::OwnerOnly && mode & SHARED_MODE_BITS != 0 {
        return Err(SecretError::SharedMode { path: path.to_owned(), mode });
    }
    if metadata.len() > SECRET_BYTES_MAX {
        return Err(SecretError::TooLarge(path.to_owned()));
    }
    // Room for all of it at once: a growing buffer would leave copies behind unwiped.
    let room = usize::try_from(metadata.len()).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Secret(bytes))
}

fn read_env(name: &str) -> Result<Secret, SecretError> {
    match std::env::var(name) {
        Ok(value) => Ok(Secret(Zeroizing::new(value.into_bytes()))),
        Err(_) => Err(SecretError::Unset(name.to_owned())),
    }
}

impl Secret {
    /// Takes bytes that are secret from now on.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the secret itself. The caller copies it nowhere that is not wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// As it is written in the file.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
