//! Cookies that only the edge can read and write. The first key seals, all open: keys are exchanged with an overlap.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::tickets::TicketSecret;

/// The longest value of a cookie: browsers keep 4096 bytes with its name and attributes.
pub(crate) const COOKIE_BYTES_MAX: usize = 3800;
const KEY_BYTES: usize = 32;

/// Seals the cookies of one host.
#[derive(Debug)]
pub(crate) struct Sealer {
    keys: Vec<Key>,
    host: String,
}

struct Key(RandomizedNonceKey);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl Sealer {
    /// Derives a key of each secret, for this host only.
    pub(crate) fn new(secrets: &[TicketSecret], host: &str) -> Result<Self, Unspecified> {
        let keys = secrets.iter().map(|secret| derive(secret.bytes()));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, host: host.to_owned() })
    }

    /// Seals a value as the text of the cookie `name`; `None` if it would be too long.
    pub(crate) fn seal(&self, name: &str, value: &impl Serialize) -> Option<String> {
        let mut bytes = serde_json::to_vec(value).ok()?;
        let key = self.keys.first()?;
        let nonce = key.0.seal_in_place_append_tag(Aad::from(self.aad(name)), &mut bytes).ok()?;
        let text = URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat());
        (text.len() <= COOKIE_BYTES_MAX).then_some(text)
    }

    /// Opens the text of the cookie `name`: any bytes of a client's.
    pub(crate) fn open<T: DeserializeOwned>(&self, name: &str, text: &[u8]) -> Option<T> {
        if text.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain = key.0.open_in_place(nonce, Aad::from(self.aad(name)), &mut sealed).ok()?;
            serde_json::from_slice(plain).ok()
        })
    }

    /// What a cookie is bound to: neither another host's nor another cookie's opens.
    fn aad(&self, name: &str) -> Vec<u8> {
        [name.as_bytes(), b"\0", self.host.as_bytes()].concat()
    }
}

fn derive(secret: &[u8]) -> Result<Key, Unspecified> {
    let secret = Salt::new(HKDF_SHA256, b"portcullis login cookie key 1").extract(secret);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    secret.expand(&[b""], Length)?.fill(key.as_mut_slice())?;
    Ok(Key(RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_slice())?))
}
