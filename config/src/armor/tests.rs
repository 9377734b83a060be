//! Whole policies: what Google writes, what we add, and what is refused.

use super::*;
use crate::{Severity, Style, render_all};

const DEFAULT: &str = "
- action: allow
  priority: 2147483647
  match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }
";

fn load(text: &str) -> Result<(SecurityPolicy, Vec<Diagnostic>), Vec<Diagnostic>> {
    parse(&SourceFile::new("p.yaml", text))
}

fn with_rule(rule: &str) -> String {
    format!("name: p\nrules:\n{rule}{DEFAULT}")
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{problem} ({:?})\n", problem.help)).collect()
}

#[test]
fn an_exported_policy_loads_as_it_is() {
    let text = r#"
adaptiveProtectionConfig:
  layer7DdosDefenseConfig: { enable: true }
advancedOptionsConfig: { jsonParsing: STANDARD, logLevel: VERBOSE, requestBodyInspectionSize: 64KB, userIpRequestHeaders: [True-Client-IP] }
creationTimestamp: '2026-04-06T01:02:03.004-07:00'
description: the policy
fingerprint: abcdef=
id: '123456789'
kind: compute#securityPolicy
name: license-api
rules:
- action: deny(403)
  description: sql
  kind: compute#securityPolicyRule
  match:
    expr:
      expression: "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})"
  preconfiguredWafConfig:
    exclusions:
    - targetRuleSet: sqli-v33-stable
      targetRuleIds: [owasp-crs-v030301-id942100-sqli]
      requestQueryParamsToExclude: [{ op: EQUALS, val: Q }]
  preview: true
  priority: 1000
- action: rate_based_ban
  kind: compute#securityPolicyRule
  match:
    config:
      srcIpRanges: ['10.0.0.0/8', '2001:db8::1']
    versionedExpr: SRC_IPS_V1
  preview: false
  priority: 2000
  rateLimitOptions:
    banDurationSec: 600
    banThreshold: { count: 1000, intervalSec: 600 }
    conformAction: allow
    enforceOnKey: ''
    enforceOnKeyConfigs:
    - { enforceOnKeyType: IP }
    - { enforceOnKeyType: HTTP_HEADER, enforceOnKeyName: X-Api-Key }
    exceedAction: deny(429)
    rateLimitThreshold: { count: 100, intervalSec: 60 }
- action: redirect
  match: { expr: { expression: request.path == '/old' } }
  priority: '3000'
  redirectOptions: { type: EXTERNAL_302, target: 'https://example.com/new' }
- action: allow
  description: default rule
  match:
    config:
      srcIpRanges:
      - '*'
    versionedExpr: SRC_IPS_V1
  preview: false
  priority: 2147483647
selfLink: https://example.com/x
type: CLOUD_ARMOR
"#;
    let (policy, warnings) = load(text).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert_eq!(policy.name, "license-api");
    assert_eq!(
        policy.rules.iter().map(|rule| rule.priority).collect::<Vec<_>>(),
        [1000, 2000, 3000, DEFAULT_PRIORITY]
    );
    assert!(policy.rules[0].preview);
    assert_eq!(policy.rules[0].exclusions[0].signatures, [942_100]);
    assert_eq!(policy.advanced.user_ip_headers, ["true-client-ip"]);
    assert_eq!(policy.advanced.body_inspection_bytes, Some(65_536));
    let Action::RateBasedBan(limit) = &policy.rules[1].action else { panic!("a ban") };
    assert_eq!(
        limit.ban,
        Some(Ban { duration_secs: 600, threshold: Some(Rate { count: 1000, interval_secs: 600 }) })
    );
    assert!(matches!(&limit.keys[1].kind, RateKeyKind::HttpHeader(name) if name == "x-api-key"));
    assert_eq!(
        warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(),
        ["not-enforced", "bookkeeping", "not-enforced"]
    );
}

#[test]
fn json_and_the_other_spellings_load() {
    let text = r#"{"name": "p", "rules": [
        {"priority": 1, "action": "deny-403", "match": {"expr": {"expression": "origin.ip == '192.0.2.1'"}}},
        {"priority": 2, "action": "rate-based-ban", "match": {"srcIpRanges": ["*"]}, "rateLimitOptions": {
            "rateLimitThreshold": {"count": 5, "intervalSec": 10}, "banDurationSec": 60, "exceedAction": "deny-429",
            "conformAction": "continue", "enforceOnKey": "TENANT", "fallback": "ip"}},
        {"priority": 3, "action": "log", "match": {"srcIpRanges": ["*"]}},
        {"priority": 2147483647, "action": "deny(404)", "match": {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["*"]}}}]}"#;
    let (policy, warnings) = load(text).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(warnings.is_empty(), "{}", shown(&warnings));
    assert!(matches!(policy.rules[0].action, Action::Deny(DenyStatus(403))));
    let Action::RateBasedBan(limit) = &policy.rules[1].action else { panic!("a ban") };
    assert_eq!((limit.conform, limit.keys[0].fallback), (Conform::Continue, Some(Fallback::Ip)));
    assert!(matches!(policy.rules[2].action, Action::Log));
}

