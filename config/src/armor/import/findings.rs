//! What is to be said of imported policies.

use super::ImportedPolicy;
use super::cluster::cluster;
use super::kubernetes::Resource;
use super::terraform::Attachment;
use crate::armor::lint::{Strictness, asks_waf, decides, lint_policy, matches_all};
use crate::armor::{Action, Condition, DEFAULT_PRIORITY, JsonParsing, Rule, signatures};
use crate::expr::{Attribute, Kind, Literal, SetVersion, WafCall};
use crate::{Diagnostic, Location};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Good to know.
    Info,
    /// Likely not meant.
    Warning,
    /// Protection that is believed in and is not there.
    High,
    /// The policy does not do what it is for.
    Critical,
    /// The policy cannot be created as it is written.
    Error,
}

impl Grade {
    /// Returns the word of the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How grave it is.
    pub grade: Grade,
    /// Which policy, by its address; empty for what concerns all.
    pub policy: String,
    /// What it is, where, and what to do: the code is the finding's id.
    pub diagnostic: Diagnostic,
}

/// What moving costs, whatever the policy says.
const MOVING: &[(&str, &str)] = &[
    (
        "moving-volumetric",
        "a flood that fills the line is not absorbed here: Google's network did that",
    ),
    (
        "moving-anycast",
        "one address near every client was Google's; here clients reach the machines that you run",
    ),
    ("moving-recaptcha", "reCAPTCHA challenges and exemptions have no counterpart"),
    (
        "moving-feeds",
        "threat feeds and named lists were Google's; here they are files, and someone has to fetch them",
    ),
    (
        "moving-exact",
        "limits are exact here and not per region: the request after the last allowed one is refused",
    ),
    (
        "moving-metrics",
        "Google counts per policy; here every rule and signature is counted, under the names that dashboards know",
    ),
];

/// Returns every finding, the gravest first.
pub(super) fn all(
    policies: &[ImportedPolicy],
    attachments: &[Attachment],
    resources: &[Resource],
    left: Vec<(String, Location)>,
) -> Vec<Finding> {
    let mut findings = Findings { found: Vec::new(), policy: String::new() };
    for policy in policies {
        findings.policy.clone_from(&policy.address);
        one(policy, &mut findings);
    }
    findings.policy = String::new();
    twice(policies, &mut findings);
    attached(policies, attachments, &mut findings);
    cluster(attachments, resources, &mut findings);
    for (message, at) in left {
        let fix = "its rules are in nothing that is written";
        findings.push(Grade::High, "not-imported", message, fix, Some(at));
    }
    if !policies.is_empty() {
        for (id, message) in MOVING {
            findings.push(Grade::Info, id, *message, "", None);
        }
        cost(policies, &mut findings);
    }
    findings.found.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
    findings.found
}

/// What the policies cost there each month: $5 a policy and $1 a rule, before requests and the paid tier.
fn cost(policies: &[ImportedPolicy], findings: &mut Findings) {
    let rules: usize =
        policies.iter().map(|policy| policy.policy.rules.len() + policy.broken.len()).sum();
    let dollars = policies.len() * 5 + rules;
    let which = match policies.len() {
        1 => "this policy".to_owned(),
        count => format!("{count} policies"),
    };
    let message = format!(
        "on Google {which} with {rules} rules cost ${dollars} a month and $0.75 a million requests; feeds, address groups and automatic rules need the paid tier, from $200 a month"
    );
    findings.push(Grade::Info, "moving-cost", message, "", None);
}

pub(super) struct Findings {
    found: Vec<Finding>,
    policy: String,
}

impl Findings {
    pub(super) fn push(
        &mut self,
        grade: Grade,
        id: &'static str,
        message: impl Into<String>,
        fix: &str,
        at: Option<Location>,
    ) {
        let mut diagnostic = if grade >= Grade::Error {
            Diagnostic::error(id, message)
        } else {
            Diagnostic::warning(id, message)
        };
        diagnostic.at = at;
        if !fix.is_empty() {
            diagnostic = diagnostic.help(fix);
        }
        self.found.push(Finding { grade, policy: self.policy.clone(), diagnostic });
    }
}

