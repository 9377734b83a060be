//! Where an issuer lets people sign in, by its discovery document (OpenID Connect Discovery 1.0 section 3).

use portcullis_config::model::Url;
use serde_json::Value;

use crate::discovery::DOCUMENT_BYTES_MAX;
use crate::json;

/// The two endpoints of the authorization code flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoints {
    /// Where a browser is sent.
    pub authorization: Url,
    /// Where a code is exchanged.
    pub token: Url,
}

/// Why a document names no endpoints that could be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoEndpoints {
    /// No JSON object, too large, too deep, or with a member twice.
    #[error("the discovery document is no JSON object (or names a member twice)")]
    Malformed,
    /// It is another issuer's.
    #[error("the discovery document is not of the configured issuer")]
    OtherIssuer,
    /// An endpoint is missing or no `https` URL.
    #[error("the discovery document has no usable `{0}`")]
    Unusable(&'static str),
}

/// Reads the endpoints from the document of `issuer`, which is compared letter by letter.
///
/// # Errors
/// When the document is not this issuer's, or an endpoint is missing.
pub fn endpoints(document: &[u8], issuer: &str) -> Result<Endpoints, NoEndpoints> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(NoEndpoints::Malformed);
    }
    let members = json::object(document).ok_or(NoEndpoints::Malformed)?;
    if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(NoEndpoints::OtherIssuer);
    }
    let url = |name: &'static str| {
        let written = members.get(name).and_then(Value::as_str);
        let url = written.and_then(|written| Url::parse(written).ok()).filter(Url::is_https);
        url.ok_or(NoEndpoints::Unusable(name))
    };
    Ok(Endpoints { authorization: url("authorization_endpoint")?, token: url("token_endpoint")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_the_issuers_own_and_https() {
        let document = |issuer: &str, token: &str| {
            format!(
                "{{\"issuer\":\"{issuer}\",\"authorization_endpoint\":\"https://id.test/authorize\",\"token_endpoint\":\"{token}\"}}"
            )
        };
        let read = |text: &str| endpoints(text.as_bytes(), "https://id.test");
        let good = read(&document("https://id.test", "https://id.test/token")).unwrap();
        assert_eq!(good.token.as_str(), "https://id.test/token");
        for (issuer, token, expected) in [
            ("https://id.test/", "https://id.test/token", NoEndpoints::OtherIssuer),
            ("https://id.test", "http://id.test/token", NoEndpoints::Unusable("token_endpoint")),
            ("https://id.test", "javascript:x", NoEndpoints::Unusable("token_endpoint")),
        ] {
            assert_eq!(read(&document(issuer, token)), Err(expected), "{issuer} {token}");
        }
        assert_eq!(read("[]"), Err(NoEndpoints::Malformed));
    }
}
