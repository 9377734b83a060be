//! Pure decisions: `Policy` (immutable, compiled) and `State` (counters, bans), with `now` an argument.

pub mod limit;
pub mod state;

pub use limit::{BanRule, Limit, LimitId, LimitKey, LimitOutcome, Threshold};
pub use state::{Ban, BanKey, BanOrigin, BanSelector, Limits, State};
