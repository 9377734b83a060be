//! What goes to the origin, and what of its answer goes back.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, EXPECT, HeaderName, LAST_MODIFIED, SEC_WEBSOCKET_EXTENSIONS, TE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use portcullis_config::model::{AnswerPlan, Backend, ClientAddressHeader, RouteAction};
use portcullis_identity::headers::{is_forwarding, is_reserved, is_spelling_of};
use portcullis_policy::Scheme;

use super::answer::REQUEST_ID;
use super::attempts::Attempts;
use super::body::Held;
use super::browser::ForBrowser;
use super::client_address::Client;
use super::heads::{edit_request, edit_response, name, value};
use super::learning::Learning;
use super::refusal::Refusal;
use super::sanity::Target;
use super::stream::Stream;
use super::told::Told;
use crate::bypass;
use crate::reason::{Reason, error_body};
use crate::router::RouteEntry;

const EDGE_REQUEST_ID: HeaderName = HeaderName::from_static("x-edge-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

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
    /// What the answer gets for browsers.
    for_browser: ForBrowser,
    /// What the answer to a sign-in tells.
    pub(super) told: Option<Told>,
    /// Headers that identity and policy add.
    pub(super) added: Vec<(HeaderName, HeaderValue)>,
    /// What is learnt from the answer.
    pub(super) learning: Option<Learning>,
    /// Why forwarding failed, first word counts.
    failure: OnceLock<Refusal>,
    /// What stands in place of the origin's body, once its head said that it is replaced.
    replaced: Mutex<Option<Bytes>>,
}

impl Forward {
    pub(super) fn new(
        id: String,
        entry: Arc<RouteEntry>,
        target: Target,
        client: Client,
        scheme: Scheme,
        attempts: Attempts,
        stream: Option<Stream>,
        held: Option<Held>,
        added: Vec<(HeaderName, HeaderValue)>,
        learning: Option<Learning>,
        for_browser: ForBrowser,
    ) -> Self {
        Self {
            told: entry.route.sign_in().map(Told::of),
            for_browser,
            id,
            entry,
            target,
            client,
            scheme,
            attempts,
            stream,
            held,
            added,
            learning,
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
        edit_request(head, |parts| {
            // To a server that speaks HTTP/2, Pingora has made it one of HTTP/2.
            if parts.version != Version::HTTP_2 {
                parts.version = Version::HTTP_11;
            }
            self.upstream_headers(&mut parts.headers)
        })?;
        if head.raw_path() != self.target.uri {
            head.set_raw_path(&self.target.uri)?;
        }
        Ok(())
    }

    fn upstream_headers(&self, headers: &mut HeaderMap) -> pingora::Result<()> {
        strip(headers, &self.client.told_by);
        if let Some(Held { bytes: body, .. }) = &self.held {
            headers.remove(TRANSFER_ENCODING);
            if !body.is_empty() || headers.contains_key(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, body.len().into());
            }
        }
        match self.stream {
            // Frames are counted as they pass, so they must be what they seem: no compression.
            Some(Stream::WebSocket(_)) => drop(headers.remove(SEC_WEBSOCKET_EXTENSIONS)),
            // Without it some servers take the client for one that reads no trailers.
            Some(Stream::Grpc(_)) => {
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
            None => {}
        }
        if self.entry.route.inspection().is_some()
            || self.learning.is_some()
            || self.told.as_ref().is_some_and(Told::reads_body)
        {
            // What is looked into comes plain, if the origin can.
            headers.remove(ACCEPT_ENCODING);
        }
        let id = value(self.id.as_bytes())?;
        headers.insert(REQUEST_ID, id.clone());
        headers.insert(EDGE_REQUEST_ID, id);
        headers.insert(FORWARDED_FOR, value(chain(&self.client).as_bytes())?);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(self.scheme.as_str()));
        headers.insert(FORWARDED_HOST, value(&self.target.authority)?);
        for (name, value) in &self.added {
            headers.insert(name.clone(), value.clone());
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
        if let Some(told) = &self.told {
            told.head(&head.headers);
        }
        let plan = self.answer_plan();
        if plan.is_some_and(|plan| plan.replace_errors) && head.status.is_server_error() {
            self.replace(head)?;
        }
        edit_response(head, |parts| {
            let headers = &mut parts.headers;
            self.entry.security.apply(headers);
            if self.backend().no_store {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            for name in plan.iter().flat_map(|plan| &plan.remove) {
                headers.remove(name.as_str());
            }
            for (set, text) in plan.iter().flat_map(|plan| &plan.set) {
                headers.insert(name(set)?, value(text.as_bytes())?);
            }
            self.for_browser.apply(&self.entry, headers);
            headers.insert(REQUEST_ID, value(self.id.as_bytes())?);
            Ok(())
        })
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
fn strip(headers: &mut HeaderMap, told_by: &ClientAddressHeader) {
    headers.remove(EXPECT);
    headers.remove(TE);
    let is_claim = |name: &&HeaderName| {
        let name = name.as_str().as_bytes();
        is_reserved(name)
            || is_forwarding(name)
            || ALSO.contains(&name)
            || is_spelling_of(bypass::HEADER, name)
            || tells(told_by, name)
    };
    let named: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

/// Whether it is the header that trusted hops name the client by, in some spelling.
fn tells(told_by: &ClientAddressHeader, name: &[u8]) -> bool {
    match told_by {
        ClientAddressHeader::Forwarded => false,
        ClientAddressHeader::List(told_by) => is_spelling_of(told_by, name),
    }
}

/// A client's own id would be taken for ours.
const ALSO: &[&[u8]] = &[b"x-request-id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_stripped_in_every_spelling_and_nothing_else_is() {
        let mut headers = HeaderMap::new();
        let named = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "X.Forwarded.For",
            "X_Real-IP",
            "Forwarded",
            "X-Request-Id",
            "X-Load-Test-Bypass",
            "x_load_test.bypass",
        ] {
            headers.append(named(name), HeaderValue::from_static("forged"));
        }
        for name in ["CF-Connecting-IP", "Cf_Connecting_Ip"] {
            headers.append(named(name), HeaderValue::from_static("forged"));
        }
        for name in ["X-Forwarded-Foreign", "Accept", "X-Real", "CF-Connecting-IPv6"] {
            headers.append(named(name), HeaderValue::from_static("kept"));
        }
        strip(&mut headers, &ClientAddressHeader::named("CF-Connecting-IP"));
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "cf-connecting-ipv6", "x-forwarded-foreign", "x-real"]);
    }
}
