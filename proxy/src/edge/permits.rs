//! How many connections may be open: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

/// Counts open connections. The table holds open connections only, so the total caps it.
#[derive(Debug)]
pub(super) struct Permits {
    all_max: u32,
    address_max: u32,
    open: Mutex<Open>,
    gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Open {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Full {
    /// The process holds as many as it may.
    All,
    /// The address holds as many as it may.
    Address,
}

impl Full {
    /// The `cause` label of `edge_connections_refused_total`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::All => "connections",
            Self::Address => "connections_per_address",
        }
    }
}

impl Permits {
    /// Makes an empty count with its two caps; `gauge` shows it.
    pub(super) fn new(all_max: u32, address_max: u32, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { all_max, address_max, open: Mutex::default(), gauge })
    }

    /// Lets one connection of `address` in; it is out again when the value goes.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let mut open = self.open();
        if open.all >= self.all_max {
            return Err(Full::All);
        }
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.address_max {
            return Err(Full::Address);
        }
        open.all += 1;
        self.gauge.set(i64::from(open.all));
        open.by_address.insert(address, of_address + 1);
        Ok(Permit { permits: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.permits.open();
        open.all = open.all.saturating_sub(1);
        self.permits.gauge.set(i64::from(open.all));
        let left = open.by_address.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            open.by_address.remove(&self.address);
        } else {
            open.by_address.insert(self.address, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_caps_hold_and_a_closed_connection_makes_room() {
        let permits = Permits::new(3, 2, IntGauge::new("open", "open connections").unwrap());
        let first = permits.enter(address(1)).unwrap();
        let second = permits.enter(address(1)).unwrap();
        assert_eq!(permits.enter(address(1)).unwrap_err(), Full::Address);
        let third = permits.enter(address(2)).unwrap();
        assert_eq!(permits.enter(address(3)).unwrap_err(), Full::All);
        drop(first);
        let again = permits.enter(address(1)).unwrap();
        drop((second, third, again));
        assert!(permits.open().by_address.is_empty());
    }
}
