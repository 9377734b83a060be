//! The seeds' policies, imported and fixed, against requests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_config::SourceFile;
use portcullis_config::armor;
use portcullis_config::armor::import::{Reach, fix, import};
use portcullis_rulesets::{RuleSet, Source};

use super::{NOON, Request, shown, state};
use crate::waf::WafRules;
use crate::{Decision, GeoState, IpSet, Materials, Policy};

fn seed(name: &str) -> Option<SourceFile> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let beside = root
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|folder| folder.join("seeds").is_dir());
    let text = given
        .or(beside)
        .and_then(|shared| std::fs::read_to_string(shared.join("seeds").join(name)).ok());
    if text.is_none() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "the seed {name} is required");
        println!("skipped: the seed {name} is not beside the repository");
    }
    text.map(|text| SourceFile::new(name, text))
}

fn fixed(name: &str) -> Option<Arc<Policy>> {
    let imported = import(&[seed(name)?]);
    let fixed = fix(&imported.policies[0], Reach::Enforce);
    let (definition, _) = armor::parse(&SourceFile::new("fixed.yaml", fixed.yaml)).unwrap();
    let core = RuleSet::load("core", &Source::Builtin("core".into()), 1)
        .expect("the built-in rules compile")
        .set;
    let mut rulesets: BTreeMap<String, Arc<dyn WafRules>> = BTreeMap::new();
    rulesets.insert("core".into(), core);
    let lists = fixed.lists.into_iter().map(|list| (list, Arc::new(IpSet::default()))).collect();
    let materials = Materials {
        rulesets: &rulesets,
        lists: &lists,
        geo: GeoState::Loaded,
        asn: GeoState::Absent,
    };
    let compiled = Policy::compile(&definition, &materials);
    Some(Arc::new(compiled.unwrap_or_else(|problems| panic!("{}", shown(&problems))).0))
}

fn status(policy: &Arc<Policy>, request: &Request) -> u16 {
    match request.through(policy, &state(), NOON).0.decision {
        Decision::Allow => 200,
        Decision::Deny { status }
        | Decision::TooMany { status, .. }
        | Decision::Redirect { status, .. } => status,
    }
}

fn hundred_and_first(policy: &Arc<Policy>, request: &Request) -> Vec<u16> {
    let state = state();
    let mut statuses = Vec::new();
    for _ in 0..101 {
        statuses.push(match request.through(policy, &state, NOON).0.decision {
            Decision::TooMany { status, ban: true, .. } => status,
            Decision::Allow => 200,
            other @ (Decision::Deny { .. }
            | Decision::TooMany { .. }
            | Decision::Redirect { .. }) => panic!("{other:?}"),
        });
    }
    statuses
}

#[test]
fn the_fixed_first_seed_refuses_what_it_was_meant_to() {
    let Some(policy) = fixed("policy-a.tf") else { return };
    let (clean, attack) =
        (Request::get("/api/v1/licenses/1"), Request::get("/?q=1%27%20OR%20%271%27=%271"));
    for (request, expected) in [
        (clean.clone().region("US"), 200),
        (attack.clone().region("US"), 403),
        (clean.clone().region("IN"), 403),
        (clean.clone().region(""), 200),
        (attack.region(""), 403),
    ] {
        assert_eq!(status(&policy, &request), expected, "{request:?}");
    }
    let statuses = hundred_and_first(&policy, &clean.region("US"));
    assert_eq!((statuses[99], statuses[100]), (200, 429));
}

#[test]
fn the_fixed_second_seed_refuses_what_it_was_meant_to() {
    let Some(policy) = fixed("policy-b.tf") else { return };
    let (clean, attack) =
        (Request::get("/api/v1/licenses/1"), Request::get("/?q=1%27%20OR%20%271%27=%271"));
    for (region, expected) in
        [("CN", 403), ("RU", 403), ("KP", 403), ("US", 200), ("IN", 200), ("", 200)]
    {
        assert_eq!(status(&policy, &clean.clone().region(region)), expected, "{region}");
        assert_eq!(status(&policy, &attack.clone().region(region)), 403, "{region}");
    }
    let statuses = hundred_and_first(&policy, &clean.region("US"));
    assert_eq!((statuses[99], statuses[100]), (200, 429));
}
