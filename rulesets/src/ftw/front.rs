//! The web server in front of the rules, as far as cases ask for one: what it refuses, how it frames a body.

use super::request::{Request, split_line};

/// Says whether any sane HTTP/1 server answers 400 before a rule runs.
pub(super) fn refuses(request: &Request) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let bad_method = request.method.is_empty() || !request.method.iter().all(token);
    let bad_version = !matches!(request.version.as_slice(), b"HTTP/1.0" | b"HTTP/1.1");
    let split = |value: &[u8]| value.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    let bad_value = request.headers.iter().any(|(_, value)| split(value));
    bad_method
        || bad_version
        || bad_value
        || bad_length(request)
        || bad_host(request)
        || bad_target(request)
}

fn bad_length(request: &Request) -> bool {
    let Some(text) = request.header("content-length") else { return false };
    let length = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    match length.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) => length > request.body.len(),
        None => true,
    }
}

fn bad_host(request: &Request) -> bool {
    match request.header("host") {
        None => request.version == b"HTTP/1.1",
        Some(host) => host.is_empty() || host.iter().any(|byte| b"% /".contains(byte)),
    }
}

fn bad_target(request: &Request) -> bool {
    let uri = request.uri.as_slice();
    if request.method == b"CONNECT" {
        return !uri.contains(&b':');
    }
    let starts = uri.starts_with(b"/") || uri == b"*" || uri.windows(3).any(|w| w == b"://");
    !starts || uri.iter().any(|byte| *byte <= b' ' || b"#<>\"".contains(byte))
}

/// Frames the body as a server reads it: chunks win over a length, which then goes; without either there is no
/// body.
pub fn framed(mut request: Request) -> Request {
    if request.version.is_empty() {
        request.version = b"HTTP/0.9".to_vec();
    }
    let chunked = request.header("transfer-encoding").is_some_and(|te| te.ends_with(b"chunked"));
    if chunked {
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
        request.body = unchunked(&request.body);
    } else if request.header("content-length").is_none() {
        request.body.clear();
    }
    request
}

/// Returns the content of a chunked body; what is no chunk is left out.
fn unchunked(body: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), body);
    while let Some((line, tail)) = split_line(rest) {
        let size = std::str::from_utf8(line.trim_ascii()).ok();
        let Some(size) = size.and_then(|text| usize::from_str_radix(text, 16).ok()) else { break };
        let (chunk, after) = tail.split_at_checked(size).unwrap_or((tail, &[]));
        out.extend_from_slice(chunk);
        if size == 0 {
            break;
        }
        rest = after.trim_ascii_start();
    }
    out
}
