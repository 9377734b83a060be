use std::time::Duration;

use super::*;

fn limits() -> Limits {
    Limits {
        connections: 1,
        connections_per_address: 1,
        connections_per_network: 1,
        connection_rate: 1,
        requests: 0,
        requests_per_client: 0,
        flood_ban: Duration::from_secs(1),
        client_hello_timeout: Duration::from_secs(1),
        handshake_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        head_timeout: Duration::from_secs(1),
        min_rate_bytes: 1,
        min_rate_grace: Duration::from_secs(1),
        target_bytes: 64,
        header_bytes: 128,
        headers: 4,
        body_bytes: 1,
        body_timeout: Duration::from_secs(1),
        body_buffer_bytes: 1,
        rate_keys: 1,
        collection_bytes: 1,
        recent_decisions: 0,
        bans: 1,
    }
}

/// Reads a head the way Pingora does, as far as it matters here.
fn head(raw: &[u8]) -> RequestHeader {
    let mut lines =
        raw.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap().split(|byte| *byte == b' ');
    let method = std::str::from_utf8(words.next().unwrap()).unwrap();
    let mut head = RequestHeader::build(method, words.next().unwrap(), None).unwrap();
    let mut fields = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b':').unwrap();
        fields.push((
            std::str::from_utf8(&line[..at]).unwrap().to_owned(),
            line[at + 1..].trim_ascii().to_vec(),
        ));
    }
    for (name, value) in fields {
        head.append_header(name, HeaderValue::from_bytes(&value).unwrap()).unwrap();
    }
    head
}

fn outcome(raw: &str) -> Result<String, Reason> {
    let target =
        check(&head(raw.as_bytes()), &limits(), "https").map_err(|refusal| refusal.reason)?;
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    Ok(format!("{} {} {}", text(&target.host), text(&target.path), text(&target.query)))
}

#[test]
fn a_target_is_taken_apart() {
    for (raw, expected) in [
        ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test / "),
        ("GET /x?y=1?z HTTP/1.1\r\nHost: A.Test:8443\r\n\r\n", "a.test /x y=1?z"),
        ("GET /%00%2e?a=%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test /%00%2e a=%zz"),
        ("GET https://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test /x "),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, TE\r\n\r\n", "a.test / "),
        ("GET / HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "::1 / "),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-Continue\r\n\r\n", "a.test / "),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n", "a.test / "),
    ] {
        assert_eq!(outcome(raw).as_deref(), Ok(expected), "{raw}");
    }
}

#[test]
fn http_2_has_the_scheme_https_and_values_without_space_around_them() {
    let outcome = |uri: &str, value: &str| {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        head.set_version(Version::HTTP_2);
        head.set_uri(uri.parse().unwrap());
        head.insert_header("a", value).unwrap();
        check(&head, &limits(), "https").map(|_| ()).map_err(|refusal| refusal.reason)
    };
    for (uri, value, expected) in [
        ("https://a.test/", "b c", Ok(())),
        ("https://a.test/", " b", Err(Reason::MalformedRequest)),
        ("https://a.test/", "b\t", Err(Reason::MalformedRequest)),
        ("http://a.test/", "b", Err(Reason::MalformedRequest)),
    ] {
        assert_eq!(outcome(uri, value), expected, "{uri} {value:?}");
    }
}

#[test]
fn what_a_backend_might_read_otherwise_is_refused() {
    use Reason::{
        ExpectationFailed, HeaderTooLarge, MalformedRequest, MethodNotAllowed, UriTooLong,
    };
    let long = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "x".repeat(64));
    let fat = format!("GET / HTTP/1.1\r\nHost: a.test\r\nA: {}\r\n\r\n", "x".repeat(128));
    for (raw, reason) in [
        ("GET / HTTP/1.1\r\n\r\n", MalformedRequest),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", MalformedRequest),
        ("GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n", MalformedRequest),
        ("GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n", MalformedRequest),
        ("GET / HTTP/1.1\r\nHost: [a.test]\r\n\r\n", MalformedRequest),
        ("GET https://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", MalformedRequest),
        ("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", MalformedRequest),
        ("GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", MalformedRequest),
        ("GET https://u@a.test/ HTTP/1.1\r\nHost: u@a.test\r\n\r\n", MalformedRequest),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
            MalformedRequest,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            MalformedRequest,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X_Edge-Subject\r\n\r\n",
            MalformedRequest,
        ),
        ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", MethodNotAllowed),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 200-ok\r\n\r\n", ExpectationFailed),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", HeaderTooLarge),
        (fat.as_str(), HeaderTooLarge),
        (long.as_str(), UriTooLong),
    ] {
        assert_eq!(outcome(raw), Err(reason), "{raw}");
    }
}
