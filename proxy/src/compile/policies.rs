//! Security policies, and the rule sets that they ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::armor::lint::lint_policy;
use portcullis_config::armor::{self, Action, Condition, Rule, SecurityPolicy};
use portcullis_config::expr::{Attribute, Kind};
use portcullis_config::model::{BodyPlan, PolicyId, PolicySource, RouteAction, RuleSetSource};
use portcullis_config::{Config, Diagnostic, SourceFile};
use portcullis_policy::compile::demand;
use portcullis_policy::waf::WafRules;
use portcullis_policy::{GeoState, IpSet, Materials, Policy};
use portcullis_rulesets::{Loaded, Problem, RuleSet, Severity, Source};

use super::sources::Sources;
use super::{Countries, How, geo};
use crate::snapshot::Snapshot;

/// A compiled policy, with what a probe may expect of it.
pub(super) struct Compiled {
    pub(super) policy: Arc<Policy>,
    /// As the operator wrote it.
    pub(super) definition: Arc<SecurityPolicy>,
    /// See [`known_bad`].
    pub(super) known_bad: Option<u32>,
}

/// Compiles every policy of the configuration.
pub(super) fn load(
    config: &Config,
    lists: &BTreeMap<String, Arc<IpSet>>,
    how: How<'_>,
    sources: &mut Sources,
) -> (BTreeMap<PolicyId, Compiled>, BTreeMap<String, Arc<Loaded>>) {
    let definitions: Vec<(PolicyId, SecurityPolicy)> = config
        .policies
        .iter()
        .filter_map(|(id, source)| Some((PolicyId::new(id), define(source, sources)?)))
        .collect();
    refuse_shared_names(&definitions, sources);
    for (id, definition) in &definitions {
        sources.problems.extend(lint_policy(definition, how.strictness));
        sources.problems.extend(unread_bodies(id, definition, config));
    }
    let level = definitions.iter().flat_map(|(_, one)| demand(one)).map(|(_, level)| level).max();
    let Some(loaded) = rulesets(config, level.unwrap_or(1), how.rulesets, sources) else {
        // A policy without its rule set would only repeat that the set is not there.
        return (BTreeMap::new(), BTreeMap::new());
    };
    let rulesets = as_waf(&loaded);
    let databases = &config.geo;
    let state = |is_named| match how.countries {
        Countries::Looked => geo::state(is_named, databases.required),
        Countries::Stated => GeoState::Loaded,
    };
    let (geo, asn) = (state(databases.country.is_some()), state(databases.asn.is_some()));
    let with = Materials { rulesets: &rulesets, lists, geo, asn };
    let mut policies = BTreeMap::new();
    for (id, definition) in definitions {
        match Policy::compile(&definition, &with) {
            Ok((policy, warnings)) => {
                sources.problems.extend(warnings);
                let known_bad = known_bad(&definition);
                let (policy, definition) = (Arc::new(policy), Arc::new(definition));
                policies.insert(id, Compiled { policy, definition, known_bad });
            }
            Err(problems) => sources.problems.extend(problems),
        }
    }
    (policies, loaded)
}

/// Compiles a policy of a snapshot as if there were databases of countries and networks, for requests that state theirs;
/// `lists` stand in place of the snapshot's own.
///
/// # Errors
/// Every problem of the rules that were inactive.
pub fn with_stated_countries(
    snapshot: &Snapshot,
    id: &PolicyId,
    lists: &BTreeMap<String, Arc<IpSet>>,
) -> Result<Arc<Policy>, Vec<Diagnostic>> {
    let Some(definition) = snapshot.definitions.get(id) else {
        return Err(vec![Diagnostic::error(
            "unknown-policy",
            format!("there is no policy `{id}`"),
        )]);
    };
    let mut all = snapshot.lists.clone();
    all.extend(lists.iter().map(|(name, list)| (name.clone(), Arc::clone(list))));
    let rulesets = as_waf(&snapshot.rulesets);
    let (geo, asn) = (GeoState::Loaded, GeoState::Loaded);
    let with = Materials { rulesets: &rulesets, lists: &all, geo, asn };
    Policy::compile(definition, &with).map(|(policy, _warnings)| Arc::new(policy))
}

