//! Regression trees of the OWASP CRS: what `portcullis rules ftw` runs.
//!
//! [`read`] takes both formats (3.3 and 4), [`load_rules`] sets the rules up as the suite asks, [`run`] feeds each
//! request through the engine, answers as the suite's origin would and compares what fired; [`judge`] compares what a
//! server did with the same requests. A case that is
//! excused in [`Overrides`] must fail; one that passes again fails the run, and so does a tree with fewer cases
//! than expected.

mod case;
mod format;
mod front;
mod overrides;
mod report;
mod request;
mod run;

pub use case::{Case, Expectation, Stage, TreeError, read};
pub use front::framed;
pub use overrides::{OverrideError, Overrides};
pub use report::{Failure, Report, Tally};
pub use request::Request;
pub use run::{SETUP, Seen, feed, judge, load_rules, run};

#[cfg(test)]
mod tests;