fn one(imported: &ImportedPolicy, findings: &mut Findings) {
    for broken in &imported.broken {
        for problem in broken.problems.iter().filter(|problem| problem.is_error()) {
            let fix = problem.help.clone().unwrap_or_default();
            findings.push(
                Grade::Error,
                problem.code,
                problem.message.clone(),
                &fix,
                problem.at.clone(),
            );
        }
    }
    order(imported, findings);
    countries(imported, findings);
    for rule in &imported.policy.rules {
        language(rule, findings);
    }
    options(imported, findings);
    lints(imported, findings);
}

fn order(imported: &ImportedPolicy, findings: &mut Findings) {
    let rules = &imported.policy.rules;
    let all_priorities = imported.broken.iter().filter_map(|broken| broken.priority);
    let Some(decider) = rules.iter().find(|rule| decides(rule) && matches_all(rule)) else {
        return;
    };
    if decider.priority == DEFAULT_PRIORITY {
        return;
    }
    let below =
        |rule: &&Rule| rule.priority > decider.priority && rule.priority != DEFAULT_PRIORITY;
    let mut unreached: Vec<u32> = rules.iter().filter(below).map(|rule| rule.priority).collect();
    unreached.extend(all_priorities.filter(|priority| *priority > decider.priority));
    unreached.sort_unstable();
    let list = unreached.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("rule {} decides every request: {list} never run", decider.priority);
    let fix = "move it below the refusals, or write `conformAction: continue`";
    findings.push(Grade::Critical, "shadowed-by-match-all", message, fix, Some(decider.at.clone()));
    let waf: Vec<&Rule> = rules.iter().filter(|rule| asks_waf(rule)).collect();
    if !waf.is_empty() && waf.iter().all(|rule| rule.priority > decider.priority) {
        let message = "no WAF rule is ever reached: nothing is inspected";
        findings.push(Grade::Critical, "no-waf-reached", message, fix, Some(decider.at.clone()));
    }
}

/// Returns the countries of `origin.region_code in […]`, where that is the whole condition.
pub(super) fn region_list(rule: &Rule) -> Option<Vec<&str>> {
    let Condition::Expression(expression) = &rule.condition else { return None };
    let Kind::In { needle, haystack } = &expression.typed.root.kind else { return None };
    let (Kind::Attribute(Attribute::OriginRegionCode), Kind::List(items)) =
        (&needle.kind, &haystack.kind)
    else {
        return None;
    };
    let texts = items.iter().filter_map(|item| match item {
        Literal::String(text) => Some(text.as_str()),
        Literal::Bool(_) | Literal::Int(_) | Literal::Double(_) => None,
    });
    Some(texts.collect())
}

const EUROPEAN_UNION: &[&str] = &[
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV",
    "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
];

fn countries(imported: &ImportedPolicy, findings: &mut Findings) {
    let rules = &imported.policy.rules;
    let default_allows = rules.last().is_some_and(|rule| matches!(rule.action, Action::Allow));
    for rule in rules {
        let Some(listed) = region_list(rule) else { continue };
        if !matches!(rule.action, Action::Allow) || !decides(rule) {
            continue;
        }
        let at = Some(rule.at.clone());
        let message = format!(
            "clients from {} pass every rule below {}: rates and attacks are not looked at",
            listed.join(", "),
            rule.priority
        );
        let fix = "deny the complement at the same place: origin.region_code != '' && !(origin.region_code in […])";
        findings.push(Grade::Critical, "listed-countries-bypass", message, fix, at.clone());
        if default_allows {
            let message = "no rule denies the other countries: the default rule allows them, and clients whose country is unknown ('')";
            findings.push(Grade::High, "countries-not-denied", message, fix, at.clone());
        }
        let says_union =
            rule.description.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == "EU");
        let missing = EUROPEAN_UNION.iter().filter(|code| !listed.contains(*code)).count();
        if says_union && missing > 0 {
            let message = format!(
                "the description says EU, and {missing} of its 27 countries are not in the list"
            );
            findings.push(
                Grade::High,
                "countries-not-the-union",
                message,
                "complete the list, or say what it is",
                at,
            );
        }
    }
}

