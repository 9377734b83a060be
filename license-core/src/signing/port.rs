//! Where private keys live: the port, whatever stands behind it. A key of this process, of a hardware module or of a
//! cloud is made and opened in the same two calls, and signs by a third.

use super::algorithm::{Algorithm, Use};
use crate::store::SealedKey;
use async_trait::async_trait;

/// Why a key was not made, opened, or did not sign.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It refuses for good: settings, rights or the key itself must be changed by somebody.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It does not answer now, and may later.
    #[error("it does not answer: {0}")]
    Down(String),
}

/// A key that was made, or taken over, where private keys live.
#[derive(Debug)]
pub(crate) struct Made {
    /// The public key: the point, or the modulus.
    pub(crate) public: Vec<u8>,
    /// What the store remembers of the private one: the key itself, sealed, or the name that it has where it lives.
    pub(crate) sealed: Vec<u8>,
}

/// A place where private keys live.
#[async_trait]
pub(crate) trait KeyPort: Send + Sync {
    /// Says whether a key lives here.
    fn holds(&self, key: &SealedKey) -> bool;
    /// Makes a key; `known` are those that were made before, here or elsewhere.
    async fn make(
        &self,
        usage: Use,
        algorithm: Algorithm,
        known: &[SealedKey],
    ) -> Result<Made, PortError>;
    /// Opens a key that lives here.
    async fn open(&self, key: &SealedKey) -> Result<Box<dyn PrivateKey>, PortError>;
}

/// A private key.
#[async_trait]
pub(crate) trait PrivateKey: Send + Sync {
    /// Signs, in the form that JWS has.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError>;
}
