//! The rule sets by name: our own rules, and the loader for an OWASP Core Rule Set directory.
//!
//! [`RuleSet::load`] reads a set, compiles it with [`seclang`] at a paranoia level and says of each rule what it
//! is about ([`Category`]) and how sensitive it is. [`SetName`] and [`SignatureId`] read the names that Cloud
//! Armor's policies use for the same things. [`ftw`] runs a regression tree against a set.
//!
//! This crate reads files and knows nothing of HTTP servers.

mod builtin;
mod category;
mod cost;
mod diff;
mod files;
pub mod ftw;
mod layout;
mod rule_set;
mod scenarios;
mod set_name;
mod trace;

pub use category::Category;
pub use cost::Cost;
pub use diff::{Change, ChangeKind};
pub use rule_set::{Loaded, RuleSet, Source};
pub use scenarios::SCENARIOS;
/// A clock for [`RuleSet::trace`].
pub use seclang::Clock;
/// The problems of a load, and what is known of a rule, in the engine's types.
pub use seclang::{Diagnostic as Problem, LinkInfo, RuleInfo, Severity};
pub use set_name::{Channel, Family, SetName, SignatureId, parse_set_name};
pub use trace::{Matched, RanRule, Trace};
