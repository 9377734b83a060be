//! Reloads of a whole configuration in a directory of its own.

use std::path::Path;

use arc_swap::ArcSwap;
use portcullis_identity::assertion::AssertionKey;
use portcullis_policy::{Limits, State};
use tempfile::TempDir;

use super::*;
use crate::clock::Manual;
use crate::compile::compile;
use crate::dev;
use crate::events::Events;
use crate::log::{RequestLog, Target};
use crate::metrics::Metrics;

/// A served configuration and the directory that it was made of.
struct Served {
    dir: TempDir,
    shared: Arc<Shared>,
    clock: Arc<Manual>,
    reloader: Reloader,
}

const TEXT: &str = include_str!("../../../config/examples/development.yaml");

impl Served {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let embedded = Origin::Embedded { data_dir: dir.path().to_owned() };
        dev::prepare(&embedded.load().unwrap().config, Timestamp::from_secs(1_000)).unwrap();
        let file = dir.path().join("portcullis.yaml");
        std::fs::write(&file, TEXT).unwrap();
        let origin = Origin::File(file);
        let (snapshot, _) = compile(origin.load().unwrap(), 1).unwrap();
        let metrics = Metrics::new();
        let clock = Arc::new(Manual::at(Timestamp::from_secs(1_000)));
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            state: State::new(Limits::default()),
            allowances: crate::bans::Allowances::default(),
            tokens: portcullis_identity::TokenCache::new(16),
            api_keys: crate::api_keys::KeyBook::default(),
            owners: portcullis_identity::OwnerIndex::new(16),
            revocations: crate::revocations::RevocationBook::default(),
            sign_ins: crate::sign_in::SignIns::new(),
            logins: crate::login::Logins::new(),
            report_rate: crate::csp::ReportRate::default(),
            lockdowns: crate::lockdown::Lockdowns::default(),
            signing: crate::signing::Signing::open(
                AssertionKey::generate().unwrap().0,
                std::env::temp_dir().join(format!("edge-keys-{}.json", uuid::Uuid::now_v7())),
            )
            .unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn crate::clock::Clock>,
            recent: crate::recent::Recent::new(1000),
            requests: RequestLog::open(Target::Off, &metrics).unwrap(),
            tightened: crate::incidents::Tightened::default(),
            events: Events::new(&metrics).0,
            capture: None,
            tickets: crate::tickets::Tickets::new(Vec::new()),
            proofs: crate::acme::Proofs::default(),
            metrics,
        });
        let audit = Arc::new(Audit::open(&dir.path().join("audit.jsonl")).unwrap());
        let reloader = Reloader::new(Arc::clone(&shared), origin, audit).unwrap();
        Self { dir, shared, clock, reloader }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn reload(&self) -> Result<ReloadView, Failure> {
        self.reloader.reload(&Actor::Uid(7), None)
    }

    fn generation(&self) -> u64 {
        self.shared.snapshot.load().generation
    }

    fn counted(&self, result: &str) -> u64 {
        self.shared.metrics.config_reloads.with_label_values(&[result]).get()
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("audit.jsonl")).unwrap()
    }
}

#[test]
fn a_changed_list_is_published_and_what_has_not_changed_is_not() {
    let served = Served::new();
    let view = served.reload().unwrap();
    assert_eq!((view.changed, view.generation), (false, 1));
    served.write("dev/known-bad.txt", "192.0.2.99\n");
    let view = served.reload().unwrap();
    assert_eq!((view.changed, view.generation, served.generation()), (true, 2, 2));
    assert!(view.probes.iter().any(|probe| probe.contains("an SQL injection: 403")), "{view:?}");
    assert_eq!((served.counted("ok"), served.counted("error")), (2, 0));
    assert_eq!(served.audit().lines().count(), 2);
    assert!(served.audit().contains("uid:7"));
}

#[test]
fn a_rule_set_of_which_nothing_has_changed_is_taken_over() {
    let served = Served::new();
    let core = || Arc::clone(&served.shared.snapshot.load().rulesets["core"].set);
    let first = core();
    served.write("dev/known-bad.txt", "192.0.2.99\n");
    assert!(served.reload().unwrap().changed);
    assert!(Arc::ptr_eq(&core(), &first));
    // Another level compiles it anew.
    served.write("policy.yaml", AT_LEVEL_2);
    let text =
        TEXT.replace("license-api: { builtin: license-api }", "license-api: { file: policy.yaml }");
    served.write("portcullis.yaml", &text);
    assert!(served.reload().unwrap().changed);
    assert!(!Arc::ptr_eq(&core(), &first));
}

const AT_LEVEL_2: &str = r#"
name: license-api
rules:
  - priority: 10
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 2})" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

