//! Rates, keys and options.

use super::order::{asks_waf, matches_all, rate};
use super::{Findings, named};
use crate::armor::{Action, Condition, Fallback, JsonParsing, RateKeyKind, Rule, SecurityPolicy};
use crate::expr::{Attribute, Kind};

/// A license's lease, in seconds.
const LEASE_SECS: u32 = 360;

pub(super) fn lint(policy: &SecurityPolicy, found: &mut Findings) {
    for rule in &policy.rules {
        keys(rule, found);
        ban(rule, found);
    }
    let waf = policy.rules.iter().any(asks_waf);
    if waf && policy.advanced.json_parsing == JsonParsing::Disabled {
        found.report("json-parsing-off", "`jsonParsing` is not on", policy.at.clone());
    }
    if !policy.advanced.user_ip_headers.is_empty() {
        let names = policy.advanced.user_ip_headers.join("`, `");
        found.report(
            "user-ip-headers",
            format!("`origin.user_ip` is what `{names}` say"),
            policy.at.clone(),
        );
    }
    one_for_all(policy, found);
}

fn keys(rule: &Rule, found: &mut Findings) {
    let Some(limit) = rate(rule) else { return };
    for key in &limit.keys {
        match &key.kind {
            RateKeyKind::XffIp => {
                found.report(
                    "key-is-forgeable",
                    format!("{} counts by XFF_IP", named(rule)),
                    rule.at.clone(),
                );
            }
            RateKeyKind::HttpHeader(name) | RateKeyKind::HttpCookie(name)
                if matches!(key.fallback, None | Some(Fallback::All)) =>
            {
                let message =
                    format!("{} counts all requests without `{name}` together", named(rule));
                found.report("shared-fallback", message, rule.at.clone());
            }
            RateKeyKind::All
            | RateKeyKind::Ip
            | RateKeyKind::HttpHeader(_)
            | RateKeyKind::HttpCookie(_)
            | RateKeyKind::HttpPath
            | RateKeyKind::Sni
            | RateKeyKind::RegionCode
            | RateKeyKind::Ja3
            | RateKeyKind::Ja4
            | RateKeyKind::UserIp
            | RateKeyKind::Asn
            | RateKeyKind::Tenant
            | RateKeyKind::User
            | RateKeyKind::LicenseKey
            | RateKeyKind::Expression(_) => {}
        }
    }
}

fn ban(rule: &Rule, found: &mut Findings) {
    let Action::RateBasedBan(limit) = &rule.action else { return };
    let secs = limit.ban.map_or(0, |ban| ban.duration_secs);
    if secs > LEASE_SECS && !reads_token(rule) {
        let message = format!("{} bans for {secs} s, also callers with a valid token", named(rule));
        found.report("ban-outlasts-lease", message, rule.at.clone());
    }
}

/// Whether the condition tells callers with a token apart.
fn reads_token(rule: &Rule) -> bool {
    let Condition::Expression(expression) = &rule.condition else { return false };
    let mut reads = false;
    expression
        .typed
        .walk(&mut |node| reads |= matches!(node.kind, Kind::Attribute(Attribute::TokenValid)));
    reads
}

fn one_for_all(policy: &SecurityPolicy, found: &mut Findings) {
    let rates: Vec<&Rule> = policy.rules.iter().filter(|rule| rate(rule).is_some()).collect();
    let by_address = |rule: &&Rule| {
        matches_all(rule)
            && rate(rule).is_some_and(|limit| {
                limit.keys.iter().all(|key| matches!(key.kind, RateKeyKind::Ip))
            })
    };
    if let [only] = rates.as_slice()
        && by_address(only)
    {
        let message = format!("{} is the only limit, and counts by address alone", named(only));
        found.report("one-limit-for-all", message, only.at.clone());
    }
}
