//! A small budget of work that nobody waits for: whoever floods does not get more of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Signatures that are checked in a second only to count a refusal rightly: with RS256 about one hundredth of a processor.
pub(super) const CHECKS_PER_SECOND: u64 = 200;

/// What is left of the budget of the present second.
#[derive(Debug, Default)]
pub(super) struct Spare {
    /// The second in the upper half, what it has spent in the lower.
    spent: AtomicU64,
}

impl Spare {
    /// Takes one check, if the second has one left.
    pub(super) fn take(&self, now: Duration) -> bool {
        let second = now.as_secs() << 32;
        let take = |spent: u64| match spent {
            _ if spent >> 32 != second >> 32 => Some(second | 1),
            _ if spent & u64::from(u32::MAX) < CHECKS_PER_SECOND => Some(spent + 1),
            _ => None,
        };
        self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_checks_and_the_next_one_new_ones() {
        let spare = Spare::default();
        for second in [7, 8, 6] {
            let now = Duration::from_millis(second * 1000 + 999);
            for (what, checks, is_there) in [
                ("one under", CHECKS_PER_SECOND - 1, true),
                ("at it", 1, true),
                ("one over", 1, false),
            ] {
                for _ in 0..checks {
                    assert_eq!(spare.take(now), is_there, "{what}");
                }
            }
        }
    }
}
