//! What a rate rule counts and when it refuses: thresholds, keys, outcomes. The counts themselves live in
//! [`crate::state`]; nothing here is mutable.

mod definition;
mod key;
mod ring;

pub(crate) use definition::limit_digest;
pub use definition::{BadLimit, BanRule, Limit, LimitId, Threshold};
pub use key::{BadKey, KeyPart, LimitKey};
pub(crate) use ring::{Ring, Slot, taken};

use portcullis_config::Timestamp;

/// What one request found when it was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitOutcome {
    /// Within the limit, and counted; `remaining` more would be at this moment.
    Conforms {
        /// How many further requests of this key would pass now.
        remaining: u32,
    },
    /// Over the limit, and not counted.
    Exceeds {
        /// The earliest moment at which one more request would pass.
        retry_at: Timestamp,
    },
    /// This request crossed the limit and started a ban of its key.
    BanStarted {
        /// The moment at which the ban ends.
        until: Timestamp,
    },
    /// The key was banned already.
    Banned {
        /// The moment at which the ban ends; `None` for a permanent one.
        until: Option<Timestamp>,
    },
}

impl LimitOutcome {
    /// Says whether the request is within the limit.
    #[must_use]
    pub const fn conforms(&self) -> bool {
        matches!(self, Self::Conforms { .. })
    }

    /// Says whether a ban refuses the request.
    #[must_use]
    pub const fn is_ban(&self) -> bool {
        matches!(self, Self::BanStarted { .. } | Self::Banned { .. })
    }

    /// Returns the whole seconds, at least one, after which to try again; `None` when it conforms or never.
    #[must_use]
    pub fn retry_after_secs(&self, now: Timestamp) -> Option<u32> {
        let at = match *self {
            Self::Conforms { .. } | Self::Banned { until: None } => return None,
            Self::Exceeds { retry_at: at }
            | Self::BanStarted { until: at }
            | Self::Banned { until: Some(at) } => at,
        };
        let millis = u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
        Some(u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX).max(1))
    }
}
