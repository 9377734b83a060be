//! Claims by their path.

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
