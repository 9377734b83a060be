//! Rate rules: thresholds, bans, keys and what takes an absent key's place.

use std::time::Duration;

use super::{NOON, Request, policy, state};
use crate::verdict::{ConfiguredAction, EventKind, Outcome, RateWord};
use crate::{Decision, State};

fn limit(priority: u32, action: &str, options: &str) -> String {
    format!(
        "- {{ priority: {priority}, action: {action}, match: {{ srcIpRanges: ['*'] }}, rateLimitOptions: {{ \
         rateLimitThreshold: {{ count: 3, intervalSec: 60 }}, exceedAction: deny(429), {options} }} }}\n"
    )
}

fn decisions(rules: &str, requests: &[Request]) -> Vec<bool> {
    let (policy, state) = (policy(rules), state());
    requests
        .iter()
        .map(|request| request.through(&policy, &state, NOON).0.decision.passes())
        .collect()
}

#[test]
fn a_throttle_passes_the_count_and_refuses_the_next() {
    let (policy, state) = (policy(&limit(1, "throttle", "enforceOnKey: IP")), state());
    let request = Request::get("/");
    for word in ["under", "under", "at"] {
        let found = request.through(&policy, &state, NOON).0;
        assert_eq!(found.decision, Decision::Allow, "{word}");
        assert_eq!(found.enforced.rate_limit.unwrap().outcome, RateWord::Conform);
    }
    let found = request.through(&policy, &state, NOON).0;
    let Decision::TooMany { status: 429, retry_after_secs, ban: false } = found.decision else {
        panic!("{found:?}")
    };
    assert!((1..=62).contains(&retry_after_secs), "{retry_after_secs}");
    assert_eq!(found.security_event, Some(EventKind::RateLimit));
    let rate = found.enforced.rate_limit.unwrap();
    assert_eq!((rate.key.as_str(), rate.outcome), ("192.0.2.1", RateWord::Exceed));
    assert_eq!(found.enforced.configured_action, ConfiguredAction::Throttle);
    assert!(request.clone().from("192.0.2.2").through(&policy, &state, NOON).0.decision.passes());
    let later = NOON.plus(Duration::from_secs(63));
    assert!(request.through(&policy, &state, later).0.decision.passes());
}

#[test]
fn a_ban_holds_for_its_time_and_one_address() {
    let (policy, state) =
        (policy(&limit(1, "rate_based_ban", "enforceOnKey: IP, banDurationSec: 600")), state());
    let request = Request::get("/");
    for _ in 0..3 {
        assert!(request.through(&policy, &state, NOON).0.decision.passes());
    }
    let found = request.through(&policy, &state, NOON).0;
    assert_eq!(found.decision, Decision::TooMany { status: 429, retry_after_secs: 600, ban: true });
    assert_eq!(
        (found.security_event, found.enforced.rate_limit.unwrap().outcome),
        (Some(EventKind::Ban), RateWord::Ban)
    );
    assert!(
        !request.through(&policy, &state, NOON.plus(Duration::from_secs(599))).0.decision.passes()
    );
    assert!(
        request.through(&policy, &state, NOON.plus(Duration::from_secs(600))).0.decision.passes()
    );
    assert!(request.from("192.0.2.2").through(&policy, &state, NOON).0.decision.passes());
}

#[test]
fn conforming_ends_evaluation_or_goes_on_as_written() {
    let deny = super::rule(2, "deny(403)", "request.path == '/bad'");
    for (conform, passes) in [("allow", true), ("continue", false)] {
        let rules = limit(1, "throttle", &format!("conformAction: {conform}")) + &deny;
        assert_eq!(decisions(&rules, &[Request::get("/bad")]), [passes], "{conform}");
        assert_eq!(decisions(&rules, &[Request::get("/good")]), [true], "{conform}");
    }
}

