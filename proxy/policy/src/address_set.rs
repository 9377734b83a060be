//! A set of addresses and networks: sorted, disjoint ranges, one array for each family.
//!
//! A million prefixes are a million ranges at most; a question is one binary search. Building sorts once.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_config::{Diagnostic, SourceFile};

/// Addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
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
        Self {
            v4: merged(v4, |end| end.checked_add(1)),
            v6: merged(v6, |end| end.checked_add(1)),
            prefixes,
        }
    }

    /// Reads a list: one address or network a line; `#` and `;` start a comment, and what follows the first word of a
    /// line is one too.
    ///
    /// # Errors
    /// Every line that names no address, with its place.
    pub fn read(source: &SourceFile) -> Result<Self, Vec<Diagnostic>> {
        let mut nets = Vec::new();
        let mut problems = Vec::new();
        let mut at = 0;
        for line in source.text().split_inclusive('\n') {
            let start = at;
            at += line.len();
            let Some(word) =
                line.split(['#', ';']).next().and_then(|text| text.split_whitespace().next())
            else {
                continue;
            };
            match word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from)) {
                Ok(net) if nets.len() < Self::PREFIXES_MAX => nets.push(net),
                Ok(_) => {
                    let message = format!("more than {} prefixes", Self::PREFIXES_MAX);
                    problems.push(
                        Diagnostic::error("list-too-long", message).in_source(source, start..at),
                    );
                    break;
                }
                Err(_) => {
                    let offset = line.find(word).unwrap_or_default();
                    let message = format!("`{}` is no address and no network", word.escape_debug());
                    let span = start + offset..start + offset + word.len();
                    problems.push(Diagnostic::error("list-entry", message).in_source(source, span));
                    if problems.len() >= 20 {
                        break;
                    }
                }
            }
        }
        if problems.is_empty() { Ok(Self::new(nets)) } else { Err(problems) }
    }

    /// Whether the address is in the set. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
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

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, after: fn(T) -> Option<T>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match out.last_mut() {
            Some(last) if after(last.1).is_none_or(|next| start <= next) => {
                last.1 = last.1.max(end)
            }
            Some(_) | None => out.push((start, end)),
        }
    }
    out.into_boxed_slice()
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= value);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, end)| value <= *end)
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
    fn a_list_is_read_with_its_comments_and_refused_with_its_lines() {
        let good = SourceFile::new(
            "list",
            "# known\n192.0.2.1\n\n198.51.100.0/24 # office\n2001:db8::1 ; x\n203.0.113.9 SBL1\n",
        );
        let set = IpSet::read(&good).unwrap();
        assert_eq!(set.len(), 4);
        assert!(set.contains("198.51.100.9".parse().unwrap()));
        let bad = SourceFile::new("list", "192.0.2.1\n<html>\n10.0.0.0/33\n");
        let problems = IpSet::read(&bad).unwrap_err();
        assert_eq!(
            problems.iter().map(|p| p.at.as_ref().unwrap().line).collect::<Vec<_>>(),
            [2, 3]
        );
    }
}
