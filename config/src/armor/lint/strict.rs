//! `--strict-gcp`: what Google takes, and no more.

use super::condition::captures;
use super::order::rate;
use super::{Findings, named};
use crate::armor::{
    Action, Condition, Conform, Exceed, Expression, PolicyType, Rate, RateKeyKind, Rule, Scoring,
    SecurityPolicy,
};
use crate::expr::{Attribute, Kind, ListKind, MapAttribute, Node};

const INTERVALS: &[u32] = &[10, 30, 60, 120, 180, 240, 300, 600, 900, 1200, 1800, 2700, 3600];
const BAN_SECS_MIN: u32 = 60;
const THROTTLE_COUNT_MAX: u32 = 1_000_000;
const BAN_COUNT_MAX: u32 = 10_000;
const RANGES_MAX: usize = 10;
const SUBEXPRESSIONS_MAX: usize = 5;
const EXPRESSION_CHARS_MAX: usize = 2048;
const SUBEXPRESSION_CHARS_MAX: usize = 1024;
const MATCHES_MAX: usize = 1;
const TARGET_CHARS_MAX: usize = 1024;
const KEYS_MAX: usize = 3;
const DESCRIPTION_CHARS_MAX: usize = 64;

pub(super) fn lint(policy: &SecurityPolicy, found: &mut Findings) {
    for rule in &policy.rules {
        schema(rule, found);
        redirects(rule, found);
        limit(rule, found);
        match &rule.condition {
            Condition::Any => {}
            Condition::SourceRanges(nets) if nets.len() > RANGES_MAX => {
                over(rule, found, &format!("{} ranges of {RANGES_MAX}", nets.len()));
            }
            Condition::SourceRanges(_) => {}
            Condition::Expression(expression) => language(rule, expression, found),
        }
        if policy.policy_type == PolicyType::Edge {
            edge(rule, found);
        }
    }
}

/// What a policy of Google's edge may read: it runs before the cache, and sees no more of a request.
const EDGE_ATTRIBUTES: &[Attribute] = &[
    Attribute::OriginIp,
    Attribute::OriginRegionCode,
    Attribute::OriginAsn,
    Attribute::Method,
    Attribute::Path,
    Attribute::Query,
    Attribute::Scheme,
];

fn edge(rule: &Rule, found: &mut Findings) {
    let Condition::Expression(expression) = &rule.condition else { return };
    expression.typed.walk(&mut |node| {
        let what = if let Kind::Waf(call) = &node.kind {
            call.set.name.as_str()
        } else if let Kind::Attribute(attribute) = &node.kind
            && !EDGE_ATTRIBUTES.contains(attribute)
        {
            attribute.as_str()
        } else {
            return;
        };
        let message = format!("{}: a policy of the edge has no `{what}` on Google", named(rule));
        found.report("gcp-extension", message, expression.location(node.span));
    });
}

fn over(rule: &Rule, found: &mut Findings, what: &str) {
    found.report("gcp-limit", format!("{}: {what}", named(rule)), rule.at.clone());
}

fn extension(rule: &Rule, found: &mut Findings, what: &str) {
    found.report("gcp-extension", format!("{}: {what}", named(rule)), rule.at.clone());
}

fn schema(rule: &Rule, found: &mut Findings) {
    if matches!(rule.action, Action::Log) {
        extension(rule, found, "`action: log`");
    }
    if let Action::Deny(status) = &rule.action
        && status.as_u16() == 429
    {
        extension(rule, found, "`deny(429)` as a rule's action");
    }
    if rule.scoring != Scoring::Any {
        extension(rule, found, "`scoring: anomaly`");
    }
    if rule.deny_body.is_some() {
        extension(rule, found, "`denyBody`");
    }
    if rule.expires.is_some() {
        extension(rule, found, "`expires`");
    }
    let length = rule.description.chars().count();
    if length > DESCRIPTION_CHARS_MAX {
        over(
            rule,
            found,
            &format!("a description of {length} characters of {DESCRIPTION_CHARS_MAX}"),
        );
    }
}

fn redirects(rule: &Rule, found: &mut Findings) {
    let own = if let Action::Redirect(target) = &rule.action { Some(target) } else { None };
    let exceed = rate(rule).and_then(|limit| {
        if let Exceed::Redirect(target) = &limit.exceed { Some(target) } else { None }
    });
    for target in [own, exceed].into_iter().flatten() {
        let length = target.chars().count();
        if length > TARGET_CHARS_MAX {
            over(rule, found, &format!("a target of {length} characters of {TARGET_CHARS_MAX}"));
        }
    }
}

