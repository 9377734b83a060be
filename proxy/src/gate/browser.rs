//! What an answer that is forwarded gets for browsers: who may read it, the token that is sent twice, stricter cookies.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::cookies;
use super::cors::Cross;
use super::csrf;
use crate::router::RouteEntry;

/// What one request's answer gets.
#[derive(Default, Debug)]
pub(super) struct ForBrowser {
    cross: Option<Cross>,
    token: Option<HeaderValue>,
}

impl ForBrowser {
    pub(super) fn of(cross: Option<Cross>, entry: &RouteEntry, asked: &HeaderMap) -> Self {
        Self { cross, token: csrf::new_token(entry, asked) }
    }

    /// Writes it on the answer, over whatever the origin said.
    pub(super) fn apply(&self, entry: &RouteEntry, headers: &mut HeaderMap) {
        let Some(rule) = entry.route.browser() else { return };
        if let Some(cookies) = &rule.cookies {
            cookies::rewrite(headers, cookies);
        }
        if let Some(cross) = &self.cross {
            cross.apply(headers);
        }
        // A page is what can send the token back. One that sets a person's own cookie is for nobody else.
        if let Some(token) = self.token.as_ref().filter(|_| is_page(headers)) {
            headers.append(SET_COOKIE, token.clone());
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
}
