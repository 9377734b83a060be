//! Questions to the WAF: sensitivity, opt-outs, exclusions, and what the log says.

use super::{Request, rule, verdict};
use crate::{Decision, EventKind};

fn refused(expression: &str, request: &Request) -> bool {
    verdict(&rule(1, "deny(403)", expression), request).decision == Decision::Deny { status: 403 }
}

#[test]
fn sensitivity_and_opt_outs_choose_the_signatures() {
    let cases = [
        ("evaluatePreconfiguredWaf('sqli-v33-stable')", 942_001, true),
        ("evaluatePreconfiguredWaf('sqli-v33-stable')", 942_004, true),
        ("evaluatePreconfiguredWaf('sqli-v33-stable')", 941_001, false),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})", 942_001, true),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})", 942_002, false),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 2})", 942_002, true),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 2})", 942_003, false),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 4, 'opt_out_rule_ids': ['owasp-crs-v030301-id942001-sqli']})",
            942_001,
            false,
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 4, 'opt_out_rule_ids': ['owasp-crs-v030301-id942001-sqli']})",
            942_002,
            true,
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 0, 'opt_in_rule_ids': ['owasp-crs-v030301-id942004-sqli']})",
            942_004,
            true,
        ),
        (
            "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 0, 'opt_in_rule_ids': ['owasp-crs-v030301-id942004-sqli']})",
            942_001,
            false,
        ),
        ("evaluatePreconfiguredWaf('sqli-v33-stable', ['942001'])", 942_001, false),
        (
            "evaluatePreconfiguredExpr('sqli-stable', ['owasp-crs-v030001-id942001-sqli'])",
            942_002,
            true,
        ),
        ("evaluatePreconfiguredWaf('rce-v33-stable')", 942_001, false),
    ];
    for (expression, id, expected) in cases {
        let uri = format!("/?q=attack-{id}");
        assert_eq!(refused(expression, &Request::get(&uri)), expected, "{expression} {id}");
        let body = format!("q=attack-{id}");
        assert_eq!(
            refused(expression, &Request::post("/", body.as_bytes())),
            expected,
            "{expression} {id} in the body"
        );
        assert!(!refused(expression, &Request::post("/?q=x", b"q=x")), "{expression} clean");
    }
}

#[test]
fn exclusions_leave_out_values_by_name() {
    let waf = |exclusion: &str| {
        format!(
            "- {{ priority: 1, action: deny(403), match: {{ expr: {{ expression: evaluatePreconfiguredWaf('sqli-v33-stable') }} }}, \
             preconfiguredWafConfig: {{ exclusions: [{{ targetRuleSet: sqli-v33-stable, {exclusion} }}] }} }}\n"
        )
    };
    let header = |name: &str| Request::get("/").header(name, b"attack-942001");
    let cases = [
        ("requestHeadersToExclude: [{ op: EQUALS, val: X-Note }]", header("x-note"), false),
        ("requestHeadersToExclude: [{ op: EQUALS, val: X-Note }]", header("x-noted"), true),
        ("requestHeadersToExclude: [{ op: STARTS_WITH, val: x-n }]", header("X-NOTED"), false),
        ("requestHeadersToExclude: [{ op: ENDS_WITH, val: note }]", header("x-note"), false),
        ("requestHeadersToExclude: [{ op: CONTAINS, val: not }]", header("x-note"), false),
        ("requestHeadersToExclude: [{ op: EQUALS_ANY }]", header("x-note"), false),
        ("requestCookiesToExclude: [{ op: EQUALS_ANY }]", header("x-note"), true),
        (
            "requestHeadersToExclude: [{ op: EQUALS_ANY }], targetRuleIds: [owasp-crs-v030301-id942001-sqli]",
            header("x-note"),
            false,
        ),
        (
            "requestHeadersToExclude: [{ op: EQUALS_ANY }], targetRuleIds: [owasp-crs-v030301-id942002-sqli]",
            header("x-note"),
            true,
        ),
        (
            "requestUrisToExclude: [{ op: EQUALS, val: /a }], targetRuleIds: ['942001']",
            header("x-note"),
            true,
        ),
    ];
    for (exclusion, request, expected) in cases {
        let found = verdict(&waf(exclusion), &request);
        assert_eq!(!found.decision.passes(), expected, "{exclusion}");
    }
}

#[test]
fn the_log_names_every_signature_and_the_first_field() {
    let found = verdict(
        &rule(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 2})"),
        &Request::get("/")
            .header("X-A", b"zz attack-942001 attack-942002 attack-942003 0123456789"),
    );
    assert_eq!(
        found.enforced.preconfigured_expr_ids,
        ["owasp-crs-v030301-id942001-sqli", "owasp-crs-v030301-id942002-sqli"]
    );
    assert_eq!(found.security_event, Some(EventKind::SqlInjection));
    let field = found.enforced.matched_field.unwrap();
    assert_eq!((field.field_type, field.name.as_slice()), ("HEADER_VALUES", &b"X-A"[..]));
    assert_eq!(
        (field.value.as_slice(), field.offset, field.matched_length),
        (&b"attack-942001"[..], 3, 13)
    );
}

#[test]
fn what_could_not_be_inspected_is_refused() {
    let waf = rule(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable')");
    let found = verdict(&waf, &Request::get("/?give-up"));
    assert_eq!(
        (found.decision, found.security_event),
        (Decision::Deny { status: 403 }, Some(EventKind::WafLimit))
    );
    assert_eq!(verdict(&waf, &Request::get("/?go-on")).decision, Decision::Allow);
}
