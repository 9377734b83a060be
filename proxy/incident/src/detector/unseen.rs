//! What a group is known by: a value that it never had is news, once.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use portcullis_config::Timestamp;

/// Values of one group that are remembered; then the one that was longest unused goes.
const VALUES_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Known(VecDeque<(u64, Timestamp)>);

impl Known {
    /// Notes a value, and says whether it is the first of its kind of a group that is known. Digests stand for values: of
    /// two that meet the second is no news, which errs towards silence. Cost: at most 32 values.
    pub(super) fn is_news(&mut self, value: &str, window: Duration, now: Timestamp) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let digest = hasher.finish();
        self.0.retain(|(_, last)| now.since(*last) <= window);
        let is_group_known = !self.0.is_empty();
        let before = self.0.len();
        self.0.retain(|(known, _)| *known != digest);
        let is_new = self.0.len() == before;
        if self.0.len() >= VALUES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((digest, now));
        is_new && is_group_known
    }
}
