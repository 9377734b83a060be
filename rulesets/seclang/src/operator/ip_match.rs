//! `@ipMatch`, `@ipMatchFromFile`: addresses and networks, of either family.
//!
//! Networks are kept as sorted ranges of 128-bit numbers (IPv4 as IPv4-mapped IPv6), so that a look-up is one
//! binary search and `::ffff:10.0.0.1` is in `10.0.0.0/8`.

use super::{OperatorError, phrases::read_all};
use crate::source::Resolve;
use ipnet::IpNet;
use std::net::IpAddr;

/// A set of addresses.
#[derive(Debug)]
pub(crate) struct AddressSet(Vec<(u128, u128)>);

impl AddressSet {
    /// Reads a comma-separated list.
    pub(super) fn from_argument(argument: &[u8]) -> Result<Self, OperatorError> {
        Self::from_items(argument.split(|byte| *byte == b','))
    }

    /// Reads files with one item per line; `#` starts a comment.
    pub(super) fn from_files(
        argument: &[u8],
        from: &str,
        resolve: &dyn Resolve,
    ) -> Result<Self, OperatorError> {
        let text = read_all(argument, from, resolve)?;
        let lines = text.split(|byte| *byte == b'\n');
        Self::from_items(lines.map(|line| line.split(|byte| *byte == b'#').next().unwrap_or(line)))
    }

    fn from_items<'a>(items: impl Iterator<Item = &'a [u8]>) -> Result<Self, OperatorError> {
        let mut ranges = Vec::new();
        for item in items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
            ranges.push(range(item).ok_or_else(|| broken(item))?);
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
                Some(_) | None => merged.push((first, last)),
            }
        }
        Ok(Self(merged))
    }

    /// Says whether `value` is an address of the set. What is no address is in no set.
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        let Some(address) = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())
        else {
            return false;
        };
        let key = bits(address);
        let after = self.0.partition_point(|(first, _)| *first <= key);
        let before = after.checked_sub(1).and_then(|index| self.0.get(index));
        before.is_some_and(|(_, last)| key <= *last)
    }
}

fn range(item: &[u8]) -> Option<(u128, u128)> {
    let text = std::str::from_utf8(item).ok()?;
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    Some((bits(net.network()), bits(net.broadcast())))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn broken(item: &[u8]) -> OperatorError {
    OperatorError {
        message: format!("`{}` is neither an address nor a network", item.escape_ascii()),
        help: Some("write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32".to_owned()),
    }
}
