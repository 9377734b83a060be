//! Claims by their path, and the license key of a JSON body.

use serde_json::{Map, Value};

/// Returns the claim at a path; a null is no claim.
pub(crate) fn claim<'c>(claims: &'c Map<String, Value>, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    let mut found = claims.get(first)?;
    for name in rest {
        found = found.get(name)?;
    }
    (!found.is_null()).then_some(found)
}

/// Returns `license_key` of a JSON object. The body is under the inspection limit, which bounds the work.
pub(crate) fn license_key(body: &[u8]) -> Option<String> {
    let mut parsed: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let found = parsed.remove("license_key")?;
    found.as_str().filter(|key| !key.is_empty()).map(str::to_owned)
}
