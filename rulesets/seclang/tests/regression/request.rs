//! The request that a case describes, as the CRS's own runner would send it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cases::{Data, Input};

/// A request in parts.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) uri: Vec<u8>,
    pub(crate) version: Vec<u8>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Builds it.
pub(crate) fn build(input: &Input) -> Request {
    if let Some(encoded) = &input.encoded_request {
        let packed: String = encoded.split_whitespace().collect();
        return raw(&STANDARD.decode(packed).unwrap());
    }
    if let Some(text) = &input.raw_request {
        return raw(text.as_bytes());
    }
    let bytes = |text: &Option<String>, or: &str| text.as_deref().unwrap_or(or).as_bytes().to_vec();
    let mut request = Request {
        method: bytes(&input.method, "GET"),
        uri: bytes(&input.uri, "/"),
        version: bytes(&input.version, "HTTP/1.1"),
        headers: Vec::new(),
        body: match &input.data {
            None => Vec::new(),
            Some(Data::Text(text)) => text.clone().into_bytes(),
            Some(Data::Lines(lines)) => lines.join("\r\n").into_bytes(),
        },
    };
    for (name, value) in input.headers.iter().flatten() {
        request.headers.push((name.clone().into_bytes(), value.clone().into_bytes()));
    }
    let completes = match input.autocomplete_headers {
        Some(completes) => completes,
        None => input.stop_magic != Some(true),
    };
    if completes {
        complete(&mut request);
    }
    request
}

fn complete(request: &mut Request) {
    if !request.body.is_empty() {
        if request.header("content-type").is_none() {
            request.add("Content-Type", b"application/x-www-form-urlencoded");
        }
        let content_type = request.header("content-type").unwrap().to_ascii_lowercase();
        if content_type == b"application/x-www-form-urlencoded" {
            request.body = encoded(&request.body);
        }
        if content_type.starts_with(b"multipart/form-data") {
            request.body = crlf(&request.body);
        }
    }
    if request.header("connection").is_none() {
        request.add("Connection", b"close");
    }
    let posted = request.method == b"POST" && request.version == b"HTTP/1.1";
    if (posted || !request.body.is_empty()) && request.header("content-length").is_none() {
        let length = request.body.len().to_string();
        request.add("Content-Length", length.as_bytes());
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.headers.iter();
        let same = |n: &[u8]| n.eq_ignore_ascii_case(name.as_bytes());
        found.find(|(n, _)| same(n)).map(|(_, v)| v.as_slice())
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.headers.push((name.as_bytes().to_vec(), value.to_vec()));
    }
}

/// Form data that holds no escape is escaped, as a client library would.
fn encoded(body: &[u8]) -> Vec<u8> {
    if body.iter().any(|b| matches!(b, b'%' | b'+' | b';')) {
        return body.to_vec();
    }
    let plain =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'=' | b'&');
    let mut out = Vec::new();
    for pair in body.split(|b| *b == b'&') {
        if !out.is_empty() {
            out.push(b'&');
        }
        let mut in_value = false;
        for byte in pair {
            match byte {
                b'=' if !in_value => {
                    in_value = true;
                    out.push(b'=');
                }
                b' ' => out.push(b'+'),
                b if plain(b) && *b != b'=' => out.push(*b),
                b => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
            }
        }
        if !in_value {
            out.push(b'=');
        }
    }
    out
}

fn crlf(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = 0;
    for &byte in body {
        if byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        last = byte;
    }
    out
}

/// Cuts raw bytes into a request; line ends may be bare.
pub(crate) fn raw(bytes: &[u8]) -> Request {
    let mut rest = bytes;
    let mut lines = Vec::new();
    while let Some(at) = rest.iter().position(|b| *b == b'\n') {
        let line = rest[..at].strip_suffix(b"\r").unwrap_or(&rest[..at]);
        rest = &rest[at + 1..];
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let first = lines.first().copied().unwrap_or(rest);
    let mut words = first.split(|b| *b == b' ');
    let mut word = || words.next().unwrap_or_default().to_vec();
    let (method, uri, version) = (word(), word(), word());
    let headers = lines.iter().skip(1).map(|line| {
        let at = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let value = line.get(at + 1..).unwrap_or_default().trim_ascii();
        (line[..at].to_vec(), value.to_vec())
    });
    Request { method, uri, version, headers: headers.collect(), body: rest.to_vec() }
}
