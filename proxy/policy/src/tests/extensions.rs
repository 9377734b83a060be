//! What a policy may say beyond Google's schema: scores, bodies of refusals, an end, keys by expression.

use std::time::Duration;

use super::{NOON, Request, compiled, definition, policy, rule, state, verdict};
use crate::{Decision, GeoState};

fn waf(options: &str, expression: &str) -> String {
    format!(
        "- {{ priority: 1, action: deny(403), match: {{ expr: {{ expression: \"{expression}\" }} }}, \
         preconfiguredWafConfig: {{ {options} }} }}\n"
    )
}

#[test]
fn an_anomaly_score_adds_up_what_the_rule_asks_for() {
    // The test's signatures score 5 at level 1, 4 at level 2, and so on; a parameter stands in the URI too.
    let sqli = |level: u8| {
        format!("evaluatePreconfiguredWaf('sqli-v33-stable', {{'sensitivity': {level}}})")
    };
    let both = format!("{} || evaluatePreconfiguredWaf('xss-v33-stable')", sqli(4));
    let header = |markers: &str| Request::get("/").header("x", markers.as_bytes());
    let (one, two) = (header("attack-942001"), header("attack-942001 attack-942002"));
    let across = header("attack-942002 attack-941002");
    let cases = [
        ("scoring: any", sqli(1), &one, true),
        ("scoring: anomaly", sqli(1), &one, true),
        ("scoring: anomaly, anomalyThreshold: 5", sqli(1), &one, true),
        ("scoring: anomaly, anomalyThreshold: 6", sqli(1), &one, false),
        ("scoring: anomaly, anomalyThreshold: 9", sqli(2), &two, true),
        ("scoring: anomaly, anomalyThreshold: 9", sqli(1), &two, false),
        ("scoring: anomaly, anomalyThreshold: 10", sqli(2), &two, false),
        ("scoring: anomaly, anomalyThreshold: 8", sqli(4), &across, false),
        ("scoring: anomaly, anomalyThreshold: 8", both.clone(), &across, true),
        ("scoring: anomaly, anomalyThreshold: 9", both, &across, false),
    ];
    for (options, expression, request, expected) in cases {
        let found = verdict(&waf(options, &expression), request);
        assert_eq!(!found.decision.passes(), expected, "{options} {expression}");
    }
    let body = Request::post("/", b"attack-942001").header("x", b"attack-942002");
    let found = verdict(&waf("scoring: anomaly, anomalyThreshold: 9", &sqli(2)), &body);
    assert!(!found.decision.passes(), "head and body together");
}

#[test]
fn the_uri_is_read_again_without_an_excluded_parameter() {
    let excluding = |exclusion: &str| {
        let exclusion = format!("exclusions: [{{ targetRuleSet: sqli-v33-stable, {exclusion} }}]");
        waf(&exclusion, "evaluatePreconfiguredWaf('sqli-v33-stable')")
    };
    let param = "requestQueryParamsToExclude: [{ op: EQUALS, val: Q }]";
    let cases = [
        (param, "/?q=attack-942001", false),
        (param, "/?q=attack-942001&r=attack-942001", true),
        (param, "/?r=attack-942001", true),
        (param, "/attack-942001?q=1", true),
        (param, "/?attack-942001=1", true),
        (
            "requestQueryParamsToExclude: [{ op: EQUALS_ANY }]",
            "/?q=attack-942001&r=attack-942002",
            false,
        ),
        (
            "requestQueryParamsToExclude: [{ op: EQUALS_ANY }], targetRuleIds: ['942001']",
            "/?q=attack-942001&r=attack-942002",
            true,
        ),
        ("requestHeadersToExclude: [{ op: EQUALS_ANY }]", "/?q=attack-942001", true),
    ];
    for (exclusion, uri, expected) in cases {
        let found = verdict(&excluding(exclusion), &Request::get(uri));
        assert_eq!(!found.decision.passes(), expected, "{exclusion} {uri}");
    }
    let two = format!(
        "exclusions: [{{ targetRuleSet: sqli-v33-stable, {param} }}, \
         {{ targetRuleSet: sqli-v33-stable, requestQueryParamsToExclude: [{{ op: EQUALS, val: r }}] }}]"
    );
    let two = waf(&two, "evaluatePreconfiguredWaf('sqli-v33-stable')");
    assert!(verdict(&two, &Request::get("/?q=attack-942001&r=attack-942001")).decision.passes());
    let body = Request::post("/?q=attack-942001", b"attack-942001");
    assert!(!verdict(&excluding(param), &body).decision.passes(), "the body is read too");
}

