//! Who the client is: the other end of the connection, or whom trusted hops name.
//!
//! `X-Forwarded-For` is read from the right. Each hop that is trusted vouches for the entry to its left; the first one
//! that is not trusted is the client, and whatever stands left of it is hearsay and is forwarded to nobody.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Entries that are read from the right; a longer chain of trusted hops does not occur.
pub(crate) const HOPS_MAX: usize = 16;
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who the client is, and the chain of addresses from it to us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Client {
    /// The client's address.
    pub(super) address: IpAddr,
    /// The client, then the trusted hops between it and us, nearest last; the value of the new `X-Forwarded-For`.
    pub(super) chain: Vec<IpAddr>,
}

/// Decides who the client is.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let mut chain = vec![peer];
    let mut address = peer;
    let values: Vec<&[u8]> =
        headers.get_all(FORWARDED_FOR).iter().map(http::HeaderValue::as_bytes).collect();
    let entries = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for entry in entries.take(HOPS_MAX) {
        if !trusted.iter().any(|net| net.contains(&address)) {
            break;
        }
        let Some(named) = parse(entry) else { break };
        address = named;
        chain.push(named);
    }
    chain.reverse();
    Client { address, chain }
}

/// An address, or an address with a port as some balancers write it.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let address =
        text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], expected: &str, chain: &str) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let client = client(peer.parse().unwrap(), &headers, &trusted);
        let chained: Vec<_> = client.chain.iter().map(ToString::to_string).collect();
        assert_eq!(
            (client.address.to_string().as_str(), chained.join(" ").as_str()),
            (expected, chain),
            "{forwarded:?}"
        );
    }

    #[test]
    fn a_forged_entry_moves_nobody() {
        check("203.0.113.9", &["1.2.3.4"], "203.0.113.9", "203.0.113.9");
        check("203.0.113.9", &["10.0.0.1"], "203.0.113.9", "203.0.113.9");
        check("10.0.0.1", &["1.2.3.4, 203.0.113.9"], "203.0.113.9", "203.0.113.9 10.0.0.1");
        check("10.0.0.1", &["1.2.3.4", "203.0.113.9"], "203.0.113.9", "203.0.113.9 10.0.0.1");
    }

    #[test]
    fn trusted_hops_are_followed_from_the_right() {
        check("10.0.0.1", &[], "10.0.0.1", "10.0.0.1");
        check(
            "10.0.0.1",
            &["203.0.113.9, 10.0.0.2"],
            "203.0.113.9",
            "203.0.113.9 10.0.0.2 10.0.0.1",
        );
        check("fd00::1", &["2001:db8::7"], "2001:db8::7", "2001:db8::7 fd00::1");
        check("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9", "203.0.113.9 10.0.0.1");
        check("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9", "203.0.113.9 10.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        check("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1", "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9, "], "10.0.0.1", "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9, junk, 10.0.0.2"], "10.0.0.2", "10.0.0.2 10.0.0.1");
    }

    #[test]
    fn a_long_chain_is_read_to_its_cap() {
        let long = vec!["10.0.0.9"; HOPS_MAX + 1].join(", ");
        let chain = vec!["10.0.0.9"; HOPS_MAX].join(" ") + " 10.0.0.1";
        check("10.0.0.1", &[&format!("203.0.113.9, {long}")], "10.0.0.9", &chain);
    }
}
