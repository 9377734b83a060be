//! Order, previews, and what is fetched when.

use super::{DEFAULT_ALLOW, NOON, Request, compiled, policy, rule, shown, state, verdict};
use crate::verdict::{ConfiguredAction, EventKind, Outcome};
use crate::{Decision, GeoState};

fn asked(rules: &str, request: &Request) -> (Decision, Vec<&'static str>) {
    let (verdict, asked) = request.through(&policy(rules), &state(), NOON);
    (verdict.decision, asked)
}

#[test]
fn the_first_match_by_priority_decides_whatever_the_order_of_the_file() {
    let rules = rule(20, "deny(404)", "request.path == '/a'")
        + &rule(10, "deny(502)", "request.path == '/a'");
    assert_eq!(verdict(&rules, &Request::get("/a")).decision, Decision::Deny { status: 502 });
    let passed = verdict(&rules, &Request::get("/b"));
    assert_eq!(passed.decision, Decision::Allow);
    assert_eq!(passed.enforced.priority, 2_147_483_647);
    assert_eq!(passed.enforced.configured_action, ConfiguredAction::Allow);
    assert_eq!(passed.security_event, None);
}

#[test]
fn an_allow_ends_evaluation() {
    let rules = rule(10, "allow", "request.path == '/a'") + &rule(20, "deny(403)", "true");
    assert_eq!(verdict(&rules, &Request::get("/a")).decision, Decision::Allow);
    assert_eq!(verdict(&rules, &Request::get("/b")).decision, Decision::Deny { status: 403 });
}

#[test]
fn nothing_is_fetched_that_no_rule_asks_for() {
    let waf = "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})";
    let cases: &[(&str, &str, &[&str])] = &[
        ("request.path == '/a'", "/a", &[]),
        ("token.valid", "/a", &["identity"]),
        ("request.path == '/a' && token.valid", "/b", &[]),
        ("token.valid && request.path == '/a'", "/b", &[]),
        ("token.valid || request.path == '/a'", "/a", &[]),
        ("request.body.contains('x')", "/a", &["body"]),
        (waf, "/a", &["body"]),
        (waf, "/a?q=attack-942001", &[]),
        ("request.body.contains('x') && token.valid", "/a", &["identity"]),
    ];
    for (expression, uri, expected) in cases {
        let (_, asked) = asked(&rule(1, "deny(403)", expression), &Request::get(uri));
        assert_eq!(asked, *expected, "{expression} {uri}");
    }
    let twice = rule(1, "deny(403)", waf)
        + &rule(2, "deny(404)", "request.body.contains('x')")
        + &rule(3, "deny(404)", waf);
    assert_eq!(asked(&twice, &Request::get("/a")).1, ["body"]);
    let below = rule(1, "allow", "request.path == '/a'") + &rule(2, "deny(403)", waf);
    assert_eq!(asked(&below, &Request::get("/a")).1, <[&str; 0]>::default());
}

#[test]
fn the_body_is_still_read_by_rules_after_the_token_came() {
    let rules = rule(1, "deny(403)", "evaluatePreconfiguredWaf('xss-v33-stable')")
        + &rule(2, "deny(404)", "token.tenant == 'acme' && request.body.contains('bad')")
        + &rule(
            3,
            "deny(502)",
            "token.tenant == 'acme' && evaluatePreconfiguredWaf('sqli-v33-stable')",
        );
    let request = |body: &[u8]| Request::post("/", body).token("acme", "alice");
    assert_eq!(asked(&rules, &request(b"fine")), (Decision::Allow, vec!["body"]));
    assert_eq!(asked(&rules, &request(b"bad")).0, Decision::Deny { status: 404 });
    assert_eq!(asked(&rules, &request(b"attack-942001")).0, Decision::Deny { status: 502 });
    assert_eq!(asked(&rules, &request(b"attack-941001")).0, Decision::Deny { status: 403 });
}

