//! JSON written field by field into a buffer: no tree, no allocation.
//!
//! Costs one pass over each text. A text of printable ASCII without quotes and backslashes is copied as it is.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::Escaped;

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

/// Writes an object whose fields `fields` adds.
pub(super) fn object(out: &mut Vec<u8>, fields: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    let mut object = Object { out, is_empty: true };
    fields(&mut object);
    object.out.push(b'}');
}

impl Object<'_> {
    /// Adds text of ours, or text that was valid UTF-8 when it came: it reads back as it is.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        text(self.key(key), value);
    }

    /// Adds text that is there.
    pub(super) fn some_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    /// Adds attacker's bytes, [`Escaped`].
    pub(super) fn bytes(&mut self, key: &str, value: &[u8]) {
        bytes(self.key(key), value);
    }

    /// Adds a number.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        number(self.key(key), value);
    }

    /// Adds, as text, what shows itself without quotes, backslashes and control characters: numbers, addresses, times.
    pub(super) fn shown(&mut self, key: &str, value: impl Display) {
        let out = self.key(key);
        out.push(b'"');
        show(out, value);
        out.push(b'"');
    }

    /// Adds an address.
    pub(super) fn address(&mut self, key: &str, value: IpAddr) {
        let out = self.key(key);
        out.push(b'"');
        address(out, value);
        out.push(b'"');
    }

    /// Adds an address with its port.
    pub(super) fn socket(&mut self, key: &str, value: SocketAddr) {
        let out = self.key(key);
        out.push(b'"');
        match value {
            SocketAddr::V4(v4) => {
                address(out, IpAddr::V4(*v4.ip()));
                out.push(b':');
                number(out, v4.port().into());
            }
            SocketAddr::V6(v6) => show(out, v6),
        }
        out.push(b'"');
    }

    /// Adds `true`.
    pub(super) fn yes(&mut self, key: &str) {
        self.key(key).extend_from_slice(b"true");
    }

    /// Adds an object.
    pub(super) fn object(&mut self, key: &str, fields: impl FnOnce(&mut Object<'_>)) {
        object(self.key(key), fields);
    }

    /// Adds a list, of which `item` writes each.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        items: impl Iterator<Item = T>,
        item: impl Fn(&mut Vec<u8>, T),
    ) {
        let out = self.key(key);
        out.push(b'[');
        for (index, one) in items.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item(out, one);
        }
        out.push(b']');
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

/// Writes text.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    if is_plain(value.as_bytes()) {
        quoted(out, value.as_bytes());
    } else {
        serde_json::to_writer(out, value).expect("a vector takes all text");
    }
}

/// Writes a number.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// IPv4 octet by octet: a line has four addresses, and the standard way of showing one costs as much as ten texts.
fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(v4) = address else { return show(out, address) };
    for (at, octet) in v4.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        number(out, octet.into());
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    if is_plain(value) {
        quoted(out, value);
    } else {
        serde_json::to_writer(out, &Escaped(value)).expect("a vector takes all text");
    }
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(value);
    out.push(b'"');
}

fn show(out: &mut Vec<u8>, value: impl Display) {
    write!(out, "{value}").expect("a vector takes all text");
}

fn is_plain(value: &[u8]) -> bool {
    value.iter().all(|byte| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_kind_of_field_reads_back() {
        let mut out = Vec::new();
        object(&mut out, |o| {
            o.text("plain", "a b");
            o.text("odd", "a\"\\\n\u{e9}");
            o.bytes("escaped", b"a\"\\\n\xff");
            o.number("number", u64::MAX);
            o.shown("shown", 1.5);
            o.address("v4", [192, 0, 2, 107].into());
            o.address("v6", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into());
            o.socket("socket v4", ([127, 0, 0, 1], 443).into());
            o.socket("socket v6", ([0, 0, 0, 0, 0, 0, 0, 1], 443).into());
            o.yes("yes");
            o.object("empty", |_| {});
            o.object("inner", |o| o.number("n", 1));
            o.list("list", ["a", "\""].iter(), |out, word| text(out, word));
        });
        let expected = json!({
            "plain": "a b", "odd": "a\"\\\n\u{e9}", "escaped": "a\"\\\\\\x0a\\xff",
            "number": u64::MAX, "shown": "1.5", "v4": "192.0.2.107",
            "v6": "2001:db8::1", "socket v4": "127.0.0.1:443", "socket v6": "[::1]:443", "yes": true, "empty": {}, "inner": {"n": 1},
            "list": ["a", "\""],
        });
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
    }

    #[test]
    fn every_byte_is_written_as_the_plain_way_would() {
        for byte in 0..=255_u8 {
            let mut out = Vec::new();
            bytes(&mut out, &[b'a', byte]);
            let plain = serde_json::to_vec(&Escaped(&[b'a', byte])).unwrap();
            assert_eq!(out, plain, "{byte}");
        }
    }
}
