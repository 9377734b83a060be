//! A policy of Google's, unmodified, with Debian's Core Rule Set.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_rulesets::{RuleSet, Source};

use super::{DEFAULT_ALLOW, NOON, Request, definition, rule, shown, state};
use crate::verdict::EventKind;
use crate::waf::WafRules;
use crate::{Decision, GeoState, Materials, Policy};

/// Where Debian's package `modsecurity-crs` puts it.
const DEBIAN: &str = "/usr/share/modsecurity-crs";

fn loaded(level: u8) -> Option<BTreeMap<String, Arc<dyn WafRules>>> {
    if !Path::new(DEBIAN).is_dir() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "{DEBIAN} is required");
        println!("skipped: {DEBIAN} is not installed");
        return None;
    }
    let set = RuleSet::load("crs", &Source::Crs(DEBIAN.into()), level).expect("it compiles").set;
    let mut rulesets: BTreeMap<String, Arc<dyn WafRules>> = BTreeMap::new();
    rulesets.insert("crs".into(), Arc::new(set));
    Some(rulesets)
}

fn policy(
    rules: &str,
    rulesets: &BTreeMap<String, Arc<dyn WafRules>>,
) -> (Arc<Policy>, Vec<&'static str>) {
    let materials = Materials {
        rulesets,
        lists: &BTreeMap::new(),
        geo: GeoState::Absent,
        asn: GeoState::Absent,
    };
    let text = format!(
        "name: p\nadvancedOptionsConfig: {{ jsonParsing: STANDARD }}\nrules:\n{rules}{DEFAULT_ALLOW}"
    );
    let (policy, warnings) = Policy::compile(&definition(&text), &materials)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    (Arc::new(policy), warnings.iter().map(|warning| warning.code).collect())
}

#[test]
fn every_set_of_cloud_armor_for_crs_3_resolves() {
    let Some(rulesets) = loaded(4) else { return };
    let categories = [
        "sqli",
        "xss",
        "lfi",
        "rfi",
        "rce",
        "methodenforcement",
        "scannerdetection",
        "protocolattack",
        "php",
        "sessionfixation",
        "java",
        "nodejs",
    ];
    let rules: String = (1..)
        .zip(categories)
        .map(|(n, name)| {
            rule(
                n,
                "deny(403)",
                &format!("evaluatePreconfiguredWaf('{name}-v33-stable', {{'sensitivity': 4}})"),
            )
        })
        .collect();
    let (policy, warnings) = policy(&rules, &rulesets);
    assert_eq!(warnings, <[&str; 0]>::default());
    assert_eq!(policy.questions.len(), 12);
    assert_eq!(policy.wafs.len(), 1, "one run for all of them");
    let asked: usize = policy.questions.iter().map(|question| question.ids.len()).sum();
    assert!(asked >= 147, "{asked}");
    assert!(policy.questions.iter().all(|question| !question.ids.is_empty()));
}

#[test]
fn its_rules_refuse_and_their_signatures_are_named() {
    let Some(rulesets) = loaded(1) else { return };
    let rules =
        rule(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})")
            + &rule(
                2,
                "deny(403)",
                "evaluatePreconfiguredWaf('xss-v33-stable', {'sensitivity': 1})",
            );
    let (policy, _) = policy(&rules, &rulesets);
    let attack = Request::get("/?q=1%27%20OR%20%271%27=%271");
    let found = attack.through(&policy, &state(), NOON).0;
    assert_eq!(
        (found.decision, found.security_event),
        (Decision::Deny { status: 403 }, Some(EventKind::SqlInjection))
    );
    let ids = found.enforced.preconfigured_expr_ids;
    assert!(ids.contains(&"owasp-crs-v030301-id942100-sqli".to_owned()), "{ids:?}");
    assert_eq!(found.enforced.matched_field.unwrap().name, b"q");
    let script = Request::post("/", b"{\"a\":\"<script>alert(1)</script>\"}")
        .header("Content-Type", b"application/json");
    assert_eq!(script.through(&policy, &state(), NOON).0.enforced.priority, 2);
    let clean =
        Request::post("/", b"{\"a\":\"O'Brien\"}").header("Content-Type", b"application/json");
    assert_eq!(clean.through(&policy, &state(), NOON).0.decision, Decision::Allow);
}
