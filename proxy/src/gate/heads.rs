//! Pingora's heads, as the `http` crate's for as long as they are edited.
//!
//! Pingora keeps the spelling of every name in a second map, and sets headers in both: a third of what editing costs.
//! So an edited head leaves it, and its names go out as over HTTP/2, in lower case but for the most usual ones. Names are
//! compared without regard to case (RFC 9110, section 5.1).

use http::{HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType, OrErr, Result};

/// Edits a request's head.
pub(super) fn edit_request(
    head: &mut RequestHeader,
    edit: impl FnOnce(&mut http::request::Parts) -> Result<()>,
) -> Result<()> {
    edit_parts(head, http::Request::new(()).into_parts().0, edit)
}

/// Edits an answer's head.
pub(super) fn edit_response(
    head: &mut ResponseHeader,
    edit: impl FnOnce(&mut http::response::Parts) -> Result<()>,
) -> Result<()> {
    edit_parts(head, http::Response::new(()).into_parts().0, edit)
}

/// Edits a head as its parts; `empty` stands in its place meanwhile.
fn edit_parts<H: From<P>, P: From<H>>(
    head: &mut H,
    empty: P,
    edit: impl FnOnce(&mut P) -> Result<()>,
) -> Result<()> {
    let mut parts = P::from(std::mem::replace(head, H::from(empty)));
    edit(&mut parts)?;
    *head = H::from(parts);
    Ok(())
}

/// Makes a header's value of text of ours.
pub(super) fn value(text: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(text).or_err(ErrorType::InvalidHTTPHeader, "no header's value")
}

/// Makes a header's name of text of the configuration's.
pub(super) fn name(text: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(text.as_bytes()).or_err(ErrorType::InvalidHTTPHeader, "no header's name")
}