fn language(rule: &Rule, findings: &mut Findings) {
    let Condition::Expression(expression) = &rule.condition else { return };
    expression.typed.walk(&mut |node| {
        let at = Some(expression.location(node.span));
        match &node.kind {
            Kind::In { .. } => {
                let message = format!("rule {}: `in` does not compile on Cloud Armor", rule.priority);
                let fix = "it works here; for Google, write == and || over several rules, 5 comparisons each";
                findings.push(Grade::Warning, "in-not-on-google", message, fix, at);
            }
            Kind::Waf(call) => waf(rule, call, at, findings),
            Kind::Literal(_)
            | Kind::List(_)
            | Kind::Attribute(_)
            | Kind::Lookup { .. }
            | Kind::Claim(_)
            | Kind::Has(_)
            | Kind::Not(_)
            | Kind::Negate(_)
            | Kind::All(_)
            | Kind::Any(_)
            | Kind::Compare { .. }
            | Kind::Arithmetic { .. }
            | Kind::Call { .. }
            | Kind::Matches { .. }
            | Kind::InIpRange { .. }
            | Kind::AddressList(_)
            | Kind::AdaptiveProtection => {}
        }
    });
}

fn waf(rule: &Rule, call: &WafCall, at: Option<Location>, findings: &mut Findings) {
    let set = &call.set;
    if call.deprecated {
        let message = format!(
            "rule {}: `evaluatePreconfiguredExpr` is deprecated and asks all four levels",
            rule.priority
        );
        let fix = format!(
            "evaluatePreconfiguredWaf('{}-v422-stable', {{'sensitivity': 1}})",
            set.category
        );
        findings.push(Grade::Warning, "deprecated-expr", message, &fix, at.clone());
    }
    if set.version == SetVersion::Crs30 {
        let message = format!("rule {}: `{}` is Core Rule Set 3.0", rule.priority, set.name);
        let fix = format!(
            "`{0}-v422-stable` or `{0}-v33-stable`, with the signatures' ids of that version",
            set.category
        );
        findings.push(Grade::Warning, "old-rule-set", message, &fix, at.clone());
    }
    if call.sensitivity.is_some() || call.opt_out.is_empty() {
        return;
    }
    opt_outs(rule, call, at, findings);
}

/// What opt-outs without a sensitivity amount to.
fn opt_outs(rule: &Rule, call: &WafCall, at: Option<Location>, findings: &mut Findings) {
    let version = call.set.version;
    let out: Vec<u32> = call.opt_out.iter().map(|signature| signature.id).collect();
    let Some(thousands) = out.first().map(|id| id / 1000) else { return };
    let gone: Vec<String> = out
        .iter()
        .filter(|id| signatures::level(SetVersion::Crs422, **id).is_none())
        .map(ToString::to_string)
        .collect();
    if !gone.is_empty() {
        let message = format!(
            "rule {}: {} do not exist in Core Rule Set 4.22",
            rule.priority,
            gone.join(", ")
        );
        findings.push(
            Grade::Info,
            "opt-out-gone",
            message,
            "drop them when you move to 4.22",
            at.clone(),
        );
    }
    let kept: Vec<u32> =
        signatures::above(version, thousands, 1).filter(|id| !out.contains(id)).collect();
    let is_level_two_up =
        out.iter().all(|id| signatures::level(version, *id).is_some_and(|level| level > 1));
    // 941101 and 913101-like ids that Google's 3.0 left out do not count.
    if kept.is_empty()
        || (is_level_two_up
            && kept.iter().all(|id| signatures::level(SetVersion::Crs33, *id) == Some(1)))
    {
        let message = format!(
            "rule {}: the opt-outs are exactly the signatures above level 1",
            rule.priority
        );
        findings.push(
            Grade::Info,
            "opt-outs-are-level-one",
            message,
            "write {'sensitivity': 1}",
            at,
        );
        return;
    }
    let shown = kept.iter().take(6).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!(
        "rule {}: the opt-outs leave {} signatures above level 1: {shown}, …",
        rule.priority,
        kept.len()
    );
    findings.push(
        Grade::Warning,
        "opt-outs-leave-noise",
        message,
        "write {'sensitivity': 1}, and raise it in preview",
        at,
    );
}

