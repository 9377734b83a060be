//! The one budget of bytes that bodies held for inspection may take, all requests together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntGauge;

/// The process-wide budget.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicU64,
    gauge: IntGauge,
}

impl Budget {
    /// Makes an empty budget; `gauge` shows what is held.
    pub(super) fn new(gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), gauge })
    }

    /// Starts a share that holds nothing yet.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), held: 0 }
    }
}

/// One request's part of the budget; given back when the value goes.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    held: u64,
}

/// The budget is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Exhausted;

impl Share {
    /// Takes `bytes` more if the sum of all shares stays within `max`, which the snapshot says.
    pub(super) fn grow(&mut self, bytes: u64, max: u64) -> Result<(), Exhausted> {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= max);
        match self.budget.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(before) => {
                self.held += bytes;
                self.budget.show(before.saturating_add(bytes));
                Ok(())
            }
            Err(_) => Err(Exhausted),
        }
    }
}

impl Budget {
    fn show(&self, held: u64) {
        self.gauge.set(i64::try_from(held).unwrap_or(i64::MAX));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let before = self.budget.held.fetch_sub(self.held, Ordering::Relaxed);
        self.budget.show(before.saturating_sub(self.held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_budget_and_give_back() {
        let budget = Budget::new(IntGauge::new("held", "held bytes").unwrap());
        let mut first = budget.share();
        let mut second = budget.share();
        assert_eq!(first.grow(60, 100), Ok(()));
        assert_eq!(second.grow(41, 100), Err(Exhausted));
        assert_eq!(second.grow(40, 100), Ok(()));
        assert_eq!(first.grow(1, 100), Err(Exhausted));
        drop(second);
        assert_eq!(first.grow(40, 100), Ok(()));
        drop(first);
        assert_eq!((budget.held.load(Ordering::Relaxed), budget.gauge.get()), (0, 0));
    }
}
