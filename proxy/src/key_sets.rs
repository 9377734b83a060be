//! Key sets of issuers that are fetched: what is verified with now, the last good copies in the state directory, and the
//! task that renews both.
//!
//! Unlike a list, a key set is not published with a whole snapshot. An issuer that rotates must be followed within
//! seconds, by every generation that still serves, and a whole compilation for each key would be a lever for whoever
//! sends tokens. So a snapshot holds a [`Ring`], which says which keys stand, and a generation takes over the rings
//! whose provider has not changed. A request asks its ring once: it sees one key set.

mod fetch;
mod freshness;
mod keeper;
mod kept;
mod ring;
mod secrets;
mod waiting;

use portcullis_config::Config;
use portcullis_config::model::{FetchedKeys, Provider};
use portcullis_identity::KeyError;
use portcullis_identity::discovery::DiscoveryError;

use crate::egress::EgressError;
pub use keeper::KeyKeeper;
pub use ring::{Ring, Verifiers};
pub use secrets::{SecretFileError, add_secret, retire_secrets};
pub(crate) use waiting::{NoPlace, WAITING_MAX};

/// Why a key set was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing was fetched.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The issuer's document is not believed.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// What was fetched is no key set that could be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl FetchError {
    /// Returns the metric's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Egress(error) => error.label(),
            Self::Discovery(_) => "discovery",
            Self::Keys(_) => "no_key_set",
        }
    }
}

/// The providers of a configuration whose keys are fetched.
fn of(config: &Config) -> impl Iterator<Item = (&str, &Provider, &FetchedKeys)> {
    let providers = config.identity.providers.iter();
    providers.filter_map(|(name, provider)| Some((name.as_str(), provider, provider.fetched()?)))
}
