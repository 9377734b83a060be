//! How many connections may be open: in all, from one address, and from one IPv6 network.
//!
//! Who has IPv6 has at least 2⁶⁴ addresses, so there a cap per address alone holds nobody.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

/// Counts open connections. The table holds open connections only, so the total caps it.
#[derive(Debug)]
pub(super) struct Permits {
    caps: Caps,
    open: Mutex<Open>,
    gauge: IntGauge,
}

/// How many connections may be open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    /// In all.
    pub(super) all: u32,
    /// From one address.
    pub(super) address: u32,
    /// From one IPv6 network of 64 bits.
    pub(super) network: u32,
}

#[derive(Debug, Default)]
struct Open {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
    by_network: HashMap<u64, u32>,
}

/// The first 64 bits of an IPv6 address.
fn network(address: IpAddr) -> Option<u64> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some((u128::from(address) >> 64) as u64),
    }
}

/// Why a connection is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Full {
    /// The process holds as many as it may.
    All,
    /// The address holds as many as it may.
    Address,
    /// The IPv6 network holds as many as it may.
    Network,
}

impl Full {
    /// The `cause` label of `edge_connections_refused_total`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::All => "connections",
            Self::Address => "connections_per_address",
            Self::Network => "connections_per_network",
        }
    }
}

impl Permits {
    /// Makes an empty count with its caps; `gauge` shows it.
    pub(super) fn new(caps: Caps, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { caps, open: Mutex::default(), gauge })
    }

    /// Lets one connection of `address` in; it is out again when the value goes.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let mut permit = self.enter_unnamed()?;
        permit.name(address)?;
        Ok(permit)
    }

    /// Lets one connection in whose address will be told; until then it counts in all only.
    pub(super) fn enter_unnamed(self: &Arc<Self>) -> Result<Permit, Full> {
        let mut open = self.open();
        if open.all >= self.caps.all {
            return Err(Full::All);
        }
        open.all += 1;
        self.gauge.set(i64::from(open.all));
        Ok(Permit { permits: Arc::clone(self), address: None })
    }

    fn count_in(&self, address: IpAddr) -> Result<(), Full> {
        let mut open = self.open();
        if count(&open.by_address, &address) >= self.caps.address {
            return Err(Full::Address);
        }
        let network = network(address);
        if network.is_some_and(|net| count(&open.by_network, &net) >= self.caps.network) {
            return Err(Full::Network);
        }
        *open.by_address.entry(address).or_default() += 1;
        if let Some(network) = network {
            *open.by_network.entry(network).or_default() += 1;
        }
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count<K: Hash + Eq>(counts: &HashMap<K, u32>, key: &K) -> u32 {
    counts.get(key).copied().unwrap_or(0)
}

/// Takes one from a count, and the entry with the last one.
fn leave<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    match counts.get_mut(key) {
        Some(left) if *left > 1 => *left -= 1,
        Some(_) | None => drop(counts.remove(key)),
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    /// Whose it is, once that is known.
    address: Option<IpAddr>,
}

impl Permit {
    /// Counts the connection, which has no address yet, as one of `address`.
    pub(super) fn name(&mut self, address: IpAddr) -> Result<(), Full> {
        self.permits.count_in(address)?;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.permits.open();
        open.all = open.all.saturating_sub(1);
        self.permits.gauge.set(i64::from(open.all));
        let Some(address) = self.address else { return };
        leave(&mut open.by_address, &address);
        if let Some(network) = network(address) {
            leave(&mut open.by_network, &network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(all: u32, address: u32, network: u32) -> Arc<Permits> {
        let gauge = IntGauge::new("open", "open connections").unwrap();
        Permits::new(Caps { all, address, network }, gauge)
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn v6(net: u16, last: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, last])
    }

    /// Opens connections from the addresses and says for each whether it came in.
    fn open(permits: &Arc<Permits>, from: &[IpAddr]) -> Vec<Result<(), Full>> {
        let held: Vec<_> = from.iter().map(|address| permits.enter(*address)).collect();
        held.iter().map(|one| one.as_ref().map(|_| ()).map_err(|full| *full)).collect()
    }

    #[test]
    fn each_cap_lets_in_its_number_and_no_more() {
        let (ok, all) = (Ok(()), Err(Full::All));
        for (permits, from, outcomes) in [
            (permits(2, 9, 9), [v4(1), v4(2), v4(3)], [ok, ok, all]),
            (permits(9, 2, 9), [v4(1), v4(1), v4(1)], [ok, ok, Err(Full::Address)]),
            (permits(9, 2, 9), [v4(1), v4(1), v4(2)], [ok, ok, ok]),
            (permits(9, 2, 9), [v6(1, 1), v6(1, 1), v6(1, 1)], [ok, ok, Err(Full::Address)]),
            (permits(9, 9, 2), [v6(1, 1), v6(1, 2), v6(1, 3)], [ok, ok, Err(Full::Network)]),
            (permits(9, 9, 2), [v6(1, 1), v6(1, 2), v6(2, 3)], [ok, ok, ok]),
            (permits(9, 9, 2), [v4(1), v4(2), v4(3)], [ok, ok, ok]),
        ] {
            assert_eq!(open(&permits, &from), outcomes, "{permits:?} {from:?}");
            let left = permits.open();
            assert!(left.all == 0 && left.by_address.is_empty() && left.by_network.is_empty());
        }
    }

    #[test]
    fn a_connection_without_an_address_counts_in_all_and_then_as_one_of_its_address() {
        let permits = permits(2, 1, 1);
        let mut unnamed = permits.enter_unnamed().unwrap();
        let named = permits.enter(v4(1)).unwrap();
        assert_eq!(permits.enter_unnamed().unwrap_err(), Full::All);
        assert_eq!(unnamed.name(v4(1)).unwrap_err(), Full::Address);
        unnamed.name(v4(2)).unwrap();
        drop(named);
        assert_eq!(permits.enter(v4(2)).unwrap_err(), Full::Address);
        drop(unnamed);
        let left = permits.open();
        assert!(left.all == 0 && left.by_address.is_empty());
    }

    #[test]
    fn a_closed_connection_makes_room() {
        let permits = permits(1, 1, 1);
        let first = permits.enter(v6(1, 1)).unwrap();
        assert_eq!(permits.enter(v6(1, 1)).unwrap_err(), Full::All);
        drop(first);
        drop(permits.enter(v6(1, 1)).unwrap());
    }
}
