//! The key of a limit: one or more parts, each an address, a text or "all". The parts are kept in one buffer that can
//! be read back, so that a ban can be listed, lifted and stored by what it names.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

/// One part of a key, read back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPart<'a> {
    /// Every client shares it.
    All,
    /// An address or network.
    Network(IpNet),
    /// A header's, cookie's or expression's value, cut after 128 bytes.
    Text(&'a [u8]),
}

/// The key under which one request is counted. Parts are length-prefixed: no two lists of parts share a buffer.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct LimitKey {
    bytes: SmallVec<[u8; 48]>,
}

const ALL: u8 = 0;
const V4: u8 = 4;
const V6: u8 = 6;
const TEXT: u8 = 7;

impl LimitKey {
    /// How much of a value is looked at, as Cloud Armor does.
    pub const TEXT_BYTES_MAX: usize = 128;

    /// Makes a key with no part yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a key of one address: IPv4 whole, IPv6 by its /64.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        let mut key = Self::new();
        key.push_address(address);
        key
    }

    /// Adds the part that all clients share.
    pub fn push_all(&mut self) {
        self.bytes.push(ALL);
    }

    /// Adds an address: IPv4 whole (also when it came mapped into IPv6), IPv6 by its /64, because one client has at
    /// least that much.
    pub fn push_address(&mut self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                self.bytes.extend_from_slice(&[V4, 32, a, b, c, d]);
            }
            v6 @ IpAddr::V6(_) => self.push_address_by(v6, 64),
        }
    }

    /// Adds an address cut to a prefix; a prefix longer than the family has is the whole address.
    pub fn push_address_by(&mut self, address: IpAddr, prefix: u8) {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let prefix = prefix.min(32);
                let net = Ipv4Net::new(v4, prefix).expect("the prefix is at most 32").trunc();
                self.bytes.extend([V4, prefix]);
                self.bytes.extend(net.addr().octets());
            }
            IpAddr::V6(v6) => {
                let prefix = prefix.min(128);
                let net = Ipv6Net::new(v6, prefix).expect("the prefix is at most 128").trunc();
                self.bytes.extend([V6, prefix]);
                self.bytes.extend(net.addr().octets());
            }
        }
    }

    /// Adds a value, cut after [`Self::TEXT_BYTES_MAX`] bytes.
    pub fn push_text(&mut self, value: &[u8]) {
        let value = value.get(..Self::TEXT_BYTES_MAX).unwrap_or(value);
        self.bytes.push(TEXT);
        self.bytes.push(u8::try_from(value.len()).expect("at most 128"));
        self.bytes.extend_from_slice(value);
    }

    /// Returns the parts in the order in which they were added.
    #[must_use]
    pub fn parts(&self) -> Vec<KeyPart<'_>> {
        let mut rest = self.bytes.as_slice();
        let mut parts = Vec::new();
        while let Some((part, after)) = read_part(rest) {
            parts.push(part);
            rest = after;
        }
        parts
    }

    /// Says whether one of the parts is a network that holds `address`.
    #[must_use]
    pub fn names_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.parts().iter().any(|part| match part {
            KeyPart::Network(net) => net.contains(&address),
            KeyPart::All | KeyPart::Text(_) => false,
        })
    }

    /// Returns the buffer that identifies the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A key's text is not one that [`LimitKey`] writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key is `all`, an address, a network or a \"text\", with commas between")]
pub struct BadKey;

/// Reads what `Display` writes.
impl std::str::FromStr for LimitKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let mut key = Self::new();
        let mut rest = text.as_bytes();
        loop {
            rest = key.push_written(rest)?;
            match rest.split_first() {
                None => return Ok(key),
                Some((b',', after)) => rest = after,
                Some(_) => return Err(BadKey),
            }
        }
    }
}

impl LimitKey {
    /// Reads one part from the start of `text` and returns the rest.
    fn push_written<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], BadKey> {
        if let Some(quoted) = text.strip_prefix(b"\"") {
            let (value, rest) = unescape(quoted).ok_or(BadKey)?;
            self.push_text(&value);
            return Ok(rest);
        }
        let end = text.iter().position(|byte| *byte == b',').unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let word = std::str::from_utf8(word).map_err(|_| BadKey)?;
        if word == "all" {
            self.push_all();
        } else if let Ok(address) = word.parse::<IpAddr>() {
            self.push_address_by(address, u8::MAX);
        } else {
            let net: IpNet = word.parse().map_err(|_| BadKey)?;
            self.push_address_by(net.addr(), net.prefix_len());
        }
        Ok(rest)
    }
}

