//! A set of addresses and networks: sorted, disjoint ranges for each family.
//!
//! A million prefixes are a million ranges at most; a question is a short binary search. Building sorts once.

mod ranges;
mod read;

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_config::{Diagnostic, SourceFile};
use ranges::Ranges;

/// Addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    prefixes: usize,
}

impl IpSet {
    /// The most prefixes that a list's text may hold.
    pub const PREFIXES_MAX: usize = 4_000_000;

    /// Builds the set; overlapping and adjacent networks are merged.
    #[must_use]
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        let mut prefixes = 0;
        for net in nets {
            prefixes += 1;
            match net {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6), prefixes }
    }

    /// Reads a list. Text has one address or network a line; `#` and `;` start a comment, and what follows the first word
    /// of a line is one too. JSON is an array of such strings, or anything that holds them.
    ///
    /// # Errors
    /// Every entry that names no address, with its place; a page of HTML.
    pub fn read(source: &SourceFile) -> Result<Self, Vec<Diagnostic>> {
        read::read(source).map(Self::new)
    }

    /// Returns everything that is in one of the sets.
    #[must_use]
    pub fn union<'s>(sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let (mut v4, mut v6, mut prefixes) = (Vec::new(), Vec::new(), 0);
        for set in sets {
            v4.extend_from_slice(set.v4.as_slice());
            v6.extend_from_slice(set.v6.as_slice());
            prefixes += set.prefixes;
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6), prefixes }
    }

    /// Whether every address of the network is in the set.
    #[must_use]
    pub fn covers(&self, net: &IpNet) -> bool {
        match net {
            IpNet::V4(net) => self.v4.span(net.network().to_bits(), net.broadcast().to_bits()),
            IpNet::V6(net) => self.v6.span(net.network().to_bits(), net.broadcast().to_bits()),
        }
    }

    /// Whether the address is in the set. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.span(address.to_bits(), address.to_bits()),
            IpAddr::V6(address) => self.v6.span(address.to_bits(), address.to_bits()),
        }
    }

    /// Returns how many prefixes it was built of.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.prefixes
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.prefixes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nets: &[&str]) -> IpSet {
        IpSet::new(nets.iter().map(|net| net.parse::<IpNet>().unwrap()))
    }

    #[test]
    fn the_ends_of_a_network_are_in_it_and_their_neighbours_are_not() {
        let set = set(&[
            "192.0.2.0/24",
            "10.0.0.0/9",
            "10.128.0.0/9",
            "2001:db8::/32",
            "255.255.255.255/32",
            "0.0.0.0/32",
        ]);
        let cases = [
            ("192.0.1.255", false),
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("10.127.255.255", true),
            ("10.128.0.0", true),
            ("11.0.0.0", false),
            ("2001:db8::", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db9::", false),
            ("::ffff:192.0.2.7", true),
            ("255.255.255.255", true),
            ("0.0.0.0", true),
            ("0.0.0.1", false),
        ];
        for (address, expected) in cases {
            assert_eq!(set.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!IpSet::default().contains("0.0.0.0".parse().unwrap()));
    }

    #[test]
    fn a_union_holds_what_its_parts_hold_and_a_network_is_covered_whole_or_not() {
        let both = IpSet::union([&set(&["10.0.0.0/9", "2001:db8::/33"]), &set(&["10.128.0.0/9"])]);
        assert_eq!(both.len(), 3);
        for (net, expected) in [
            ("10.0.0.0/8", true),
            ("10.200.0.0/16", true),
            ("10.1.2.3/32", true),
            ("0.0.0.0/0", false),
            ("11.0.0.0/32", false),
            ("2001:db8::/64", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(both.covers(&net.parse().unwrap()), expected, "{net}");
        }
        assert!(IpSet::union([]).is_empty());
    }
}
