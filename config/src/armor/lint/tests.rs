//! For each lint a policy that has it and one that has not; the table is complete.

use super::*;
use crate::SourceFile;
use crate::armor::parse;

const DEFAULT: &str = "- { priority: 2147483647, action: allow, match: { srcIpRanges: ['*'] } }\n";

fn found(head: &str, rules: &str, strictness: Strictness) -> Vec<&'static str> {
    let text = format!("name: p\n{head}rules:\n{rules}{DEFAULT}");
    let (policy, _) = parse(&SourceFile::new("p", text.clone()))
        .unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
    lint_policy(&policy, strictness).into_iter().map(|problem| problem.code).collect()
}

fn expr(priority: u32, action: &str, expression: &str) -> String {
    format!(
        "- {{ priority: {priority}, action: {action}, match: {{ expr: {{ expression: '{}' }} }} }}\n",
        expression.replace('\'', "''")
    )
}

fn ranges(priority: u32, action: &str, nets: &str, more: &str) -> String {
    format!(
        "- {{ priority: {priority}, action: {action}, match: {{ srcIpRanges: [{nets}] }}{more} }}\n"
    )
}

fn throttle(priority: u32, nets: &str, options: &str) -> String {
    let limit = ", rateLimitOptions: { rateLimitThreshold: { count: 5, intervalSec: 60 }, exceedAction: deny(429)";
    ranges(priority, "throttle", nets, &format!("{limit}{options} }}"))
}

fn ban(expression: &str, secs: u32) -> String {
    let options = format!(
        "rateLimitOptions: {{ rateLimitThreshold: {{ count: 5, intervalSec: 60 }}, exceedAction: deny(429), \
         conformAction: continue, banDurationSec: {secs}, enforceOnKeyConfigs: [{{ enforceOnKeyType: IP }}, {{ enforceOnKeyType: HTTP_PATH }}] }}"
    );
    format!(
        "- {{ priority: 1, action: rate_based_ban, match: {{ expr: {{ expression: '{expression}' }} }}, {options} }}\n"
    )
}

