//! Signed responses: HTTP Message Signatures (RFC 9421) over the status, the body's digest (RFC 9530) and the request
//! that was answered, for a client that asks by `Accept-Signature`. Whoever stands between can neither forge an answer
//! nor give the answer to another request.

mod fields;

pub(crate) use fields::{Component, Input, Value};

use super::jws::KeySet;
use super::receipt::Unverified;
use crate::clock::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

/// The header that names what is signed.
pub(crate) const SIGNATURE_INPUT: &str = "signature-input";
/// The header that holds the signature.
pub(crate) const SIGNATURE: &str = "signature";
/// The header that holds the body's digest.
pub(crate) const CONTENT_DIGEST: &str = "content-digest";
/// How old a signed response may be, and how far a clock may be behind.
const AGE_SECS_MAX: u64 = 300;
const LEEWAY_SECS: u64 = 60;

/// A request and what came back.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's path and query, as they were sent.
    pub target: &'a str,
    /// The response's status.
    pub status: u16,
    /// The response's headers.
    pub headers: &'a HeaderMap,
    /// The response's body.
    pub body: &'a [u8],
}

/// What a response's signature says beyond what it covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedResponse {
    /// When it was signed, in seconds since the Unix epoch.
    pub created: u64,
    /// The client's own word, by which it knows that the answer is to this very request.
    pub nonce: Option<String>,
    /// The client's word for what it uses signatures for.
    pub tag: Option<String>,
}

/// Why a response is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadResponse {
    /// It has no signature, or not one of this form.
    #[error("it is not signed")]
    Unsigned,
    /// The signature leaves out the status, the body or the request.
    #[error("its signature does not cover the status, the body and the request")]
    Coverage,
    /// The body is not the one that the digest is of.
    #[error("its body was changed")]
    Digest,
    /// The key is unknown, or the signature wrong.
    #[error("its signature proves nothing: {0}")]
    Signature(Unverified),
    /// It was signed too long ago, or in the future.
    #[error("it was not signed just now")]
    Time,
}

/// Verifies a response against the service's key set at a time.
///
/// # Errors
/// Says why the response is not believed.
pub fn verify_response(
    exchange: Exchange<'_>,
    keys: &KeySet,
    now: Timestamp,
) -> Result<SignedResponse, BadResponse> {
    let header = |name| {
        let mut values = exchange.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            (_, _) => None,
        }
    };
    let input = header(SIGNATURE_INPUT).and_then(Input::parse).ok_or(BadResponse::Unsigned)?;
    let signature = header(SIGNATURE).and_then(|text| fields::bytes(text, &input.label));
    let signature = signature.ok_or(BadResponse::Unsigned)?;
    let needed = [
        Component::response("@status"),
        Component::response(CONTENT_DIGEST),
        Component::request("@method"),
        Component::request("@path"),
        Component::request("@query"),
    ];
    if !needed.iter().all(|needed| input.components.contains(needed)) {
        return Err(BadResponse::Coverage);
    }
    if header(CONTENT_DIGEST) != Some(digest_of(exchange.body).as_str()) {
        return Err(BadResponse::Digest);
    }
    let kid = input.text("keyid").ok_or(BadResponse::Unsigned)?;
    let algorithm = keys.algorithm_of(kid).map_err(BadResponse::Signature)?;
    let is_its_own = match (input.parameter("alg"), algorithm.in_http_signatures()) {
        (None, _) => true,
        (Some(Value::Text(alg)), Some(its)) => alg == its,
        (Some(_), _) => false,
    };
    let created = match input.parameter("created") {
        Some(Value::Number(created)) if is_its_own => u64::try_from(*created).ok(),
        Some(_) | None => None,
    };
    let created = created.ok_or(BadResponse::Unsigned)?;
    let base = base(&input, exchange).ok_or(BadResponse::Coverage)?;
    keys.verify_by(kid, base.as_bytes(), &signature).map_err(BadResponse::Signature)?;
    let now = now.as_secs();
    if created > now.saturating_add(LEEWAY_SECS) || now > created.saturating_add(AGE_SECS_MAX) {
        return Err(BadResponse::Time);
    }
    let text = |name| input.text(name).map(str::to_owned);
    Ok(SignedResponse { created, nonce: text("nonce"), tag: text("tag") })
}

/// Writes the digest of a body as the header does (RFC 9530 §2).
pub(crate) fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, body)))
}

/// Writes a signature as the header does.
pub(crate) fn signature_field(label: &str, signature: &[u8]) -> String {
    format!("{label}=:{}:", STANDARD.encode(signature))
}

/// Writes what is signed (RFC 9421 §2.5); `None` where a component is not there, or named twice.
pub(crate) fn base(input: &Input, exchange: Exchange<'_>) -> Option<String> {
    let mut text = String::new();
    for (number, component) in input.components.iter().enumerate() {
        let earlier = input.components.get(..number).unwrap_or_default();
        if earlier.contains(component) {
            return None;
        }
        let value = value_of(component, exchange)?;
        text.push_str(&format!("{component}: {value}\n"));
    }
    text.push_str(&format!("\"@signature-params\": {}", input.inner_list()));
    Some(text)
}

fn value_of(component: &Component, exchange: Exchange<'_>) -> Option<String> {
    let (path, query) = exchange.target.split_once('?').unwrap_or((exchange.target, ""));
    match (component.of_request, component.name.as_str()) {
        (true, "@method") => Some(exchange.method.to_owned()),
        (true, "@path") => Some(path.to_owned()),
        (true, "@query") => Some(format!("?{query}")),
        // No other part of a request is known to arrive as it was sent.
        (true, _) => None,
        (false, "@status") => Some(exchange.status.to_string()),
        (false, name) if name.starts_with('@') => None,
        (false, name) => {
            let values: Option<Vec<&str>> = exchange
                .headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().ok().map(str::trim))
                .collect();
            values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
