//! The web server in front of the rules, as far as the cases ask for it: what it refuses with 400, and
//! how it frames a body.

use crate::request::Request;

/// Whether any sane HTTP/1 server answers 400 before a rule runs.
pub(crate) fn refuses(request: &Request) -> bool {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let bad_method = request.method.is_empty() || !request.method.iter().all(token);
    let bad_version = !matches!(request.version.as_slice(), b"HTTP/1.0" | b"HTTP/1.1");
    let bad_line =
        request.headers.iter().any(|(_, value)| value.iter().any(|b| b"\r\n".contains(b)));
    let length = request.header("content-length");
    let bad_length = length.is_some_and(|text| !text.iter().all(u8::is_ascii_digit));
    let host = request.header("host");
    let bad_host = match host {
        None => request.version == b"HTTP/1.1",
        Some(host) => host.is_empty() || host.iter().any(|b| b"% /".contains(b)),
    };
    let promised = length.and_then(|text| String::from_utf8(text.to_vec()).ok()?.parse().ok());
    let cut_short = promised.is_some_and(|length: usize| length > request.body.len());
    cut_short
        || bad_method
        || bad_version
        || bad_line
        || bad_length
        || bad_host
        || bad_target(request)
}

fn bad_target(request: &Request) -> bool {
    let uri = request.uri.as_slice();
    if request.method == b"CONNECT" {
        return !uri.contains(&b':');
    }
    let starts = uri.starts_with(b"/") || uri == b"*" || uri.windows(3).any(|w| w == b"://");
    !starts || uri.iter().any(|b| *b <= b' ' || b"#<>\"".contains(b))
}

/// Frames the body: chunked wins over a length, which then goes; without either there is no body.
pub(crate) fn framed(mut request: Request) -> Request {
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

/// The content of a chunked body; what is no chunk is left out.
fn unchunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.iter().position(|b| *b == b'\n') {
        let size = String::from_utf8(rest[..at].trim_ascii().to_vec()).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(&size, 16) else { break };
        let chunk = &rest[at + 1..];
        out.extend_from_slice(&chunk[..size.min(chunk.len())]);
        if size == 0 {
            break;
        }
        rest = chunk.get(size..).unwrap_or_default().trim_ascii_start();
    }
    out
}
