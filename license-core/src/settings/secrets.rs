//! What the secrets that the store keeps for others are sealed under.

use super::Secret;

/// The key that secrets of webhooks, and what stands in the accelerator, are sealed under: 32 bytes in base64.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The key.
    pub key: Secret,
    /// The one before it, which still opens.
    pub former_key: Option<Secret>,
}
