//! Digests of keys, with a secret of the deployment: nobody can choose keys that meet.

use std::hash::{DefaultHasher, Hasher as _};

use super::CountSecret;
use crate::limit::LimitKey;

/// Digests keys. Every digest begins with the secret, which is hashed once, here.
pub(super) struct Digester {
    secret: CountSecret,
    begun: DefaultHasher,
}

impl Digester {
    pub(super) fn new(secret: CountSecret) -> Self {
        let mut begun = DefaultHasher::new();
        begun.write(&secret.0);
        Self { secret, begun }
    }

    pub(super) const fn secret(&self) -> CountSecret {
        self.secret
    }

    /// Digests a key under one window of the limit of this digest. Cost: a round of SipHash for every eight bytes of the
    /// key, and five more.
    pub(super) fn digest(&self, limit: u64, window: u8, key: &LimitKey) -> u64 {
        let mut hasher = self.begun.clone();
        // Digests of limits are far apart, so that those of their windows are too.
        hasher.write_u64(limit.wrapping_add(window.into()));
        hasher.write(key.as_bytes());
        hasher.finish()
    }
}

/// What was begun tells the secret as well as the secret does.
impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digester")
    }
}
