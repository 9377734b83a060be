//! Flood bans: who opens connections faster than any client needs to, or floods HTTP/2 with control frames, is dropped
//! before TLS for a while, where a refusal costs the least. Every other ban is answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

/// Addresses whose rate is known at one time. Beyond it the newest are not held to it, and counted.
pub(crate) const ADDRESSES_MAX: usize = 65_536;

/// The rate of new connections by address, and who is under a ban for it. Times are of the steady clock.
#[derive(Debug)]
pub(super) struct Floods {
    /// Connections per second, and as many at once.
    rate: u32,
    ban: Duration,
    known: Mutex<HashMap<IpAddr, Standing>>,
    untracked: IntCounter,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// When the connections so far would have come, had they kept the rate (GCRA's theoretical arrival time).
    due: Duration,
    banned_until: Duration,
}

/// What is done with a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// It is let in.
    Admitted,
    /// It begins a ban.
    BeginsBan,
    /// It falls under one.
    Banned,
}

impl Floods {
    /// Starts with nobody known.
    pub(super) fn new(rate: u32, ban: Duration, untracked: IntCounter) -> Arc<Self> {
        Arc::new(Self { rate: rate.max(1), ban, known: Mutex::default(), untracked })
    }

    /// Counts so many new connections of `address`, or what it did on one as so many.
    pub(super) fn counts(&self, address: IpAddr, connections: u32, now: Duration) -> Arrival {
        let step = Duration::from_secs(1) / self.rate;
        let mut known = self.known();
        let Some(standing) = self.standing(&mut known, address, now) else {
            return Arrival::Admitted;
        };
        if now < standing.banned_until {
            return Arrival::Banned;
        }
        let due = standing.due.max(now).saturating_add(step.saturating_mul(connections));
        if due > now + Duration::from_secs(1) {
            *standing = Standing { due: Duration::ZERO, banned_until: now + self.ban };
            return Arrival::BeginsBan;
        }
        standing.due = due;
        Arrival::Admitted
    }

    /// Bans an address for what it did on a connection.
    pub(super) fn ban(&self, address: IpAddr, now: Duration) {
        if let Some(standing) = self.standing(&mut self.known(), address, now) {
            standing.banned_until = now + self.ban;
        }
    }

    /// The standing of an address; `None` if the table is full of others.
    fn standing<'k>(
        &self,
        known: &'k mut HashMap<IpAddr, Standing>,
        address: IpAddr,
        now: Duration,
    ) -> Option<&'k mut Standing> {
        if known.len() >= ADDRESSES_MAX && !known.contains_key(&address) {
            known.retain(|_, standing| now < standing.due.max(standing.banned_until));
            if known.len() >= ADDRESSES_MAX {
                self.untracked.inc();
                return None;
            }
        }
        Some(known.entry(address).or_default())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, Standing>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAN: Duration = Duration::from_secs(60);

    fn floods(rate: u32) -> Arc<Floods> {
        Floods::new(rate, BAN, IntCounter::new("untracked", "not tracked").unwrap())
    }

    impl Floods {
        fn arrives(&self, address: IpAddr, now: Duration) -> Arrival {
            self.counts(address, 1, now)
        }
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn as_many_as_the_rate_come_in_at_once_and_one_more_is_banned_until_the_ban_ends() {
        let (floods, begin) = (floods(10), Duration::from_secs(100));
        for n in 0..10 {
            assert_eq!(floods.arrives(address(1), begin), Arrival::Admitted, "{n}");
        }
        assert_eq!(floods.arrives(address(1), begin), Arrival::BeginsBan);
        assert_eq!(floods.arrives(address(2), begin), Arrival::Admitted);
        let nearly = begin + BAN - Duration::from_millis(1);
        assert_eq!(floods.arrives(address(1), nearly), Arrival::Banned);
        assert_eq!(floods.arrives(address(1), begin + BAN), Arrival::Admitted);
    }

    #[test]
    fn who_keeps_the_rate_is_never_banned() {
        let floods = floods(10);
        for n in 0..1000 {
            let now = Duration::from_secs(1) + Duration::from_millis(100) * n;
            assert_eq!(floods.arrives(address(1), now), Arrival::Admitted, "{n}");
        }
    }

    #[test]
    fn what_is_done_on_a_connection_counts_as_so_many_new_ones() {
        for (what, more, expected) in [
            ("one under", 59, Arrival::Admitted),
            ("at it", 60, Arrival::Admitted),
            ("one over", 61, Arrival::BeginsBan),
        ] {
            let floods = floods(100);
            assert_eq!(floods.counts(address(1), 40, BAN), Arrival::Admitted);
            assert_eq!(floods.counts(address(1), more, BAN), expected, "{what}");
            assert_eq!(floods.counts(address(2), 100, BAN), Arrival::Admitted, "{what}");
        }
    }

    #[test]
    fn a_ban_for_what_happened_on_a_connection_holds_at_the_door() {
        let floods = floods(10);
        floods.ban(address(1), Duration::ZERO);
        assert_eq!(floods.arrives(address(1), Duration::from_secs(1)), Arrival::Banned);
        assert_eq!(floods.arrives(address(1), BAN), Arrival::Admitted);
    }

    #[test]
    fn addresses_are_known_up_to_the_cap_and_then_counted() {
        let most = u32::try_from(ADDRESSES_MAX).unwrap();
        for (what, number, untracked) in
            [("one under", most - 1, 0), ("at it", most, 0), ("one over", most + 1, 1)]
        {
            let floods = floods(1);
            for n in 0..number {
                assert_eq!(floods.arrives(address(n), Duration::ZERO), Arrival::Admitted);
            }
            assert_eq!(floods.untracked.get(), untracked, "{what}");
            assert!(floods.known().len() <= ADDRESSES_MAX, "{what}");
            // Whose rate is not known is not held to it; everybody else is.
            let second = floods.arrives(address(number - 1), Duration::ZERO);
            let expected = if untracked == 0 { Arrival::BeginsBan } else { Arrival::Admitted };
            assert_eq!(second, expected, "{what}");
        }
    }

    #[test]
    fn a_full_table_is_swept_of_those_who_have_kept_the_rate() {
        let floods = floods(1);
        let most = u32::try_from(ADDRESSES_MAX).unwrap();
        for n in 0..most {
            floods.arrives(address(n), Duration::ZERO);
        }
        assert_eq!(floods.arrives(address(most), Duration::from_secs(2)), Arrival::Admitted);
        assert_eq!((floods.untracked.get(), floods.known().len()), (0, 1));
    }
}
