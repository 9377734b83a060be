//! What personal data is sealed under.

use super::Secret;

/// The keys that the data keys in the store are sealed under: 32 random bytes each, in base64.
#[derive(Clone, Debug)]
pub struct PersonalData {
    /// The key.
    pub key: Secret,
    /// The key before it, until `data-key rotate` or `data-key reseal` has run.
    pub former_key: Option<Secret>,
}
