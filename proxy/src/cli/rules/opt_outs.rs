//! The signatures that policies name: opt-outs, opt-ins and exclusions.

use std::path::Path;

use portcullis_config::armor::{self, Condition, Rule};
use portcullis_config::expr::Kind;
use portcullis_config::model::PolicySource;
use portcullis_config::{Diagnostic, SourceFile, Style, render_all};
use portcullis_rulesets::RuleSet;
use serde_json::{Value, json};

use crate::cli::Failed;
use crate::cli::check::is_policy;

/// One signature that a policy's rule names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OptOut {
    policy: String,
    priority: u32,
    /// `opt-out`, `opt-in` or `exclusion`.
    kind: &'static str,
    pub(super) rule_id: u32,
}

impl OptOut {
    pub(super) fn drawn(&self, old: &RuleSet) -> String {
        let Self { policy, priority, kind, rule_id } = self;
        let before =
            if old.contains(*rule_id) { "it is gone" } else { "the old set has it neither" };
        format!(
            "{rule_id}: {kind} of policy `{policy}`, rule {priority}, names no rule: {before}\n"
        )
    }

    pub(super) fn to_json(&self, old: &RuleSet) -> Value {
        json!({
            "policy": self.policy, "priority": self.priority, "kind": self.kind,
            "rule": self.rule_id, "in_old": old.contains(self.rule_id),
        })
    }
}

/// Reads every signature that the policies of a configuration, or one policy, name.
pub(super) fn read(file: &Path) -> Result<Vec<OptOut>, Failed> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failed::Said(format!("error: `{}` cannot be read: {error}", file.display()))
    })?;
    if is_policy(&text) {
        return named(&SourceFile::new(file.display().to_string(), text));
    }
    let loaded =
        portcullis_config::load(file).map_err(|report| Failed::Said(report.to_string()))?;
    let mut all = Vec::new();
    for source in loaded.config.policies.values() {
        let source = match source {
            PolicySource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failed::Said(format!("error: `{}` cannot be read: {error}", path.display()))
                })?;
                SourceFile::new(path.display().to_string(), text)
            }
            PolicySource::Builtin(name) => match armor::builtin(name) {
                Some(source) => source,
                None => continue,
            },
        };
        all.extend(named(&source)?);
    }
    Ok(all)
}

fn named(source: &SourceFile) -> Result<Vec<OptOut>, Failed> {
    let refused = |problems: Vec<Diagnostic>| Failed::Said(render_all(&problems, Style::Plain));
    let (policy, _) = armor::parse(source).map_err(refused)?;
    Ok(policy.rules.iter().flat_map(|rule| of_rule(&policy.name, rule)).collect())
}

fn of_rule(policy: &str, rule: &Rule) -> Vec<OptOut> {
    let one = |kind: &'static str, rule_id: u32| OptOut {
        policy: policy.to_owned(),
        priority: rule.priority,
        kind,
        rule_id,
    };
    let mut found = Vec::new();
    if let Condition::Expression(expression) = &rule.condition {
        expression.typed.walk(&mut |node| {
            let Kind::Waf(call) = &node.kind else { return };
            found.extend(call.opt_out.iter().map(|signature| one("opt-out", signature.id)));
            found.extend(call.opt_in.iter().map(|signature| one("opt-in", signature.id)));
        });
    }
    let excluded = rule.exclusions.iter().flat_map(|exclusion| &exclusion.signatures);
    found.extend(excluded.map(|id| one("exclusion", *id)));
    found
}
