//! A SecLang engine that runs the OWASP Core Rule Set: parse, compile, evaluate.
//!
//! The crate knows no file system, no network, no clock and no HTTP library: its caller hands it
//! rule text through [`Resolve`] and a request piece by piece. Everything that can fail fails in
//! compilation, with every error at once and a caret under each; evaluation is total on any bytes.

mod body;
mod byte_set;
mod captures;
mod compile;
mod diagnostic;
mod operator;
mod prefilter;
mod program;
mod source;
mod syntax;
mod transaction;
mod transformation;
mod variable;

pub use diagnostic::{Diagnostic, Severity};
pub use program::{Compiled, EngineMode, LimitAction, LinkInfo, Program, RuleIndex, RuleInfo};
pub use source::{Resolve, ResolveError, Source};
pub use transaction::{
    Fired, Intervention, InterventionAction, Match, Outcome, Store, Transaction,
};
pub use variable::Variable;
