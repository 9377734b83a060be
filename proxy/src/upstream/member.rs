//! One server as it stands: what probes, requests and operators say of it. Kept beside the snapshots, so that a reload
//! forgets nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_config::model::{Health, Outliers, Server};
use prometheus::IntCounter;

use super::names::Name;

/// The full share of a server, in percent.
const FULL: u32 = 100;
/// The share with which a server comes back where there is a slow start, in percent.
const SHARE_MIN: u32 = 10;
/// A server that fails again and again is left out longer each time, up to this many times the first.
const EJECTIONS_COUNTED_MAX: u32 = 10;

/// One server of one backend.
#[derive(Debug)]
pub(crate) struct Member {
    /// As in the configuration.
    pub(crate) name: String,
    /// Its addresses, where it has a name.
    pub(super) resolved: Option<Arc<Name>>,
    /// What affinity takes for it.
    pub(super) hash: u64,
    is_up: AtomicBool,
    /// Probes in a row that said otherwise.
    against: Mutex<u32>,
    in_flight: AtomicUsize,
    /// Failed requests in a row.
    failures: AtomicU32,
    /// Times that it was left out since it last answered for a whole term.
    ejections: AtomicU32,
    /// Moments by the steady clock; zero means never.
    ejected_until: AtomicU64,
    risen_at: AtomicU64,
    drained_at: AtomicU64,
    failed: IntCounter,
}

/// How a server stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It is used.
    Up,
    /// Its probes fail.
    Down,
    /// Requests to it failed.
    Ejected,
    /// An operator took it out.
    Drained,
}

impl Standing {
    /// Returns the word of the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Drained => "drained",
        }
    }
}

/// A moment by the steady clock, as it is kept; never zero.
fn mark(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

impl Member {
    pub(super) fn new(name: String, resolved: Option<Arc<Name>>, failed: IntCounter) -> Self {
        Self {
            hash: super::choose::hash(name.as_bytes()),
            name,
            resolved,
            is_up: AtomicBool::new(true),
            against: Mutex::new(0),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            risen_at: AtomicU64::new(0),
            drained_at: AtomicU64::new(0),
            failed,
        }
    }

    /// Says how the server stands. A server that has not been probed counts as up.
    pub(crate) fn standing(&self, now: Duration) -> Standing {
        if self.drained_at.load(Ordering::Relaxed) > 0 {
            Standing::Drained
        } else if !self.is_up.load(Ordering::Relaxed) {
            Standing::Down
        } else if self.ejected_until.load(Ordering::Relaxed) > mark(now) {
            Standing::Ejected
        } else {
            Standing::Up
        }
    }

    /// Its share of the requests now, in percent of its weight; 0 while it is not used.
    pub(super) fn share(&self, slow_start: Option<Duration>, now: Duration) -> u32 {
        if self.standing(now) != Standing::Up {
            return 0;
        }
        let risen = self.risen_at.load(Ordering::Relaxed);
        let Some(slow_start) = slow_start.filter(|_| risen > 0) else { return FULL };
        let since = mark(now).saturating_sub(risen);
        let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX).max(1);
        let grown = u64::from(FULL).saturating_mul(since) / whole;
        u32::try_from(grown).unwrap_or(FULL).clamp(SHARE_MIN, FULL)
    }

    /// Requests that it has in work.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a probe's word; returns whether that changed the server's standing.
    pub(super) fn probed(&self, health: &Health, is_good: bool, now: Duration) -> bool {
        let mut against = self.against.lock().unwrap_or_else(PoisonError::into_inner);
        let is_up = self.is_up.load(Ordering::Relaxed);
        if is_good == is_up {
            *against = 0;
            return false;
        }
        *against += 1;
        if *against < if is_up { health.unhealthy } else { health.healthy } {
            return false;
        }
        *against = 0;
        self.is_up.store(is_good, Ordering::Relaxed);
        if is_good {
            self.failures.store(0, Ordering::Relaxed);
            self.risen_at.store(mark(now), Ordering::Relaxed);
        }
        true
    }

    /// Notes a request that it answered.
    pub(super) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.ejections.load(Ordering::Relaxed) > 0 {
            self.ejections.store(0, Ordering::Relaxed);
        }
    }

    /// Notes a request that failed; returns whether it is one too many.
    pub(super) fn failed(&self, outliers: Option<&Outliers>) -> bool {
        self.failed.inc();
        let Some(outliers) = outliers else { return false };
        self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= outliers.failures
    }

    /// Leaves it out, for longer each time.
    pub(super) fn eject(&self, outliers: &Outliers, now: Duration) -> Duration {
        let times = self.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let span = outliers.eject.saturating_mul(times.min(EJECTIONS_COUNTED_MAX));
        self.failures.store(0, Ordering::Relaxed);
        let until = mark(now.saturating_add(span));
        self.ejected_until.store(until, Ordering::Relaxed);
        self.risen_at.store(until, Ordering::Relaxed);
        span
    }

    /// Takes it out by an operator's word, or back; returns whether that changed something.
    pub(crate) fn set_drained(&self, drained: bool, now: Duration) -> bool {
        let at = if drained { mark(now) } else { 0 };
        let before = self.drained_at.load(Ordering::Relaxed);
        let changes = (before > 0) != drained;
        if changes {
            self.drained_at.store(at, Ordering::Relaxed);
        }
        if changes && !drained {
            self.risen_at.store(mark(now), Ordering::Relaxed);
        }
        changes
    }

    /// Says whether an operator took it out longer than `drain` ago.
    pub(crate) fn is_drained_since(&self, drain: Duration, now: Duration) -> bool {
        let at = self.drained_at.load(Ordering::Relaxed);
        at > 0 && mark(now.saturating_sub(drain)) > at
    }
}