#[test]
fn every_lint_finds_what_it_is_for_and_leaves_its_twin_alone() {
    let waf = "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})";
    let json = "advancedOptionsConfig: { jsonParsing: STANDARD }\n";
    let add = ", headerAction: { requestHeadersToAdds: [{ headerName: X-A, headerValue: b }] }";
    let with_add = |rule: String| rule.replace(" }\n", &format!("{add} }}\n"));
    let exclude = |set: &str| {
        format!(
            "- {{ priority: 1, action: deny(403), match: {{ expr: {{ expression: \"{waf}\" }} }}, preconfiguredWafConfig: \
             {{ exclusions: [{{ targetRuleSet: {set}, requestHeadersToExclude: [{{ op: EQUALS_ANY }}] }}] }} }}\n"
        )
    };
    let redirect = |expression: &str| {
        format!(
            "- {{ priority: 1, action: redirect, match: {{ expr: {{ expression: \"{expression}\" }} }}, \
             redirectOptions: {{ type: EXTERNAL_302, target: /x }} }}\n"
        )
    };
    let cases: Vec<(&str, &str, String, String)> = vec![
        (
            "unreachable-rule",
            "",
            ranges(1, "allow", "'*'", "") + &expr(2, "deny(403)", "origin.asn == 1"),
            expr(1, "deny(403)", "origin.asn == 1"),
        ),
        (
            "unreachable-rule",
            "",
            throttle(1, "'*'", "") + &expr(2, "deny(403)", "origin.asn == 1"),
            throttle(1, "'*'", ", conformAction: continue")
                + &expr(2, "deny(403)", "origin.asn == 1"),
        ),
        (
            "repeated-condition",
            "",
            expr(1, "deny(403)", "origin.asn == 1") + &expr(2, "allow", "origin.asn == 1"),
            expr(1, "log", "origin.asn == 1") + &expr(2, "allow", "origin.asn == 1"),
        ),
        (
            "allow-above-waf",
            json,
            expr(1, "allow", "origin.asn == 1") + &expr(2, "deny(403)", waf),
            expr(2, "allow", "origin.asn == 1") + &expr(1, "deny(403)", waf),
        ),
        (
            "rate-above-waf",
            json,
            throttle(1, "'*'", "") + &expr(2, "deny(403)", waf),
            throttle(3, "'*'", "") + &expr(2, "deny(403)", waf),
        ),
        (
            "header-action-on-waf-rule",
            json,
            with_add(expr(1, "allow", waf)),
            with_add(expr(1, "allow", "origin.asn == 1")),
        ),
        ("redirect-on-waf-rule", json, redirect(waf), redirect("origin.asn == 1")),
        (
            "header-action-on-rate-rule",
            "",
            with_add(throttle(1, "'*'", "")),
            throttle(1, "'*'", ""),
        ),
        (
            "contained-range",
            "",
            ranges(1, "deny(403)", "192.0.2.0/24, 192.0.2.7", ""),
            ranges(1, "deny(403)", "192.0.2.0/24, 192.0.3.7", ""),
        ),
        (
            "private-range",
            "",
            ranges(1, "deny(403)", "10.1.0.0/16", ""),
            ranges(1, "deny(403)", "192.0.2.0/24", ""),
        ),
        (
            "unguarded-header",
            "",
            expr(1, "deny(403)", "request.headers['x'] == 'a'"),
            expr(1, "deny(403)", "has(request.headers['x']) && request.headers['x'] == 'a'"),
        ),
        (
            "unguarded-header",
            "",
            expr(1, "deny(403)", "request.headers['x'] == 'a'"),
            expr(1, "deny(403)", "!has(request.headers['x']) || request.headers['x'] == 'a'"),
        ),
        (
            "always-true",
            "",
            expr(1, "deny(403)", "origin.region_code != 'AU' || origin.region_code != 'US'"),
            expr(1, "deny(403)", "origin.region_code != 'AU' && origin.region_code != 'US'"),
        ),
        (
            "always-false",
            "",
            expr(1, "deny(403)", "origin.region_code == 'AU' && origin.region_code == 'US'"),
            expr(1, "deny(403)", "origin.region_code == 'AU' || origin.region_code == 'US'"),
        ),
        (
            "region-in-text",
            "",
            expr(1, "deny(403)", "'[CN, RU]'.contains(origin.region_code)"),
            expr(1, "deny(403)", "origin.region_code in ['CN', 'RU']"),
        ),
        (
            "unknown-region-refused",
            "",
            expr(1, "deny(403)", "!(origin.region_code in ['US'])"),
            expr(1, "deny(403)", "origin.region_code != '' && !(origin.region_code in ['US'])"),
        ),
        (
            "unknown-country",
            "",
            expr(1, "deny(403)", "origin.region_code == 'UK'"),
            expr(1, "deny(403)", "origin.region_code == 'GB'"),
        ),
        (
            "unknown-method",
            "",
            expr(1, "deny(403)", "request.method == 'post'"),
            expr(1, "deny(403)", "request.method == 'POST'"),
        ),
        (
            "path-not-normalised",
            "",
            expr(1, "deny(403)", "request.path.startsWith('/admin')"),
            expr(1, "deny(403)", "request.path.lower().urlDecode().startsWith('/admin')"),
        ),
        (
            "unanchored-path",
            "",
            expr(1, "allow", "request.path.matches('/admin')"),
            expr(1, "allow", "request.path.matches('^/admin')"),
        ),
        (
            "capture-group",
            "",
            expr(1, "allow", r"request.query.matches(r'(a|b)[(]')"),
            expr(1, "allow", r"request.query.matches(r'(?:a|b)\([(]')"),
        ),
        (
            "content-length-guard",
            "",
            expr(1, "deny(403)", "int(request.headers['content-length']) > 8192"),
            expr(1, "deny(403)", "int(request.headers['x-length']) > 8192"),
        ),
        (
            "secret-header-bypass",
            "",
            expr(1, "allow", "request.headers['x-load-test-bypass'] == 's3cret'"),
            expr(1, "allow", "request.headers['host'] == 'a'"),
        ),
        (
            "sensitivity-not-set",
            json,
            expr(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable')"),
            expr(1, "deny(403)", waf),
        ),
        ("exclusion-not-asked", json, exclude("xss-v33-stable"), exclude("sqli-v33-stable")),
        (
            "key-is-forgeable",
            "",
            throttle(1, "'*'", ", enforceOnKey: XFF_IP"),
            throttle(1, "'*'", ", enforceOnKey: IP"),
        ),
        (
            "shared-fallback",
            "",
            throttle(1, "'*'", ", enforceOnKey: HTTP_HEADER, enforceOnKeyName: x"),
            throttle(1, "'*'", ", enforceOnKey: HTTP_HEADER, enforceOnKeyName: x, fallback: ip"),
        ),
        ("ban-outlasts-lease", "", ban("origin.asn == 1", 600), ban("!token.valid", 600)),
        ("ban-outlasts-lease", "", ban("origin.asn == 1", 361), ban("origin.asn == 1", 360)),
        (
            "one-limit-for-all",
            "",
            throttle(1, "'*'", ", enforceOnKey: IP"),
            throttle(1, "'*'", ", enforceOnKey: IP")
                + &throttle(2, "'*'", ", enforceOnKey: TENANT"),
        ),
    ];
    let mut seen = Vec::new();
    for (id, head, bad, good) in &cases {
        assert!(
            found(head, bad, Strictness::Native).contains(id),
            "{id} in\n{bad}: {:?}",
            found(head, bad, Strictness::Native)
        );
        assert!(!found(head, good, Strictness::Native).contains(id), "{id} in\n{good}");
        seen.push(*id);
    }
    let heads = [
        ("json-parsing-off", "", json, expr(1, "deny(403)", waf)),
        (
            "user-ip-headers",
            "advancedOptionsConfig: { userIpRequestHeaders: [x-ip] }\n",
            "",
            expr(1, "deny(403)", "origin.asn == 1"),
        ),
    ];
    for (id, bad, good, rules) in &heads {
        assert!(found(bad, rules, Strictness::Native).contains(id), "{id}");
        assert!(!found(good, rules, Strictness::Native).contains(id), "{id}");
        seen.push(*id);
    }
    let untested: Vec<_> = LINTS
        .iter()
        .filter(|lint| !lint.strict && !seen.contains(&lint.id))
        .map(|lint| lint.id)
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn strict_refuses_what_google_refuses() {
    let or = |count: usize| vec!["origin.asn == 1"; count].join(" || ");
    let ranges_of =
        |count: usize| (0..count).map(|n| format!("192.0.2.{n}")).collect::<Vec<_>>().join(", ");
    let cases = [
        (
            "gcp-extension",
            expr(1, "deny(403)", "origin.region_code in ['US']"),
            expr(1, "deny(403)", "origin.region_code == 'US'"),
        ),
        (
            "gcp-extension",
            expr(1, "deny(403)", "token.valid"),
            expr(1, "deny(403)", "token.recaptcha_session.valid"),
        ),
        ("gcp-extension", expr(1, "log", "origin.asn == 1"), expr(1, "allow", "origin.asn == 1")),
        (
            "gcp-extension",
            throttle(1, "'*'", ", conformAction: continue"),
            throttle(1, "'*'", ", conformAction: allow"),
        ),
        (
            "gcp-extension",
            throttle(1, "'*'", ", enforceOnKey: TENANT"),
            throttle(1, "'*'", ", enforceOnKey: IP"),
        ),
        ("gcp-extension", throttle(1, "'*'", ", fallback: ip"), throttle(1, "'*'", "")),
        (
            "gcp-extension",
            expr(1, "deny(403)", "evaluatePreconfiguredWaf('xss-core-stable')"),
            expr(1, "deny(403)", "evaluatePreconfiguredWaf('xss-v33-stable')"),
        ),
        ("gcp-limit", expr(1, "deny(403)", &or(6)), expr(1, "deny(403)", &or(5))),
        (
            "gcp-limit",
            ranges(1, "deny(403)", &ranges_of(11), ""),
            ranges(1, "deny(403)", &ranges_of(10), ""),
        ),
        (
            "gcp-limit",
            expr(1, "deny(403)", "request.query.matches('a') || request.query.matches('b')"),
            expr(1, "deny(403)", "request.query.matches('a')"),
        ),
        (
            "gcp-interval",
            throttle(1, "'*'", "").replace("intervalSec: 60", "intervalSec: 61"),
            throttle(1, "'*'", ""),
        ),
        ("gcp-interval", ban("origin.asn == 1", 30), ban("origin.asn == 1", 60)),
        (
            "gcp-count",
            ban("origin.asn == 1", 60).replace("count: 5", "count: 10001"),
            ban("origin.asn == 1", 60).replace("count: 5", "count: 10000"),
        ),
    ];
    for (id, bad, good) in cases {
        assert!(found("", &bad, Strictness::Gcp).contains(&id), "{id} in\n{bad}");
        assert!(!found("", &bad, Strictness::Native).contains(&id), "{id} in\n{bad}");
        let extensions_left =
            found("", &good, Strictness::Gcp).into_iter().filter(|found| *found == id).count();
        let continues = usize::from(id == "gcp-extension" && good.contains("continue"));
        assert_eq!(extensions_left, continues, "{id} in\n{good}");
    }
}

#[test]
fn the_page_has_every_lint_once() {
    let page = page();
    for lint in LINTS {
        assert_eq!(page.matches(&format!("## `{}`", lint.id)).count(), 1);
    }
    assert!(crate::armor::builtin("license-api").is_some());
}

#[test]
fn the_shipped_policy_has_nothing_to_be_said_of() {
    let source = crate::armor::builtin("license-api").unwrap();
    let (policy, warnings) = parse(&source).unwrap();
    assert!(warnings.is_empty());
    let found = lint_policy(&policy, Strictness::Native);
    assert!(found.is_empty(), "{found:?}");
}
