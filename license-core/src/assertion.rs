//! The edge's assertion: who is asking, signed by the edge for this one request.
//!
//! A compact JWS (EdDSA) whose claims bind method, path and body. The service believes no other word on identity: not
//! a header, not a field of the body. A replay within the assertion's minute can only repeat the very same request,
//! which every operation of the API answers the same way.

mod key_set;

pub use key_set::KeySetError;
pub(crate) use key_set::KeySource;

use crate::clock::Timestamp;
use crate::domain::names::{SubjectId, TenantId};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use key_set::KeySet;
use serde::Deserialize;

/// The header that carries it.
pub(crate) const HEADER: &str = "x-edge-assertion";
const ASSERTION_BYTES_MAX: usize = 8 * 1024;
const ROLES_MAX: usize = 64;
const LIFETIME_SECS_MAX: u64 = 60;
const LEEWAY_SECS: u64 = 5;

/// Who the edge says is asking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) subject: SubjectId,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) roles: Vec<String>,
}

/// The request as it arrived, which the assertion must name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) method: &'a str,
    /// Path and query, as they stand in the request line.
    pub(crate) target: &'a str,
}

/// An assertion whose signature, time and request are right, and whose body is still to come.
#[derive(Debug)]
pub(crate) struct Pending {
    caller: Caller,
    body_hash: String,
}

impl Pending {
    /// Names the caller once the body is the one that was signed for.
    pub(crate) fn with_body(self, body: &[u8]) -> Result<Caller, Unbelieved> {
        if self.body_hash == URL_SAFE_NO_PAD.encode(digest(&SHA256, body)) {
            Ok(self.caller)
        } else {
            Err(Unbelieved::OtherRequest)
        }
    }
}

/// Why an assertion was not believed: for the log, never for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unbelieved {
    #[error("it is not a compact JWS of the edge's form")]
    Malformed,
    #[error("it names a key that is not in the key set")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("its issuer or audience is another")]
    Parties,
    #[error("it is not valid at this time")]
    Time,
    #[error("it was made for another request")]
    OtherRequest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    tenant: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    iat: u64,
    exp: u64,
    htm: String,
    htu: String,
    bh: String,
}

/// Verifies `assertion` for the request that carried it, so far as that is possible before its body is read.
pub(crate) fn verify(
    assertion: &[u8],
    keys: &KeySet,
    received: Received<'_>,
    now: Timestamp,
) -> Result<Pending, Unbelieved> {
    let claims = signed_claims(assertion, keys)?;
    if claims.iss != "portcullis" || claims.aud != "license-core" {
        return Err(Unbelieved::Parties);
    }
    within_its_time(&claims, now)?;
    if claims.htm != received.method || claims.htu != received.target {
        return Err(Unbelieved::OtherRequest);
    }
    if claims.roles.len() > ROLES_MAX {
        return Err(Unbelieved::Malformed);
    }
    let tenant = claims
        .tenant
        .map(|tenant| tenant.parse())
        .transpose()
        .map_err(|_| Unbelieved::Malformed)?;
    let subject = claims.sub.parse().map_err(|_| Unbelieved::Malformed)?;
    let caller = Caller { subject, tenant, roles: claims.roles };
    Ok(Pending { caller, body_hash: claims.bh })
}

fn signed_claims(assertion: &[u8], keys: &KeySet) -> Result<Claims, Unbelieved> {
    if assertion.len() > ASSERTION_BYTES_MAX {
        return Err(Unbelieved::Malformed);
    }
    let mut dots =
        assertion.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(at, _)| at);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return Err(Unbelieved::Malformed);
    };
    let (signed, signature) =
        (part(assertion, 0, second)?, part(assertion, second + 1, assertion.len())?);
    let protected: Protected = json(part(assertion, 0, first)?)?;
    if protected.alg != "EdDSA" || protected.typ != "edge+jwt" {
        return Err(Unbelieved::Malformed);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unbelieved::Malformed)?;
    let key = keys.find(&protected.kid).ok_or(Unbelieved::UnknownKey)?;
    key.verify(signed, &signature).map_err(|_| Unbelieved::Signature)?;
    json(part(assertion, first + 1, second)?)
}

fn part(assertion: &[u8], from: usize, to: usize) -> Result<&[u8], Unbelieved> {
    assertion.get(from..to).ok_or(Unbelieved::Malformed)
}

fn json<T: for<'de> Deserialize<'de>>(encoded: &[u8]) -> Result<T, Unbelieved> {
    let text = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Unbelieved::Malformed)?;
    serde_json::from_slice(&text).map_err(|_| Unbelieved::Malformed)
}

fn within_its_time(claims: &Claims, now: Timestamp) -> Result<(), Unbelieved> {
    let now = now.as_secs();
    let lives =
        claims.exp.checked_sub(claims.iat).is_some_and(|lifetime| lifetime <= LIFETIME_SECS_MAX);
    let begun = claims.iat <= now.saturating_add(LEEWAY_SECS);
    let not_over = now < claims.exp.saturating_add(LEEWAY_SECS);
    if lives && begun && not_over { Ok(()) } else { Err(Unbelieved::Time) }
}

#[cfg(test)]
mod tests;
