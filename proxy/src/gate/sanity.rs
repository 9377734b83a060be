//! Head and target sanity, on HTTP/1 and HTTP/2 alike: what is HTTP by its framing and still not for us.
//!
//! Two parsers that read one request differently are how requests are smuggled, so whatever a backend might read in
//! another way is refused here instead of being repaired. The bytes of HTTP/1 have been read strictly before
//! ([`crate::edge`]); of HTTP/2, the h2 crate has checked frames, pseudo-headers and connection-specific headers.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Version};
use pingora::http::RequestHeader;
use portcullis_config::model::{Limits, PathForm};
use portcullis_identity::headers::nominates_a_deciding_header;

use super::refusal::Refusal;
use crate::path_form;
use crate::reason::Reason;

/// A request's target, taken apart. Bytes as the client sent them, but the host is in lower case and without its port.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The host's name or address.
    pub(super) host: Bytes,
    /// The host with its port, as sent.
    pub(super) authority: Bytes,
    /// From the first `/` to the `?`.
    pub(super) path: Bytes,
    /// After the `?`; empty if there is none.
    pub(super) query: Bytes,
    /// Path and query.
    pub(super) uri: Bytes,
}

impl Target {
    /// The same target with its path in another form, or a refusal of one that is ambiguous.
    pub(super) fn with_path_form(self, form: PathForm) -> Result<Self, Refusal> {
        let path = match path_form::apply(form, &self.path).map_err(malformed)? {
            Cow::Borrowed(_) => return Ok(self),
            Cow::Owned(path) => path,
        };
        let after = self.uri.get(self.path.len()..).unwrap_or_default();
        let uri = Bytes::from([path.as_slice(), after].concat());
        Ok(Self { path: uri.slice(..path.len()), uri, ..self })
    }

    /// The same target as an `https` URL on another port; `None` if it is not text.
    pub(super) fn on_https(&self, port: u16) -> Option<String> {
        let (name, _port) = split_authority(&self.authority)?;
        let is_address_6 = name.contains(&b':');
        let (name, uri) = (std::str::from_utf8(name).ok()?, std::str::from_utf8(&self.uri).ok()?);
        let host = if is_address_6 { format!("[{name}]") } else { name.to_owned() };
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        Some(format!("https://{host}{port}{uri}"))
    }
}

/// The longest method that is read.
const METHOD_BYTES_MAX: usize = 32;

/// Checks a request head that came under `scheme`, and takes its target apart.
pub(super) fn check(
    head: &RequestHeader,
    limits: &Limits,
    scheme: &str,
) -> Result<Target, Refusal> {
    check_size(head, limits)?;
    check_method(&head.method)?;
    check_fields(&head.headers)?;
    check_scheme(head, scheme)?;
    check_expectations(&head.headers)?;
    let fields = head.headers.iter();
    let mut fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    if nominates_a_deciding_header(&mut fields) {
        return Err(malformed("Connection nominates a header that decides something"));
    }
    target(head, scheme)
}

/// RFC 9113 §8.2.3: clients send a cookie in pieces, and whoever reads HTTP/1 expects one field. Joined before anything
/// looks, so that what is judged is what is forwarded.
pub(super) fn join_cookies(head: &mut RequestHeader) -> Result<(), Refusal> {
    let pieces: Vec<&[u8]> =
        head.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return Ok(());
    }
    let whole = HeaderValue::from_bytes(&pieces.join(&b"; "[..]));
    let joined = whole.is_ok_and(|whole| head.insert_header(COOKIE, whole).is_ok());
    if joined { Ok(()) } else { Err(malformed("the cookies do not join")) }
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::because(Reason::MalformedRequest, detail)
}

fn check_size(head: &RequestHeader, limits: &Limits) -> Result<(), Refusal> {
    if head.raw_path().len() as u64 > limits.target_bytes {
        return Err(Refusal::of(Reason::UriTooLong));
    }
    if head.headers.len() as u64 > u64::from(limits.headers) {
        return Err(Refusal::because(Reason::HeaderTooLarge, "too many header fields"));
    }
    let bytes: usize =
        head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes as u64 > limits.header_bytes {
        return Err(Refusal::because(Reason::HeaderTooLarge, "too many header bytes"));
    }
    Ok(())
}

fn check_method(method: &Method) -> Result<(), Refusal> {
    let refused = *method == Method::CONNECT
        || *method == Method::TRACE
        || method.as_str().len() > METHOD_BYTES_MAX;
    if refused { Err(Refusal::of(Reason::MethodNotAllowed)) } else { Ok(()) }
}

/// Fields that decide how a request is read: a second one is read by nobody in the same way.
const SINGLE: &[HeaderName] = &[HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, EXPECT];

fn check_fields(headers: &HeaderMap) -> Result<(), Refusal> {
    for name in SINGLE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Refusal::because(
                Reason::MalformedRequest,
                format!("more than one `{name}`"),
            ));
        }
    }
    if headers.get(CONTENT_LENGTH).is_some_and(|value| !is_decimal(value.as_bytes())) {
        return Err(malformed("Content-Length is no number"));
    }
    if headers.keys().any(is_taken_for_framing) {
        let why = "a header field that some servers take for one of framing";
        return Err(Refusal { closes: true, ..malformed(why) });
    }
    // RFC 9113 §8.2.1; on HTTP/1 the space around a value is no part of it.
    let padded = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        bytes.first().into_iter().chain(bytes.last()).any(|byte| b" \t".contains(byte))
    };
    if headers.values().any(padded) {
        return Err(malformed("a header field's value begins or ends with a space"));
    }
    Ok(())
}

