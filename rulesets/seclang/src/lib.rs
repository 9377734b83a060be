//! A SecLang engine that runs the OWASP Core Rule Set: parse, compile, evaluate.
//!
//! The crate knows no file system, no network, no clock and no HTTP library: its caller hands it
//! rule text through [`Resolve`] and a request piece by piece. Everything that can fail fails in
//! compilation, with every error at once and a caret under each; evaluation is total on any bytes.
//!
//! ```
//! use std::sync::Arc;
//! use seclang::{Outcome, Program, Resolve, ResolveError, Source, Transaction};
//!
//! struct NoFiles;
//! impl Resolve for NoFiles {
//!     fn read(&self, path: &str, _from: &str) -> Result<Source, ResolveError> {
//!         Err(ResolveError::NotFound(path.to_owned()))
//!     }
//!     fn expand(&self, _pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
//!         Ok(Vec::new())
//!     }
//! }
//!
//! let rules = r#"SecRule ARGS "@rx (?i)<script" "id:1,phase:2,deny,status:403,msg:'script'""#;
//! let program = Program::compile("site.conf", rules, &NoFiles).expect("the rules are right").program;
//! let mut transaction = Transaction::new(Arc::new(program));
//! transaction.request_line(b"GET", b"/?q=%3CSCRIPT%3E", b"HTTP/1.1");
//! assert_eq!(transaction.request_headers(), Outcome::Continue);
//! assert_eq!(transaction.request_body_end(), Outcome::Interrupted);
//! assert_eq!(transaction.intervention().map(|found| found.status), Some(403));
//! ```

mod body;
mod byte_set;
mod captures;
mod compile;
mod diagnostic;
mod fields;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod operator;
mod prefilter;
mod program;
mod source;
mod syntax;
mod transaction;
mod transformation;
mod variable;

pub use compile::{ACCEPTED, Accepted, AcceptedKind};
pub use diagnostic::{Diagnostic, Severity};
pub use fields::multipart_fields;
pub use program::{Compiled, EngineMode, LimitAction, LinkInfo, Program, RuleIndex, RuleInfo};
pub use source::{Resolve, ResolveError, Source};
pub use transaction::{
    Clock, Fired, Intervention, InterventionAction, Match, Outcome, Ran, Store, Transaction,
};
pub use variable::Variable;
