use super::*;
use crate::correlator::Correlator;
use crate::event::Breach;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

/// An edge in small: events in, responses out.
struct Room {
    correlator: Correlator,
    responder: Responder,
}

impl Room {
    fn new(settings: ResponseSettings) -> Self {
        Self { correlator: Correlator::new(1000), responder: Responder::new(settings, 1000) }
    }

    fn see(&mut self, event: &Event) -> Planned {
        let (_, placed) = self.correlator.observe(event, event.at);
        let Some(id) = placed.incident_id else { return Planned::default() };
        let incident = self.correlator.find(&id).unwrap().clone();
        self.responder.plan(&incident, event, event.at)
    }
}

fn room() -> Room {
    Room::new(ResponseSettings::default())
}

fn event(category: Category, source: &str, secs: u64) -> Event {
    let scenario = (!category.opens_alone()).then(|| "test".to_owned());
    Event { scenario, ..Event::new("e", category, Some(source.parse().unwrap()), at(secs)) }
}

fn of_subject(category: Category, subject: &str, secs: u64) -> Event {
    let mut event = event(category, "192.0.2.1", secs);
    event.actor.subject = Some(subject.to_owned());
    event.actor.tenant = Some("own".to_owned());
    event.actor.provider = Some("idp".to_owned());
    event
}

fn breach(object: &str, exists: bool, is_cross_site: bool, secs: u64) -> Event {
    let mut event = of_subject(Category::TenantBreach, "mallory", secs);
    event.breach =
        Some(Breach { object: object.to_owned(), exists, is_cross_site, ..Breach::default() });
    event
}

fn words(planned: &Planned) -> Vec<String> {
    planned.responses.iter().map(|response| response.action.to_string()).collect()
}

fn held_back(planned: &Planned) -> Vec<(&'static str, Withheld)> {
    planned.withheld.iter().map(|(action, why)| (action.as_str(), *why)).collect()
}

#[test]
fn the_seeds_three_answers_are_the_default() {
    let flood = event(Category::Ddos, "192.0.2.7", 0);
    let planned = room().see(&flood);
    assert_eq!(words(&planned), ["ban 192.0.2.7"]);
    assert_eq!(planned.responses[0].until, at(3600));
    let planned = room().see(&of_subject(Category::SqlInjection, "alice", 0));
    assert_eq!(words(&planned), ["limit user:alice"]);
    assert_eq!(planned.responses[0].until, at(3600));
    let mut room = room();
    room.see(&breach("l-1", true, false, 0));
    room.see(&breach("l-2", true, false, 1));
    let planned = room.see(&breach("l-3", true, false, 2));
    assert_eq!(
        words(&planned),
        [
            "suspend user:mallory",
            "revoke tokens of user:mallory",
            "release sessions of user:mallory"
        ]
    );
}

/// Each row: what an attacker arranges, and that nobody innocent is touched.
#[test]
fn nobody_can_be_framed() {
    let never_bans = |planned: &Planned| {
        let bans = |r: &Response| matches!(r.action, Action::BanSource(_) | Action::Suspend { .. });
        !planned.responses.iter().any(bans)
    };
    let waf = [
        Category::SqlInjection,
        Category::Xss,
        Category::LocalFile,
        Category::RemoteFile,
        Category::CommandExecution,
        Category::ProtocolAttack,
        Category::Scanner,
    ];
    for category in waf {
        let mut room = room();
        for secs in 0..100 {
            assert!(never_bans(&room.see(&event(category, "192.0.2.1", secs))), "{category:?}");
        }
    }
    let quiet = [
        Category::RateLimit,
        Category::Ban,
        Category::GeoBlock,
        Category::IpBlock,
        Category::LoginFailed,
        Category::ImpossibleTravel,
        Category::SignerFailure,
    ];
    for category in quiet {
        assert_eq!(room().see(&of_subject(category, "alice", 0)), Planned::default());
    }
    for (name, exists, is_cross_site) in [
        ("a link from another site", true, true),
        ("a stale bookmark", false, false),
        ("a link to nothing", false, true),
    ] {
        let mut room = room();
        for n in 0..50 {
            let planned = room.see(&breach(&format!("l-{n}"), exists, is_cross_site, n));
            assert_eq!(planned, Planned::default(), "{name}");
        }
    }
    let mut room = room();
    for secs in 0..50 {
        let planned = room.see(&breach("the same", true, false, secs));
        assert!(never_bans(&planned), "one object, however often");
    }
    let mut unsigned = breach("l-1", true, false, 0);
    unsigned.actor.subject = None;
    assert_eq!(
        self::room().see(&unsigned),
        Planned::default(),
        "no verified subject, no suspension"
    );
}

