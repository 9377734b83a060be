//! What the operator writes, typed: source types, resolution, the Cloud Armor policy schema and the expression language.
//!
//! A file is read in three steps: text to a tree whose every node knows its place, tree to source types that mirror the
//! file, source types to the resolved [`model`]. Each step reports every problem it can find, as [`Diagnostic`]s with
//! file, line, column and caret. Nothing here knows of sockets, clocks or tasks.

pub mod diagnostic;
pub mod file;
mod load;
pub mod model;
pub mod secret;
pub mod time;
pub mod yaml;

pub use diagnostic::{Diagnostic, Location, Severity, SourceFile, Style, did_you_mean, render_all};
pub use load::{Loaded, Report, embedded_default, load, load_str};
pub use model::Config;
pub use secret::{Secret, SecretRef};
pub use time::Timestamp;

// The security policy schema and its expression language (`armor`, `expr`) stand below this line.
pub mod armor;
pub mod expr;
