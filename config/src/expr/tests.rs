//! Tables of texts: what loads, and what is refused with which words.

use super::*;
use crate::Severity;

fn problems(text: &str) -> Vec<Problem> {
    match parse_and_check(text) {
        Ok(typed) => typed.warnings,
        Err(problems) => problems,
    }
}

#[test]
fn what_cloud_armor_and_we_allow_loads() {
    let cases = [
        "true",
        "origin.region_code == 'US'",
        "origin.region_code == \"US\" || origin.region_code == 'CA' && origin.asn == 12",
        "!(origin.region_code in ['US', 'CA',])",
        "origin.asn in [1, 2]",
        "request.headers['user-agent'].contains('curl')",
        "has(request.headers['x-key']) && request.headers['x-key'].size() > 3",
        "has(request.headers.cookie)",
        "request.headers.cookie.contains('80=BLAH')",
        "size(request.query) >= 10",
        "int(request.headers['content-length']) > 8192",
        "inIpRange(origin.ip, '10.0.0.0/8') || inIpRange(origin.user_ip, '2001:db8::/32')",
        "inIpRange(origin.ip, '192.0.2.7')",
        "inIpRange(request.headers['x-real-ip'], request.headers['x-net'])",
        r"request.path.lower().urlDecode().matches(r'^/\\*admin')",
        r#"request.path.matches("(?i:\\.php$)")"#,
        r"request.headers['a'].base64Decode().utf8ToUnicode().urlDecodeUni().upper() == 'X'",
        "evaluatePreconfiguredWaf('sqli-v33-stable')",
        "evaluatePreconfiguredWaf('sqli-v422-stable', {'sensitivity': 1})",
        "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 2, 'opt_out_rule_ids': ['owasp-crs-v030301-id942251-sqli', 942420, 'id942421-sqli']})",
        "evaluatePreconfiguredWaf('xss-v33-canary', {'sensitivity': 0, 'opt_in_rule_ids': ['owasp-crs-v030301-id941100-xss']})",
        "evaluatePreconfiguredWaf('xss-core-stable', ['941150'])",
        "evaluateAddressGroup('known-bad', origin.ip, ['10.0.0.0/8'])",
        "evaluateThreatIntelligence('iplist-tor-exit-nodes')",
        "evaluateThreatIntelligence('iplist-tor-exit-nodes', 'origin.ip')",
        "evaluatePreconfiguredExpr('sourceiplist-fastly')",
        "token.valid && token.tenant == 'a' && 'admin' in token.roles",
        "token.claims['firebase']['tenant'] == 'x' || token.claims.tier == 2",
        "request.cookies['sid'].startsWith('a') && request.body.contains('b')",
        "request.params['a'] == 'b' && has(request.params.user.name) && int(request.params['n']) > 1",
        "request.params['user']['name'] == request.params[request.query]",
        "origin.ip in lists['office'] && !(request.headers['x-real-ip'] in lists['known-bad'])",
        "origin.asn * 2 - 1 == -3 + 4",
        "request.path + '?' + request.query == '/a?b'",
        "request.method != 'GET' // a comment",
        "'''it's''' == \"it's\"",
        r"request.path.matches(r'^\Qa.b\E$')",
    ];
    for text in cases {
        let errors: Vec<_> =
            problems(text).into_iter().filter(|p| p.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{text}: {errors:?}");
    }
}

#[test]
fn what_is_wrong_is_refused_where_it_stands() {
    // (text, code, the part that is meant, words of the message or the help)
    let cases = [
        ("", "syntax", "", "empty"),
        ("request.host == 'a'", "unknown-attribute", "request.host", "request.headers['host']"),
        ("request.url == 'a'", "unknown-attribute", "request.url", "request.path"),
        (
            "source.region_code == 'US'",
            "unknown-attribute",
            "source.region_code",
            "origin.region_code",
        ),
        ("origin.sni == 'a'", "unknown-attribute", "origin.sni", "unknown attribute"),
        (
            "origin.regioncode == 'US'",
            "unknown-attribute",
            "origin.regioncode",
            "origin.region_code",
        ),
        (
            "request.query_params == 'b'",
            "unknown-attribute",
            "request.query_params",
            "request.params",
        ),
        ("origin.ip == lists['a']", "type", "lists['a']", "origin.ip in lists"),
        ("origin.ip in list['a']", "unknown-attribute", "list", "lists['…']"),
        ("origin.asn in lists['a']", "type", "origin.asn", "expected string"),
        ("origin.ip in lists[request.path]", "type", "request.path", "written out"),
        (
            "request.params[request.path].a == 'b'",
            "type",
            "request.params[request.path].a",
            "no deeper",
        ),
        ("request.headers == 'a'", "type", "request.headers", "is a map"),
        ("request.path", "type", "request.path", "expected bool, found string"),
        ("request.path && true", "type", "request.path", "expected bool"),
        ("!request.path", "type", "request.path", "expected bool"),
        ("origin.asn == '1'", "type", "origin.asn == '1'", "int(…)"),
        ("request.path < 'a'", "type", "request.path", "expected int or double"),
        ("'a' in 'abc'", "type", "'abc'", "list of strings"),
        ("1 in ['a']", "type", "1", "expected string"),
        ("'x' in request.headers", "type", "request.headers", "has(request.headers['…'])"),
        ("origin.region_code in ['US', 1]", "type", "['US', 1]", "one type"),
        ("request.path.startswith('/')", "unknown-function", "startswith", "startsWith"),
        ("lower(request.path) == 'a'", "call", "lower", "called on a value"),
        ("request.path.int() == 1", "call", "int", "int(…)"),
        ("inIPRange(origin.ip, '10.0.0.0/8')", "unknown-function", "inIPRange", "inIpRange"),
        ("inIpRange(origin.ip, '10.0.0.0/40')", "ip-range", "'10.0.0.0/40'", "no range"),
        ("request.path.matches('(')", "regex", "'('", "unclosed group"),
        (r"request.path.matches(r'(?!a)')", "regex", r"r'(?!a)'", "look"),
        (r"request.path.matches(r'(a)\1')", "regex", r"r'(a)\1'", "backreferences"),
        ("request.path.matches(request.query)", "regex", "request.query", "written out"),
        ("has(request.path)", "call", "request.path", "always present"),
        (
            "evaluatePreconfiguredWaf('sqli-v34-stable')",
            "unknown-waf-set",
            "'sqli-v34-stable'",
            "sqli-v33-stable",
        ),
        (
            "evaluatePreconfiguredExpr('project-shield-stable')",
            "unknown-waf-set",
            "'project-shield-stable'",
            "another product",
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 5})",
            "waf-options",
            "5",
            "0, 1, 2, 3 or 4",
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivty': 1})",
            "waf-options",
            "'sensitivty'",
            "opt_out_rule_ids",
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'opt_out_rule_ids': ['owasp-crs-v030001-id942251-sqli']})",
            "waf-signature",
            "'owasp-crs-v030001-id942251-sqli'",
            "owasp-crs-v030301-id942251-sqli",
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1, 'opt_in_rule_ids': ['942100']})",
            "waf-options",
            "{'sensitivity': 1, 'opt_in_rule_ids': ['942100']}",
            "'sensitivity': 0",
        ),
        ("request.path = '/'", "syntax", "=", "=="),
        ("true & false", "syntax", "&", "&&"),
        ("true and false", "syntax", "and", "&&"),
        ("true ? false : true", "syntax", "?", "not part of the language"),
        ("origin.asn / 2 == 1", "syntax", "/", "not part of the language"),
        ("request.path == 'a", "syntax", "'a", "not closed"),
        (r"request.path == '\d'", "syntax", r"\d", "raw string"),
        ("(true", "syntax", "", "expected `)`"),
        ("true true", "syntax", "true", "expected an operator"),
    ];
    for (text, code, part, words) in cases {
        let problems = parse_and_check(text).expect_err(text);
        let problem = problems.iter().find(|p| p.severity == Severity::Error).expect(text);
        assert_eq!(problem.code, code, "{text}");
        let said = format!("{} {}", problem.message, problem.help.clone().unwrap_or_default());
        assert!(said.contains(words), "{text}: {said}");
        assert_eq!(text.get(problem.span.start..problem.span.end).unwrap(), part, "{text}");
    }
}

