//! The text of a key: how it is drawn, taken apart and hashed.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::hex::hex;

/// What scanners of source trees find a key by.
const PREFIX: &str = "pck_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
/// Prefix, id, `_` and secret.
const TEXT_BYTES: usize = PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES;
/// How often an id is drawn anew where it is taken.
const DRAWS_MAX: usize = 16;

/// SHA-256 of a key's text.
pub(crate) type Hash = [u8; 32];

/// A key as its owner keeps it. Shown once, wiped when it goes.
pub struct KeyText {
    text: Zeroizing<String>,
    id: String,
}

impl KeyText {
    /// Draws a key with an id that is free; `None` without randomness.
    pub(super) fn draw(is_free: impl Fn(&str) -> bool) -> Option<Self> {
        (0..DRAWS_MAX).find_map(|_| {
            let mut id = [0; ID_BYTES];
            rand::fill(&mut id).ok()?;
            Some(hex(&id)).filter(|id| is_free(id)).and_then(|id| Self::of_id(&id))
        })
    }

    /// Draws a key with this id; `None` without randomness.
    pub(super) fn of_id(id: &str) -> Option<Self> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rand::fill(&mut *secret).ok()?;
        let secret = Zeroizing::new(hex(&*secret));
        let text = Zeroizing::new(format!("{PREFIX}{id}_{}", *secret));
        Some(Self { text, id: id.to_owned() })
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the whole text, for its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn hash(&self) -> Hash {
        hash(self.text.as_bytes())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({})", self.id)
    }
}

/// Returns id and hash of what may be a key; nothing where it is not of the form.
pub(super) fn take_apart(text: &[u8]) -> Option<(&str, Hash)> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let rest = std::str::from_utf8(text).ok()?.strip_prefix(PREFIX)?;
    let (id, secret) = rest.split_once('_')?;
    let is_hex =
        |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (id.len() == 2 * ID_BYTES && is_hex(id) && is_hex(secret)).then(|| (id, hash(text)))
}

fn hash(text: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest(&SHA256, text).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
