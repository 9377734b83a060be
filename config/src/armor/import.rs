//! Policies of Cloud Armor as they are kept elsewhere: `gcloud` exports, the API's JSON, Terraform; and GKE's resources
//! around them, which become backends and hosts of the configuration. Beside the policies
//! stands what their authors should know, and, if asked for, the policy that was meant.

mod cluster;
mod compare;
mod explain;
mod findings;
mod fix;
mod hcl;
mod kubernetes;
mod plan;
mod skeleton;
mod terraform;
#[cfg(test)]
mod tests;

use super::document::{self, Value, ValueKind};
use super::reader::Reader;
use super::{SecurityPolicy, options};
use crate::{Diagnostic, Location, Severity, SourceFile};
pub use compare::{Beside, Twice, twice};
pub use explain::explanation;
pub use findings::{Finding, Grade};
pub use fix::{Fixed, Reach, fix};
pub use plan::{Plan, PlannedBackend, PlannedHealth, PlannedHost};
pub use skeleton::{CERTIFICATE, PolicyFile, skeleton};

/// A policy that was found.
#[derive(Debug)]
pub struct ImportedPolicy {
    /// How its source names it: a Terraform address, or the policy's name.
    pub address: String,
    /// The policy, without the rules that do not load.
    pub policy: SecurityPolicy,
    /// Rules that do not load, by priority, with the expression where they have one.
    pub broken: Vec<BrokenRule>,
}

/// A rule that does not load.
#[derive(Clone, Debug)]
pub struct BrokenRule {
    /// Its priority, where that can be read.
    pub priority: Option<u32>,
    /// Its expression, where it has one.
    pub expression: Option<String>,
    /// Its description.
    pub description: String,
    /// Why, each with its place.
    pub problems: Vec<Diagnostic>,
}

/// What an import found.
#[derive(Debug, Default)]
pub struct Import {
    /// The policies, in the order of the files.
    pub policies: Vec<ImportedPolicy>,
    /// What is to be said of them, the gravest first.
    pub findings: Vec<Finding>,
    /// What the resources around the policies say of backends and hosts.
    pub plan: Plan,
    /// Files that could not be read at all, and fields of policies that are wrong.
    pub problems: Vec<Diagnostic>,
}

/// Reads the files. The name of a Terraform file ends with `.tf`; all others are YAML or JSON.
#[must_use]
pub fn import(sources: &[SourceFile]) -> Import {
    let mut import = Import::default();
    let mut attachments = Vec::new();
    let mut resources = Vec::new();
    let mut left = Vec::new();
    for source in sources {
        if source.name().ends_with(".tf") {
            left.extend(terraform_file(source, &mut import, &mut attachments));
        } else if kubernetes::is_kubernetes(source) {
            let (found, problems) = kubernetes::read(source);
            resources.extend(found);
            import.problems.extend(problems);
        } else {
            yaml_file(source, &mut import);
        }
    }
    import.findings = findings::all(&import.policies, &attachments, &resources, left);
    import.plan = plan::plan(&import.policies, &attachments, &resources);
    import
}

/// Returns what is about policies and not taken over.
fn terraform_file(
    source: &SourceFile,
    import: &mut Import,
    attachments: &mut Vec<terraform::Attachment>,
) -> Vec<(String, Location)> {
    let items = match hcl::parse(source) {
        Ok(items) => items,
        Err(problem) => {
            import.problems.push(problem);
            return Vec::new();
        }
    };
    let held = terraform::read(&items);
    attachments.extend(held.attachments);
    for resource in held.policies {
        policy(source, &resource.tree, Some(resource.address), import);
    }
    held.left.into_iter().map(|(what, span)| (what, source.location(span))).collect()
}

fn yaml_file(source: &SourceFile, import: &mut Import) {
    let (root, problems) = document::parse(source);
    import.problems.extend(problems);
    match root {
        Some(Value { kind: ValueKind::List(items), .. }) => {
            for item in &items {
                policy(source, item, None, import);
            }
        }
        Some(root) => policy(source, &root, None, import),
        None => {}
    }
}

fn policy(source: &SourceFile, tree: &Value, address: Option<String>, import: &mut Import) {
    let mut reader = Reader::new(source);
    let found = options::lenient_policy(&mut reader, tree);
    import.problems.extend(
        reader.into_problems().into_iter().filter(|problem| problem.severity == Severity::Error),
    );
    if let (Some(policy), broken) = found {
        let address = address.unwrap_or_else(|| policy.name.clone());
        import.policies.push(ImportedPolicy { address, policy, broken });
    }
}