#[test]
fn keys_tell_requests_apart() {
    let base = Request::get("/");
    let cases: Vec<(&str, Request, bool)> = vec![
        ("enforceOnKey: ALL", base.clone().from("192.0.2.9"), false),
        ("enforceOnKey: IP", base.clone().from("192.0.2.9"), true),
        ("enforceOnKey: IP", base.clone(), false),
        (
            "enforceOnKey: HTTP_HEADER, enforceOnKeyName: X-Api-Key",
            base.clone().header("x-api-key", b"b"),
            true,
        ),
        (
            "enforceOnKey: HTTP_HEADER, enforceOnKeyName: X-Api-Key",
            base.clone().from("192.0.2.9"),
            false,
        ),
        (
            "enforceOnKey: HTTP_HEADER, enforceOnKeyName: X-Api-Key, fallback: ip",
            base.clone().from("192.0.2.9"),
            true,
        ),
        (
            "enforceOnKey: HTTP_COOKIE, enforceOnKeyName: sid",
            base.clone().header("cookie", b"sid=b"),
            true,
        ),
        (
            "enforceOnKey: XFF_IP",
            base.clone().header("x-forwarded-for", b"203.0.113.1, 10.0.0.1"),
            true,
        ),
        ("enforceOnKey: XFF_IP", base.clone().header("x-forwarded-for", b"nonsense"), false),
        ("enforceOnKey: XFF_IP", base.clone().from("192.0.2.9"), true),
        ("enforceOnKey: HTTP_PATH", Request::get("/other"), true),
        ("enforceOnKey: HTTP_PATH", Request::get("/?other"), false),
        ("enforceOnKey: REGION_CODE", base.clone().region("DE"), true),
        ("enforceOnKey: SNI", Request { sni: Some("other"), ..base.clone() }, true),
        ("enforceOnKey: SNI", base.clone().from("192.0.2.9"), false),
        ("enforceOnKey: TLS_JA4_FINGERPRINT", base.clone().from("192.0.2.9"), false),
        ("enforceOnKey: ASN", Request { asn: 7, ..base.clone() }, true),
        ("enforceOnKey: TENANT", base.clone().token("acme", "alice"), true),
        ("enforceOnKey: USER", base.clone().token("acme", "alice"), true),
        ("enforceOnKey: TENANT", base.clone().from("192.0.2.9"), true),
        (
            "enforceOnKey: EXPRESSION, enforceOnKeyExpression: request.method",
            Request::post("/", b""),
            true,
        ),
        (
            "enforceOnKey: EXPRESSION, enforceOnKeyExpression: request.method",
            base.clone().from("192.0.2.9"),
            false,
        ),
        ("enforceOnKey: LICENSE_KEY", Request::post("/", b"{\"license_key\":\"K\"}"), true),
        ("enforceOnKey: LICENSE_KEY", Request::post("/", b"{\"license_key\":null}"), false),
        (
            "enforceOnKeyConfigs: [{ enforceOnKeyType: IP }, { enforceOnKeyType: HTTP_PATH }]",
            Request::get("/b"),
            true,
        ),
        (
            "enforceOnKeyConfigs: [{ enforceOnKeyType: IP }, { enforceOnKeyType: HTTP_PATH }]",
            base.clone(),
            false,
        ),
    ];
    for (options, other, passes) in cases {
        let rules = limit(1, "throttle", options);
        let requests = [base.clone(), base.clone(), base.clone(), other.clone()];
        assert_eq!(decisions(&rules, &requests), [true, true, true, passes], "{options} {other:?}");
    }
}

#[test]
fn an_absent_key_skips_or_refuses_where_that_is_written() {
    let header = "enforceOnKey: HTTP_HEADER, enforceOnKeyName: x-api-key, fallback:";
    let requests = vec![Request::get("/"); 5];
    assert_eq!(decisions(&limit(1, "throttle", &format!("{header} skip")), &requests), [true; 5]);
    assert_eq!(decisions(&limit(1, "throttle", &format!("{header} deny")), &requests), [false; 5]);
}

#[test]
fn ipv6_counts_by_its_network() {
    let rules = limit(1, "throttle", "enforceOnKey: IP");
    let from = |ip: &str| Request::get("/").from(ip);
    let requests = [
        from("2001:db8::1"),
        from("2001:db8::2"),
        from("2001:db8::3"),
        from("2001:db8::4"),
        from("2001:db8:0:1::1"),
    ];
    assert_eq!(decisions(&rules, &requests), [true, true, true, false, true]);
}

#[test]
fn a_bypass_neither_counts_nor_refuses() {
    let (policy, state) = (policy(&limit(1, "throttle", "enforceOnKey: IP")), state());
    let bypass = Request { bypass: true, ..Request::get("/") };
    for _ in 0..10 {
        let found = bypass.through(&policy, &state, NOON).0;
        assert_eq!((found.decision, found.enforced.outcome), (Decision::Allow, Outcome::Exempt));
    }
    assert!(Request::get("/").through(&policy, &state, NOON).0.decision.passes());
}

#[test]
fn a_counter_counts_once_however_often_the_cursor_stops() {
    let rules = limit(1, "throttle", "enforceOnKey: IP, conformAction: continue")
        + &super::rule(2, "deny(403)", "token.tenant == 'x'")
        + &super::rule(3, "deny(403)", "request.body.contains('bad')")
        + &super::rule(4, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable')");
    let (policy, state) = (policy(&rules), state());
    for expected in [true, true, true, false] {
        let (found, _) = Request::post("/", b"fine").through(&policy, &state, NOON);
        assert_eq!(found.decision.passes(), expected);
    }
}

#[test]
fn a_reload_keeps_counts_and_bans_of_what_did_not_change() {
    let state: State = state();
    let ban = limit(1, "rate_based_ban", "enforceOnKey: IP, banDurationSec: 600");
    let throttle = limit(2, "throttle", "enforceOnKey: HTTP_PATH");
    let first = policy(&(ban.clone() + &throttle));
    let request = Request::get("/");
    for _ in 0..4 {
        request.through(&first, &state, NOON);
    }
    let second =
        policy(&(ban + &throttle + &super::rule(3, "deny(403)", "request.path == '/new'")));
    state.retire(&second.limit_ids().collect::<Vec<_>>(), NOON);
    assert!(!request.through(&second, &state, NOON).0.decision.passes());
}

#[test]
fn preview_rates_count_for_themselves_and_refuse_nothing() {
    let preview = limit(1, "rate_based_ban", "enforceOnKey: IP, banDurationSec: 600")
        .replace("action:", "preview: true, action:");
    let (policy, state) = (policy(&preview), state());
    for (n, word) in
        [RateWord::Conform, RateWord::Conform, RateWord::Conform, RateWord::Ban, RateWord::Ban]
            .iter()
            .enumerate()
    {
        let found = Request::get("/").through(&policy, &state, NOON).0;
        assert_eq!(found.decision, Decision::Allow);
        assert_eq!(found.previews[0].rate_limit.as_ref().unwrap().outcome, *word, "{n}");
    }
}
