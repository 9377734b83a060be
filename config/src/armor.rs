//! Cloud Armor's security policy, YAML or JSON, typed; with the project's extensions.
//!
//! A file that `gcloud compute security-policies export` wrote loads as it is. What has no meaning here is in
//! one table ([`accepted`]) with a reason per line and is named in a warning; what would change the policy's
//! meaning if it were left out is refused. Every problem of a file is reported at once, each with its place.

pub mod accepted;
mod changes;
mod document;
mod exclusions;
mod export;
mod extension;
pub mod import;
pub mod lint;
mod options;
mod place;
mod policy;
mod rate;
mod reader;
mod rules;
mod signatures;
#[cfg(test)]
mod tests;
mod write;

pub use changes::{RuleChange, changes};
pub use export::{Exported, export};
pub use place::Expression;
pub use policy::{
    Action, Advanced, Ban, Condition, Conform, DEFAULT_PRIORITY, DenyStatus, Exceed, Exclusion,
    ExclusionField, ExclusionOperator, Fallback, FieldPattern, HeaderToAdd, JsonParsing, LogLevel,
    PolicyType, Rate, RateKey, RateKeyKind, RateLimit, Rule, Scoring, SecurityPolicy,
};
pub use signatures::google_signatures;
pub use write::write;

use crate::{Diagnostic, SourceFile};
use reader::Reader;

/// Reads a security policy. Beside it stand the warnings, in the order of the text.
///
/// # Errors
/// Every problem of the file, warnings among them.
pub fn parse(source: &SourceFile) -> Result<(SecurityPolicy, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (root, unreadable) = document::parse(source);
    let mut reader = Reader::new(source);
    let policy = root.and_then(|root| options::policy(&mut reader, &root));
    let mut problems = reader.into_problems();
    problems.extend(unreadable);
    problems.sort_by_key(|problem| problem.at.as_ref().map_or(0, |at| at.span.start));
    match policy {
        Some(policy) if !problems.iter().any(Diagnostic::is_error) => Ok((policy, problems)),
        _ => Err(problems),
    }
}

/// Returns a policy that is part of the binary, by name: `license-api`.
#[must_use]
pub fn builtin(name: &str) -> Option<SourceFile> {
    (name == "license-api").then(|| {
        SourceFile::new("(built-in)/license-api.yaml", include_str!("../policies/license-api.yaml"))
    })
}
