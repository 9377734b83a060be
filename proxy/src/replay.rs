//! Yesterday's requests against today's rules: what a change of policy would have done to them.
//!
//! A log knows little of a request: no body, and three of its headers. What cannot be judged for that is counted as such,
//! and never as unchanged.

mod entry;
mod har;
mod report;
mod run;
mod time;

pub use entry::{Entry, Kind, Recorded, RecordedMatch, Source, SourceError, open, open_capture};
pub use report::{Change, Parity, Report, RuleShift, Sample, Tally};
pub use run::{Progress, replay};
