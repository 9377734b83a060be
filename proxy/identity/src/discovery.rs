//! OpenID Connect Discovery 1.0: the document in which an issuer says where its keys are. Of all that it says, two members
//! are read: who speaks, and where the keys are.

use portcullis_config::model::Url;
use serde_json::Value;

use crate::json;

/// The largest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// Why a document is not believed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// No JSON object, too large, too deep, or with a member twice.
    #[error("the discovery document is no JSON object (or names a member twice)")]
    Malformed,
    /// It is another issuer's (OpenID Connect Discovery 1.0 section 4.3).
    #[error("the discovery document is of the issuer `{0}`, not of the configured one")]
    OtherIssuer(String),
    /// It names no issuer.
    #[error("the discovery document names no issuer")]
    NoIssuer,
    /// It names no key set.
    #[error("the discovery document has no `jwks_uri`")]
    NoKeys,
    /// What it names is no URL that could be asked.
    #[error("the `jwks_uri` of the discovery document {0}")]
    BadUrl(&'static str),
}

/// Returns where the keys of `issuer` are, by its document.
///
/// # Errors
/// When the document is not this issuer's, or names no key set. The issuer is compared letter by letter.
pub fn key_set_url(document: &[u8], issuer: &str) -> Result<Url, DiscoveryError> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(DiscoveryError::Malformed);
    }
    let members = json::object(document).ok_or(DiscoveryError::Malformed)?;
    match members.get("issuer") {
        Some(Value::String(own)) if own == issuer => {}
        Some(Value::String(own)) => {
            return Err(DiscoveryError::OtherIssuer(own.escape_debug().take(200).collect()));
        }
        Some(_) | None => return Err(DiscoveryError::NoIssuer),
    }
    let Some(Value::String(keys)) = members.get("jwks_uri") else {
        return Err(DiscoveryError::NoKeys);
    };
    Url::parse(keys).map_err(DiscoveryError::BadUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.com";

    fn check(document: &str, expected: &Result<&str, DiscoveryError>) {
        let found = key_set_url(document.as_bytes(), ISSUER);
        assert_eq!(found.as_ref().map(Url::as_str), expected.as_ref().copied(), "{document}");
    }

    #[test]
    fn a_document_is_believed_for_its_own_issuer_only() {
        let keys = "https://id.example.com/keys";
        check(
            r#"{"issuer":"https://id.example.com","jwks_uri":"https://id.example.com/keys","x":[1]}"#,
            &Ok(keys),
        );
        for other in ["https://id.example.com/", "https://ID.example.com", "https://evil.example"] {
            check(
                &format!(r#"{{"issuer":"{other}","jwks_uri":"{keys}"}}"#),
                &Err(DiscoveryError::OtherIssuer(other.to_owned())),
            );
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let id = r#""issuer":"https://id.example.com""#;
        check("", &Err(DiscoveryError::Malformed));
        check("[]", &Err(DiscoveryError::Malformed));
        check(&format!("{{{id},{id}}}"), &Err(DiscoveryError::Malformed));
        check(&" ".repeat(DOCUMENT_BYTES_MAX + 1), &Err(DiscoveryError::Malformed));
        check(r#"{"jwks_uri":"https://a/"}"#, &Err(DiscoveryError::NoIssuer));
        check(r#"{"issuer":["https://id.example.com"]}"#, &Err(DiscoveryError::NoIssuer));
        check(&format!("{{{id}}}"), &Err(DiscoveryError::NoKeys));
        check(&format!(r#"{{{id},"jwks_uri":7}}"#), &Err(DiscoveryError::NoKeys));
        check(
            &format!(r#"{{{id},"jwks_uri":"file:///etc/passwd"}}"#),
            &Err(DiscoveryError::BadUrl("has to begin with `https://`")),
        );
    }
}
