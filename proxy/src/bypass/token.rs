//! Tokens of `portcullis dev bypass`: what they say, how they are signed, and what a reader insists on.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use portcullis_config::Timestamp;
use serde::{Deserialize, Serialize};

use super::VALUE_BYTES_MAX;
use super::file::SigningKey;
use crate::hex::hex;

/// What every token begins with.
const MAGIC: &str = "plt1.";
/// The longest time that a token lives, whatever it says.
pub const TOKEN_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// The most networks and the most routes of one token.
const NAMES_MAX: usize = 16;

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How long it lives; at most [`TOKEN_TIME_MAX`].
    pub lifetime: Duration,
    /// Where it may come from.
    pub from: Vec<IpNet>,
    /// The routes, as `HOST/PATH` of the configuration.
    pub routes: Vec<String>,
}

/// Why no token is minted.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// It would live too long, or not at all.
    #[error("a token lives for one second to 24 hours")]
    Lifetime,
    /// No network or route, or too many.
    #[error("a token has 1 to {NAMES_MAX} networks and 1 to {NAMES_MAX} routes")]
    Count,
    /// The names are too long for a header.
    #[error("the token would have more than {VALUE_BYTES_MAX} bytes: name fewer routes")]
    TooLong,
    /// The system gives no randomness.
    #[error("no token can be made: the system has no randomness to give")]
    NoRandomness,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    id: String,
    /// In seconds since the Unix epoch.
    exp: u64,
    from: Vec<IpAddrNet>,
    pub(super) routes: Vec<String>,
}

/// A network as its text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct IpAddrNet(String);

impl IpAddrNet {
    fn holds(&self, client: IpAddr) -> bool {
        self.0.parse().is_ok_and(|net: IpNet| net.contains(&client))
    }
}

impl Token {
    /// The word for the log.
    pub(super) fn name(&self) -> String {
        format!("token:{}", self.id)
    }
}

/// Signs a token.
///
/// # Errors
///
/// When the wish is for more than a token may say.
pub fn mint(wish: &Wish, key: &SigningKey, now: Timestamp) -> Result<String, WishError> {
    if wish.lifetime.is_zero() || wish.lifetime > TOKEN_TIME_MAX {
        return Err(WishError::Lifetime);
    }
    let counts = [wish.from.len(), wish.routes.len()];
    if counts.iter().any(|count| !(1..=NAMES_MAX).contains(count)) {
        return Err(WishError::Count);
    }
    let mut id = [0; 8];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| WishError::NoRandomness)?;
    let token = Token {
        id: hex(&id),
        exp: now.plus(wish.lifetime).as_secs(),
        from: wish.from.iter().map(|net| IpAddrNet(net.to_string())).collect(),
        routes: wish.routes.clone(),
    };
    let said = serde_json::to_vec(&token).expect("texts and numbers serialise");
    let signed = format!("{MAGIC}{}", URL_SAFE_NO_PAD.encode(said));
    let tag = hmac::sign(key.key(), signed.as_bytes());
    let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    if text.len() > VALUE_BYTES_MAX { Err(WishError::TooLong) } else { Ok(text) }
}

/// Returns a header's value as text, if it is to be a token.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.starts_with(MAGIC))
}

/// Returns what a token says, if one of `keys` signed it, it has not ended and it is for this client. Nothing of it is read
/// before its signature is checked.
pub(super) fn open(
    text: &str,
    keys: &[SigningKey],
    client: IpAddr,
    now: Timestamp,
) -> Option<Token> {
    let (signed, tag) = text.rsplit_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    keys.iter().find(|key| hmac::verify(key.key(), signed.as_bytes(), &tag).is_ok())?;
    let said = URL_SAFE_NO_PAD.decode(signed.strip_prefix(MAGIC)?).ok()?;
    let token: Token = serde_json::from_slice(&said).ok()?;
    let left = token.exp.checked_sub(now.as_secs()).filter(|left| *left > 0)?;
    let is_timely = left <= TOKEN_TIME_MAX.as_secs();
    (is_timely && token.from.iter().any(|net| net.holds(client))).then_some(token)
}
