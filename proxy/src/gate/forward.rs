//! What goes to the origin, and what of its answer goes back.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, EXPECT, HeaderName, LAST_MODIFIED, SEC_WEBSOCKET_EXTENSIONS, TE, TRANSFER_ENCODING,
};
use http::{HeaderValue, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use portcullis_config::model::{AnswerPlan, Backend, RouteAction};
use portcullis_identity::headers::{is_forwarding, is_reserved};
use portcullis_policy::Scheme;

use super::answer::REQUEST_ID;
use super::attempts::Attempts;
use super::body::Held;
use super::client_address::Client;
use super::refusal::Refusal;
use super::sanity::Target;
use super::security_headers;
use super::stream::Stream;
use crate::reason::{Reason, error_body};
use crate::router::RouteEntry;

/// A judged request on its way to the origin. Shared between a request and its sealed subrequest.
#[derive(Debug)]
pub(crate) struct Forward {
    /// The request's id.
    pub(super) id: String,
    /// The route.
    pub(super) entry: Arc<RouteEntry>,
    /// The target as judged.
    pub(super) target: Target,
    /// Who asks.
    pub(super) client: Client,
    /// How the client reached us.
    pub(super) scheme: Scheme,
    /// The backend's servers, as far as they were asked.
    pub(super) attempts: Attempts,
    /// What the request asks to become, if it is more than a request.
    pub(super) stream: Option<Stream>,
    /// The body, if it was read; its share of the budget ends with the request.
    pub(super) held: Option<Held>,
    /// Headers that identity and policy add.
    pub(super) added: Vec<(HeaderName, HeaderValue)>,
    /// Why forwarding failed, first word counts.
    failure: OnceLock<Refusal>,
    /// What stands in place of the origin's body, once its head said that it is replaced.
    replaced: Mutex<Option<Bytes>>,
}

impl Forward {
    pub(super) const fn new(
        id: String,
        entry: Arc<RouteEntry>,
        target: Target,
        client: Client,
        scheme: Scheme,
        attempts: Attempts,
        stream: Option<Stream>,
        held: Option<Held>,
        added: Vec<(HeaderName, HeaderValue)>,
    ) -> Self {
        Self {
            id,
            entry,
            target,
            client,
            scheme,
            attempts,
            stream,
            held,
            added,
            failure: OnceLock::new(),
            replaced: Mutex::new(None),
        }
    }

    /// Why forwarding failed, if it did.
    pub(super) fn failure(&self) -> Option<Refusal> {
        self.failure.get().cloned()
    }

    /// Keeps the first failure.
    pub(super) fn fail(&self, refusal: Refusal) {
        self.failure.get_or_init(|| refusal);
    }

    fn backend(&self) -> &Backend {
        &self.attempts.upstream().backend
    }

    /// Rewrites the head that is about to go upstream. Pingora has taken hop-by-hop headers away before.
    pub(super) fn upstream_head(&self, head: &mut RequestHeader) -> pingora::Result<()> {
        strip(head);
        if head.raw_path() != self.target.uri {
            head.set_raw_path(&self.target.uri)?;
        }
        if let Some(Held { bytes: body, .. }) = &self.held {
            head.remove_header(&TRANSFER_ENCODING);
            if !body.is_empty() || head.headers.contains_key(CONTENT_LENGTH) {
                head.insert_header(CONTENT_LENGTH, body.len())?;
            }
        }
        // To a server that speaks HTTP/2, Pingora has made it one of HTTP/2.
        if head.version != Version::HTTP_2 {
            head.set_version(Version::HTTP_11);
        }
        match self.stream {
            // Frames are counted as they pass, so they must be what they seem: no compression.
            Some(Stream::WebSocket(_)) => drop(head.remove_header(&SEC_WEBSOCKET_EXTENSIONS)),
            // Without it some servers take the client for one that reads no trailers.
            Some(Stream::Grpc(_)) => head.insert_header(TE, "trailers")?,
            None => {}
        }
        if self.entry.route.inspection().is_some() {
            // What is inspected comes plain, if the origin can.
            head.remove_header(&ACCEPT_ENCODING);
        }
        head.insert_header("X-Request-Id", &self.id)?;
        head.insert_header("X-Edge-Request-Id", &self.id)?;
        head.insert_header("X-Forwarded-For", chain(&self.client))?;
        head.insert_header("X-Forwarded-Proto", self.scheme.as_str())?;
        head.insert_header("X-Forwarded-Host", self.target.authority.as_ref())?;
        for (name, value) in &self.added {
            head.insert_header(name.clone(), value)?;
        }
        Ok(())
    }

    /// Rewrites the head of the origin's answer.
    pub(super) fn response_head(
        &self,
        head: &mut ResponseHeader,
        now: Duration,
    ) -> pingora::Result<()> {
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.attempts.answered(head.status.as_u16(), now);
        }
        let plan = self.answer_plan();
        if plan.is_some_and(|plan| plan.replace_errors) && head.status.is_server_error() {
            self.replace(head)?;
        }
        security_headers::apply(head)?;
        if self.backend().no_store {
            head.insert_header(CACHE_CONTROL, "no-store")?;
        }
        for name in plan.iter().flat_map(|plan| &plan.remove) {
            head.remove_header(name.as_str());
        }
        for (name, value) in plan.iter().flat_map(|plan| &plan.set) {
            head.insert_header(name.clone(), value.as_str())?;
        }
        head.insert_header(REQUEST_ID, &self.id)
    }

    fn answer_plan(&self) -> Option<&AnswerPlan> {
        match &self.entry.route.action {
            RouteAction::Forward { answer, .. } => Some(answer),
            RouteAction::Redirect { .. } => None,
        }
    }

    /// Puts an error of ours in place of the origin's, with its status. The length is left open: whether the origin's
    /// answer has a body is seen only later.
    fn replace(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        let body = error_body(Reason::UpstreamFailed, &self.id, &serde_json::Map::new());
        for name in [CONTENT_LENGTH, CONTENT_ENCODING, ETAG, LAST_MODIFIED, CONTENT_RANGE] {
            head.remove_header(&name);
        }
        if head.version != Version::HTTP_2 {
            head.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
        head.insert_header(CONTENT_TYPE, "application/json")?;
        *self.replaced() = Some(body.into());
        Ok(())
    }

    /// Puts what was decided for the head in place of the body: all of it for the first part, nothing for the others.
    pub(super) fn replace_body(&self, body: &mut Option<Bytes>) {
        if let Some(replaced) = self.replaced().as_mut() {
            let all = std::mem::take(replaced);
            *body = (!all.is_empty()).then_some(all);
        }
    }

    fn replaced(&self) -> std::sync::MutexGuard<'_, Option<Bytes>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chain(client: &Client) -> String {
    let mut text = String::new();
    for address in &client.chain {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{address}").expect("a string takes what is written");
    }
    text
}

/// Takes away every header that only the edge may set, in every spelling that some server reads as the same name.
fn strip(head: &mut RequestHeader) {
    head.remove_header(&EXPECT);
    head.remove_header(&TE);
    let is_claim = |name: &&HeaderName| {
        let name = name.as_str().as_bytes();
        is_reserved(name) || is_forwarding(name) || ALSO.contains(&name)
    };
    let named: Vec<HeaderName> = head.headers.keys().filter(is_claim).cloned().collect();
    for name in named {
        head.remove_header(&name);
    }
}

/// A client's own id would be taken for ours.
const ALSO: &[&[u8]] = &[b"x-request-id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_stripped_in_every_spelling_and_nothing_else_is() {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "X.Forwarded.For",
            "X_Real-IP",
            "Forwarded",
            "X-Request-Id",
        ] {
            head.append_header(name, "forged").unwrap();
        }
        for name in ["X-Forwarded-Foreign", "Accept", "X-Real"] {
            head.append_header(name, "kept").unwrap();
        }
        strip(&mut head);
        let mut left: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-forwarded-foreign", "x-real"]);
    }
}