#[test]
fn every_problem_of_a_text_is_reported() {
    let problems = problems(
        "request.host == 'a' || origin.asn == 'b' || request.path.foo() || request.path.matches('(')",
    );
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn what_loads_with_a_word_is_warned_about() {
    let cases = [
        ("request.headers['Referer'] == 'a'", "header-key-case"),
        ("token.recaptcha_session.score < 0.3", "recaptcha-not-enforced"),
        ("evaluateAdaptiveProtectionAutoDeploy()", "adaptive-not-enforced"),
        (
            "evaluatePreconfiguredExpr('sqli-stable', ['owasp-crs-v030001-id942251-sqli'])",
            "deprecated-expr",
        ),
        ("inIpRange(origin.ip, '10.0.0.1/8')", "host-bits"),
    ];
    for (text, code) in cases {
        let typed = parse_and_check(text).expect(text);
        assert_eq!(typed.warnings.iter().map(|p| p.code).collect::<Vec<_>>(), [code], "{text}");
    }
}

#[test]
fn depth_is_bounded_and_length_is_not_depth() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse_and_check(&nested(DEPTH_MAX - 1)).is_ok());
    assert!(parse_and_check(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(parse_and_check(&nested(DEPTH_MAX + 1)).unwrap_err()[0].code, "expression-too-deep");
    assert!(parse_and_check(&"true && ".repeat(2000).add("true")).is_ok());
    assert_eq!(
        parse_and_check(&" ".repeat(TEXT_BYTES_MAX + 1)).unwrap_err()[0].code,
        "expression-too-long"
    );
    assert!(parse_and_check(&format!("{}1 == 1", "1 + ".repeat(100))).is_err());
}

trait Add {
    fn add(self, tail: &str) -> String;
}

impl Add for String {
    fn add(mut self, tail: &str) -> String {
        self.push_str(tail);
        self
    }
}

#[test]
fn a_key_expression_is_a_string_or_an_int() {
    assert!(parse_and_check_key("request.headers['x-api-key']").is_ok());
    assert!(parse_and_check_key("origin.asn").is_ok());
    assert!(parse_and_check_key("token.claims['org']").is_ok());
    assert!(parse_and_check_key("token.valid").is_err());
}

#[test]
fn what_an_expression_asks_for_is_known() {
    let cases = [
        ("request.path == '/'", false, false),
        ("token.valid", true, false),
        ("token.claims.a == 'b'", true, false),
        ("request.body.contains('a')", false, true),
        ("request.params['a'] == 'b'", false, true),
        ("request.cookies['a'] == 'b' || origin.ip in lists['a']", false, false),
        ("token.valid && evaluatePreconfiguredWaf('sqli-v33-stable')", true, true),
    ];
    for (text, identity, body) in cases {
        let typed = parse_and_check(text).expect(text);
        assert_eq!(
            (typed.asks_for(Need::Identity), typed.asks_for(Need::Body)),
            (identity, body),
            "{text}"
        );
    }
}

#[test]
fn no_text_panics() {
    let alphabet = [
        "'", "\"", "r'", "\\", "(", ")", "[", "]", "{", "}", "in", "a", ".", "1", "é", "&&", "!",
        "=", "x", "\\Q", "has",
    ];
    let mut seed: u64 = 7;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(alphabet[(seed >> 33) as usize % alphabet.len()]);
        }
        drop(problems(&text));
    }
}

#[test]
fn the_set_of_single_holes_takes_every_id_that_google_lists() {
    let asked = |id: &str| {
        let text = format!(
            "evaluatePreconfiguredWaf('cve-canary', {{'sensitivity': 3, 'opt_out_rule_ids': ['{id}']}})"
        );
        parse_and_check(&text).is_ok()
    };
    for id in [
        "owasp-crs-v030001-id044228-cve",
        "owasp-crs-v042200-id144228-cve",
        "google-mrs-v202512-id000001-rce",
    ] {
        assert!(asked(id), "{id}");
    }
    assert!(!asked("owasp-crs-v030301-id144228-cve"));
}