fn limit(rule: &Rule, found: &mut Findings) {
    let Some(limit) = rate(rule) else { return };
    let count_max = if limit.ban.is_some() { BAN_COUNT_MAX } else { THROTTLE_COUNT_MAX };
    let thresholds: Vec<Rate> = [Some(limit.threshold), limit.ban.and_then(|ban| ban.threshold)]
        .into_iter()
        .flatten()
        .collect();
    for threshold in thresholds {
        if !INTERVALS.contains(&threshold.interval_secs) {
            let message = format!("{}: an interval of {} s", named(rule), threshold.interval_secs);
            found.report("gcp-interval", message, rule.at.clone());
        }
        if threshold.count > count_max {
            found.report(
                "gcp-count",
                format!("{}: a count of {}", named(rule), threshold.count),
                rule.at.clone(),
            );
        }
    }
    if let Some(ban) = limit.ban
        && (!INTERVALS.contains(&ban.duration_secs) || ban.duration_secs < BAN_SECS_MIN)
    {
        found.report(
            "gcp-interval",
            format!("{}: a ban of {} s", named(rule), ban.duration_secs),
            rule.at.clone(),
        );
    }
    if limit.conform == Conform::Continue {
        extension(rule, found, "`conformAction: continue`");
    }
    if limit.keys.len() > KEYS_MAX {
        over(rule, found, &format!("{} keys of {KEYS_MAX}", limit.keys.len()));
    }
    for key in &limit.keys {
        let ours = matches!(
            key.kind,
            RateKeyKind::Tenant
                | RateKeyKind::User
                | RateKeyKind::LicenseKey
                | RateKeyKind::Expression(_)
        );
        if ours {
            extension(rule, found, "a key that Google has not");
        }
        if let RateKeyKind::Expression(expression) = &key.kind {
            language(rule, expression, found);
        }
        if key.fallback.is_some() {
            extension(rule, found, "`fallback`");
        }
    }
}

fn language(rule: &Rule, expression: &Expression, found: &mut Findings) {
    let mut subexpressions = 0;
    let mut matches = 0;
    expression.typed.walk(&mut |node| {
        subexpressions += usize::from(is_subexpression(node));
        parts(rule, expression, node, found);
        matches += usize::from(matches!(node.kind, Kind::Matches { .. }));
        if let Some(what) = beyond_google(node) {
            let message = format!("{}: {what}", named(rule));
            found.report("gcp-extension", message, expression.location(node.span));
        }
    });
    if subexpressions > SUBEXPRESSIONS_MAX {
        over(rule, found, &format!("{subexpressions} subexpressions of {SUBEXPRESSIONS_MAX}"));
    }
    if matches > MATCHES_MAX {
        over(rule, found, &format!("{matches} matches() of {MATCHES_MAX}"));
    }
    let length = expression.typed.text.chars().count();
    if length > EXPRESSION_CHARS_MAX {
        over(
            rule,
            found,
            &format!("an expression of {length} characters of {EXPRESSION_CHARS_MAX}"),
        );
    }
}

/// What Google limits in one part of an expression.
fn parts(rule: &Rule, expression: &Expression, node: &Node, found: &mut Findings) {
    let at = || expression.location(node.span);
    let text = expression.typed.text.get(node.span.start..node.span.end).unwrap_or_default();
    let length = text.chars().count();
    if is_subexpression(node) && length > SUBEXPRESSION_CHARS_MAX {
        let what = format!("a subexpression of {length} characters of {SUBEXPRESSION_CHARS_MAX}");
        found.report("gcp-limit", format!("{}: {what}", named(rule)), at());
    }
}

/// Google counts comparisons and calls that yield a bool.
pub(in crate::armor) fn is_subexpression(node: &Node) -> bool {
    match &node.kind {
        Kind::Compare { .. }
        | Kind::In { .. }
        | Kind::Matches { .. }
        | Kind::InIpRange { .. }
        | Kind::Waf(_)
        | Kind::AddressList(_)
        | Kind::AdaptiveProtection
        | Kind::Has(_) => true,
        Kind::Call { .. } => node.ty == crate::expr::Type::Bool,
        Kind::Literal(_)
        | Kind::List(_)
        | Kind::Attribute(_)
        | Kind::Lookup { .. }
        | Kind::Claim(_)
        | Kind::Not(_)
        | Kind::Negate(_)
        | Kind::All(_)
        | Kind::Any(_)
        | Kind::Arithmetic { .. } => false,
    }
}

fn beyond_google(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::In { .. } => Some("`in`: Google has no such operator".to_owned()),
        Kind::AddressList(call) if call.kind == ListKind::Reference => {
            Some("`in`: Google has no such operator".to_owned())
        }
        Kind::Claim(_) => Some("`token.claims`: Google has no such attribute".to_owned()),
        Kind::Lookup { map: map @ (MapAttribute::Cookies | MapAttribute::Params), .. } => {
            Some(format!("`{}`: Google has no such attribute", map.as_str()))
        }
        Kind::Attribute(attribute) if !attribute.is_google() => {
            Some(format!("`{}`: Google has no such attribute", attribute.as_str()))
        }
        Kind::Matches { pattern, .. } if captures(pattern) => {
            Some("a group that captures: Google takes `(?:…)` only".to_owned())
        }
        Kind::Waf(call) if !call.set.is_google() => {
            Some(format!("`{}`: a set of our own", call.set.name))
        }
        Kind::Literal(_)
        | Kind::List(_)
        | Kind::Attribute(_)
        | Kind::Lookup { .. }
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
        | Kind::Waf(_)
        | Kind::AddressList(_)
        | Kind::AdaptiveProtection => None,
    }
}
