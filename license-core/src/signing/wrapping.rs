//! The key that seals the signing keys at rest: 32 random bytes in a file of mode 0600, apart from the database.

use crate::settings::{ReadError, Secret, read_limited};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FILE_BYTES_MAX: u64 = 1024;
const KEY_BYTES: usize = 32;

/// Why the wrapping key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WrappingKeyError {
    /// The file cannot be read. It is made only while the store holds no signing key.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file cannot be made.
    #[error("`{path}` cannot be made")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("`{0}` must be readable by its owner alone (mode 0600)")]
    Mode(PathBuf),
    /// The file does not hold a key.
    #[error("`{0}` must hold 32 bytes in base64")]
    Form(PathBuf),
    /// What a setting refers to is no key.
    #[error("`{0}` must be 32 bytes in base64")]
    Setting(&'static str),
}

/// Seals and opens signing keys.
pub(super) struct WrappingKey(RandomizedNonceKey);

impl WrappingKey {
    /// Reads the file; makes it first when it is absent and `may_make` says that nothing was ever sealed.
    pub(super) fn open(path: &Path, may_make: bool) -> Result<Self, WrappingKeyError> {
        if may_make && !path.exists() {
            make(path)
                .map_err(|source| WrappingKeyError::Write { path: path.to_owned(), source })?;
        }
        let text = Zeroizing::new(read_limited(path, FILE_BYTES_MAX)?);
        let mode = std::fs::metadata(path).map_or(0o777, |file| file.permissions().mode());
        if mode & 0o077 != 0 {
            return Err(WrappingKeyError::Mode(path.to_owned()));
        }
        let bytes = STANDARD.decode(text.trim_ascii()).map(Zeroizing::new);
        let form = || WrappingKeyError::Form(path.to_owned());
        let bytes = bytes.map_err(|_| form())?;
        if bytes.len() != KEY_BYTES {
            return Err(form());
        }
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).map(Self).map_err(|_| form())
    }

    /// Takes a key that a setting refers to.
    pub(super) fn of(secret: &Secret, setting: &'static str) -> Result<Self, WrappingKeyError> {
        let form = || WrappingKeyError::Setting(setting);
        let bytes = STANDARD.decode(secret.reveal().trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| form())?;
        if bytes.len() != KEY_BYTES {
            return Err(form());
        }
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).map(Self).map_err(|_| form())
    }

    /// Seals `private` for the key named `kid`: the nonce, then the ciphertext with its tag.
    pub(super) fn seal(&self, private: &[u8], kid: &str) -> Result<Vec<u8>, Unspecified> {
        let mut text = private.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(kid.as_bytes()), &mut text)?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// Opens what [`WrappingKey::seal`] made for `kid`.
    pub(super) fn unseal(
        &self,
        sealed: &[u8],
        kid: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(kid.as_bytes()), &mut text)?.len();
        text.truncate(length);
        Ok(text)
    }
}

fn make(path: &Path) -> std::io::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| std::io::Error::other("no randomness"))?;
    let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{WrappingKey, WrappingKeyError};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_was_sealed_opens_under_its_own_name_and_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let key = WrappingKey::open(&dir.path().join("a"), true).unwrap();
        let sealed = key.seal(b"private", "kid-1").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        assert_eq!(key.unseal(&sealed, "kid-1").unwrap().as_slice(), b"private");
        assert!(key.unseal(&sealed, "kid-2").is_err());
        assert!(key.unseal(sealed.get(..11).unwrap(), "kid-1").is_err());
        let mut tampered = sealed.clone();
        *tampered.last_mut().unwrap() ^= 1;
        assert!(key.unseal(&tampered, "kid-1").is_err());
        let again = WrappingKey::open(&dir.path().join("a"), false).unwrap();
        assert_eq!(again.unseal(&sealed, "kid-1").unwrap().as_slice(), b"private");
        let other = WrappingKey::open(&dir.path().join("b"), true).unwrap();
        assert!(other.unseal(&sealed, "kid-1").is_err());
    }

    #[test]
    fn a_file_that_is_absent_open_or_malformed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(WrappingKey::open(&path, false), Err(WrappingKeyError::Read(_))));
        for text in ["", "AAAA", "not base64"] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(
                matches!(WrappingKey::open(&path, true), Err(WrappingKeyError::Form(_))),
                "{text}"
            );
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(WrappingKey::open(&path, true), Err(WrappingKeyError::Mode(_))));
    }
}
