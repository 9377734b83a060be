//! Audit checkpoints: a signed head of a tenant's chain, by which a chain that was cut off or rewritten is found.

use super::jws::{self, KeySet};
use super::receipt::Unverified;
use crate::clock::Timestamp;
use crate::domain::audit;
use crate::domain::names::TenantId;
use serde::{Deserialize, Serialize};

const TYP: &str = "audit-checkpoint+jwt";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    tenant: String,
    head: String,
    iat: u64,
}

/// Writes the head of a tenant's chain at `now`, to be signed.
pub(super) fn mint(
    tenant: &TenantId,
    head: audit::Head,
    signer: jws::Head<'_>,
    now: Timestamp,
) -> Option<String> {
    let claims = Claims {
        iss: "license-core".to_owned(),
        tenant: tenant.as_str().to_owned(),
        head: head.to_string(),
        iat: now.as_secs(),
    };
    jws::unsigned(TYP, &claims, signer)
}

/// Reads the head that a checkpoint of this tenant vouches for. Its age does not matter.
pub(crate) fn verify_checkpoint(
    text: &str,
    tenant: &TenantId,
    keys: &KeySet,
) -> Result<audit::Head, Unverified> {
    let claims: Claims = jws::verified(TYP, text, keys)?;
    if claims.iss != "license-core" || claims.tenant != tenant.as_str() {
        return Err(Unverified::Malformed);
    }
    claims.head.parse().map_err(|_| Unverified::Malformed)
}
