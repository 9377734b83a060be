//! The file of ticket secrets: a line each, the sealing one first, that nodes share and an operator exchanges.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::{SecretError, SecretRef};
use zeroize::Zeroizing;

use super::SECRET_BYTES;
use crate::atomic_file::{self, SECRET};

/// The word that each line begins with.
const MAGIC: &str = "portcullis-ticket-key-1";
/// The most secrets of a file: with each further one more keys may open a ticket.
const SECRETS_MAX: usize = 8;

/// A secret that keys are derived from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TicketSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl TicketSecret {
    pub(crate) fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    fn random() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    fn line(&self) -> Zeroizing<String> {
        let text = Zeroizing::new(STANDARD.encode(self.0.as_slice()));
        Zeroizing::new(format!("{MAGIC} {}\n", *text))
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret")
    }
}

/// What is wrong with the text of such a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum MalformedSecrets {
    /// A line that is no key, counted from 1.
    #[error("line {0} is no ticket key")]
    Line(usize),
    /// A key stands there twice.
    #[error("line {0} repeats a key")]
    Repeated(usize),
    /// No key.
    #[error("it has no ticket key")]
    None,
    /// More than [`SECRETS_MAX`].
    #[error("it has more than {SECRETS_MAX} ticket keys")]
    TooMany,
}

/// Reads the text of a file of ticket secrets.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<TicketSecret>, MalformedSecrets> {
    let mut secrets = Vec::new();
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let secret = secret(line).ok_or(MalformedSecrets::Line(index + 1))?;
        if secrets.contains(&secret) {
            return Err(MalformedSecrets::Repeated(index + 1));
        }
        secrets.push(secret);
    }
    match secrets.len() {
        0 => Err(MalformedSecrets::None),
        1..=SECRETS_MAX => Ok(secrets),
        _ => Err(MalformedSecrets::TooMany),
    }
}

fn secret(line: &[u8]) -> Option<TicketSecret> {
    let encoded = line.trim_ascii().strip_prefix(MAGIC.as_bytes())?.strip_prefix(b" ")?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    Some(TicketSecret(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
}

/// Why no secret is added to a file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is there and cannot be read, or others than its owner may touch it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It holds something else.
    #[error("`{}` is no file of ticket keys: {why}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system gives no randomness.
    #[error("no key can be made: the system has no randomness to give")]
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

/// Puts a new secret at the head of a file, which is made where there is none, and leaves up to `keep` of those that were
/// there. Returns how many it has then.
///
/// # Errors
///
/// When the file is something else, or cannot be replaced.
pub fn add_secret(path: &Path, keep: usize) -> Result<usize, KeyFileError> {
    let mut secrets = vec![TicketSecret::random().ok_or(KeyFileError::NoRandomness)?];
    if path.symlink_metadata().is_ok() {
        let text = SecretRef::File(path.to_owned()).read()?;
        let before = parse(text.expose())
            .map_err(|why| KeyFileError::NotOurs { path: path.to_owned(), why: why.to_string() })?;
        secrets.extend(before.into_iter().take(keep.min(SECRETS_MAX - 1)));
    }
    let mut text = Zeroizing::new(String::new());
    secrets.iter().for_each(|secret| text.push_str(&secret.line()));
    let written = atomic_file::replace(path, text.as_bytes(), SECRET);
    written.map_err(|source| KeyFileError::Write { path: path.to_owned(), source })?;
    Ok(secrets.len())
}
