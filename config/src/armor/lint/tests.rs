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
            "covered-ranges",
            "",
            ranges(1, "deny(403)", "192.0.2.0/24", "")
                + &ranges(2, "allow", "192.0.2.7, 192.0.2.9", ""),
            ranges(1, "deny(403)", "192.0.2.0/24", "")
                + &ranges(2, "allow", "192.0.2.7, 192.0.3.9", ""),
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
            expr(1, "deny(403)", "request.path.urlDecode().lower().startsWith('/admin')"),
        ),
        (
            "path-lowered-before-decoding",
            "",
            expr(1, "deny(403)", "request.path.lower().urlDecode().startsWith('/admin')"),
            expr(1, "deny(403)", "request.path.urlDecode().lower().startsWith('/admin')"),
        ),
        (
            "path-lowered-before-decoding",
            "",
            expr(1, "deny(403)", "request.path.lower().urlDecodeUni() == '/admin'"),
            expr(1, "deny(403)", "request.path.lower().urlDecode().lower() == '/admin'"),
        ),
        (
            "unanchored-host",
            "",
            expr(1, "allow", r"request.headers['host'].matches(r'^a\.example\.com')"),
            expr(1, "allow", r"request.headers['host'].matches(r'^a\.example\.com$')"),
        ),
        (
            "scoring-not-asked",
            "",
            expr(1, "deny(403)", "origin.asn == 1")
                .replace(" }\n", ", preconfiguredWafConfig: { scoring: anomaly } }\n"),
            expr(1, "deny(403)", waf)
                .replace(" }\n", ", preconfiguredWafConfig: { scoring: anomaly } }\n"),
        ),
        (
            "opt-out-on-crs-30",
            json,
            expr(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-stable', ['942100'])"),
            expr(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable', ['942100'])"),
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
        .filter(|lint| lint.said == Said::Loaded && !seen.contains(&lint.id))
        .filter(|lint| lint.id != "expired-rule")
        .map(|lint| lint.id)
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}

/// The code of every problem of reading a policy of these rules.
fn read(rules: &str) -> Vec<&'static str> {
    let problems = match parse(&SourceFile::new("p", format!("name: p\nrules:\n{rules}"))) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn what_reading_says_has_its_twin_too() {
    let ban = "rateLimitOptions: { rateLimitThreshold: { count: 5, intervalSec: 60 }, exceedAction: deny(429)";
    let waf = |options: &str| {
        expr(1, "deny(403)", &format!("evaluatePreconfiguredWaf('sqli-v33-stable', {options})"))
    };
    let cases = [
        ("bare-deny", ranges(1, "deny", "'*'", ""), ranges(1, "deny(403)", "'*'", "")),
        ("deny-429", ranges(1, "deny(429)", "'*'", ""), ranges(1, "deny(404)", "'*'", "")),
        (
            "deprecated-expr",
            expr(1, "deny(403)", "evaluatePreconfiguredExpr('sqli-v33-stable')"),
            expr(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable')"),
        ),
        (
            "header-key-case",
            expr(1, "allow", "request.headers['X'] == 'a'"),
            expr(1, "allow", "request.headers['x'] == 'A'"),
        ),
        ("host-bits", ranges(1, "allow", "10.0.0.1/8", ""), ranges(1, "allow", "10.0.0.0/8", "")),
        (
            "duplicate-priority",
            ranges(1, "allow", "'*'", "") + &ranges(1, "allow", "'*'", ""),
            ranges(1, "allow", "'*'", "") + &ranges(2, "allow", "'*'", ""),
        ),
        (
            "not-of-this-action",
            ranges(1, "throttle", "'*'", &format!(", {ban}, banDurationSec: 60 }}")),
            ranges(1, "rate_based_ban", "'*'", &format!(", {ban}, banDurationSec: 60 }}")),
        ),
        (
            "not-of-this-action",
            ranges(1, "allow", "'*'", ", denyBody: { a: 1 }"),
            ranges(1, "deny(403)", "'*'", ", denyBody: { a: 1 }"),
        ),
        (
            "waf-signature",
            waf("['owasp-crs-v030001-id942100-sqli']"),
            waf("['owasp-crs-v030301-id942100-sqli']"),
        ),
        (
            "waf-options",
            waf("{'sensitivity': 1, 'opt_in_rule_ids': ['942100']}"),
            waf("{'sensitivity': 0, 'opt_in_rule_ids': ['942100']}"),
        ),
    ];
    let mut seen = vec!["default-rule"];
    for (id, bad, good) in &cases {
        assert!(read(&format!("{bad}{DEFAULT}")).contains(id), "{id} in\n{bad}");
        assert!(!read(&format!("{good}{DEFAULT}")).contains(id), "{id} in\n{good}");
        seen.push(id);
    }
    let expiring = DEFAULT.replace(" }\n", ", expires: '2030-01-01T00:00:00Z' }\n");
    for rules in [ranges(1, "allow", "'*'", ""), expiring] {
        assert!(read(&rules).contains(&"default-rule"), "{rules}");
    }
    assert!(!read(DEFAULT).contains(&"default-rule"));
    let said = |lint: &&Lint| matches!(lint.said, Said::Reading | Said::Refused);
    let untested: Vec<_> =
        LINTS.iter().filter(said).filter(|lint| !seen.contains(&lint.id)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn what_is_added_to_a_rule_is_checked_where_it_stands() {
    let cases = [
        (", expires: tomorrow", "expires"),
        (", expires: '2030-01-01'", "expires"),
        (", denyBody: text", "type"),
        (", denyBody: [a]", "type"),
        (", preconfiguredWafConfig: { scoring: some }", "unknown-value"),
        (", preconfiguredWafConfig: { anomalyThreshold: 5 }", "not-of-this-scoring"),
        (", preconfiguredWafConfig: { scoring: anomaly, anomalyThreshold: 0 }", "range"),
    ];
    for (more, code) in cases {
        let rules = ranges(1, "deny(403)", "'*'", more) + DEFAULT;
        assert_eq!(read(&rules), [code], "{more}");
    }
    let long = format!(", denyBody: {{ a: '{}' }}", "x".repeat(4096));
    assert_eq!(read(&(ranges(1, "deny(403)", "'*'", &long) + DEFAULT)), ["deny-body"]);
}

#[test]
fn a_rule_is_reported_from_the_moment_on_at_which_it_expires() {
    let rule = ranges(1, "deny(403)", "'*'", ", expires: '2027-01-15T08:00:00Z'");
    let text = format!("name: p\nrules:\n{rule}{DEFAULT}");
    let (policy, _) = parse(&SourceFile::new("p", text)).unwrap();
    let at = |secs| expired(&policy, Timestamp::from_secs(secs)).len();
    assert_eq!((at(1_799_999_999), at(1_800_000_000)), (0, 1));
}

#[test]
fn strict_refuses_what_google_refuses() {
    let or = |count: usize| vec!["origin.asn == 1"; count].join(" || ");
    let ranges_of =
        |count: usize| (0..count).map(|n| format!("192.0.2.{n}")).collect::<Vec<_>>().join(", ");
    let redirect_to = |count: usize| {
        let target = format!("https://a.test/{}", "a".repeat(count - 15));
        format!(", redirectOptions: {{ type: EXTERNAL_302, target: '{target}' }}")
    };
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
            expr(1, "deny(403)", "origin.ip in lists['a']"),
            expr(1, "deny(403)", "evaluateAddressGroup('a', origin.ip)"),
        ),
        (
            "gcp-extension",
            expr(1, "deny(403)", "request.params['a'] == 'b'"),
            expr(1, "deny(403)", "request.query == 'a=b'"),
        ),
        (
            "gcp-extension",
            expr(1, "deny(403)", "request.body == 'b'"),
            expr(1, "deny(403)", "request.path == 'b'"),
        ),
        (
            "gcp-extension",
            expr(1, "deny(403)", "request.cookies['a'] == 'b'"),
            expr(1, "deny(403)", "request.headers['a'] == 'b'"),
        ),
        (
            "gcp-extension",
            throttle(1, "'*'", ", enforceOnKey: EXPRESSION, enforceOnKeyExpression: request.path"),
            throttle(1, "'*'", ", enforceOnKey: HTTP_PATH"),
        ),
        ("gcp-extension", throttle(1, "'*'", ", enforceOnKey: USER"), throttle(1, "'*'", "")),
        (
            "gcp-extension",
            throttle(1, "'*'", ", enforceOnKey: LICENSE_KEY"),
            throttle(1, "'*'", ""),
        ),
        (
            "gcp-extension",
            ranges(1, "deny(403)", "'*'", ", denyBody: { a: 1 }"),
            ranges(1, "deny(403)", "'*'", ""),
        ),
        (
            "gcp-extension",
            ranges(1, "deny(403)", "'*'", ", expires: '2030-01-01T00:00:00Z'"),
            ranges(1, "deny(403)", "'*'", ""),
        ),
        (
            "gcp-extension",
            ranges(1, "deny(403)", "'*'", ", preconfiguredWafConfig: { scoring: anomaly }"),
            ranges(1, "deny(403)", "'*'", ", preconfiguredWafConfig: { scoring: any }"),
        ),
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
            "gcp-extension",
            expr(1, "deny(403)", "request.query.matches('(?P<n>a)|b')"),
            expr(1, "deny(403)", "request.query.matches('(?:a)|b')"),
        ),
        (
            "gcp-limit",
            expr(1, "deny(403)", &format!("request.query == '{}'", "a".repeat(1024))),
            expr(1, "deny(403)", &format!("request.query == '{}'", "a".repeat(1005))),
        ),
        (
            "gcp-limit",
            ranges(1, "redirect", "'*'", &redirect_to(1025)),
            ranges(1, "redirect", "'*'", &redirect_to(1024)),
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
fn a_policy_of_the_edge_reads_what_googles_edge_reads() {
    let edge = "type: CLOUD_ARMOR_EDGE\n";
    for (expression, expected) in [
        ("evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})", true),
        ("origin.user_ip == '192.0.2.1'", true),
        ("origin.tls_ja4_fingerprint == 'a'", true),
        ("origin.ip == '192.0.2.1' && origin.asn != 64500", false),
        ("has(request.headers['a']) && request.path.startsWith('/a')", false),
    ] {
        let rules = expr(1, "deny(403)", expression);
        let told = |head, strictness| found(head, &rules, strictness).contains(&"gcp-extension");
        assert_eq!(told(edge, Strictness::Gcp), expected, "{expression}");
        assert!(!told("", Strictness::Gcp) && !told(edge, Strictness::Native), "{expression}");
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
