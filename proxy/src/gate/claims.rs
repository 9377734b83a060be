//! Claims of the caller's credential as headers for the origin, as the configuration names them.

use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use portcullis_config::model::ClaimPath;
use portcullis_identity::Identity;
use portcullis_identity::headers::is_spelling_of;
use serde_json::Value;

use crate::snapshot::Snapshot;

/// The longest value; what is longer is left out, so that an origin sees all of a claim or nothing.
const VALUE_BYTES_MAX: usize = 4096;

/// Takes every spelling of these headers out of what a client sent.
pub(super) fn strip(head: &mut RequestHeader, snapshot: &Snapshot) {
    let ours = &snapshot.config.identity.claim_headers;
    if ours.is_empty() {
        return;
    }
    let is_ours =
        |name: &&HeaderName| ours.keys().any(|our| is_spelling_of(our, name.as_str().as_bytes()));
    let found: Vec<HeaderName> = head.headers.keys().filter(is_ours).cloned().collect();
    for name in found {
        head.remove_header(&name);
    }
}

/// The headers of an identity. A claim that is not there, or is an object, is none.
pub(super) fn headers<'a>(
    snapshot: &'a Snapshot,
    identity: &'a Identity,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + 'a {
    snapshot.config.identity.claim_headers.iter().filter_map(|(name, path)| {
        let value = written(at(identity, path)?)?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&value).ok()?))
    })
}

fn at<'i>(identity: &'i Identity, path: &ClaimPath) -> Option<&'i Value> {
    let (first, rest) = path.names().split_first()?;
    rest.iter().try_fold(identity.claims.get(first)?, |value, name| value.get(name))
}

/// A value as text; the items of a list with commas between. Everything but plain ASCII is escaped by percent signs, and
/// so are these and commas: no item can end its own, and no claim begins another header.
fn written(value: &Value) -> Option<String> {
    let items: Option<Vec<String>> = match value {
        Value::Array(items) => items.iter().map(item).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Some(vec![item(value)?])
        }
    };
    items.map(|items| items.join(",")).filter(|text| text.len() <= VALUE_BYTES_MAX)
}

fn item(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(escaped(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_graphic() && !matches!(byte, b',' | b'%') {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes all text");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_claim_writes_more_than_its_own_value() {
        for (value, expected) in [
            (json!("ada@example.com"), Some("ada@example.com")),
            (json!(["a", "b"]), Some("a,b")),
            (json!(["a,b", "c"]), Some("a%2Cb,c")),
            (json!("a\r\nX-Edge-Tenant: b"), Some("a%0D%0AX-Edge-Tenant:%20b")),
            (json!("100%"), Some("100%25")),
            (json!("é\u{0}"), Some("%C3%A9%00")),
            (json!([]), Some("")),
            (json!([1, true]), Some("1,true")),
            (json!(-7), Some("-7")),
            (json!([["a"]]), None),
            (json!({"a": 1}), None),
            (json!(null), None),
        ] {
            assert_eq!(written(&value).as_deref(), expected, "{value}");
        }
        for (what, length, is_there) in [
            ("one under", VALUE_BYTES_MAX - 1, true),
            ("at it", VALUE_BYTES_MAX, true),
            ("one over", VALUE_BYTES_MAX + 1, false),
        ] {
            assert_eq!(written(&json!("x".repeat(length))).is_some(), is_there, "{what}");
        }
    }
}
