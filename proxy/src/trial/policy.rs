//! A policy on its own, without the configuration that it belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::armor::{self, Condition, SecurityPolicy};
use portcullis_config::expr::Kind;
use portcullis_config::{Diagnostic, SourceFile};
use portcullis_policy::compile::demand;
use portcullis_policy::waf::WafRules;
use portcullis_policy::{GeoState, IpSet, Materials, Policy};
use portcullis_rulesets::{RuleSet, Source};

/// A policy that was compiled on its own.
#[derive(Clone, Debug)]
pub struct PolicyAlone {
    /// As it runs.
    pub policy: Arc<Policy>,
    /// As it was read.
    pub definition: Arc<SecurityPolicy>,
}

/// Compiles a policy with the built-in rules in place of any set that it asks, with the lists that are given and empty
/// ones for the rest, and with countries and networks as each request states them.
///
/// # Errors
/// Every problem of the policy, with its place.
pub fn policy_alone(
    source: &SourceFile,
    lists: &BTreeMap<String, Arc<IpSet>>,
) -> Result<PolicyAlone, Vec<Diagnostic>> {
    let (definition, _warnings) = armor::parse(source)?;
    let mut all = lists.clone();
    for name in asked_lists(&definition) {
        all.entry(name).or_default();
    }
    let rulesets = core(&definition)?;
    let with = Materials {
        rulesets: &rulesets,
        lists: &all,
        geo: GeoState::Loaded,
        asn: GeoState::Loaded,
    };
    let (policy, _warnings) = Policy::compile(&definition, &with)?;
    Ok(PolicyAlone { policy: Arc::new(policy), definition: Arc::new(definition) })
}

fn asked_lists(definition: &SecurityPolicy) -> Vec<String> {
    let mut names = Vec::new();
    for rule in &definition.rules {
        let Condition::Expression(expression) = &rule.condition else { continue };
        expression.typed.walk(&mut |node| {
            if let Kind::AddressList(call) = &node.kind {
                names.push(call.name.clone());
            }
        });
    }
    names
}

/// The built-in rules, loaded only where the policy asks for any.
fn core(
    definition: &SecurityPolicy,
) -> Result<BTreeMap<String, Arc<dyn WafRules>>, Vec<Diagnostic>> {
    let Some(level) = demand(definition).into_iter().map(|(_, level)| level).max() else {
        return Ok(BTreeMap::new());
    };
    let loaded = RuleSet::load("core", &Source::Builtin("core".to_owned()), level);
    let loaded = loaded.map_err(|problems| {
        let one = |problem: &portcullis_rulesets::Problem| {
            Diagnostic::error("ruleset-invalid", problem.message.clone())
        };
        problems.iter().map(one).collect::<Vec<_>>()
    })?;
    let set: Arc<dyn WafRules> = loaded.set;
    Ok([("core".to_owned(), set)].into())
}
