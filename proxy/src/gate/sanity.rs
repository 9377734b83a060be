//! Framing and target sanity: what is HTTP for Pingora and still not for us.
//!
//! Two parsers that read one request differently are how requests are smuggled, so whatever a backend might read in
//! another way is refused here instead of being repaired.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method};
use pingora::http::RequestHeader;
use portcullis_config::model::Limits;
use portcullis_identity::headers::nominates_a_deciding_header;

use super::refusal::Refusal;
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

/// Checks a request head and takes its target apart. `raw` is the head as it came, on HTTP/1.
pub(super) fn check(
    head: &RequestHeader,
    raw: Option<&[u8]>,
    limits: &Limits,
) -> Result<Target, Refusal> {
    check_size(head, limits)?;
    check_method(&head.method)?;
    if let Some(raw) = raw {
        check_framing(raw, &head.headers)?;
    }
    check_expectations(&head.headers)?;
    let fields = head.headers.iter();
    let mut fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    if nominates_a_deciding_header(&mut fields) {
        return Err(malformed("Connection nominates a header that decides something"));
    }
    target(head)
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

/// HTTP/1 only: a bare line feed, and both ways of framing at once. Pingora accepts the first and repairs the second.
fn check_framing(raw: &[u8], headers: &HeaderMap) -> Result<(), Refusal> {
    let bare = raw
        .iter()
        .zip(std::iter::once(&0).chain(raw))
        .any(|(byte, before)| *byte == b'\n' && *before != b'\r');
    if bare {
        return Err(malformed("a line ends without a carriage return"));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        if raw.split(|byte| *byte == b'\n').any(|line| is_field(line, CONTENT_LENGTH.as_str())) {
            return Err(malformed("both Content-Length and Transfer-Encoding"));
        }
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let only =
            codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !only || codings.next().is_some() {
            return Err(malformed("a transfer coding other than chunked"));
        }
    }
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(malformed("more than one Content-Length"));
    }
    Ok(())
}

fn is_field(line: &[u8], name: &str) -> bool {
    let field = line.split(|byte| *byte == b':').next().unwrap_or_default();
    field.len() < line.len() && field.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

fn check_expectations(headers: &HeaderMap) -> Result<(), Refusal> {
    let met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(EXPECT).iter().all(met) {
        return Err(Refusal::of(Reason::ExpectationFailed));
    }
    Ok(())
}

fn target(head: &RequestHeader) -> Result<Target, Refusal> {
    let (named, uri) = split_target(head)?;
    let authority = authority(head, named)?;
    let (name, _port) =
        split_authority(authority).ok_or_else(|| malformed("the host is not a host"))?;
    let is_odd = |byte: &u8| byte.is_ascii_control() || b" #".contains(byte);
    if uri.iter().any(is_odd) {
        return Err(malformed("a control byte, a space or a fragment in the target"));
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
fn split_target(head: &RequestHeader) -> Result<(Option<&[u8]>, Bytes), Refusal> {
    let raw = head.raw_path();
    let named = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    if raw.starts_with(b"/") {
        return Ok((named, Bytes::copy_from_slice(raw)));
    }
    let colon = raw
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(|| malformed("the target has no path"))?;
    let (scheme, rest) = raw.split_at(colon);
    let known = scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"http");
    let rest = rest
        .strip_prefix(b"://")
        .filter(|_| known)
        .ok_or_else(|| malformed("the target has no path"))?;
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    Ok((Some(authority), Bytes::from([slash, path].concat())))
}

/// The one authority of the request: `Host`, the target's own, or both if they are the same.
fn authority<'a>(head: &'a RequestHeader, named: Option<&'a [u8]>) -> Result<&'a [u8], Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(malformed("more than one Host"));
    }
    match (host, named) {
        (Some(host), Some(named)) if !host.eq_ignore_ascii_case(named) => {
            Err(malformed("Host and the target's authority differ"))
        }
        (_, Some(one)) | (Some(one), None) => Ok(one),
        (None, None) => Err(malformed("no Host")),
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