/// Digits only, and no zero before another: some read an octal number there.
fn is_decimal(value: &[u8]) -> bool {
    let zero_first = value.len() > 1 && value.starts_with(b"0");
    !value.is_empty() && !zero_first && value.iter().all(u8::is_ascii_digit)
}

/// Gateways that write `_` for `-`, or make variables of names, read `Content_Length` as if it were the real one.
fn is_taken_for_framing(name: &HeaderName) -> bool {
    let is = |framing: &HeaderName| {
        let (name, framing) = (name.as_str().as_bytes(), framing.as_str().as_bytes());
        name.len() == framing.len()
            && name != framing
            && name.iter().zip(framing).all(|(byte, framing)| match byte {
                b'_' | b'.' => *framing == b'-',
                byte => byte == framing,
            })
    };
    is(&CONTENT_LENGTH) || is(&TRANSFER_ENCODING)
}

/// HTTP/2 names the scheme; it is the connection's.
fn check_scheme(head: &RequestHeader, scheme: &str) -> Result<(), Refusal> {
    // Without an authority the h2 crate drops the scheme.
    let named = head.uri.authority().is_some();
    if head.version == Version::HTTP_2 && named && head.uri.scheme_str() != Some(scheme) {
        return Err(malformed("the scheme is not the connection's"));
    }
    Ok(())
}

fn check_expectations(headers: &HeaderMap) -> Result<(), Refusal> {
    let met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(EXPECT).iter().all(met) {
        return Err(Refusal::of(Reason::ExpectationFailed));
    }
    Ok(())
}

fn target(head: &RequestHeader, scheme: &str) -> Result<Target, Refusal> {
    let (named, uri) = split_target(head, scheme)?;
    let authority = authority(head, named)?;
    let (name, _port) =
        split_authority(authority).ok_or_else(|| malformed("the host is not a host"))?;
    if !uri.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(malformed("a byte in the target that no target has"));
    }
    let host = Bytes::from(name.to_ascii_lowercase());
    let authority = Bytes::copy_from_slice(authority);
    let (path, query) = match uri.iter().position(|byte| *byte == b'?') {
        Some(at) => (uri.slice(..at), uri.slice(at + 1..)),
        None => (uri.clone(), Bytes::new()),
    };
    Ok(Target { host, authority, path, query, uri })
}

/// The target's authority, if it has one, and its path and query. Pingora keeps an absolute target verbatim.
fn split_target<'a>(
    head: &'a RequestHeader,
    scheme: &str,
) -> Result<(Option<&'a [u8]>, Bytes), Refusal> {
    let raw = head.raw_path();
    let named = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    if raw.starts_with(b"/") {
        return Ok((named, Bytes::copy_from_slice(raw)));
    }
    let colon = raw
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(|| malformed("the target has no path"))?;
    let (written, rest) = raw.split_at(colon);
    if !written.eq_ignore_ascii_case(scheme.as_bytes()) {
        return Err(malformed("the scheme is not the connection's"));
    }
    let rest = rest.strip_prefix(b"://").ok_or_else(|| malformed("the target has no path"))?;
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    Ok((Some(authority), Bytes::from([slash, path].concat())))
}

/// The one authority of the request: `Host`, the target's own, or both if they are the same.
fn authority<'a>(head: &'a RequestHeader, named: Option<&'a [u8]>) -> Result<&'a [u8], Refusal> {
    let host = head.headers.get(HOST).map(HeaderValue::as_bytes);
    match (host, named) {
        (Some(host), Some(named)) if !host.eq_ignore_ascii_case(named) => {
            Err(malformed("Host and the target's authority differ"))
        }
        (Some(one), _) => Ok(one),
        // RFC 9112 §3.2: HTTP/1.1 has a Host, whatever its target says.
        (None, Some(one)) if head.version == Version::HTTP_2 => Ok(one),
        (None, _) => Err(malformed("no Host")),
    }
}

/// Takes `name[:port]` or `[address][:port]` apart: the name without brackets, and the port's digits. `None` if it is
/// something else, such as one with user information.
fn split_authority(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (name, rest) = match authority.strip_prefix(b"[") {
        Some(inner) => {
            let end = inner.iter().position(|byte| *byte == b']')?;
            let (address, rest) = inner.split_at(end);
            let is_address =
                std::str::from_utf8(address).ok()?.parse::<std::net::Ipv6Addr>().is_ok();
            is_address.then_some((address, rest.get(1..)?))?
        }
        None => {
            let end = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
            let (name, rest) = authority.split_at(end);
            let is_name = !name.is_empty()
                && name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(b));
            is_name.then_some((name, rest))?
        }
    };
    match rest.split_first() {
        None => Some((name, None)),
        Some((b':', port))
            if port.len() <= 5 && !port.is_empty() && port.iter().all(u8::is_ascii_digit) =>
        {
            Some((name, Some(port)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
#[path = "sanity/tests.rs"]
mod tests;
