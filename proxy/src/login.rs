//! Sign-in of people at the edge, for hosts of staff: the authorization code flow of OpenID Connect with PKCE (RFC 7636).
//!
//! The edge keeps nothing of a sign-in that is under way, and nothing of a session: both stand in cookies that it alone can
//! read (AES-256-GCM-SIV, `__Host-`). What it remembers are sessions that were ended before their time, and endpoints.

mod exchange;
mod seal;
mod session;
mod state;

#[cfg(test)]
mod tests;

use std::time::Duration;

use portcullis_config::Secret;
use portcullis_config::model::Url;

pub(crate) use exchange::{Asked, ExchangeError, endpoints, exchange};
pub(crate) use seal::{COOKIE_BYTES_MAX, Sealer};
pub(crate) use session::{Pending, Session, begin, cleared, opened};
pub use state::Logins;
pub(crate) use state::{ENDED_MAX, UNDER_WAY_MAX};

/// The paths of a host with `login` that are the edge's own.
pub(crate) const CALLBACK: &[u8] = b"/.portcullis/callback";
/// Ends the session.
pub(crate) const LOGOUT: &[u8] = b"/.portcullis/logout";
/// The cookie of a session.
pub(crate) const SESSION_COOKIE: &str = "__Host-portcullis-session";
/// The cookie of a sign-in that is under way.
pub(crate) const PENDING_COOKIE: &str = "__Host-portcullis-login";
/// How long a person may take to sign in.
pub(crate) const PENDING_TIME: Duration = Duration::from_secs(600);

/// How people sign in to one host.
pub struct Login {
    /// The provider's name in the configuration.
    pub(crate) provider: String,
    /// Whom its tokens are from.
    pub(crate) issuer: String,
    /// Whom they are for: the audience of the provider.
    pub(crate) client_id: String,
    /// What the edge proves itself with to the issuer, beside PKCE.
    pub(crate) secret: Option<Secret>,
    /// Where the issuer says where its endpoints are.
    pub(crate) discovery: Url,
    /// What is asked for.
    pub(crate) scopes: String,
    /// How long a session lasts.
    pub(crate) lifetime: Duration,
    /// What seals its cookies.
    pub(crate) sealer: Sealer,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("provider", &self.provider).finish_non_exhaustive()
    }
}
