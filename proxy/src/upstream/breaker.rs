//! The circuit breaker of a backend: how many requests it has in work, how many wait, and how many are let in where its
//! answers grow slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_config::model::Capacity;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::Notify;

/// The whole of a backend's `in_flight`, in parts.
const WHOLE: usize = 1000;
/// What is let in at the least, in the same parts.
const LEAST: usize = WHOLE / 10;

/// One per backend; outlives the snapshots, so that a reload does not forget who is inside.
#[derive(Debug)]
pub(crate) struct Breaker {
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
    /// The part of `in_flight` that is let in.
    part: AtomicUsize,
    /// The time to an answer's head, smoothed, in microseconds.
    latency_us: AtomicU64,
    /// When the part was last cut, by the steady clock in milliseconds.
    cut_at: AtomicU64,
    gauge: IntGauge,
    refused: IntCounter,
}

/// A request that is let in; leaves when the value goes.
#[derive(Debug)]
pub(crate) struct Admission(Arc<Breaker>);

/// Neither room nor a place to wait, or the wait was too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

impl Breaker {
    /// `gauge` shows the requests in work, `refused` counts those that are not let in.
    pub(super) fn new(gauge: IntGauge, refused: IntCounter) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            part: AtomicUsize::new(WHOLE),
            latency_us: AtomicU64::new(0),
            cut_at: AtomicU64::new(0),
            gauge,
            refused,
        }
    }

    /// Lets a request in, at once or after a wait; without a capacity always.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        capacity: Option<&Capacity>,
    ) -> Result<Admission, Full> {
        let room = capacity.map_or(usize::MAX, |capacity| self.room(capacity));
        if let Some(admission) = self.try_enter(room) {
            return Ok(admission);
        }
        let waited = match capacity {
            Some(capacity) => self.wait(capacity).await,
            None => None,
        };
        waited.ok_or_else(|| {
            self.refused.inc();
            Full
        })
    }

    /// Requests that are let in now.
    pub(crate) fn room(&self, capacity: &Capacity) -> usize {
        let most = usize::try_from(capacity.in_flight).unwrap_or(usize::MAX);
        let part = match capacity.latency_target {
            Some(_) => self.part.load(Ordering::Relaxed),
            None => WHOLE,
        };
        (most.saturating_mul(part) / WHOLE).max(1)
    }

    fn try_enter(self: &Arc<Self>, room: usize) -> Option<Admission> {
        let fits = |inside: usize| (inside < room).then_some(inside + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        self.gauge.inc();
        Some(Admission(Arc::clone(self)))
    }

    async fn wait(self: &Arc<Self>, capacity: &Capacity) -> Option<Admission> {
        let places = usize::try_from(capacity.queue).unwrap_or(usize::MAX);
        let fits = |waiting: usize| (waiting < places).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        let _place = Place(self);
        let entering = async {
            loop {
                let freed = self.freed.notified();
                if let Some(admission) = self.try_enter(self.room(capacity)) {
                    return admission;
                }
                freed.await;
            }
        };
        tokio::time::timeout(capacity.queue_timeout, entering).await.ok()
    }

    /// Takes the time to an answer's head: above the target fewer are let in, below it more.
    pub(super) fn observe(&self, latency: Duration, target: Duration, now: Duration) {
        let sample = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let before = self.latency_us.load(Ordering::Relaxed);
        // An eighth of the new one: a single slow answer cuts nobody off.
        let smooth = if before == 0 { sample } else { before - before / 8 + sample / 8 };
        self.latency_us.store(smooth, Ordering::Relaxed);
        let part = self.part.load(Ordering::Relaxed);
        if Duration::from_micros(smooth) <= target {
            self.part.store((part + 1).min(WHOLE), Ordering::Relaxed);
            return;
        }
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let since = now.saturating_sub(self.cut_at.load(Ordering::Relaxed));
        // One cut per target's time: what it does shows only in the answers that begin after it.
        if u128::from(since) >= target.as_millis() {
            self.cut_at.store(now, Ordering::Relaxed);
            self.part.store((part * 9 / 10).max(LEAST), Ordering::Relaxed);
        }
    }

    /// Requests in work.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
        if self.0.waiting() > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a Breaker);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        // A wake-up that came too late for this one is for the next.
        if self.0.waiting() > 0 {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Arc<Breaker> {
        let gauge = IntGauge::new("in_flight", "in flight").unwrap();
        Arc::new(Breaker::new(gauge, IntCounter::new("refused", "refused").unwrap()))
    }

    fn capacity(in_flight: u32, queue: u32) -> Capacity {
        Capacity {
            in_flight,
            queue,
            queue_timeout: Duration::from_secs(1),
            latency_target: Some(Duration::from_millis(100)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_under_at_and_one_over_the_bound() {
        let (breaker, capacity) = (breaker(), capacity(2, 0));
        let first = breaker.enter(Some(&capacity)).await.unwrap();
        let _second = breaker.enter(Some(&capacity)).await.unwrap();
        assert_eq!(breaker.enter(Some(&capacity)).await.unwrap_err(), Full);
        assert!(breaker.enter(None).await.is_ok(), "without a capacity there is no bound");
        drop(first);
        assert!(breaker.enter(Some(&capacity)).await.is_ok());
        assert_eq!((breaker.in_flight(), breaker.gauge.get(), breaker.refused.get()), (1, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_let_in_when_one_leaves_and_refused_when_none_does() {
        let (breaker, capacity) = (breaker(), capacity(1, 1));
        let inside = breaker.enter(Some(&capacity)).await.unwrap();
        let waiting = {
            let breaker = Arc::clone(&breaker);
            tokio::spawn(async move { breaker.enter(Some(&capacity)).await.is_ok() })
        };
        while breaker.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(breaker.enter(Some(&capacity)).await.unwrap_err(), Full, "the queue is full");
        drop(inside);
        assert!(waiting.await.unwrap());
        let _inside = breaker.enter(Some(&capacity)).await.unwrap();
        assert_eq!(breaker.enter(Some(&capacity)).await.unwrap_err(), Full, "after its time");
        assert_eq!(breaker.waiting(), 0);
    }

    #[test]
    fn slow_answers_let_fewer_in_and_quick_ones_more() {
        let (breaker, capacity) = (breaker(), capacity(100, 0));
        let target = Duration::from_millis(100);
        let at = |ms: u64| Duration::from_millis(ms);
        assert_eq!(breaker.room(&capacity), 100);
        breaker.observe(at(500), target, at(200));
        assert_eq!(breaker.room(&capacity), 90);
        breaker.observe(at(500), target, at(250));
        assert_eq!(breaker.room(&capacity), 90, "one cut per target's time");
        for step in 3..100 {
            breaker.observe(at(500), target, at(step * 100));
        }
        assert_eq!(breaker.room(&capacity), 10, "a tenth is let in always");
        for step in 0..2000 {
            breaker.observe(at(1), target, at(10_000 + step));
        }
        assert_eq!(breaker.room(&capacity), 100);
    }
}