#[test]
fn a_source_that_several_subjects_share_is_never_banned() {
    for (subjects, category) in [
        (2, Category::Ddos),
        (3, Category::CredentialStuffing),
        (400, Category::BruteForce),
        (2, Category::TokenForgery),
    ] {
        let mut room = room();
        for n in 0..subjects {
            room.responder.note_valid("192.0.2.1".parse().unwrap(), &format!("u{n}"), at(0));
        }
        let planned = room.see(&event(category, "192.0.2.1", 10));
        assert_eq!(planned.responses, [], "{category:?}");
        assert!(held_back(&planned).iter().all(|(_, why)| *why == Withheld::SharedSource));
    }
    let mut room = room();
    room.responder.note_valid("192.0.2.1".parse().unwrap(), "one", at(0));
    room.responder.note_valid("192.0.2.1".parse().unwrap(), "one", at(1));
    assert_eq!(words(&room.see(&event(Category::Ddos, "192.0.2.1", 10))), ["ban 192.0.2.1"]);
    let mut room = self::room();
    for n in 0..3 {
        room.responder.note_valid("192.0.2.1".parse().unwrap(), &format!("u{n}"), at(0));
    }
    let later = event(Category::Ddos, "192.0.2.1", 3600);
    assert_eq!(words(&room.see(&later)), ["ban 192.0.2.1"], "an hour later it speaks no more");
}

#[test]
fn thin_evidence_is_kept_and_nobody_is_suspended() {
    let mut room = room();
    let planned = room.see(&breach("l-1", true, false, 0));
    assert_eq!(words(&planned), ["capture evidence"]);
    let thin = Withheld::ThinEvidence;
    assert_eq!(
        held_back(&planned),
        [("USER_SUSPENDED", thin), ("TOKENS_REVOKED", thin), ("SESSIONS_RELEASED", thin)]
    );
}

#[test]
fn the_allow_list_goes_first() {
    let office: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    let allow = move |target: &Target| match target {
        Target::Source(net) => net.contains(&office),
        Target::Subject(subject) => subject == "health",
        Target::Fingerprint(_) | Target::Place(_) => false,
    };
    let settings = || ResponseSettings { allow: Arc::new(allow), ..ResponseSettings::default() };
    let mut room = Room::new(settings());
    let planned = room.see(&event(Category::Ddos, "192.0.2.1", 0));
    assert_eq!(held_back(&planned), [("SOURCE_BANNED", Withheld::Allowed)]);
    let planned = room.see(&of_subject(Category::SqlInjection, "health", 0));
    assert_eq!(held_back(&planned), [("RATE_LIMIT_APPLIED", Withheld::Allowed)]);
    assert_eq!(words(&room.see(&event(Category::BruteForce, "192.0.2.2", 0))), ["ban 192.0.2.2"]);
}

#[test]
fn there_is_a_cap_per_time() {
    let settings = ResponseSettings { responses_max: 3, ..ResponseSettings::default() };
    let mut room = Room::new(settings);
    let mut sources = (1..).map(|n| format!("192.0.2.{n}"));
    let mut see = |secs| room.see(&event(Category::BruteForce, &sources.next().unwrap(), secs));
    for secs in 0..3 {
        assert_eq!(see(secs).responses.len(), 1);
    }
    assert_eq!(held_back(&see(3)), [("SOURCE_BANNED", Withheld::CapReached)]);
    assert_eq!(see(599).responses.len(), 0);
    assert_eq!(see(600).responses.len(), 1);
}

#[test]
fn what_holds_is_not_done_twice_and_everything_ends() {
    let mut room = room();
    let flood = |secs| event(Category::Ddos, "192.0.2.1", secs);
    assert_eq!(room.see(&flood(0)).responses.len(), 1);
    assert_eq!(room.see(&flood(1)), Planned::default());
    assert_eq!(room.responder.tick(at(3599)), []);
    let ended = room.responder.tick(at(3600));
    assert_eq!(ended.len(), 1);
    assert!(ended[0].action.has_undo());
    assert!(room.responder.active().is_empty());
    assert_eq!(room.see(&flood(3601)).responses.len(), 1, "and begins again");
}

