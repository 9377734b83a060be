//! Requests made of fragments of attacks and of noise, from a seed.

use portcullis_rulesets::ftw::Request;

/// A small generator; the same seed gives the same requests.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// What attacks are made of, encoded in several ways, beside ordinary words.
const FRAGMENTS: &[&str] = &[
    "' or 1=1--",
    "UNION SELECT ",
    "<script>",
    "</a>",
    "javascript:",
    "../../etc/passwd",
    "%2e%2e%2f",
    "; cat /etc/hosts",
    "$(id)",
    "`whoami`",
    "${jndi:ldap://x}",
    "<?php ",
    "eval(",
    "base64_decode",
    "\\u0027",
    "&lt;svg onload=",
    "&#x27;",
    "%u0027",
    "%00",
    "\0",
    "\r\nSet-Cookie: a=b",
    "hello ",
    "world",
    "12345",
    "name",
    "the quick brown fox",
    "{\"a\":[1,2,{\"b\":null}]}",
    "<x y='z'>t</x>",
    "/*!50000*/",
    "--",
    "#",
    "||",
    "&&",
    "=",
    "(",
    ")",
    "\u{e9}",
    "http://127.0.0.1/",
    "file:///",
    "[$ne]",
];

fn text(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.below(6) {
        if random.below(5) == 0 {
            out.push(random.below(256) as u8);
        } else {
            out.extend_from_slice(FRAGMENTS[random.below(FRAGMENTS.len())].as_bytes());
        }
    }
    out
}

/// A request whose every part may be noise.
pub(crate) fn request(random: &mut Random) -> Request {
    let pairs = |random: &mut Random| {
        let mut out = Vec::new();
        for _ in 0..random.below(5) {
            out.extend(text(random));
            out.push(b'=');
            out.extend(text(random));
            out.push(b'&');
        }
        out
    };
    let types = [
        "application/x-www-form-urlencoded",
        "application/json",
        "text/xml",
        "text/plain",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
    ];
    let content_type = types[random.below(types.len())];
    let mut body = pairs(random);
    if content_type.starts_with("multipart") && random.below(2) == 0 {
        let mut part = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n".to_vec();
        part.extend(body);
        part.extend_from_slice(b"\r\n--x--\r\n");
        body = part;
    }
    let mut uri = b"/".to_vec();
    uri.extend(text(random));
    uri.push(b'?');
    uri.extend(pairs(random));
    let mut headers = vec![
        (b"Host".to_vec(), b"localhost".to_vec()),
        (b"Content-Type".to_vec(), content_type.as_bytes().to_vec()),
        (b"Cookie".to_vec(), text(random)),
        (b"User-Agent".to_vec(), text(random)),
    ];
    for _ in 0..random.below(4) {
        headers.push((text(random), text(random)));
    }
    Request {
        method: b"POST".to_vec(),
        uri,
        version: b"HTTP/1.1".to_vec(),
        headers,
        body,
        raw: None,
    }
}
