//! Sign-in of people at the edge, for one host.

use std::time::Duration;

use super::ProviderId;
use crate::secret::SecretRef;

/// How people sign in to a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// Who says who they are: a provider of the kind `oidc`, whose audience is the client's id.
    pub provider: ProviderId,
    /// What the edge proves itself with to the issuer, beside PKCE.
    pub client_secret: Option<SecretRef>,
    /// The keys that cookies are sealed with.
    pub keys: SecretRef,
    /// How long a session lasts.
    pub session: Duration,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
}