#[test]
fn a_refusal_brings_its_rules_body_along() {
    let rules = "- { priority: 1, action: deny(403), match: { expr: { expression: \"request.path == '/a'\" } }, \
                 denyBody: { code: 7, why: no, more: [1.5, true, null] } }\n\
                 - { priority: 2, action: deny(404), match: { expr: { expression: \"request.path == '/b'\" } } }\n";
    let found = verdict(rules, &Request::get("/a"));
    assert_eq!(found.deny_body.as_deref(), Some(r#"{"code":7,"more":[1.5,true,null],"why":"no"}"#));
    assert_eq!(verdict(rules, &Request::get("/b")).deny_body, None);
    assert_eq!(verdict(rules, &Request::get("/c")).deny_body, None);
}

#[test]
fn an_expired_rule_does_nothing() {
    let rules = "- { priority: 1, action: deny(403), expires: '2027-01-15T08:00:00Z', match: { srcIpRanges: ['*'] } }\n\
                 - { priority: 2, action: deny(404), preview: true, expires: '2027-01-15T08:00:01Z', match: { srcIpRanges: ['*'] } }\n";
    let (policy, request) = (policy(rules), Request::get("/"));
    let before = request.through(&policy, &state(), NOON.minus(Duration::from_millis(1))).0;
    assert_eq!(before.decision, Decision::Deny { status: 403 });
    let at = request.through(&policy, &state(), NOON).0;
    assert_eq!((at.decision, at.previews.len()), (Decision::Allow, 1));
    let after = request.through(&policy, &state(), NOON.plus(Duration::from_secs(1))).0;
    assert!(after.previews.is_empty());
}

#[test]
fn a_policy_is_read_back_as_it_was_written() {
    let rules = "- { priority: 1, action: deny(403), expires: '2027-01-15T08:00:00Z', denyBody: { a: 1 }, \
                 match: { expr: { expression: \"origin.ip in lists['known-bad']\" } }, \
                 preconfiguredWafConfig: { scoring: anomaly, anomalyThreshold: 7 } }\n";
    let text = format!("name: p\nrules:\n{rules}{}", super::DEFAULT_ALLOW);
    let first = definition(&text);
    let again = definition(&portcullis_config::armor::write(&first));
    let (one, two) = (&first.rules[0], &again.rules[0]);
    assert_eq!((one.scoring, one.expires), (two.scoring, two.expires));
    assert_eq!(one.deny_body, two.deny_body);
    assert!(one.expires.is_some() && one.deny_body.is_some());
}

#[test]
fn any_expression_and_any_number_of_parts_make_a_key() {
    let limit = |keys: &str| {
        policy(&format!(
            "- {{ priority: 1, action: throttle, match: {{ srcIpRanges: ['*'] }}, rateLimitOptions: {{ \
             rateLimitThreshold: {{ count: 1, intervalSec: 60 }}, exceedAction: deny(429), {keys} }} }}\n"
        ))
    };
    let counts_apart = |keys: &str, one: &Request, two: &Request| {
        let (policy, state) = (limit(keys), state());
        let passes = |request: &Request| request.through(&policy, &state, NOON).0.decision.passes();
        assert!(passes(one) && !passes(one), "{keys}");
        passes(two)
    };
    let by = |expression: &str| {
        format!("enforceOnKey: EXPRESSION, enforceOnKeyExpression: \"{expression}\"")
    };
    let key = |text: &str| Request::get("/").header("x-key", text.as_bytes());
    let body = |text: &str| Request::post("/", text.as_bytes());
    let cookie = |text: &str| Request::get("/").header("cookie", text.as_bytes());
    let user = |tenant: &str, user: &str| Request::get("/").token(tenant, user);
    let cases = [
        (by("request.headers['x-key'].lower()"), key("A"), key("a"), false),
        (by("request.headers['x-key'].lower()"), key("A"), key("b"), true),
        (by("request.params['user']"), body("user=a"), body("user=b"), true),
        (by("request.params['user']"), body("user=a"), body("user=a&x=1"), false),
        (by("request.cookies['sid']"), cookie("sid=a"), cookie("sid=b"), true),
        (by("token.tenant + '/' + token.subject"), user("t", "a"), user("t", "b"), true),
        ("enforceOnKey: TENANT".into(), user("t", "a"), user("t", "b"), false),
        ("enforceOnKey: USER".into(), user("t", "a"), user("u", "a"), false),
        ("enforceOnKey: LICENSE_KEY".into(), body("{\"license_key\":\"A\"}"), body("{\"license_key\":\"B\"}"), true),
        (
            "enforceOnKeyConfigs: [{ enforceOnKeyType: TENANT }, { enforceOnKeyType: USER }, { enforceOnKeyType: IP }, \
             { enforceOnKeyType: HTTP_PATH }, { enforceOnKeyType: EXPRESSION, enforceOnKeyExpression: request.method }]".into(),
            user("t", "a"),
            Request { method: "PUT", ..user("t", "a") },
            true,
        ),
    ];
    for (keys, one, two, expected) in cases {
        assert_eq!(counts_apart(&keys, &one, &two), expected, "{keys}");
    }
}

#[test]
fn what_only_compilation_can_see_is_said_where_it_stands() {
    // (expression, the code, the part that is meant); the twin beside each has none.
    let cases = [
        ("request.path.matches('(?:a{1000}){1000}')", "regex", "'(?:a{1000}){1000}'"),
        ("request.path.matches('(?:a{10}){10}')", "", ""),
        ("origin.ip in lists['known-bda']", "unknown-list", "'known-bda'"),
        ("origin.ip in lists['known-bad']", "", ""),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', ['942999'])", "waf-signature", "'942999'"),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', ['942432'])",
            "waf-signature-unknown",
            "'942432'",
        ),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', ['942001'])", "", ""),
        ("evaluatePreconfiguredWaf('rce-v33-stable')", "waf-set-empty", "'rce-v33-stable'"),
    ];
    for (expression, code, part) in cases {
        let head = "name: p\nadvancedOptionsConfig: { jsonParsing: STANDARD }\nrules:\n";
        let text = format!("{head}{}{}", rule(1, "deny(403)", expression), super::DEFAULT_ALLOW);
        let problems = match compiled(&text, GeoState::Loaded) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        let found = problems.first().map_or("", |problem| problem.code);
        assert_eq!(found, code, "{expression}");
        if let Some(at) = problems.first().and_then(|problem| problem.at.as_ref()) {
            assert_eq!(at.text().replace("''", "'"), part, "{expression}");
        }
    }
}
