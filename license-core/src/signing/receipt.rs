//! Lease receipts: a compact JWS that says which session holds a seat until when, to be verified without the service.

use super::jws::{self, Head, KeySet};
use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::domain::names::TenantId;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

const LEEWAY_SECS: u64 = 60;

/// What is signed about a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It holds a seat until its lease ends.
    Lease,
    /// It holds a seat offline, until then.
    Borrow,
    /// It gave its seat back.
    Return,
}

impl Kind {
    /// Returns the `typ` of the signed header, which keeps one kind from being taken for another.
    const fn typ(self) -> &'static str {
        match self {
            Self::Lease => "lease+jwt",
            Self::Borrow => "borrow+jwt",
            Self::Return => "return+jwt",
        }
    }
}

/// Writes what is so of a session, to be signed. A receipt is over when the lease is.
pub(super) fn mint(
    kind: Kind,
    tenant: &TenantId,
    session: &Session,
    signer: Head<'_>,
) -> Option<String> {
    let issued = session.last_heartbeat_at.as_secs();
    let claims = json!({
        "iss": "license-core", "sub": session.subject, "tenant": tenant.as_str(), "lid": session.license,
        "sid": session.id, "epoch": session.epoch, "hwh": hardware_hash(&session.hardware),
        "iat": issued, "nbf": issued, "exp": session.expires_at.as_secs(),
    });
    jws::unsigned(kind.typ(), &claims, signer)
}

fn hardware_hash(hardware: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, hardware.as_bytes()))
}

/// What a verified receipt says.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Receipt {
    iss: String,
    /// The user that holds the session.
    #[serde(rename = "sub")]
    pub subject: String,
    /// The tenant whose license it is.
    pub tenant: String,
    /// The license's id.
    #[serde(rename = "lid")]
    pub license_id: String,
    /// The session's id.
    #[serde(rename = "sid")]
    pub session_id: String,
    /// The lease's fencing epoch: of two receipts for one license, the greater was granted later.
    pub epoch: i64,
    /// SHA-256 of the machine's id, base64url.
    #[serde(rename = "hwh")]
    pub hardware_hash: String,
    /// When it was signed, in seconds since the Unix epoch.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    nbf: u64,
    /// When the lease ends, in seconds since the Unix epoch.
    #[serde(rename = "exp")]
    pub expires_at: u64,
}

impl Receipt {
    /// Says whether the receipt was given for this machine.
    #[must_use]
    pub fn is_for(&self, hardware_id: &str) -> bool {
        self.hardware_hash == hardware_hash(hardware_id)
    }
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unverified {
    /// It, or the key set, is not of the form that the service makes.
    #[error("it is not a lease receipt")]
    Malformed,
    /// Its key is not in the key set: unknown, retired or revoked.
    #[error("its key is not in the key set")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// The lease is over, or not begun.
    #[error("it is not valid at this time")]
    Time,
    /// It was given for another machine.
    #[error("it was given for another machine")]
    OtherMachine,
    /// A later token of this license was seen on this machine before: this one is a copy from before.
    #[error("a later token was seen before")]
    Superseded,
    /// The clock stands before a moment at which this machine has verified a token.
    #[error("the clock was set back")]
    ClockSetBack,
}

/// Verifies a receipt against a key set at a time, without the service. A clock may be off by a minute.
///
/// # Errors
/// Says why the receipt proves nothing.
pub fn verify(receipt: &str, keys: &KeySet, now: Timestamp) -> Result<Receipt, Unverified> {
    verify_kind(Kind::Lease, receipt, keys, now)
}

/// Verifies a return receipt: the seat of the session that it names was given back. Its time is not looked at, as what
/// was given back stays so.
///
/// # Errors
/// Says why the receipt proves nothing.
pub fn verify_return(receipt: &str, keys: &KeySet) -> Result<Receipt, Unverified> {
    signed_claims(Kind::Return, receipt, keys)
}

pub(super) fn verify_kind(
    kind: Kind,
    receipt: &str,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Receipt, Unverified> {
    let receipt = signed_claims(kind, receipt, keys)?;
    let now = now.as_secs();
    let begun = receipt.nbf <= now.saturating_add(LEEWAY_SECS);
    let not_over = now < receipt.expires_at.saturating_add(LEEWAY_SECS);
    if begun && not_over { Ok(receipt) } else { Err(Unverified::Time) }
}

fn signed_claims(kind: Kind, receipt: &str, keys: &KeySet) -> Result<Receipt, Unverified> {
    let receipt: Receipt = jws::verified(kind.typ(), receipt, keys)?;
    if receipt.iss == "license-core" { Ok(receipt) } else { Err(Unverified::Malformed) }
}

#[cfg(test)]
mod tests;
