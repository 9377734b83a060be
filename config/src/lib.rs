//! What the operator writes, typed: source types, resolution, the Cloud Armor policy schema and the expression language.
//!
//! A file is read in two steps: text to a tree whose every node knows its place ([`yaml`]), and tree to the resolved
//! [`model`] ([`mod@file`]), where defaults are applied, units converted and references checked. Both go on after a mistake, so
//! that a file is told everything that is wrong with it at once, as [`Diagnostic`]s with file, line, column and caret.
//! Nothing here knows of sockets, clocks or tasks.
//!
//! ```
//! use portcullis_config::{Style, load_str};
//!
//! let report = load_str("edge.yaml", "version: 1\nbackend: {}\n", ".".as_ref()).expect_err("it is not whole");
//! assert!(report.render(Style::Plain).contains("did you mean `backends`?"));
//! ```

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
pub use secret::{Secret, SecretError, SecretRef};
pub use time::Timestamp;

// The security policy schema and its expression language (`armor`, `expr`) stand below this line.
pub mod armor;
pub mod expr;