fn as_waf(loaded: &BTreeMap<String, Arc<Loaded>>) -> BTreeMap<String, Arc<dyn WafRules>> {
    let one = |(name, loaded): (&String, &Arc<Loaded>)| {
        let rules: Arc<dyn WafRules> = Arc::<RuleSet>::clone(&loaded.set);
        (name.clone(), rules)
    };
    loaded.iter().map(one).collect()
}

/// Returns for each policy the rule that refuses any SQL injection that no earlier rule decides: the first enforced
/// `deny` whose whole condition is the question for one. A question for single signatures refuses theirs only.
fn known_bad(definition: &SecurityPolicy) -> Option<u32> {
    let refuses = |rule: &&Rule| {
        let Condition::Expression(expression) = &rule.condition else { return false };
        let Kind::Waf(call) = &expression.typed.root.kind else { return false };
        let is_whole = call.set.name.starts_with("sqli-") && call.level() > 0;
        matches!(rule.action, Action::Deny(_)) && !rule.preview && is_whole
    };
    definition.rules.iter().find(refuses).map(|rule| rule.priority)
}

/// Reads a policy's text.
fn define(source: &PolicySource, sources: &mut Sources) -> Option<SecurityPolicy> {
    let text = match source {
        PolicySource::File(path) => sources.read_text("the policy", path)?,
        PolicySource::Builtin(name) => builtin(name, sources)?,
    };
    match armor::parse(&text) {
        Ok((policy, warnings)) => {
            sources.problems.extend(warnings);
            Some(policy)
        }
        Err(problems) => {
            sources.problems.extend(problems);
            None
        }
    }
}

fn builtin(name: &str, sources: &mut Sources) -> Option<SourceFile> {
    let text = armor::builtin(name);
    match &text {
        Some(text) => sources.hash(name.as_bytes(), text.text().as_bytes()),
        None => {
            let message = format!("`{name}` is no policy of the binary");
            sources.problems.push(Diagnostic::error("unknown-policy", message));
        }
    }
    text
}

/// Rules that read a body, of a policy that is asked on routes which pass bodies on unread.
fn unread_bodies(id: &PolicyId, definition: &SecurityPolicy, config: &Config) -> Vec<Diagnostic> {
    let routes = unread_routes(id, config);
    if routes.is_empty() {
        return Vec::new();
    }
    let reading = definition.rules.iter().filter(|rule| reads_body(rule));
    let problem = |rule: &Rule| {
        let message = format!(
            "rule {} reads `request.body`, which is empty on {}",
            rule.priority,
            routes.join(", ")
        );
        let help = "inspect the body on that route, or give the route a policy without the rule";
        Diagnostic::warning("body-not-read", message).help(help).at(rule.at.clone())
    };
    reading.map(problem).collect()
}

fn unread_routes(id: &PolicyId, config: &Config) -> Vec<String> {
    let mut routes = Vec::new();
    for host in &config.hosts {
        for route in &host.routes {
            let RouteAction::Forward { body, .. } = &route.action else { continue };
            let plan = match body {
                BodyPlan::Skip => "skip",
                BodyPlan::Stream => "stream",
                BodyPlan::Inspect { .. } => continue,
            };
            if config.policy_of(&route.action) == Some(id) {
                routes.push(format!("`{}{}` (`{plan}`)", host.name, route.path));
            }
        }
    }
    routes
}

fn reads_body(rule: &Rule) -> bool {
    let Condition::Expression(expression) = &rule.condition else { return false };
    let mut reads = false;
    expression.typed.walk(&mut |node| {
        reads |= matches!(&node.kind, Kind::Attribute(Attribute::Body));
    });
    reads
}