#[test]
fn a_bad_file_keeps_the_last_good_snapshot_and_says_why() {
    let served = Served::new();
    let (_, other) = pair(served.dir.path());
    for (name, good, bad, said) in [
        ("portcullis.yaml", TEXT.to_owned(), TEXT.replace("hosts:", "hots:"), "hots"),
        ("dev/known-bad.txt", String::new(), "nobody\n".to_owned(), "nobody"),
        ("dev/jwks.json", read(&served, "dev/jwks.json"), "{}".to_owned(), "provider `dev`"),
        ("dev/tls.key", read(&served, "dev/tls.key"), other, "does not belong to"),
    ] {
        served.write(name, &bad);
        let failure = served.reload().unwrap_err();
        let whole = format!("{}\n{}", failure.error, failure.problems.join("\n"));
        assert!(whole.contains(said), "{name}: {whole}");
        assert_eq!(served.generation(), 1);
        assert_eq!(served.shared.metrics.config_last_reload_success.get(), 0);
        assert_eq!(served.reloader.last().1, Some(failure.error));
        served.write(name, &good);
        served.write("dev/known-bad.txt", "");
    }
    assert_eq!(served.counted("error"), 4);
}

#[test]
fn the_watch_speaks_once_of_one_mistake() {
    let served = Served::new();
    served.write("dev/known-bad.txt", "nobody\n");
    for _ in 0..3 {
        served.reloader.reload(&Actor::Watch, None).unwrap_err();
    }
    assert_eq!(served.counted("error"), 1);
    served.write("dev/known-bad.txt", "192.0.2.1\n");
    assert!(served.reloader.reload(&Actor::Watch, None).unwrap().changed);
    assert!(!served.reloader.reload(&Actor::Watch, None).unwrap().changed);
    assert_eq!(served.counted("ok"), 1);
    assert_eq!(served.reloader.last().1, None);
}

#[test]
fn what_needs_a_new_process_is_refused_by_its_name() {
    let served = Served::new();
    served.write("portcullis.yaml", &TEXT.replace("127.0.0.1:8443", "127.0.0.1:8444"));
    let failure = served.reload().unwrap_err();
    assert!(failure.error.contains("cannot change `listeners`: restart"), "{}", failure.error);
    assert_eq!(served.generation(), 1);
}

#[test]
fn a_reload_un_bans_nobody() {
    let served = Served::new();
    let now = served.shared.clock.now();
    let ban = portcullis_policy::Ban {
        key: "192.0.2.7".parse().unwrap(),
        until: None,
        since: now,
        reason: String::new(),
        origin: portcullis_policy::BanOrigin::Operator("test".to_owned()),
        definition: None,
        generation: 1,
    };
    served.shared.state.add_ban(ban, now).unwrap();
    served.write("dev/known-bad.txt", "192.0.2.99\n");
    assert!(served.reload().unwrap().changed);
    assert_eq!(served.shared.state.bans(now).len(), 1);
}

fn read(served: &Served, name: &str) -> String {
    std::fs::read_to_string(served.dir.path().join(name)).unwrap()
}

/// A certificate and key that belong together and to nothing else.
fn pair(dir: &Path) -> (String, String) {
    let (cert, key) = (dir.join("other.crt"), dir.join("other.key"));
    dev::make_certificate(&cert, &key, &["localhost".to_owned()], Timestamp::from_secs(1_000))
        .unwrap();
    (std::fs::read_to_string(cert).unwrap(), std::fs::read_to_string(key).unwrap())
}

/// Serves generation 2, whose list names one address more than generation 1's.
fn changed(confirm: Option<Duration>) -> Served {
    let served = Served::new();
    served.write("dev/known-bad.txt", "192.0.2.99\n");
    assert!(served.reloader.reload(&Actor::Uid(7), confirm).unwrap().changed);
    served
}

#[test]
fn a_rollback_serves_the_generation_before_and_the_watch_leaves_it_so() {
    let served = Served::new();
    assert!(
        served.reloader.roll_back(&Actor::Uid(7)).unwrap_err().error.contains("one generation")
    );
    let first = served.shared.snapshot.load().fingerprint.clone();
    served.write("dev/known-bad.txt", "192.0.2.99\n");
    assert!(served.reload().unwrap().changed);
    let view = served.reloader.roll_back(&Actor::Uid(7)).unwrap();
    assert_eq!((view.changed, view.generation), (true, 3));
    assert_eq!(view.fingerprint, first);
    assert_eq!(served.shared.snapshot.load().fingerprint, first);
    assert!(served.reloader.standing().is_rolled_back);
    assert!(
        !served.reloader.reload(&Actor::Watch, None).unwrap().changed,
        "the files have not changed"
    );
    served.write("dev/known-bad.txt", "192.0.2.98\n");
    assert!(served.reloader.reload(&Actor::Watch, None).unwrap().changed, "now they have");
    assert!(!served.reloader.standing().is_rolled_back);
    assert!(served.audit().contains("\"policy rollback\""));
}

