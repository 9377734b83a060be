//! The rule sets by name: our own rules, and the loader for an OWASP Core Rule Set directory.
//!
//! [`RuleSet::load`] reads a set, compiles it with [`seclang`] at a paranoia level and says of each rule what it
//! is about ([`Category`]) and how sensitive it is. [`SetName`] and [`SignatureId`] read the names that Cloud
//! Armor's policies use for the same things. [`ftw`] runs a regression tree against a set.
//!
//! This crate reads files and knows nothing of HTTP servers.

mod builtin;
mod category;
mod diff;
mod files;
pub mod ftw;
mod layout;
mod rule_set;
mod set_name;

pub use category::Category;
pub use diff::{Change, ChangeKind};
pub use rule_set::{Loaded, RuleSet, Source};
/// The problems of a load, in the engine's types.
pub use seclang::{Diagnostic as Problem, Severity};
pub use set_name::{Channel, Family, SetName, SignatureId, parse_set_name};
