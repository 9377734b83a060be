//! The budget of further tries of one backend: a share of its recent requests, so that a backend that fails is not also
//! asked twice as often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The span of one of the two slots that are counted; what is recent is between one and two of them.
const SLOT: Duration = Duration::from_secs(5);
/// Further tries that are granted whatever the requests were, ten for each second that is counted: they harm no backend,
/// and a server that dies right after this process has started, or when little was asked, costs no request.
const GRANTED: u64 = 100;

/// One per backend; outlives the snapshots.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    slot: u128,
    now: Slot,
    before: Slot,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u64,
    retries: u64,
}

impl RetryBudget {
    /// Counts a request's first try.
    pub(super) fn request(&self, now: Duration) {
        self.at(now, |counts| counts.now.requests += 1);
    }

    /// Takes one further try, if the budget has it.
    pub(super) fn take(&self, percent: u32, now: Duration) -> bool {
        self.at(now, |counts| {
            let requests = counts.now.requests + counts.before.requests;
            let allowed = GRANTED.max(requests.saturating_mul(u64::from(percent)) / 100);
            let fits = percent > 0 && counts.now.retries + counts.before.retries < allowed;
            counts.now.retries += u64::from(fits);
            fits
        })
    }

    fn at<T>(&self, now: Duration, change: impl FnOnce(&mut Counts) -> T) -> T {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = now.as_millis() / SLOT.as_millis();
        if slot > counts.slot {
            counts.before = if slot == counts.slot + 1 { counts.now } else { Slot::default() };
            counts.now = Slot::default();
            counts.slot = slot;
        }
        change(&mut counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_recent_requests_and_ten_a_second_always() {
        for (requests, percent, expected) in [
            (0, 20, 100),
            (499, 20, 100),
            (500, 20, 100),
            (505, 20, 101),
            (4000, 5, 200),
            (1000, 0, 0),
        ] {
            let budget = RetryBudget::default();
            let now = Duration::from_secs(1);
            (0..requests).for_each(|_| budget.request(now));
            let taken = (0..2000).filter(|_| budget.take(percent, now)).count();
            assert_eq!(taken, expected, "{requests} requests, {percent} %");
        }
    }

    #[test]
    fn what_is_older_than_two_slots_is_forgotten() {
        let budget = RetryBudget::default();
        (0..2000).for_each(|_| budget.request(Duration::from_secs(1)));
        let taken = |secs| (0..2000).filter(|_| budget.take(10, Duration::from_secs(secs))).count();
        assert_eq!((taken(2), taken(6), taken(11), taken(30)), (200, 0, 100, 100));
    }
}