fn options(imported: &ImportedPolicy, findings: &mut Findings) {
    let policy = &imported.policy;
    let at = || Some(policy.at.clone());
    if policy.advanced.json_parsing == JsonParsing::Disabled {
        let message = "no `jsonParsing`: Google scans the bodies of a JSON API as raw text";
        findings.push(Grade::High, "json-parsing-off", message, "jsonParsing: STANDARD", at());
    }
    if !policy.rules.iter().any(|rule| rule.preview) {
        let message =
            "no rule is in preview, and the log level and the body's inspected size are not set";
        findings.push(
            Grade::Warning,
            "never-previewed",
            message,
            "put new rules in preview first",
            at(),
        );
    }
    if policy.at.text().contains("adaptive_protection_config")
        || policy.at.text().contains("adaptiveProtectionConfig")
    {
        let message = "adaptive protection is on without a rule that acts on it: it only alerts, and is not enforced here";
        findings.push(
            Grade::Warning,
            "adaptive-alerts-only",
            message,
            "evaluateAdaptiveProtectionAutoDeploy(), on Google",
            at(),
        );
    }
}

/// The lints that say something which no finding above has said.
fn lints(imported: &ImportedPolicy, findings: &mut Findings) {
    const SAID: &[&str] =
        &["unreachable-rule", "allow-above-waf", "rate-above-waf", "json-parsing-off"];
    for lint in lint_policy(&imported.policy, Strictness::Native) {
        if SAID.contains(&lint.code) {
            continue;
        }
        let grade = if lint.code == "one-limit-for-all" { Grade::High } else { Grade::Warning };
        findings.found.push(Finding { grade, policy: findings.policy.clone(), diagnostic: lint });
    }
}

fn twice(policies: &[ImportedPolicy], findings: &mut Findings) {
    for (index, policy) in policies.iter().enumerate() {
        let earlier =
            policies.iter().take(index).find(|other| other.policy.name == policy.policy.name);
        if let Some(other) = earlier {
            let message = format!(
                "`{}` is defined twice, at {} and here: their priorities mean different things",
                policy.policy.name, other.policy.at
            );
            let fix = "they are not merged: choose one, or name them apart";
            findings.push(
                Grade::Error,
                "policy-defined-twice",
                message,
                fix,
                Some(policy.policy.at.clone()),
            );
        }
    }
}

fn attached(policies: &[ImportedPolicy], attachments: &[Attachment], findings: &mut Findings) {
    for attachment in attachments {
        let Some(reference) = &attachment.policy else { continue };
        let known = policies.iter().find(|policy| reference.starts_with(&policy.address));
        let message = match known {
            Some(policy) => {
                format!("`{}` is attached to the backend `{}`", policy.policy.name, attachment.name)
            }
            None => format!(
                "the backend `{}` names a policy that was not read: {reference}",
                attachment.name
            ),
        };
        let fix = "write `policy:` at the backend; a GKE BackendConfig that names one too would be a second owner";
        findings.push(Grade::Info, "attachment", message, fix, None);
    }
}