/// Counters and bans are kept by the policy's own name: two policies of one name would share them.
fn refuse_shared_names(definitions: &[(PolicyId, SecurityPolicy)], sources: &mut Sources) {
    let mut seen: BTreeMap<&str, &PolicyId> = BTreeMap::new();
    for (id, definition) in definitions {
        if let Some(first) = seen.insert(&definition.name, id) {
            let name = &definition.name;
            let message = format!("the policies `{first}` and `{id}` both have the name `{name}`");
            let help = "give each its own `name`: counts and bans are kept by it";
            sources.problems.push(Diagnostic::error("policy-name-twice", message).help(help));
        }
    }
}

/// Loads every rule set at the highest level that any policy asks for; `None` if one does not load.
fn rulesets(
    config: &Config,
    level: u8,
    standing: &BTreeMap<String, Arc<Loaded>>,
    sources: &mut Sources,
) -> Option<BTreeMap<String, Arc<Loaded>>> {
    let mut loaded = BTreeMap::new();
    for (name, source) in &config.rulesets {
        if let Some(set) = load_ruleset(name, source, level, standing.get(name), sources) {
            loaded.insert(name.clone(), set);
        }
    }
    (loaded.len() == config.rulesets.len()).then_some(loaded)
}

fn load_ruleset(
    name: &str,
    source: &RuleSetSource,
    level: u8,
    standing: Option<&Arc<Loaded>>,
    sources: &mut Sources,
) -> Option<Arc<Loaded>> {
    let source = match source {
        RuleSetSource::Crs(path) => {
            sources.watch(path);
            Source::Crs(path.clone())
        }
        RuleSetSource::Builtin(builtin) => Source::Builtin(builtin.clone()),
    };
    let standing = standing.filter(|standing| standing.is_current(&source, level));
    let loaded = match standing {
        Some(standing) => Ok(Arc::clone(standing)),
        None => RuleSet::load(name, &source, level).map(Arc::new),
    };
    match loaded {
        Ok(loaded) => {
            sources.problems.extend(loaded.warnings.iter().map(ours));
            loaded.files.iter().for_each(|file| sources.watch(file));
            sources.hash(name.as_bytes(), loaded.set.fingerprint().as_bytes());
            Some(loaded)
        }
        Err(problems) => {
            sources.problems.extend(problems.iter().map(ours));
            None
        }
    }
}

/// A problem of the engine as one of ours. The engine tells the line, not the file: the lines before it are empty.
fn ours(problem: &Problem) -> Diagnostic {
    let found = match problem.severity {
        Severity::Error => Diagnostic::error("ruleset-invalid", &problem.message),
        Severity::Note => Diagnostic::warning("ruleset-note", &problem.message),
    };
    let found = match &problem.help {
        Some(help) => found.help(help),
        None => found,
    };
    if problem.line == 0 {
        return Diagnostic { message: format!("{}: {}", problem.file, found.message), ..found };
    }
    let as_usize = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let lines_before = as_usize(problem.line - 1);
    let mut text = "\n".repeat(lines_before);
    text.push_str(&problem.text);
    let start = lines_before.saturating_add(as_usize(problem.column.saturating_sub(1)));
    let end = start.saturating_add(as_usize(problem.span));
    found.in_source(&SourceFile::new(problem.file.as_str(), text), start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_the_engine_keeps_its_place() {
        let problem = Problem {
            file: "a.conf".to_owned(),
            line: 3,
            column: 9,
            span: 4,
            text: "SecRule ARGZ \"@rx a\" id:1".to_owned(),
            message: "no such variable".to_owned(),
            help: None,
            severity: Severity::Error,
        };
        let ours = ours(&problem);
        assert_eq!(ours.to_string(), "a.conf:3:9: error: no such variable [ruleset-invalid]");
        assert_eq!(ours.at.unwrap().text(), "ARGZ");
    }
}
