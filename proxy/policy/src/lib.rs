//! Pure decisions: `Policy` (immutable, compiled) and `State` (counters, bans), with `now` an argument.
//!
//! [`Policy::compile`] is the only thing here that can fail. A request takes a [`Cursor`] of its policy and goes
//! through the rules in their order; the cursor stops where a rule asks for the token or the body, and goes on
//! where it stopped. Nothing is fetched that no rule asks for, and no rule and no counter runs twice.

pub mod address_set;
pub mod compile;
mod cursor;
mod decode;
mod evaluate;
pub mod limit;
mod request;
pub mod state;
#[cfg(test)]
mod tests;
mod trace;
mod verdict;
pub mod waf;

pub use address_set::IpSet;
pub use compile::{GeoState, Materials, Policy, Served};
pub use cursor::{Cursor, Step};
pub use limit::{BanRule, Limit, LimitId, LimitKey, LimitOutcome, Threshold};
pub use request::{BodyEnd, ClientCertificate, Header, Input, RequestHead, Scheme, TokenView};
pub use state::{
    Ban, BanHit, BanKey, BanOrigin, BanSelector, Caller, CountSecret, ForeignCounts, Limits,
    Memory, State,
};
pub use trace::{RuleResult, RuleTrace, Trace, TracedMatch};
pub use verdict::{
    ConfiguredAction, Decision, EventKind, HeaderToSet, Hit, MatchedField, Outcome, RateHit,
    RateWord, SignatureHit, UserIp, Verdict,
};