#[test]
fn an_operator_may_publish_again_what_was_rolled_back() {
    let served = changed(None);
    served.reloader.roll_back(&Actor::Uid(7)).unwrap();
    assert!(served.reload().unwrap().changed);
}

#[test]
fn an_unconfirmed_reload_is_taken_back_at_its_time_and_not_before() {
    let served = changed(Some(Duration::from_secs(300)));
    assert!(served.reload().unwrap_err().error.contains("awaits a confirmation"));
    served.clock.advance(Duration::from_millis(299_999));
    served.reloader.revert_if_due();
    assert_eq!(served.generation(), 2);
    served.clock.advance(Duration::from_millis(1));
    served.reloader.revert_if_due();
    assert_eq!(served.generation(), 3);
    assert!(served.audit().contains("\"timer\""));
    served.reloader.revert_if_due();
    assert_eq!(served.generation(), 3, "once");
}

#[test]
fn a_confirmed_reload_stays() {
    let served = changed(Some(Duration::from_secs(300)));
    assert_eq!(served.reloader.keep(&Actor::Uid(7)).unwrap().generation, 2);
    assert!(served.reloader.keep(&Actor::Uid(7)).is_err());
    served.clock.advance(Duration::from_secs(301));
    served.reloader.revert_if_due();
    assert_eq!(served.generation(), 2);
}
/// Everything that can be wrong with a directory of rules, each by what `check` says of it and the file it stands in.
const BROKEN_RULES: &[(&str, &str, &str)] = &[
    ("10-broken.conf", "SecRule ARGS \"@rx a", "this quote is never closed"),
    ("20-data.conf", "SecRule ARGS \"@pmFromFile gone.data\" \"id:20,pass\"", "gone.data"),
    (
        "30-size.conf",
        "SecRule ARGS \"@rx (?:(?:[a-z]{1000}){1000}){1000}\" \"id:30,pass\"",
        "the pattern needs more",
    ),
    (
        "40-nowhere.conf",
        "SecRule ARGS \"@rx a\" \"id:40,pass,skipAfter:NOWHERE\"",
        "skips to nowhere",
    ),
    (
        "50-backwards.conf",
        "SecMarker BACK\nSecRule ARGS \"@rx a\" \"id:50,pass,skipAfter:BACK\"",
        "skips to nowhere",
    ),
    ("60-loop.conf", "Include 60-loop.conf", "includes itself"),
    ("70-twice.conf", "SecAction \"id:70,pass\"\nSecAction \"id:70,pass\"", "the id 70 is taken"),
    ("80-unknown.conf", "SecRule ARGS \"@rx a\" \"id:80,pass,denyy\"", "unknown action `denyy`"),
];

#[test]
fn everything_wrong_with_a_rules_directory_is_said_at_once_and_nothing_of_it_is_loaded() {
    let served = Served::new();
    let rules = served.dir.path().join("crs/rules");
    std::fs::create_dir_all(&rules).unwrap();
    served.write("crs/crs-setup.conf", "");
    served.write("crs/rules/00-good.conf", "SecAction \"id:1,pass,ver:'OWASP_CRS/3.3.4'\"");
    let with_rules = TEXT
        .replace("{ core: { builtin: core } }", "{ core: { builtin: core }, own: { crs: crs } }");
    served.write("portcullis.yaml", &with_rules);
    assert!(served.reload().unwrap().changed);
    let generation = served.generation();
    for (file, text, _) in BROKEN_RULES {
        served.write(&format!("crs/rules/{file}"), text);
    }
    let failure = served.reload().unwrap_err();
    let whole = failure.problems.join("\n");
    for (file, _, said) in BROKEN_RULES {
        let line = failure.problems.iter().find(|line| line.contains(file) && line.contains(said));
        assert!(line.is_some(), "{file}: {said}\n{whole}");
    }
    assert_eq!(failure.problems.len(), BROKEN_RULES.len(), "{whole}");
    assert_eq!(served.generation(), generation, "the previous program stays");
    for (file, _, _) in BROKEN_RULES {
        std::fs::remove_file(rules.join(file)).unwrap();
    }
    served.write("crs/rules/00-good.conf", "SecAction \"id:2,pass,ver:'OWASP_CRS/3.3.4'\"");
    assert!(served.reload().unwrap().changed);
}
