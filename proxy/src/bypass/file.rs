//! The file of `load_test.keys`: keys that tokens are signed with, the signing one first, and hashes of static secrets.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_config::{SecretError, SecretRef};
use zeroize::Zeroizing;

use crate::atomic_file::{self, SECRET};
use crate::hex::hex;

/// The word that the line of a key begins with.
const KEY: &str = "portcullis-load-test-key-1";
/// What the line of a static secret's hash begins with.
const HASH: &str = "sha256:";
/// Bytes of a key and of a secret that is made here.
const BYTES: usize = 32;
/// The most lines of each kind.
const EACH_MAX: usize = 8;

/// A key that tokens are signed with.
#[derive(Clone)]
pub struct SigningKey {
    bytes: Zeroizing<[u8; BYTES]>,
    key: hmac::Key,
}

impl SigningKey {
    fn of(bytes: Zeroizing<[u8; BYTES]>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice());
        Self { bytes, key }
    }

    /// The key itself.
    pub(super) const fn key(&self) -> &hmac::Key {
        &self.key
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// What stands in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct BypassKeys {
    /// Keys of tokens, the signing one first.
    pub(crate) signing: Vec<SigningKey>,
    /// SHA-256 of each static secret.
    pub(crate) hashes: Vec<[u8; 32]>,
}

impl BypassKeys {
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for key in &self.signing {
            let line = Zeroizing::new(STANDARD.encode(key.bytes.as_slice()));
            text.extend([KEY, " ", &line, "\n"]);
        }
        for hash in &self.hashes {
            text.extend([HASH, &hex(hash), "\n"]);
        }
        text
    }
}

/// What is wrong with the text of such a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum MalformedKeys {
    /// A line that is neither, counted from 1.
    #[error("line {0} is no key and no `{HASH}` with 64 hexadecimal digits")]
    Line(usize),
    /// No line.
    #[error("it has no key and no hash")]
    None,
    /// More than [`EACH_MAX`] of one kind.
    #[error("it has more than {EACH_MAX} keys or hashes")]
    TooMany,
}

/// Reads the text of a file. Empty lines and those that begin with `#` say nothing.
pub(crate) fn parse(text: &[u8]) -> Result<BypassKeys, MalformedKeys> {
    let mut keys = BypassKeys::default();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = MalformedKeys::Line(index + 1);
        let line = std::str::from_utf8(line).map_err(|_| wrong)?;
        match line.strip_prefix(HASH) {
            Some(digits) => keys.hashes.push(hash(digits).ok_or(wrong)?),
            None => keys.signing.push(key(line).ok_or(wrong)?),
        }
    }
    if keys.signing.len().max(keys.hashes.len()) > EACH_MAX {
        return Err(MalformedKeys::TooMany);
    }
    if keys.signing.is_empty() && keys.hashes.is_empty() {
        return Err(MalformedKeys::None);
    }
    Ok(keys)
}

fn key(line: &str) -> Option<SigningKey> {
    let encoded = line.strip_prefix(KEY)?.strip_prefix(' ')?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    Some(SigningKey::of(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
}

fn hash(digits: &str) -> Option<[u8; 32]> {
    let value = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks_exact(2);
    if digits.len() != 64 {
        return None;
    }
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => Some(value(*high)? * 16 + value(*low)?),
            _ => None, // chunks of two are two
        })
        .collect();
    bytes?.try_into().ok()
}

/// What is added to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrecy {
    /// A key that tokens are signed with.
    Key,
    /// A static secret, of which the file gets the hash.
    Static,
}

/// Why nothing is added to a file.
#[derive(Debug, thiserror::Error)]
pub enum BypassFileError {
    /// The file is there and cannot be read, or others than its owner may touch it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It holds something else.
    #[error("`{}` is no file of load-test keys: {why}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It has no key that tokens could be signed with.
    #[error("`{}` has no key: make one by `portcullis dev bypass-key FILE`", .0.display())]
    NoKey(PathBuf),
    /// The system gives no randomness.
    #[error("nothing can be made: the system has no randomness to give")]
    NoRandomness,
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

/// Puts a new key, or the hash of a new static secret, at the head of its kind in a file, which is made where there is none;
/// up to `keep` of those that were there stay. Returns the static secret, which is nowhere else.
///
/// # Errors
///
/// When the file is something else, or cannot be replaced.
pub fn add_key(
    path: &Path,
    kind: Secrecy,
    keep: usize,
) -> Result<Option<Zeroizing<String>>, BypassFileError> {
    let mut keys =
        if path.symlink_metadata().is_ok() { read(path)? } else { BypassKeys::default() };
    let mut bytes = Zeroizing::new([0; BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| BypassFileError::NoRandomness)?;
    let keep = keep.min(EACH_MAX - 1);
    let secret = match kind {
        Secrecy::Key => {
            keys.signing.truncate(keep);
            keys.signing.insert(0, SigningKey::of(bytes));
            None
        }
        Secrecy::Static => {
            let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
            let mut hash = [0; 32];
            hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
            keys.hashes.truncate(keep);
            keys.hashes.insert(0, hash);
            Some(secret)
        }
    };
    let written = atomic_file::replace(path, keys.text().as_bytes(), SECRET);
    written.map_err(|source| BypassFileError::Write { path: path.to_owned(), source })?;
    Ok(secret)
}

fn read(path: &Path) -> Result<BypassKeys, BypassFileError> {
    let text = SecretRef::File(path.to_owned()).read()?;
    parse(text.expose())
        .map_err(|why| BypassFileError::NotOurs { path: path.to_owned(), why: why.to_string() })
}

/// Reads the key that signs.
///
/// # Errors
///
/// When the reference gives no such file, or it has no key.
pub fn signing_key(reference: &SecretRef) -> Result<SigningKey, BypassFileError> {
    let path = || PathBuf::from(reference.to_string());
    let text = reference.read()?;
    let keys = parse(text.expose())
        .map_err(|why| BypassFileError::NotOurs { path: path(), why: why.to_string() })?;
    keys.signing.into_iter().next().ok_or_else(|| BypassFileError::NoKey(path()))
}
