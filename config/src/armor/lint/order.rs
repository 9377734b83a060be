//! What a rule's place does to it and to those below.

use super::{Findings, named};
use crate::armor::{Action, Condition, Conform, DEFAULT_PRIORITY, RateLimit, Rule, SecurityPolicy};
use crate::expr::Kind;

pub(super) fn lint(policy: &SecurityPolicy, found: &mut Findings) {
    if let Some(decider) = policy.rules.iter().find(|rule| decides(rule) && matches_all(rule)) {
        for rule in policy.rules.iter().filter(|rule| is_shadowed(rule, decider)) {
            let message =
                format!("{} never runs: {} decides every request", named(rule), named(decider));
            found.report("unreachable-rule", message, rule.at.clone());
        }
    }
    repeated(policy, found);
    covered(policy, found);
    for rule in &policy.rules {
        above_waf(policy, rule, found);
        on_body(rule, found);
    }
}

/// A preview below a verdict still runs here.
fn is_shadowed(rule: &Rule, decider: &Rule) -> bool {
    rule.priority > decider.priority && rule.priority != DEFAULT_PRIORITY && !rule.preview
}

/// Whether a match of the rule ends evaluation in every case.
pub(in crate::armor) fn decides(rule: &Rule) -> bool {
    !rule.preview
        && match &rule.action {
            Action::Allow | Action::Deny(_) | Action::Redirect(_) => true,
            Action::Throttle(limit) | Action::RateBasedBan(limit) => {
                limit.conform == Conform::Allow
            }
            Action::Log => false,
        }
}

pub(in crate::armor) fn matches_all(rule: &Rule) -> bool {
    match &rule.condition {
        Condition::Any => true,
        Condition::SourceRanges(nets) => {
            let whole = |v4: bool| {
                nets.iter().any(|net| net.prefix_len() == 0 && net.addr().is_ipv4() == v4)
            };
            whole(true) && whole(false)
        }
        Condition::Expression(expression) => {
            super::condition::constant(&expression.typed.root) == Some(true)
        }
    }
}

pub(in crate::armor) fn asks_waf(rule: &Rule) -> bool {
    let Condition::Expression(expression) = &rule.condition else { return false };
    let mut asks = false;
    expression.typed.walk(&mut |node| asks |= matches!(node.kind, Kind::Waf(_)));
    asks
}

pub(in crate::armor) fn rate(rule: &Rule) -> Option<&RateLimit> {
    match &rule.action {
        Action::Throttle(limit) | Action::RateBasedBan(limit) => Some(limit),
        Action::Allow | Action::Deny(_) | Action::Redirect(_) | Action::Log => None,
    }
}

fn repeated(policy: &SecurityPolicy, found: &mut Findings) {
    for (index, rule) in policy.rules.iter().enumerate() {
        let Condition::Expression(expression) = &rule.condition else { continue };
        let earlier = policy.rules.iter().take(index).find(|above| {
            decides(above)
                && matches!(&above.condition, Condition::Expression(other) if other.typed.text == expression.typed.text)
        });
        if let Some(above) = earlier {
            let message = format!("{} has the condition of {}", named(rule), named(above));
            found.report("repeated-condition", message, rule.at.clone());
        }
    }
}

/// A rule of ranges that all lie inside those of a rule above it.
fn covered(policy: &SecurityPolicy, found: &mut Findings) {
    let ranges = |rule: &'_ Rule| match &rule.condition {
        Condition::SourceRanges(nets) => Some(nets.clone()),
        Condition::Any | Condition::Expression(_) => None,
    };
    for (index, rule) in policy.rules.iter().enumerate() {
        let Some(nets) = ranges(rule) else { continue };
        let above = policy.rules.iter().take(index).find(|above| {
            let holds =
                |net| ranges(above).is_some_and(|all| all.iter().any(|one| one.contains(net)));
            decides(above) && nets.iter().all(holds)
        });
        if let Some(above) = above.filter(|_| !rule.preview) {
            let message =
                format!("{} never runs: {} has all its ranges", named(rule), named(above));
            found.report("covered-ranges", message, rule.at.clone());
        }
    }
}

fn above_waf(policy: &SecurityPolicy, rule: &Rule, found: &mut Findings) {
    let below = |other: &&Rule| other.priority > rule.priority && asks_waf(other) && !other.preview;
    if !decides(rule) || matches_all(rule) && rule.priority == DEFAULT_PRIORITY {
        return;
    }
    let Some(waf) = policy.rules.iter().find(below) else { return };
    match &rule.action {
        Action::Allow if !asks_waf(rule) => {
            let message =
                format!("what {} allows is never inspected by {}", named(rule), named(waf));
            found.report("allow-above-waf", message, rule.at.clone());
        }
        Action::Throttle(_) | Action::RateBasedBan(_) => {
            let message =
                format!("what conforms to {} is never inspected by {}", named(rule), named(waf));
            found.report("rate-above-waf", message, rule.at.clone());
        }
        Action::Allow | Action::Deny(_) | Action::Redirect(_) | Action::Log => {}
    }
}

fn on_body(rule: &Rule, found: &mut Findings) {
    if asks_waf(rule) && !rule.headers.is_empty() {
        found.report(
            "header-action-on-waf-rule",
            format!("{} adds headers", named(rule)),
            rule.at.clone(),
        );
    }
    if asks_waf(rule) && matches!(rule.action, Action::Redirect(_)) {
        found.report("redirect-on-waf-rule", format!("{} redirects", named(rule)), rule.at.clone());
    }
    if rate(rule).is_some() && !rule.headers.is_empty() {
        found.report(
            "header-action-on-rate-rule",
            format!("{} adds headers", named(rule)),
            rule.at.clone(),
        );
    }
}
