//! Writing an answer of our own: one shape, every security header, and the client gets to read it.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, LOCATION, RETRY_AFTER,
    SET_COOKIE, WWW_AUTHENTICATE,
};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::body;
use super::cors::Cross;
use super::heads::edit_response;
use super::refusal::Refusal;
use super::work::Work;
use crate::reason::{Reason, error_body};
use crate::security_headers::SecurityHeaders;

/// The header that names a request to client, origin and log.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What stands for the request's id in a policy rule's own body.
const REQUEST_ID_MARK: &str = "{request_id}";
/// What a 405 allows; the gate itself refuses CONNECT, TRACE and words that are no method.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What an answer of the edge's own carries beside its own headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dress<'a> {
    pub(super) security: &'a SecurityHeaders,
    pub(super) cross: Option<&'a Cross>,
}

/// Answers `refusal` and reads on, within bounds, so that the answer is not lost to a reset.
///
/// # Errors
///
/// The connection broke.
pub(super) async fn refuse(
    session: &mut Session,
    id: &str,
    refusal: &Refusal,
    dress: Dress<'_>,
) -> pingora::Result<()> {
    let keeps = !refusal.closes && body::can_drain(session);
    if keeps {
        // The rest of the body is read behind the answer, so the connection need not be closed for it.
        session.set_close_on_response_before_downstream_finish(false);
    } else {
        session.set_keepalive(None);
    }
    let has_body = session.req_header().method != Method::HEAD;
    let (head, text) = head_and_body(id, refusal, dress)?;
    session.write_response_header(Box::new(head), !has_body).await?;
    if has_body {
        session.write_response_body(Some(Bytes::from(text)), true).await?;
    }
    let nothing_comes = refusal.closes || session.req_header().headers.contains_key(EXPECT);
    if !nothing_comes && !body::drain(session).await {
        session.set_keepalive(None);
    }
    Ok(())
}

/// Answers an authority that asks for the proof of a name (RFC 8555, section 8.3).
///
/// # Errors
///
/// The connection broke.
pub(super) async fn prove(session: &mut Session, id: &str, proof: String) -> pingora::Result<()> {
    session.set_keepalive(None);
    let has_body = session.req_header().method != Method::HEAD;
    let mut head = ResponseHeader::build_no_case(200, Some(8))?;
    head.insert_header(CONTENT_TYPE, "application/octet-stream")?;
    head.insert_header(CONTENT_LENGTH, proof.len())?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    head.insert_header(REQUEST_ID, id)?;
    edit_response(&mut head, |parts| {
        SecurityHeaders::default().apply(&mut parts.headers);
        Ok(())
    })?;
    session.write_response_header(Box::new(head), !has_body).await?;
    if has_body {
        session.write_response_body(Some(Bytes::from(proof)), true).await?;
    }
    Ok(())
}

/// Answers a browser that asks what a page of another origin may ask for (Fetch, section 3.2.2).
///
/// # Errors
///
/// The connection broke.
pub(super) async fn preflight(session: &mut Session, work: &Work) -> pingora::Result<()> {
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    let mut head = ResponseHeader::build_no_case(204, Some(16))?;
    head.insert_header(REQUEST_ID, work.id.as_str())?;
    let rule = work.entry.as_ref().and_then(|entry| entry.route.browser()?.cors.as_ref());
    edit_response(&mut head, |parts| {
        work.dress().security.apply(&mut parts.headers);
        match (&work.cross, rule) {
            (Some(cross), Some(rule)) => {
                cross.preflight(rule, &session.req_header().headers, &mut parts.headers)
            }
            (None, _) | (_, None) => Ok(()),
        }
    })?;
    session.write_response_header(Box::new(head), true).await
}

/// The challenge of RFC 6750 section 3, where one belongs to the answer: without a credential it names no error.
fn challenge(refusal: &Refusal) -> Option<Cow<'static, str>> {
    if refusal.reason == Reason::InvalidToken {
        Some("Bearer error=\"invalid_token\"".into())
    } else if refusal.reason == Reason::AmbiguousCredential {
        Some("Bearer error=\"invalid_request\"".into())
    } else if refusal.reason == Reason::InsufficientScope {
        // Scopes hold neither quotes nor backslashes: the configuration would not have loaded.
        let scope = refusal.scope.as_ref().map(|scope| format!(", scope=\"{scope}\""));
        Some(format!("Bearer error=\"insufficient_scope\"{}", scope.unwrap_or_default()).into())
    } else {
        // A policy rule may answer 401 for any reason of its own.
        (refusal.status() == 401).then_some("Bearer".into())
    }
}

/// Makes head and body of a refusal.
pub(super) fn head_and_body(
    id: &str,
    refusal: &Refusal,
    dress: Dress<'_>,
) -> pingora::Result<(ResponseHeader, Vec<u8>)> {
    let body = match &refusal.body {
        // An id of ours is letters, digits and dashes: it needs no escape inside of JSON.
        Some(text) => format!("{}\n", text.replace(REQUEST_ID_MARK, id)).into_bytes(),
        None => error_body(refusal.reason, id, &refusal.details()),
    };
    let status = refusal.status();
    let mut head = ResponseHeader::build_no_case(status, Some(20))?;
    head.insert_header(CONTENT_TYPE, "application/json")?;
    head.insert_header(CONTENT_LENGTH, body.len())?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    head.insert_header(REQUEST_ID, id)?;
    if let Some(seconds) = refusal.retry_after_secs {
        head.insert_header(RETRY_AFTER, seconds)?;
    }
    if let Some(location) = &refusal.location {
        head.insert_header(LOCATION, location)?;
    }
    for cookie in &refusal.cookies {
        head.append_header(SET_COOKIE, cookie)?;
    }
    if let Some(challenge) = challenge(refusal) {
        head.insert_header(WWW_AUTHENTICATE, &*challenge)?;
    }
    if status == 405 {
        head.insert_header(ALLOW, METHODS)?;
    }
    edit_response(&mut head, |parts| {
        dress.security.apply(&mut parts.headers);
        if let Some(cross) = dress.cross {
            cross.apply(&mut parts.headers);
        }
        Ok(())
    })?;
    Ok((head, body))
}