#[test]
fn what_is_wrong_is_refused() {
    let all = "match: { srcIpRanges: ['*'] }";
    let limit = "rateLimitOptions: { rateLimitThreshold: { count: 5, intervalSec: 10 }, exceedAction: deny(429)";
    let cases = [
        (format!("- {{ priority: 1, action: block, {all} }}"), "unknown-value"),
        (format!("- {{ priority: 1, action: deny(500), {all} }}"), "unknown-value"),
        (format!("- {{ priority: -1, action: allow, {all} }}"), "range"),
        (format!("- {{ priority: 2147483648, action: allow, {all} }}"), "range"),
        (format!("- {{ action: allow, {all} }}"), "missing-key"),
        ("- { priority: 1, action: allow }".to_owned(), "missing-key"),
        ("- { priority: 1, action: allow, match: {} }".to_owned(), "missing-key"),
        (format!("- {{ priority: 1, action: throttle, {all} }}"), "missing-key"),
        (format!("- {{ priority: 1, action: allow, {all}, {limit} }} }}"), "not-of-this-action"),
        (
            format!("- {{ priority: 1, action: throttle, {all}, {limit}, banDurationSec: 60 }} }}"),
            "not-of-this-action",
        ),
        (format!("- {{ priority: 1, action: rate_based_ban, {all}, {limit} }} }}"), "missing-key"),
        (
            format!("- {{ priority: 1, action: throttle, {all}, {limit}, enforceOnKey: PI }} }}"),
            "unknown-value",
        ),
        (
            format!(
                "- {{ priority: 1, action: throttle, {all}, {limit}, enforceOnKey: HTTP_HEADER }} }}"
            ),
            "missing-key",
        ),
        (
            format!("- {{ priority: 1, action: throttle, {all}, {limit}, fallback: none }} }}"),
            "unknown-value",
        ),
        (format!("- {{ priority: 1, action: redirect, {all} }}"), "missing-key"),
        (
            format!(
                "- {{ priority: 1, action: redirect, {all}, redirectOptions: {{ type: GOOGLE_RECAPTCHA }} }}"
            ),
            "not-supported",
        ),
        (
            "- { priority: 1, action: allow, match: { srcIpRanges: ['10.0.0.0/99'] } }".to_owned(),
            "ip-range",
        ),
        (format!("- {{ priority: 1, acton: allow, action: allow, {all} }}"), "unknown-key"),
        (
            format!("- {{ priority: 1, action: allow, {all}, networkMatch: {{ srcAsns: [1] }} }}"),
            "not-supported",
        ),
        (
            format!(
                "- {{ priority: 1, action: allow, {all} }}\n- {{ priority: 1, action: allow, {all} }}"
            ),
            "duplicate-priority",
        ),
        (
            "- { priority: 1, action: allow, match: { expr: { expression: 'request.host' } } }"
                .to_owned(),
            "unknown-attribute",
        ),
    ];
    for (rule, code) in cases {
        let problems = load(&with_rule(&rule)).expect_err(&rule);
        assert_eq!(
            problems.iter().find(|p| p.is_error()).map(|p| p.code),
            Some(code),
            "{rule}: {}",
            shown(&problems)
        );
    }
    let whole = [
        ("name: p\nrules: []\n".to_owned(), "default-rule"),
        (format!("name: P\nrules:\n{DEFAULT}"), "name"),
        (format!("rules:\n{DEFAULT}"), "missing-key"),
        (format!("name: p\ntype: CLOUD_ARMOR_NETWORK\nrules:\n{DEFAULT}"), "not-supported"),
        (
            format!("name: p\nadvancedOptionsConfig: {{ jsonParsing: ON }}\nrules:\n{DEFAULT}"),
            "unknown-value",
        ),
        ("name: [".to_owned(), "not-yaml"),
        ("- a".to_owned(), "type"),
    ];
    for (text, code) in whole {
        let problems = load(&text).expect_err(&text);
        assert_eq!(
            problems.iter().find(|p| p.is_error()).map(|p| p.code),
            Some(code),
            "{text}: {}",
            shown(&problems)
        );
    }
}

#[test]
fn a_caret_stands_inside_of_an_expression_however_it_is_quoted() {
    let quotings = [
        "expression: true && request.hots == 'a'",
        "expression: \"true && request.hots == 'a'\"",
        "expression: 'true && request.hots == ''a'''",
        "expression: |\n        true &&\n          request.hots == 'a'\n",
        "expression: >-\n        true &&\n        request.hots == 'a'\n",
    ];
    for quoting in quotings {
        let text = with_rule(&format!(
            "- priority: 1\n  action: allow\n  match:\n    expr:\n      {quoting}"
        ));
        let problems = load(&text).expect_err(quoting);
        let at = problems[0].at.as_ref().unwrap();
        assert_eq!(at.text(), "request.hots", "{quoting}");
    }
}

#[test]
fn ten_mistakes_print_ten_carets() {
    let text = "
nam: p
advancedOptionsConfig: { logLevel: LOUD }
rules:
- { priority: x, action: allow, match: { srcIpRanges: ['*'] } }
- { priority: 1, action: dany(403), match: { srcIpRanges: ['*'] } }
- { priority: 2, action: allow, match: { srcIpRanges: ['10.0.0.0/33'] } }
- { priority: 3, action: allow, match: { expr: { expression: 'origin.region == 1 || request.path' } } }
- { priority: 4, action: throttle, match: { srcIpRanges: ['*'] }, rateLimitOptions: { rateLimitThreshold: { count: 0, intervalSec: 60 }, exceedAction: deny(429) } }
- { priority: 5, action: allow, preview: maybe, match: { srcIpRanges: ['*'] } }
- { priority: 2147483647, action: allow, match: { srcIpRanges: ['*'] } }
";
    let problems = load(text).expect_err("it has ten mistakes");
    assert_eq!(problems.len(), 10, "{}", shown(&problems));
    assert!(
        problems.iter().all(|problem| problem.severity == Severity::Error && problem.at.is_some())
    );
    let drawn = render_all(&problems, Style::Plain);
    assert!(drawn.contains("did you mean"), "{drawn}");
}
