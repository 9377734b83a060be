//! The request that a case describes, as the suite's own runner would send it.

use super::format::{Data, Input};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A request in parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The method.
    pub method: Vec<u8>,
    /// The target, query included.
    pub uri: Vec<u8>,
    /// The version, such as `HTTP/1.1`.
    pub version: Vec<u8>,
    /// Names and values, in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body as it is sent.
    pub body: Vec<u8>,
    /// The bytes of the whole, where a case gives them so: they may be no request at all.
    pub raw: Option<Vec<u8>>,
}

impl Request {
    /// Builds it from a case's input.
    pub(super) fn of(input: &Input) -> Result<Self, String> {
        if let Some(encoded) = &input.encoded_request {
            let packed: String = encoded.split_whitespace().collect();
            let bytes = STANDARD.decode(packed).map_err(|error| error.to_string())?;
            return Ok(Self::from_bytes(&bytes));
        }
        if let Some(text) = &input.raw_request {
            return Ok(Self::from_bytes(text.as_bytes()));
        }
        let or =
            |text: &Option<String>, or: &str| text.as_deref().unwrap_or(or).as_bytes().to_vec();
        let headers = input.headers.iter().flatten();
        let mut request = Self {
            method: or(&input.method, "GET"),
            uri: or(&input.uri, "/"),
            version: or(&input.version, "HTTP/1.1"),
            headers: headers.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect(),
            body: match &input.data {
                None => Vec::new(),
                Some(Data::Text(text)) => text.as_bytes().to_vec(),
                Some(Data::Lines(lines)) => lines.join("\r\n").into_bytes(),
            },
            raw: None,
        };
        let complete = !input.stop_magic.unwrap_or(false);
        if input.autocomplete_headers.unwrap_or(complete) {
            request.complete();
        }
        Ok(request)
    }

    /// Cuts raw bytes into a request; line ends may be bare.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (mut rest, mut lines) = (bytes, Vec::new());
        while let Some((line, tail)) = split_line(rest) {
            rest = tail;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let first = lines.first().copied().unwrap_or(rest);
        let mut words = first.split(|byte| *byte == b' ');
        let mut word = || words.next().unwrap_or_default().to_vec();
        let (method, uri, version) = (word(), word(), word());
        let headers = lines.iter().skip(1).map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at_checked(colon).unwrap_or_default();
            (name.to_vec(), value.get(1..).unwrap_or_default().trim_ascii().to_vec())
        });
        let headers = headers.collect();
        Self { method, uri, version, headers, body: rest.to_vec(), raw: Some(bytes.to_vec()) }
    }

    /// Returns what goes over the wire.
    pub fn to_wire(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut bytes = [&self.method, b" ".as_slice(), &self.uri].concat();
        if !self.version.is_empty() {
            bytes.push(b' ');
            bytes.extend_from_slice(&self.version);
        }
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Returns the value of the first header with a name, letter case ignored.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.headers.push((name.as_bytes().to_vec(), value.to_vec()));
    }

    /// Adds what a client library would add, and encodes a form that is written plainly.
    fn complete(&mut self) {
        if !self.body.is_empty() {
            let form = b"application/x-www-form-urlencoded";
            if self.header("content-type").is_none() {
                self.add("Content-Type", form);
            }
            let media_type = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
            if media_type == form {
                self.body = encoded(&self.body);
            }
            if media_type.starts_with(b"multipart/form-data") {
                self.body = with_crlf(&self.body);
            }
        }
        if self.header("connection").is_none() {
            self.add("Connection", b"close");
        }
        let posted = self.method == b"POST" && self.version == b"HTTP/1.1";
        if (posted || !self.body.is_empty()) && self.header("content-length").is_none() {
            let length = self.body.len().to_string();
            self.add("Content-Length", length.as_bytes());
        }
    }
}

/// Returns the first line without its end, and what follows it.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// Form data that holds no escape is escaped.
fn encoded(body: &[u8]) -> Vec<u8> {
    if body.iter().any(|byte| matches!(byte, b'%' | b'+' | b';')) {
        return body.to_vec();
    }
    let mut out = Vec::with_capacity(body.len());
    for pair in body.split(|byte| *byte == b'&') {
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
                b'-' | b'_' | b'.' | b'~' => out.push(*byte),
                byte if byte.is_ascii_alphanumeric() => out.push(*byte),
                byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
        if !in_value {
            out.push(b'=');
        }
    }
    out
}

fn with_crlf(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for byte in body {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}
