//! `Forwarded` (RFC 7239): its elements from the right, and whom each says that it forwards.
//!
//! Read from the right, because what stands right was written by whom we trust more: a quote that a client leaves open
//! would swallow, read from the left, what the hops have added behind it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The elements of one line, last first. One pass over what is asked for.
pub(super) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let (before, element) = split_last(rest?, b',');
        rest = before;
        Some(element)
    })
}

/// The address of the element's only `for`; `None` for what is obfuscated, `unknown` or malformed (§4, §6).
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let mut told = None;
    let mut rest = Some(element);
    while let Some(pairs) = rest {
        let (before, pair) = split_last(pairs, b';');
        rest = before;
        let (name, value) = named(pair.trim_ascii())?;
        if name.eq_ignore_ascii_case(b"for") && told.replace(node(&value)?).is_some() {
            return None;
        }
    }
    told
}

/// Cuts off what stands behind the last separator that is in no quoted string.
fn split_last(text: &[u8], separator: u8) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (at, byte) in text.iter().enumerate().rev() {
        let (before, from) = text.split_at(at);
        if *byte == b'"' && !is_escaped(before) {
            is_quoted = !is_quoted;
        } else if *byte == separator && !is_quoted {
            return (Some(before), from.get(1..).unwrap_or_default());
        }
    }
    (None, text)
}

/// Whether the backslashes at the end of `before` escape what follows.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// A pair's name, a token, and its value, a token or a quoted string without its quotes.
fn named(pair: &[u8]) -> Option<(&[u8], Cow<'_, [u8]>)> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
    let value = match value {
        [b'"', inner @ .., b'"'] => Cow::Owned(unescaped(inner)?),
        token if is_token(token) => Cow::Borrowed(token),
        _ => return None,
    };
    is_token(name).then_some((name, value))
}

/// The text of a quoted string; `None` if a quote or backslash stands alone in it.
fn unescaped(inner: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.push(*bytes.next()?),
            b'"' => return None,
            plain => text.push(*plain),
        }
    }
    Some(text)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

/// A node with an address: IPv4, or IPv6 in brackets, with or without a port (§6).
fn node(value: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(value).ok()?;
    let (address, rest) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, rest) = text.split_once(']')?;
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), rest)
        }
        None => {
            let (address, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), rest)
        }
    };
    (rest.is_empty() || is_port(rest.strip_prefix(':')?)).then_some(address)
}

/// One to five digits, or an obfuscated port (§6.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(is_plain)
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(element: &str, expected: &str) {
        let told = address(element.as_bytes());
        assert_eq!(told, Some(expected.parse().unwrap()), "{element}");
    }

    #[test]
    fn an_element_names_an_address_with_or_without_a_port() {
        check("for=192.0.2.7", "192.0.2.7");
        check(" FOR=192.0.2.7 ; proto=https", "192.0.2.7");
        check("for=\"192.0.2.7\"", "192.0.2.7");
        check("for=\"192.0.2.7:4711\"", "192.0.2.7");
        check("for=\"192.0.2.7:_hidden\"", "192.0.2.7");
        check("for=\"192.0.2.\\7\"", "192.0.2.7");
        check("for=\"[2001:db8::7]\"", "2001:db8::7");
        check("by=_x;for=\"[2001:db8::7]:4711\";host=\"a;b,\\\"c\"", "2001:db8::7");
    }

    #[test]
    fn what_names_no_address_for_sure_names_none() {
        for element in [
            "",
            "for=",
            "for",
            "=192.0.2.7",
            "proto=https",
            "for=unknown",
            "for=_hidden",
            "for=\"unknown:4711\"",
            "for=192.0.2.7;for=192.0.2.8",
            "for=192.0.2.7;",
            "for=192.0.2.7;proto=ht tp",
            "for = 192.0.2.7",
            "for=192.0.2.7:4711",
            "for=[2001:db8::7]",
            "for=\"2001:db8::7\"",
            "for=\"[192.0.2.7]\"",
            "for=\"[2001:db8::7\"",
            "for=\"[2001:db8::7]4711\"",
            "for=\"192.0.2.7:\"",
            "for=\"192.0.2.7:123456\"",
            "for=\"192.0.2.7:_\"",
            "for=\"192.0.2.7",
            "for=192.0.2.7\"",
            "for=\"192.0.2.7\"\"",
            "for=\"\\\"",
            "for=192.0.2.007",
        ] {
            assert_eq!(address(element.as_bytes()), None, "{element}");
        }
    }

    proptest! {
        #[test]
        fn what_a_hop_adds_is_read_whatever_stands_before_it(before in "[ -~]{0,40}") {
            let line = format!("{before},for=\"[2001:db8::7]:1\"");
            let last = elements(line.as_bytes()).next().and_then(address);
            prop_assert_eq!(last, Some("2001:db8::7".parse().unwrap()));
            let all: usize = elements(before.as_bytes()).map(|element| element.len() + 1).sum();
            prop_assert_eq!(all, before.len() + 1, "no byte is lost or read twice");
        }
    }
}
