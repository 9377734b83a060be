//! The operator's key: the public half goes into the configuration, the private half into a file that is kept elsewhere.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::model::CaptureKey;
use portcullis_config::{SecretError, SecretRef};
use rustls::crypto::hpke::HpkePrivateKey;
use zeroize::Zeroizing;

use super::seal::{self, Opener};
use crate::atomic_file::SECRET;

/// The word that the file of a private key begins with.
const MAGIC: &str = "portcullis-capture-private-key-1";

/// A key pair that has just been made.
pub struct KeyPair {
    /// What goes into the configuration.
    pub public: CaptureKey,
    private: HpkePrivateKey,
}

/// The private half, with the public half that the file names beside it.
pub struct PrivateKey {
    /// The public half.
    pub public: CaptureKey,
    pub(super) private: HpkePrivateKey,
}

/// Why a key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The library makes none.
    #[error("no key can be made: {0}")]
    Crypto(#[from] rustls::Error),
    /// The file cannot be written; one that is there is never replaced.
    #[error("the key `{}` cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read, or others than its owner may touch it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It holds something else.
    #[error("`{}` holds no private key of a capture, or a damaged one", .0.display())]
    NoKey(PathBuf),
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// Makes a key pair.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> Result<Self, KeyError> {
        let (public, private) = seal::suite().generate_key_pair()?;
        let public = public.0.try_into().map(CaptureKey);
        let public =
            public.map_err(|_| rustls::Error::General("a key of another length".into()))?;
        Ok(Self { public, private })
    }

    /// Writes the private half to a new file that only its owner may read.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let private = Zeroizing::new(STANDARD.encode(self.private.secret_bytes()));
        let text = Zeroizing::new(format!("{MAGIC} {} {}\n", self.public, *private));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(SECRET).open(path);
        let written = file.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| KeyError::Write { path: path.to_owned(), source })
    }
}

impl PrivateKey {
    /// Reads the file of a private key.
    ///
    /// # Errors
    /// When it cannot be read, is open to others than its owner, or holds no pair of keys that belong together.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let secret = SecretRef::File(path.to_owned()).read()?;
        let no_key = || KeyError::NoKey(path.to_owned());
        let key = std::str::from_utf8(secret.expose()).ok().and_then(Self::parse);
        let key = key.ok_or_else(no_key)?;
        if key.opens_what_is_sealed() { Ok(key) } else { Err(no_key()) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (magic, public, private) = (words.next()?, words.next()?, words.next()?);
        if magic != MAGIC {
            return None;
        }
        let private = HpkePrivateKey::from(STANDARD.decode(private).ok()?);
        Some(Self { public: CaptureKey::parse(public)?, private })
    }

    /// Whether the halves belong together: otherwise every record would look damaged.
    fn opens_what_is_sealed(&self) -> bool {
        let again = Self {
            public: self.public,
            private: HpkePrivateKey::from(self.private.secret_bytes().to_vec()),
        };
        let Ok(line) = seal::seal(b"", self.public) else { return false };
        let opener = Opener::new(seal::first_line(self.public).as_bytes(), again);
        opener.is_ok_and(|opener| opener.open(line.as_bytes()).is_some())
    }
}
