//! Reports of browsers about content security policies: how many are written, and what they say.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_config::Timestamp;
use serde_json::Value;

/// The largest body of reports.
pub(crate) const REPORT_BYTES_MAX: u64 = 16 * 1024;
/// Reports that are written in one second, of all clients.
pub(crate) const REPORTS_PER_SECOND: u64 = 20;

/// How many were written in the second that is going on.
#[derive(Debug, Default)]
pub struct ReportRate {
    /// The second in the upper 44 bits, the count in the lower 20.
    now: AtomicU64,
}

impl ReportRate {
    /// Counts one, if there is room for it.
    pub(crate) fn may_write(&self, now: Timestamp) -> bool {
        let second = now.as_secs() << 20;
        let counted = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            let count = if seen >> 20 << 20 == second { seen & 0xf_ffff } else { 0 };
            (count < REPORTS_PER_SECOND).then_some(second | (count + 1))
        });
        counted.is_ok()
    }
}

/// The reports of either format: one object with `csp-report`, or a list of objects with `body` (Reporting API).
pub(crate) fn reports(said: &Value) -> impl Iterator<Item = &Value> {
    let old = said.get("csp-report").into_iter();
    let list = said.as_array().into_iter().flatten();
    let is_csp = |one: &&Value| one.get("type").and_then(Value::as_str) == Some("csp-violation");
    old.chain(list.filter(is_csp).filter_map(|one| one.get("body")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_written_in_a_second() {
        let rate = ReportRate::default();
        for second in [100, 101] {
            let now = Timestamp::from_secs(second);
            for _ in 2..REPORTS_PER_SECOND {
                assert!(rate.may_write(now));
            }
            assert!(rate.may_write(now), "one under");
            assert!(rate.may_write(now), "at it");
            assert!(!rate.may_write(now), "one over");
        }
    }
}