/// Undoes `escape_ascii` up to the closing quote; `None` when it is not closed or not so escaped.
fn unescape(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    loop {
        let (byte, rest) = text.split_first()?;
        text = rest;
        match *byte {
            b'"' => return Some((value, text)),
            b'\\' => {
                let (escape, rest) = text.split_first()?;
                text = rest;
                value.push(match *escape {
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b'x' => {
                        let (digits, rest) = text.split_first_chunk::<2>()?;
                        text = rest;
                        u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
                    }
                    plain @ (b'\'' | b'"' | b'\\') => plain,
                    _ => return None,
                });
            }
            plain => value.push(plain),
        }
    }
}

fn read_part(bytes: &[u8]) -> Option<(KeyPart<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        ALL => Some((KeyPart::All, rest)),
        V4 => {
            let (prefix, rest) = rest.split_first()?;
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            let net = Ipv4Net::new((*octets).into(), *prefix).ok()?;
            Some((KeyPart::Network(net.into()), rest))
        }
        V6 => {
            let (prefix, rest) = rest.split_first()?;
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            let net = Ipv6Net::new((*octets).into(), *prefix).ok()?;
            Some((KeyPart::Network(net.into()), rest))
        }
        TEXT => {
            let (length, rest) = rest.split_first()?;
            let (value, rest) = rest.split_at_checked(usize::from(*length))?;
            Some((KeyPart::Text(value), rest))
        }
        // Only the functions above write the buffer; no other tag exists.
        _ => None,
    }
}

/// Writes parts with commas between: `all`, a network, `"text"` with everything but plain ASCII escaped.
impl std::fmt::Display for LimitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, part) in self.parts().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match part {
                KeyPart::All => f.write_str("all")?,
                KeyPart::Network(net) if net.prefix_len() == net.max_prefix_len() => {
                    write!(f, "{}", net.addr())?;
                }
                KeyPart::Network(net) => write!(f, "{net}")?,
                KeyPart::Text(value) => write!(f, "\"{}\"", value.escape_ascii())?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LimitKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_keyed_by_what_one_client_has() {
        let same = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("2001:db8:0:0:ffff::", "2001:db8::", true),
        ];
        for (a, b, expected) in same {
            let equal = LimitKey::address(ip(a)) == LimitKey::address(ip(b));
            assert_eq!(equal, expected, "{a} {b}");
        }
    }

    #[test]
    fn no_two_lists_of_values_share_a_key() {
        let lists: [&[&[u8]]; 7] =
            [&[b"ab"], &[b"a", b"b"], &[b"b", b"a"], &[b"", b"ab"], &[b"ab", b""], &[b""], &[]];
        let keys: Vec<LimitKey> = lists
            .iter()
            .map(|list| {
                let mut key = LimitKey::new();
                list.iter().for_each(|text| key.push_text(text));
                key
            })
            .collect();
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                assert_eq!(a == b, i == j, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_value_counts_by_its_first_128_bytes() {
        let key = |length: usize, last: u8| {
            let mut text = vec![b'a'; length];
            text.push(last);
            let mut key = LimitKey::new();
            key.push_text(&text);
            key
        };
        assert_ne!(key(127, b'x'), key(127, b'y'));
        assert_eq!(key(128, b'x'), key(128, b'y'));
    }

    #[test]
    fn parts_are_read_back_and_written_escaped() {
        let mut key = LimitKey::new();
        key.push_all();
        key.push_address(ip("192.0.2.1"));
        key.push_address(ip("2001:db8::1"));
        key.push_text(b"a\"\xff\n");
        assert_eq!(key.parts().len(), 4);
        assert_eq!(key.to_string(), "all,192.0.2.1,2001:db8::/64,\"a\\\"\\xff\\n\"");
        assert!(key.names_address(ip("2001:db8::99")));
        assert!(!key.names_address(ip("192.0.2.2")));
        assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn a_written_key_that_is_no_key_is_refused() {
        for bad in
            ["", ",", "all,", "alle", "192.0.2.1/33", "\"a", "\"a\"b", "\"\\q\"", "\"\\xg0\""]
        {
            assert_eq!(bad.parse::<LimitKey>(), Err(BadKey), "{bad}");
        }
        for good in ["all", "192.0.2.1", "2001:db8::/64,\"a,b\"", "\"\""] {
            assert_eq!(good.parse::<LimitKey>().unwrap().to_string(), good);
        }
    }
}