#[test]
fn a_preview_is_logged_and_decides_nothing_above_and_below() {
    let preview = |priority: u32, expression: &str| {
        rule(priority, "deny(403)", expression).replace("action:", "preview: true, action:")
    };
    let rules = preview(1, "request.path == '/a'")
        + &rule(2, "deny(404)", "request.path == '/a'")
        + &preview(3, "request.method == 'GET'")
        + &preview(4, "token.valid")
        + &preview(5, "evaluatePreconfiguredWaf('sqli-v33-stable')")
        + &preview(6, "request.method == 'PUT'");
    let found = verdict(&rules, &Request::get("/a"));
    assert_eq!(found.decision, Decision::Deny { status: 404 });
    assert_eq!(found.previews.iter().map(|hit| hit.priority).collect::<Vec<_>>(), [1, 3]);
    assert!(found.previews.iter().all(|hit| hit.preview && hit.outcome == Outcome::Deny));
    assert_eq!(found.not_evaluated, [4, 5]);
    let passed = verdict(&rules, &Request::get("/b").token("t", "u"));
    assert_eq!(passed.decision, Decision::Allow);
    assert_eq!(passed.previews.iter().map(|hit| hit.priority).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(passed.not_evaluated, <[u32; 0]>::default());
}

#[test]
fn a_log_rule_is_logged_and_decides_nothing() {
    let found = verdict(&rule(1, "log", "request.path == '/a'"), &Request::get("/a"));
    assert_eq!(found.decision, Decision::Allow);
    assert_eq!(found.previews[0].configured_action, ConfiguredAction::Log);
    assert!(
        verdict(&rule(1, "log", "request.path == '/a'"), &Request::get("/b")).previews.is_empty()
    );
}

#[test]
fn a_redirect_answers_302_and_headers_are_set_where_the_request_passes() {
    let rules = "- { priority: 1, action: redirect, match: { expr: { expression: \"request.path == '/old'\" } }, \
                 redirectOptions: { type: EXTERNAL_302, target: 'https://example.com/new' } }\n\
                 - { priority: 2, action: allow, match: { expr: { expression: \"request.path == '/a'\" } }, \
                 headerAction: { requestHeadersToAdds: [{ headerName: X-Seen, headerValue: 'yes' }] } }\n";
    let found = verdict(rules, &Request::get("/old"));
    let location = "https://example.com/new".into();
    assert_eq!(found.decision, Decision::Redirect { status: 302, location });
    assert_eq!(
        (found.enforced.outcome, found.enforced.configured_action),
        (Outcome::Redirect, ConfiguredAction::External302)
    );
    let passed = verdict(rules, &Request::get("/a"));
    assert_eq!(
        passed.request_headers_to_add.iter().map(|h| (&*h.name, &*h.value)).collect::<Vec<_>>(),
        [("X-Seen", "yes")]
    );
    assert!(verdict(rules, &Request::get("/b")).request_headers_to_add.is_empty());
}

#[test]
fn a_refusal_has_its_kind() {
    let cases = [
        ("origin.region_code == 'RU'", EventKind::GeoBlock),
        ("evaluateAddressGroup('known-bad', '198.51.100.1')", EventKind::IpBlock),
        ("inIpRange(origin.ip, '192.0.2.0/24')", EventKind::IpBlock),
        ("request.path == '/?q'", EventKind::PolicyDeny),
        ("request.method == 'GET'", EventKind::PolicyDeny),
        ("evaluatePreconfiguredWaf('sqli-v33-stable')", EventKind::SqlInjection),
        (
            "evaluatePreconfiguredWaf('xss-v33-stable') || evaluatePreconfiguredWaf('sqli-v33-stable')",
            EventKind::SqlInjection,
        ),
    ];
    for (expression, kind) in cases {
        let found = verdict(
            &rule(1, "deny(403)", expression),
            &Request::get("/?q=attack-942001").region("RU"),
        );
        if found.decision == Decision::Allow {
            assert_eq!(expression, "request.path == '/?q'");
            continue;
        }
        assert_eq!(found.security_event, Some(kind), "{expression}");
    }
    let listed = verdict(
        &rule(1, "deny(403)", "evaluateAddressGroup('known-bad', '198.51.100.1')"),
        &Request::get("/"),
    );
    assert_eq!(
        listed.enforced.address_groups.iter().map(|n| &**n).collect::<Vec<_>>(),
        ["known-bad"]
    );
}

#[test]
fn a_rule_without_its_database_is_inactive_or_refused() {
    let text = format!(
        "name: p\nrules:\n{}{DEFAULT_ALLOW}",
        rule(7, "deny(403)", "origin.region_code == ''")
    );
    let (policy, warnings) = compiled(&text, GeoState::Absent).unwrap();
    assert_eq!(warnings.iter().map(|w| w.code).collect::<Vec<_>>(), ["rule-inactive"]);
    assert_eq!(Request::get("/").through(&policy, &state(), NOON).0.decision, Decision::Allow);
    let (policy, _) = compiled(&text, GeoState::Loaded).unwrap();
    assert_eq!(
        Request::get("/").through(&policy, &state(), NOON).0.decision,
        Decision::Deny { status: 403 }
    );
    let problems = compiled(&text, GeoState::Required).unwrap_err();
    assert_eq!(problems[0].code, "database-required", "{}", shown(&problems));
}

#[test]
fn a_policy_in_which_nothing_decides_refuses() {
    let text = "name: p\nrules:\n- { priority: 2147483647, preview: true, action: allow, match: { srcIpRanges: ['*'] } }\n";
    let (policy, _) = compiled(text, GeoState::Loaded).unwrap();
    let found = Request::get("/").through(&policy, &state(), NOON).0;
    assert_eq!(found.decision, Decision::Deny { status: 403 });
}

#[test]
fn what_is_not_loaded_is_refused_with_its_place() {
    let text = |expression: &str| {
        format!("name: p\nrules:\n{}{DEFAULT_ALLOW}", rule(1, "deny(403)", expression))
    };
    let problems =
        compiled(&text("evaluateAddressGroup('known-bda', origin.ip)"), GeoState::Loaded)
            .unwrap_err();
    assert_eq!(problems[0].code, "unknown-list");
    assert!(problems[0].help.as_ref().unwrap().contains("known-bad"));
    assert_eq!(problems[0].at.as_ref().unwrap().text(), "''known-bda'");
    let problems =
        compiled(&text("request.path.matches('((a{100}){100}){100}')"), GeoState::Loaded)
            .unwrap_err();
    assert_eq!(problems[0].code, "regex");
}
