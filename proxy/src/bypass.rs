//! The bypass of limits for load tests: who may lift them, and where.
//!
//! The header `X-Load-Test-Bypass` holds a token of `portcullis dev bypass` (signed, expiring, bound to networks and routes)
//! or a static secret, of which only the hash is here. It lifts rate rules and the cap on one client's requests in work, and
//! nothing else: policies match, rule sets inspect and tokens are verified as ever. A snapshot has one in staging only.

mod file;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use ipnet::IpNet;
use portcullis_config::Timestamp;

use crate::hex::hex;
use crate::router::RouteEntry;

pub use file::{BypassFileError, Secrecy, SigningKey, add_key, signing_key};
pub(crate) use file::{BypassKeys, parse};
pub use token::{TOKEN_TIME_MAX, Wish, WishError, mint};

/// The header, in lower case. It goes to no origin, in no spelling.
pub(crate) const HEADER: &str = "x-load-test-bypass";
/// The longest value that is looked at: a token that names sixteen networks and as many routes is shorter.
pub(crate) const VALUE_BYTES_MAX: usize = 4096;

/// What lifts limits in one generation of a staging configuration.
#[derive(Debug)]
pub struct Bypass {
    keys: BypassKeys,
    from: Vec<IpNet>,
}

/// A valid bypass, whose route is not known yet.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The word for the log: `token:` and its id, or `secret:` and the beginning of its hash.
    name: Arc<str>,
    /// The routes of a token, as `HOST/PATH`; none for a static secret, which is for every route.
    routes: Option<Vec<String>>,
}

impl Bypass {
    /// Lets `keys` lift limits of clients in `from`.
    pub(crate) const fn new(keys: BypassKeys, from: Vec<IpNet>) -> Self {
        Self { keys, from }
    }

    /// Returns what a client's header claims, if it is valid.
    pub(crate) fn claim(&self, value: &[u8], client: IpAddr, now: Timestamp) -> Option<Claim> {
        if value.len() > VALUE_BYTES_MAX || !self.from.iter().any(|net| net.contains(&client)) {
            return None;
        }
        if let Some(text) = token::text(value) {
            let token = token::open(text, &self.keys.signing, client, now)?;
            return Some(Claim { name: token.name().into(), routes: Some(token.routes) });
        }
        let hash = digest(&SHA256, value);
        // Each is compared whole, and whichever fits: the time tells neither.
        let fits = |known: &&[u8; 32]| verify_slices_are_equal(*known, hash.as_ref()).is_ok();
        let known = self.keys.hashes.iter().rfind(fits)?;
        let name = hex(known.get(..4).unwrap_or_default());
        Some(Claim { name: format!("secret:{name}").into(), routes: None })
    }
}

impl Claim {
    /// Returns the word for the log, if the claim holds on this route. It never does where accounts sign in.
    pub(crate) fn on(self, entry: &RouteEntry) -> Option<Arc<str>> {
        if entry.route.sign_in().is_some() {
            return None;
        }
        let is_named = self.routes.is_none_or(|routes| routes.contains(&route_name(entry)));
        is_named.then_some(self.name)
    }
}

/// A route as tokens name it: host and path, as they stand in the configuration.
pub(crate) fn route_name(entry: &RouteEntry) -> String {
    format!("{}{}", entry.host.as_str(), entry.route.path)
}

#[cfg(test)]
mod tests;
