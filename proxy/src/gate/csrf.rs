//! Requests that another site makes a browser send, with the cookies of the person before it.
//!
//! Browsers say themselves where a request comes from (`Sec-Fetch-Site`, else `Origin`); no page can say otherwise. A request
//! that says neither comes from no browser of these days: it needs the token, and is refused where the route has none.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::{COOKIE, HeaderName, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use portcullis_config::model::{Csrf, CsrfToken};
use portcullis_policy::Scheme;

use super::refusal::Refusal;
use super::sanity::Target;
use crate::hex::hex;
use crate::reason::Reason;
use crate::router::RouteEntry;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Bytes of a token, before they are written in hexadecimal digits.
const TOKEN_BYTES: usize = 16;

/// Refuses a forged request, where the route asks.
pub(super) fn check(
    entry: &RouteEntry,
    method: &Method,
    headers: &HeaderMap,
    target: &Target,
    scheme: Scheme,
) -> Result<(), Refusal> {
    let Some(rule) = entry.route.browser().and_then(|browser| browser.csrf.as_ref()) else {
        return Ok(());
    };
    // The handshake of a WebSocket is a GET that changes what the connection is.
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !headers.contains_key(UPGRADE);
    if is_safe || !carries(rule, headers) {
        return Ok(());
    }
    let place = place(rule, headers, target, scheme);
    let token = rule.token.as_ref().map(|token| has_token(token, headers));
    match (place, token) {
        (From::Elsewhere, _) => Err(refused("another site sent it")),
        (_, Some(false)) => Err(refused("its token is not that of the cookie")),
        (From::Unsaid, None) => Err(refused("it says neither `Sec-Fetch-Site` nor `Origin`")),
        (From::Here, Some(true) | None) | (From::Unsaid, Some(true)) => Ok(()),
    }
}

/// The same for a session of the edge's own, which is a cookie too.
pub(super) fn check_session(
    method: &Method,
    headers: &HeaderMap,
    target: &Target,
    scheme: Scheme,
) -> Result<(), Refusal> {
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !headers.contains_key(UPGRADE);
    let none = Csrf { cookies: Vec::new(), origins: Vec::new(), token: None };
    if is_safe || place(&none, headers, target, scheme) == From::Here {
        return Ok(());
    }
    Err(refused("another site sent it"))
}

fn refused(why: &'static str) -> Refusal {
    Refusal::because(Reason::CrossSiteRequest, why)
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Here,
    Elsewhere,
    Unsaid,
}

fn place(rule: &Csrf, headers: &HeaderMap, target: &Target, scheme: Scheme) -> From {
    let site = only(headers, &SEC_FETCH_SITE);
    let origin = only(headers, &ORIGIN);
    let is_listed = |origin: &[u8]| rule.origins.iter().any(|one| one.as_bytes() == origin);
    match (site, origin) {
        (Only::Two, _) | (_, Only::Two) => From::Elsewhere,
        (Only::One(b"same-origin" | b"none"), _) => From::Here,
        (_, Only::One(origin)) if is_listed(origin) => From::Here,
        (Only::One(_), _) => From::Elsewhere,
        (Only::None, Only::One(origin)) if is_own(origin, target, scheme) => From::Here,
        (Only::None, Only::One(_)) => From::Elsewhere,
        (Only::None, Only::None) => From::Unsaid,
    }
}

/// The origin of the request's own host. Behind a balancer that ends TLS it is `https` although the connection is not.
fn is_own(origin: &[u8], target: &Target, scheme: Scheme) -> bool {
    let own = |with: &str| origin.strip_prefix(with.as_bytes()) == Some(&*target.authority);
    own("https://") || scheme == Scheme::Http && own("http://")
}

/// A field that may be there once.
enum Only<'h> {
    None,
    One(&'h [u8]),
    Two,
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Only<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Only::None,
        (Some(one), None) => Only::One(one.as_bytes()),
        (Some(_), Some(_)) => Only::Two,
    }
}

/// Whether a cookie with credentials is there.
fn carries(rule: &Csrf, headers: &HeaderMap) -> bool {
    let named = |name: &[u8]| rule.cookies.iter().any(|one| one.as_bytes() == name);
    cookies(headers).any(|(name, _)| rule.cookies.is_empty() || named(name))
}

fn has_token(token: &CsrfToken, headers: &HeaderMap) -> bool {
    let Some(kept) = kept(token, headers) else { return false };
    let sent = headers.get(token.header.as_str()).map(HeaderValue::as_bytes);
    sent.is_some_and(|sent| verify_slices_are_equal(sent, kept).is_ok())
}

/// The token of the cookie; two of them are none.
fn kept<'h>(token: &CsrfToken, headers: &'h HeaderMap) -> Option<&'h [u8]> {
    let mut found = cookies(headers).filter(|(name, _)| *name == token.cookie.as_bytes());
    let (_, value) = found.next().filter(|(_, value)| value.len() >= TOKEN_BYTES)?;
    found.next().is_none().then_some(value)
}

/// Names and values of a request's cookies.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = headers.get_all(COOKIE).iter();
    let pairs = pairs.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

/// Makes the cookie of a token for a browser that has none; scripts of the page send its value back.
pub(super) fn new_token(entry: &RouteEntry, headers: &HeaderMap) -> Option<HeaderValue> {
    let token = entry.route.browser()?.csrf.as_ref()?.token.as_ref()?;
    if kept(token, headers).is_some() {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    let cookie = format!("{}={}; Path=/; Secure; SameSite=Strict", token.cookie, hex(&bytes));
    HeaderValue::from_str(&cookie).ok()
}
