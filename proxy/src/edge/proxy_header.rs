//! The header of the PROXY protocol, by which a balancer in front tells whose connection it passes on.
//!
//! Version 1 is a line of text, version 2 is binary (the HAProxy project's "The PROXY protocol", §2.1 and §2.2). Pure
//! over bytes; [`super::open`] does the reading, from listed sources only. What version 2 carries behind the addresses
//! (TLVs, a checksum among them) is skipped unread: nothing here uses it, and TCP has guarded the bytes already.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The largest header that is read: a version 2 header with its TLVs, a client's certificate among them.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// The longest line of version 1, with its line end (§2.1).
const LINE_BYTES_MAX: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, and the length of the rest.
const FIXED_BYTES: usize = 16;

/// What the bytes read so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProxyHeader {
    /// A header as far as it goes.
    Partial,
    /// A whole header.
    Whole {
        /// Its length; what follows is the client's.
        bytes: usize,
        /// Between whom the connection is.
        ends: Option<Ends>,
    },
    /// Something else, or larger than is read.
    Other,
}

/// Between whom a connection is. A header that names no addresses of TCP over IP (`UNKNOWN`, `LOCAL`, Unix sockets,
/// datagrams) leaves the ends that the system knows: the connection is the proxy's own, such as a health check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ends {
    /// The client.
    pub(super) client: SocketAddr,
    /// What the client connected to.
    pub(super) server: SocketAddr,
}

/// Says what `bytes`, read from the start of a connection, are. One pass.
pub(super) fn classify(bytes: &[u8]) -> ProxyHeader {
    if starts_like(bytes, SIGNATURE) {
        return version_2(bytes).unwrap_or(ProxyHeader::Partial);
    }
    if starts_like(bytes, LINE_START) { version_1(bytes) } else { ProxyHeader::Other }
}

/// Whether one begins with the other, as far as both go.
fn starts_like(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(read, wanted)| read == wanted)
}

fn version_1(bytes: &[u8]) -> ProxyHeader {
    let line = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if line.len() < LINE_BYTES_MAX { ProxyHeader::Partial } else { ProxyHeader::Other };
    };
    let fields = line.get(LINE_START.len()..end).and_then(|fields| str::from_utf8(fields).ok());
    match fields.and_then(ends_of_line) {
        Some(ends) => ProxyHeader::Whole { bytes: end + 2, ends },
        None => ProxyHeader::Other,
    }
}

/// The ends in a line's fields; `None` if they are no such fields.
fn ends_of_line(fields: &str) -> Option<Option<Ends>> {
    let mut fields = fields.split(' ');
    let family = fields.next()?;
    if family == "UNKNOWN" {
        // §2.1: whatever stands behind it is ignored.
        return Some(None);
    }
    let mut address = || -> Option<IpAddr> {
        let text = fields.next()?;
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (client, server) = (address()?, address()?);
    let (from, to) = (port(fields.next()?)?, port(fields.next()?)?);
    let ends = Ends { client: SocketAddr::new(client, from), server: SocketAddr::new(server, to) };
    fields.next().is_none().then_some(Some(ends))
}

/// A port in digits, without leading zeros or a sign.
fn port(text: &str) -> Option<u16> {
    let is_plain =
        text == "0" || text.bytes().next().is_some_and(|first| matches!(first, b'1'..=b'9'));
    is_plain.then(|| text.parse().ok())?
}

/// `None` while bytes are missing.
fn version_2(bytes: &[u8]) -> Option<ProxyHeader> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    let [.., version_and_command, family_and_protocol, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let bytes = FIXED_BYTES + length;
    if bytes > PROXY_HEADER_BYTES_MAX {
        return Some(ProxyHeader::Other);
    }
    let block = rest.get(..length)?;
    let ends = match (version_and_command, family_and_protocol) {
        (0x20, _) => None,
        (0x21, 0x11) => Some(ends_of_block(block, |address: [u8; 4]| IpAddr::from(address))),
        (0x21, 0x21) => Some(ends_of_block(block, |address: [u8; 16]| IpAddr::from(address))),
        // §2.2: valid pairs that a receiver does not support are as UNKNOWN.
        (0x21, 0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32) => None,
        (_, _) => return Some(ProxyHeader::Other),
    };
    Some(match ends {
        None => ProxyHeader::Whole { bytes, ends: None },
        Some(Some(ends)) => ProxyHeader::Whole { bytes, ends: Some(ends) },
        Some(None) => ProxyHeader::Other,
    })
}

/// Both addresses and both ports; `None` if the block is too short for them.
fn ends_of_block<const N: usize>(
    block: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> Option<Ends> {
    let (client, rest) = block.split_first_chunk::<N>()?;
    let (server, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk()?;
    let (to, _) = rest.split_first_chunk()?;
    Some(Ends {
        client: SocketAddr::new(address(*client), u16::from_be_bytes(*from)),
        server: SocketAddr::new(address(*server), u16::from_be_bytes(*to)),
    })
}

#[cfg(test)]
mod tests;
