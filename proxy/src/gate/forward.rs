//! What goes to the origin, and what of its answer goes back.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HeaderName, TE, TRANSFER_ENCODING};
use http::{HeaderValue, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use portcullis_config::model::Backend;
use portcullis_identity::headers::{is_forwarding, is_reserved};
use portcullis_policy::Scheme;

use super::answer::REQUEST_ID;
use super::body::Held;
use super::client_address::Client;
use super::refusal::Refusal;
use super::sanity::Target;
use super::security_headers;
use crate::upstream::Upstream;

/// A judged request on its way to the origin. Shared between a request and its sealed subrequest.
#[derive(Debug)]
pub(crate) struct Forward {
    /// The request's id.
    pub(super) id: String,
    /// The target as judged.
    pub(super) target: Target,
    /// Who asks.
    pub(super) client: Client,
    /// How the client reached us.
    pub(super) scheme: Scheme,
    /// The backend and its servers.
    pub(super) upstream: Arc<Upstream>,
    /// The body, if it was read; its share of the budget ends with the request.
    pub(super) held: Option<Held>,
    /// Headers that identity and policy add.
    pub(super) added: Vec<(HeaderName, HeaderValue)>,
    /// The server that was asked last.
    server: Mutex<Option<String>>,
    /// Why forwarding failed, first word counts.
    failure: OnceLock<Refusal>,
}

impl Forward {
    pub(super) const fn new(
        id: String,
        target: Target,
        client: Client,
        scheme: Scheme,
        upstream: Arc<Upstream>,
        held: Option<Held>,
        added: Vec<(HeaderName, HeaderValue)>,
    ) -> Self {
        Self {
            id,
            target,
            client,
            scheme,
            upstream,
            held,
            added,
            server: Mutex::new(None),
            failure: OnceLock::new(),
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

    /// The server that was asked last.
    pub(super) fn server(&self) -> Option<String> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the server that is asked now.
    pub(super) fn asks(&self, server: String) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    fn backend(&self) -> &Backend {
        &self.upstream.backend
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
        head.set_version(Version::HTTP_11);
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
    pub(super) fn response_head(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        security_headers::apply(head)?;
        if self.backend().no_store {
            head.insert_header(CACHE_CONTROL, "no-store")?;
        }
        head.insert_header(REQUEST_ID, &self.id)
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