#[test]
fn an_operator_takes_everything_of_an_incident_back() {
    let mut room = room();
    room.see(&event(Category::BruteForce, "192.0.2.1", 0));
    let planned = room.see(&event(Category::BruteForce, "192.0.2.2", 0));
    let id = planned.responses[0].incident.clone();
    let undone = room.responder.undo(&id);
    let expected = Response { is_undone: true, ..planned.responses[0].clone() };
    assert_eq!(undone, [expected]);
    assert_eq!(room.responder.active().len(), 1);
    assert_eq!(room.responder.undo(&id), []);
    let again = room.see(&event(Category::BruteForce, "192.0.2.2", 1));
    assert_eq!(again, Planned::default(), "what an operator took back is not done again");
    assert_eq!(room.responder.tick(at(3600)).len(), 2);
    let later = room.see(&event(Category::BruteForce, "192.0.2.2", 3601));
    assert_eq!(later.responses.len(), 1, "until its time is over");
}

#[test]
fn a_dry_run_is_told_from_a_real_one_and_a_restart_goes_on() {
    let settings = ResponseSettings { dry_run: true, ..ResponseSettings::default() };
    let mut room = Room::new(settings);
    let planned = room.see(&event(Category::Ddos, "2001:db8::5", 0));
    assert!(planned.responses[0].is_dry_run);
    assert_eq!(words(&planned), ["ban 2001:db8::/64"]);
    let mut after = Responder::new(ResponseSettings::default(), 10);
    after.restore(room.responder.active().to_vec());
    assert_eq!(after.active(), planned.responses);
}

#[test]
fn no_signature_bans_or_suspends_whatever_the_plan_says() {
    let plan = Category::ALL
        .iter()
        .map(|category| PlanRule {
            category: *category,
            at: crate::Priority::P3,
            actions: vec![ActionKind::Ban, ActionKind::BanFingerprint, ActionKind::Suspend],
        })
        .collect();
    let mut room = Room::new(ResponseSettings { plan, ..ResponseSettings::default() });
    let mut sqli = of_subject(Category::SqlInjection, "victim", 0);
    sqli.actor.fingerprint = Some("t13d".to_owned());
    let planned = room.see(&sqli);
    assert_eq!(words(&planned), Vec::<String>::new());
    assert_eq!(
        held_back(&planned),
        [
            ("SOURCE_BANNED", Withheld::SignatureAlone),
            ("FINGERPRINT_BANNED", Withheld::SignatureAlone),
            ("USER_SUSPENDED", Withheld::ThinEvidence),
        ]
    );
}

#[test]
fn no_source_is_banned_before_it_is_known_who_shares_it() {
    let settings =
        ResponseSettings { learn: Duration::from_secs(60), ..ResponseSettings::default() };
    let mut room = Room::new(settings);
    room.responder.begin(at(0));
    let flood = |secs| event(Category::BruteForce, "192.0.2.1", secs);
    assert_eq!(held_back(&room.see(&flood(59))), [("SOURCE_BANNED", Withheld::Learning)]);
    assert_eq!(words(&room.see(&flood(60))), ["ban 192.0.2.1"]);
}

#[test]
fn a_plan_goes_by_category_and_priority() {
    let rule = |at, actions: &[ActionKind]| PlanRule {
        category: Category::Ddos,
        at,
        actions: actions.to_vec(),
    };
    let plan = vec![
        rule(crate::Priority::P1, &[ActionKind::Raise]),
        rule(crate::Priority::P0, &[ActionKind::LockDown]),
    ];
    let mut room = Room::new(ResponseSettings { plan, ..ResponseSettings::default() });
    let mut flood = event(Category::Ddos, "192.0.2.1", 0);
    flood.route = "a.test/api/".to_owned();
    assert_eq!(words(&room.see(&flood)), ["raise the protection of a.test/api/"]);
    let changes = room.correlator.tick(at(900));
    assert_eq!(changes.len(), 1, "nobody answered: P0");
    flood.at = at(901);
    assert_eq!(words(&room.see(&flood)), ["lock down a.test/api/"]);
}
