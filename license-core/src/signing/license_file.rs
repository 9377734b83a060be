//! License files: what a license is, signed with RSA-4096 and SHA-512, to be shown and checked where no service is.

use super::jws::{self, Head, KeySet};
use super::receipt::Unverified;
use crate::clock::Timestamp;
use crate::domain::license::License;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const TYP: &str = "license+jwt";
/// How long a file is valid at most; the license is asked for a new one meanwhile. Keys verify for eight days after
/// they signed last.
const VALID: Duration = Duration::from_secs(7 * 86_400);
const LEEWAY_SECS: u64 = 60;

/// What a license file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LicenseFile {
    iss: String,
    /// The tenant whose license it is.
    pub tenant: String,
    /// The license's id.
    #[serde(rename = "lid")]
    pub license_id: String,
    /// Its name.
    pub name: String,
    /// The product it is for.
    pub product: String,
    /// How many seats may be leased at once.
    pub seats: u32,
    /// What takes a seat: `per_machine` or `per_user`.
    pub leasing: String,
    /// What it entitles to.
    pub entitlements: Vec<String>,
    /// When it was signed, in seconds since the Unix epoch.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    nbf: u64,
    /// When the file is over, in seconds since the Unix epoch: after a week, or with the license's term.
    #[serde(rename = "exp")]
    pub expires_at: u64,
}

/// Writes what is so of a license at `now`, to be signed.
pub(super) fn mint(
    license: &License,
    entitlements: Vec<String>,
    signer: Head<'_>,
    now: Timestamp,
) -> Option<String> {
    let over = now.plus(VALID);
    let claims = LicenseFile {
        iss: "license-core".to_owned(),
        tenant: license.tenant.as_str().to_owned(),
        license_id: license.id.to_string(),
        name: license.name.clone(),
        product: license.product.clone(),
        seats: license.seats_at(now),
        leasing: license.leasing.as_str().to_owned(),
        entitlements,
        issued_at: now.as_secs(),
        nbf: now.as_secs(),
        expires_at: license.expires_at.map_or(over, |end| end.min(over)).as_secs(),
    };
    jws::unsigned(TYP, &claims, signer)
}

/// Verifies a license file against a key set at a time, without the service. A clock may be off by a minute.
///
/// # Errors
/// Says why the file proves nothing.
pub fn verify_license_file(
    text: &str,
    keys: &KeySet,
    now: Timestamp,
) -> Result<LicenseFile, Unverified> {
    let file: LicenseFile = jws::verified(TYP, text, keys)?;
    if file.iss != "license-core" {
        return Err(Unverified::Malformed);
    }
    let now = now.as_secs();
    let begun = file.nbf <= now.saturating_add(LEEWAY_SECS);
    let not_over = now < file.expires_at.saturating_add(LEEWAY_SECS);
    if begun && not_over { Ok(file) } else { Err(Unverified::Time) }
}
