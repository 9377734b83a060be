//! Keys of this process, sealed in the store under the wrapping key.

use super::algorithm::{Algorithm, Use};
use super::pair::Pair;
use super::port::{KeyPort, Made, PortError, PrivateKey};
use super::wrapping::{WrappingKey, WrappingKeyError};
use crate::store::SealedKey;
use async_trait::async_trait;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the names of keys that live elsewhere begin with; a sealed key begins with a random nonce of twelve bytes.
pub(super) const ELSEWHERE: [&str; 2] = [super::pkcs11::SCHEME, super::kms::SCHEME];

/// The keys that this process opens.
pub(super) struct Local {
    wrapping: WrappingKey,
}

impl Local {
    /// Reads the wrapping key; makes it first when it is absent and `may_make` says that nothing was ever sealed.
    pub(super) fn open(path: &Path, may_make: bool) -> Result<Self, WrappingKeyError> {
        Ok(Self { wrapping: WrappingKey::open(path, may_make)? })
    }
}

/// Says whether a key is one that lives elsewhere.
pub(super) fn lives_elsewhere(key: &SealedKey) -> bool {
    ELSEWHERE.iter().any(|scheme| key.sealed.starts_with(scheme.as_bytes()))
}

#[async_trait]
impl KeyPort for Local {
    fn holds(&self, key: &SealedKey) -> bool {
        !lives_elsewhere(key)
    }

    async fn make(
        &self,
        _usage: Use,
        algorithm: Algorithm,
        _known: &[SealedKey],
    ) -> Result<Made, PortError> {
        let none = |_| PortError::Refused("the system gives no randomness for a key".to_owned());
        let generate = move || -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), _> {
            let pair = Pair::generate(algorithm)?;
            Ok((pair.public(), pair.to_pkcs8()?))
        };
        let (public, private) = blocking(generate).await?.map_err(none)?;
        let kid = algorithm.thumbprint(&public);
        let sealed = self.wrapping.seal(&private, &kid).map_err(none)?;
        Ok(Made { public, sealed })
    }

    async fn open(&self, key: &SealedKey) -> Result<Box<dyn PrivateKey>, PortError> {
        let sealed = |_| PortError::Refused("the wrapping key does not open it".to_owned());
        let private = self.wrapping.unseal(&key.sealed, &key.kid).map_err(sealed)?;
        let pair = Pair::from_pkcs8(key.algorithm, &private).map_err(sealed)?;
        if pair.public() != key.public {
            return Err(PortError::Refused("its two halves do not belong together".to_owned()));
        }
        Ok(Box::new(LocalKey(Arc::new(pair))))
    }
}

struct LocalKey(Arc<Pair>);

#[async_trait]
impl PrivateKey for LocalKey {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let failed = |_| PortError::Refused("the key does not sign".to_owned());
        if !self.0.algorithm().is_slow() {
            return self.0.sign(message).map_err(failed);
        }
        // Milliseconds: not on a thread that answers requests.
        let (pair, message) = (self.0.clone(), message.to_vec());
        blocking(move || pair.sign(&message)).await?.map_err(failed)
    }
}

/// Runs what takes long, or waits, on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PortError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| PortError::Down("the work was broken off".to_owned()))
}
