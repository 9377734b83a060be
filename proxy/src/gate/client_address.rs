//! Who the client is: the other end of the connection, or whom trusted hops name.
//!
//! The header that they are believed by is read from the right. Each hop that is trusted vouches for the entry to its
//! left; the first one that is not trusted is the client, and whatever stands left of it is hearsay and is forwarded to
//! nobody.

mod forwarded;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use portcullis_config::model::ClientAddressHeader;

/// Entries that are read from the right; a longer chain of trusted hops does not occur.
pub(crate) const HOPS_MAX: usize = 16;

/// Who the client is, and the chain of addresses from it to us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Client {
    /// The client's address.
    pub(super) address: IpAddr,
    /// The client, then the trusted hops between it and us, nearest last; the value of the new `X-Forwarded-For`.
    pub(super) chain: Vec<IpAddr>,
    /// The header that could have told.
    pub(super) told_by: ClientAddressHeader,
}

/// Whose word is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trusted<'a> {
    pub(super) hops: &'a [IpNet],
    pub(super) header: &'a ClientAddressHeader,
}

/// Decides who the client is.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: Trusted<'_>) -> Client {
    let chain = match trusted.header {
        ClientAddressHeader::Forwarded => {
            let elements = values(headers, "forwarded").flat_map(forwarded::elements);
            walk(peer, elements.map(forwarded::address), trusted.hops)
        }
        ClientAddressHeader::List(name) => {
            let entries =
                values(headers, name).flat_map(|value| value.rsplit(|byte| *byte == b','));
            walk(peer, entries.map(parse), trusted.hops)
        }
    };
    let address = chain.first().copied().unwrap_or(peer);
    Client { address, chain, told_by: trusted.header.clone() }
}

/// The header's lines, last first.
fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).iter().rev().map(HeaderValue::as_bytes)
}

/// Follows entries for as long as they are addresses and who wrote them is trusted.
fn walk(
    peer: IpAddr,
    entries: impl Iterator<Item = Option<IpAddr>>,
    hops: &[IpNet],
) -> Vec<IpAddr> {
    let mut chain = vec![peer];
    let mut writer = peer;
    let mut entries = entries.take(HOPS_MAX);
    while hops.iter().any(|net| net.contains(&writer))
        && let Some(Some(named)) = entries.next()
    {
        writer = named.to_canonical();
        chain.push(writer);
    }
    chain.reverse();
    chain
}

/// An address, or an address with a port as some balancers write it.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry.trim_ascii()).ok()?;
    text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "X-Forwarded-For";

    fn check(peer: &str, forwarded: &[&str], expected: &str, chain: &str) {
        check_by(USUAL, USUAL, peer, forwarded, expected, chain);
    }

    /// Sends the lines in `sent`, where `believed` is the header that is believed.
    fn check_by(
        believed: &str,
        sent: &str,
        peer: &str,
        lines: &[&str],
        expected: &str,
        chain: &str,
    ) {
        let hops = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in lines {
            let name: http::HeaderName = sent.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let header = ClientAddressHeader::named(believed);
        let trusted = Trusted { hops: &hops, header: &header };
        let client = client(peer.parse().unwrap(), &headers, trusted);
        let chained: Vec<_> = client.chain.iter().map(ToString::to_string).collect();
        assert_eq!(
            (client.address.to_string().as_str(), chained.join(" ").as_str()),
            (expected, chain),
            "{lines:?}"
        );
    }

    fn check_forwarded(lines: &[&str], expected: &str, chain: &str) {
        check_by("forwarded", "Forwarded", "10.0.0.1", lines, expected, chain);
    }

    #[test]
    fn no_header_but_the_believed_one_is_read() {
        let (client, chain) = ("203.0.113.9", "203.0.113.9 10.0.0.1");
        check_by("CF-Connecting-IP", "cf-connecting-ip", "10.0.0.1", &[client], client, chain);
        for (believed, sent, line) in [
            ("CF-Connecting-IP", USUAL, "203.0.113.9"),
            ("CF-Connecting-IP", "Forwarded", "for=203.0.113.9"),
            ("Forwarded", USUAL, "203.0.113.9"),
            (USUAL, "Forwarded", "for=203.0.113.9"),
        ] {
            check_by(believed, sent, "10.0.0.1", &[line], "10.0.0.1", "10.0.0.1");
        }
    }

    #[test]
    fn forwarded_is_followed_from_the_right() {
        check_forwarded(
            &["for=1.2.3.4, for=203.0.113.9;proto=https;by=10.0.0.2", "For=\"10.0.0.2:80\""],
            "203.0.113.9",
            "203.0.113.9 10.0.0.2 10.0.0.1",
        );
        check_forwarded(
            &["for=\"[fd00::7]:4711\" , proto=http;FOR=\"[fd00::8]\""],
            "fd00::7",
            "fd00::7 fd00::8 10.0.0.1",
        );
        check_by(
            "Forwarded",
            "Forwarded",
            "203.0.113.9",
            &["for=10.0.0.1"],
            "203.0.113.9",
            "203.0.113.9",
        );
    }

    #[test]
    fn a_quote_that_a_client_leaves_open_hides_nothing_that_a_hop_wrote() {
        let (client, chain) = ("203.0.113.9", "203.0.113.9 10.0.0.1");
        for forged in ["for=\"1.2.3.4", "for=1.2.3.4;by=\"", "\\", "\"\\\"", ",,;=", ""] {
            check_forwarded(&[&format!("{forged}, for=203.0.113.9")], client, chain);
            check_forwarded(&[&format!("{forged}, for=\"203.0.113.9:80\"")], client, chain);
            check_forwarded(&[forged, "for=203.0.113.9"], client, chain);
        }
    }

    #[test]
    fn a_long_chain_of_forwarded_is_read_to_its_cap() {
        for (hops, expected) in
            [(HOPS_MAX - 1, "203.0.113.9"), (HOPS_MAX, "10.0.0.9"), (HOPS_MAX + 1, "10.0.0.9")]
        {
            let line = "for=203.0.113.9, ".to_owned() + &vec!["for=10.0.0.9"; hops].join(", ");
            let told = if hops < HOPS_MAX { "203.0.113.9 " } else { "" };
            let chain =
                format!("{told}{} 10.0.0.1", vec!["10.0.0.9"; hops.min(HOPS_MAX)].join(" "));
            check_forwarded(&[&line], expected, &chain);
        }
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
        for (what, hops, expected) in [
            ("one under", HOPS_MAX - 1, "203.0.113.9"),
            ("at it", HOPS_MAX, "10.0.0.9"),
            ("one over", HOPS_MAX + 1, "10.0.0.9"),
        ] {
            let line = format!("203.0.113.9, {}", vec!["10.0.0.9"; hops].join(", "));
            let told = if hops < HOPS_MAX { "203.0.113.9 " } else { "" };
            let read = vec!["10.0.0.9"; hops.min(HOPS_MAX)].join(" ");
            check("10.0.0.1", &[&line], expected, &format!("{told}{read} 10.0.0.1"));
            assert_eq!(expected == "203.0.113.9", hops < HOPS_MAX, "{what}");
        }
    }
}
