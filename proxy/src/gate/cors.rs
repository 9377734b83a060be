//! Requests of other origins: which may read an answer, and the answer to a browser that asks first (Fetch, section 3.2).
//!
//! The edge decides alone: what an origin says of other origins is taken away on a route that says it here.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};
use pingora::Result;
use portcullis_config::model::{Cors, OriginRule};

use super::heads::value;
use crate::router::RouteEntry;

/// What a route's answers say to other origins, unless it says so here.
const DECIDED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];
/// Names that are never asked for: every request may have them.
const SAFE: [&str; 3] = ["accept", "accept-language", "content-language"];

/// What one request gets of its route's rule.
#[derive(Clone, Debug)]
pub(super) struct Cross {
    /// What is said to its origin; none where the origin may read nothing.
    allow: Option<HeaderValue>,
    with_credentials: bool,
    expose: Option<HeaderValue>,
}

impl Cross {
    /// Looks at a request's `Origin`, where the route has a rule. Two of them are none.
    pub(super) fn of(entry: &RouteEntry, headers: &HeaderMap) -> Option<Self> {
        let rule = entry.route.browser()?.cors.as_ref()?;
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none());
        let with_credentials = origin.is_some_and(|origin| has_credentials(rule, origin));
        let is_any = rule.origins == [OriginRule::Any];
        let allow = origin.and_then(|origin| match is_any {
            true => Some(HeaderValue::from_static("*")),
            false => (with_credentials || is_allowed(rule, origin)).then(|| origin.clone()),
        });
        let expose = (!rule.expose.is_empty()).then(|| rule.expose.join(", "));
        let expose = expose.and_then(|names| HeaderValue::from_str(&names).ok());
        Some(Self { allow, with_credentials, expose })
    }

    /// Says on an answer who may read it.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for name in &DECIDED {
            headers.remove(name);
        }
        vary(headers, "Origin");
        let Some(origin) = &self.allow else { return };
        self.allow(headers, origin);
        if let Some(names) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
        }
    }

    fn allow(&self, headers: &mut HeaderMap, origin: &HeaderValue) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.with_credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Writes the answer to a preflight: what the route allows, if all that is asked for is allowed.
    pub(super) fn preflight(
        &self,
        rule: &Cors,
        asked: &HeaderMap,
        headers: &mut HeaderMap,
    ) -> Result<()> {
        vary(headers, "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        let Some(origin) = self.allow.as_ref().filter(|_| allows(rule, asked)) else {
            return Ok(());
        };
        self.allow(headers, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, value(rule.methods.join(", ").as_bytes())?);
        if !rule.headers.is_empty() {
            let names = rule.headers.join(", ");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, value(names.as_bytes())?);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, rule.max_age.as_secs().into());
        Ok(())
    }
}

/// The rule by which a request is a preflight that the edge answers.
pub(super) fn preflight<'e>(
    entry: &'e RouteEntry,
    method: &Method,
    headers: &HeaderMap,
) -> Option<&'e Cors> {
    let rule = entry.route.browser()?.cors.as_ref()?;
    let asks = headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    (*method == Method::OPTIONS && asks).then_some(rule)
}

fn has_credentials(rule: &Cors, origin: &HeaderValue) -> bool {
    rule.credentials.iter().any(|one| one.as_bytes() == origin.as_bytes())
}

fn is_allowed(rule: &Cors, origin: &HeaderValue) -> bool {
    rule.origins.iter().any(|one| one.holds(origin.as_bytes()))
}

fn allows(rule: &Cors, asked: &HeaderMap) -> bool {
    let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
    let is_method =
        method.is_some_and(|method| rule.methods.iter().any(|one| one.as_bytes() == method));
    let names = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut names = names.flat_map(|names| names.as_bytes().split(|byte| *byte == b','));
    let is_known = |name: &[u8]| {
        let known = rule.headers.iter().map(String::as_str).chain(SAFE);
        let name = name.trim_ascii();
        name.is_empty() || known.into_iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
    };
    is_method && names.all(is_known)
}

/// Says what an answer depends on, beside what the origin says of it.
fn vary(headers: &mut HeaderMap, names: &'static str) {
    headers.append(VARY, HeaderValue::from_static(names));
}