/// A server's name on the command line, in the log and in metrics.
pub(super) fn name(server: &Server) -> String {
    match server {
        Server::Tcp(address) => address.to_string(),
        Server::Name { host, port } => format!("{host}:{port}"),
        Server::Unix(path) => format!("unix:{}", path.display()),
        Server::EmbeddedLicense => "embedded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        Member::new("a:1".to_owned(), None, IntCounter::new("failed", "failed").unwrap())
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const OUTLIERS: Outliers =
        Outliers { failures: 3, eject: Duration::from_secs(30), max_percent: 100 };

    #[test]
    fn a_server_falls_after_three_bad_probes_and_rises_after_two_good_ones() {
        let health = Health {
            path: "/health".to_owned(),
            every: secs(10),
            timeout: secs(5),
            healthy: 2,
            unhealthy: 3,
        };
        let member = member();
        let mut seen = String::new();
        for probe in "++--+---+-++-".chars() {
            member.probed(&health, probe == '+', secs(1));
            seen.push(if member.standing(secs(1)) == Standing::Up { 'u' } else { 'd' });
        }
        assert_eq!(seen, "uuuuuuudddduu");
    }

    #[test]
    fn three_failures_in_a_row_eject_and_an_answer_between_them_does_not() {
        let member = member();
        for (outcome, expected) in
            [('-', false), ('-', false), ('+', false), ('-', false), ('-', false), ('-', true)]
        {
            let one_too_many = match outcome {
                '+' => {
                    member.answered();
                    false
                }
                _ => member.failed(Some(&OUTLIERS)),
            };
            assert_eq!(one_too_many, expected);
        }
        assert!(!member.failed(None));
    }

    #[test]
    fn each_ejection_is_longer_until_the_server_answers() {
        let member = member();
        for expected in [30, 60, 90] {
            assert_eq!(member.eject(&OUTLIERS, secs(0)), secs(expected));
        }
        assert_eq!(member.standing(secs(89)), Standing::Ejected);
        assert_eq!(member.standing(secs(90)), Standing::Up);
        member.answered();
        assert_eq!(member.eject(&OUTLIERS, secs(100)), secs(30));
    }

    #[test]
    fn a_server_that_comes_back_grows_to_its_share() {
        let member = member();
        assert_eq!(member.share(Some(secs(100)), secs(0)), 100, "it never fell");
        member.eject(&OUTLIERS, secs(0));
        for (at, expected) in [(29, 0), (30, 10), (50, 20), (80, 50), (130, 100), (500, 100)] {
            assert_eq!(member.share(Some(secs(100)), secs(at)), expected, "{at}");
        }
        assert_eq!(member.share(None, secs(31)), 100);
    }

    #[test]
    fn a_drained_server_is_out_until_it_is_taken_back() {
        let member = member();
        assert!(member.set_drained(true, secs(10)));
        assert!(!member.set_drained(true, secs(20)));
        assert_eq!(member.standing(secs(20)), Standing::Drained);
        for (at, expected) in [(11, false), (40, false), (41, true)] {
            assert_eq!(member.is_drained_since(secs(30), secs(at)), expected, "{at}");
        }
        assert!(member.set_drained(false, secs(50)));
        assert!(!member.is_drained_since(secs(30), secs(500)));
        assert_eq!(member.standing(secs(50)), Standing::Up);
    }
}
