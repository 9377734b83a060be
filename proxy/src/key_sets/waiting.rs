//! Requests whose token names a key that is not known, while a fetch that may bring it is under way or about to begin: they
//! wait for it, so that the first token after a rotation is accepted. A place is had only then, there are few of them, and
//! nobody keeps one for long: who makes up key ids holds nothing else up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_config::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// The most requests that wait at one time, of each provider.
pub(crate) const WAITING_MAX: usize = 64;
/// How long a request waits. Most issuers answer in a tenth of it; one that does not is not waited for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(2);
/// No fetch is to be expected: nobody has said that one may begin.
const CLOSED: u64 = u64::MAX;

/// The places of one provider.
#[derive(Debug)]
pub(super) struct Waiting {
    places: Semaphore,
    /// From when on an unknown key causes a fetch, in milliseconds since the Unix epoch; 0 while one is under way.
    opens: AtomicU64,
    /// How many fetches are over.
    over: watch::Sender<u64>,
}

/// Why a request does not wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPlace {
    /// No fetch would begin now.
    Closed,
    /// Every place is taken.
    Full,
}

/// A place of one request.
#[derive(Debug)]
pub(crate) struct Place<'r> {
    _place: SemaphorePermit<'r>,
    over: watch::Receiver<u64>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        let (over, _) = watch::channel(0);
        Self { places: Semaphore::new(WAITING_MAX), opens: AtomicU64::new(CLOSED), over }
    }

    /// Says from when on an unknown key causes a fetch.
    pub(super) fn open(&self, from: Timestamp) {
        self.opens.store(from.as_millis(), Ordering::Relaxed);
    }

    /// Wakes everybody: a fetch is over, whatever it has brought.
    pub(super) fn wake(&self) {
        self.over.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Takes a place, where a fetch is under way or would begin at `now`.
    pub(super) fn enter(&self, now: Timestamp) -> Result<Place<'_>, NoPlace> {
        if now.as_millis() < self.opens.load(Ordering::Relaxed) {
            return Err(NoPlace::Closed);
        }
        let place = self.places.try_acquire().map_err(|_| NoPlace::Full)?;
        Ok(Place { _place: place, over: self.over.subscribe() })
    }
}

impl Place<'_> {
    /// Waits until a fetch is over that was not when the place was taken; says whether one was within the time.
    pub(crate) async fn wait(self) -> bool {
        self.wait_for(WAIT_MAX).await
    }

    async fn wait_for(mut self, at_most: Duration) -> bool {
        matches!(tokio::time::timeout(at_most, self.over.changed()).await, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn requests_wait_up_to_the_places_of_a_provider() {
        let waiting = Waiting::new();
        waiting.open(at(0));
        let mut places: Vec<_> = (2..WAITING_MAX).map(|_| waiting.enter(at(1)).unwrap()).collect();
        for (what, is_full) in [("one under", false), ("at it", false), ("one over", true)] {
            let place = waiting.enter(at(1));
            assert_eq!(place.as_ref().err(), is_full.then_some(&NoPlace::Full), "{what}");
            places.extend(place);
        }
        places.pop();
        assert!(waiting.enter(at(1)).is_ok(), "who leaves makes room");
    }

    #[test]
    fn nobody_waits_for_a_fetch_that_does_not_come() {
        let waiting = Waiting::new();
        let refused = |now| waiting.enter(at(now)).err();
        assert_eq!(refused(u64::from(u32::MAX)), Some(NoPlace::Closed), "nobody fetches");
        waiting.open(at(10));
        assert_eq!((refused(9), refused(10)), (Some(NoPlace::Closed), None));
    }

    #[tokio::test]
    async fn a_place_is_left_when_a_fetch_is_over_or_the_time_is() {
        let waiting = Waiting::new();
        waiting.open(at(0));
        let before = waiting.enter(at(1)).unwrap();
        waiting.wake();
        assert!(before.wait().await, "in time");
        let after = waiting.enter(at(1)).unwrap();
        assert!(!after.wait_for(Duration::ZERO).await, "too late");
    }
}
