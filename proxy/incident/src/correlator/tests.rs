use super::*;
use crate::event::{Breach, Rule};

fn at(secs: u64) -> Timestamp {
    // 2025-11-30 at midnight.
    Timestamp::from_secs(1_764_460_800 + secs)
}

fn event(category: Category, source: &str, secs: u64) -> Event {
    Event::new("e", category, Some(source.parse().unwrap()), at(secs))
}

fn observe(correlator: &mut Correlator, event: &Event) -> Vec<ChangeKind> {
    correlator.observe(event, event.at).0.into_iter().map(|change| change.kind).collect()
}

fn kinds(changes: Vec<Change>) -> Vec<ChangeKind> {
    changes.into_iter().map(|change| change.kind).collect()
}

#[test]
fn events_of_one_cause_are_one_incident_with_the_seeds_id() {
    let mut correlator = Correlator::new(100);
    let sqli = |secs| event(Category::SqlInjection, "192.0.2.1", secs);
    assert_eq!(observe(&mut correlator, &sqli(0)), [ChangeKind::Opened]);
    for secs in 1..50 {
        assert_eq!(observe(&mut correlator, &sqli(secs)), [ChangeKind::Joined]);
    }
    let (_, placed) = correlator.observe(&sqli(50), at(50));
    assert_eq!(placed.incident_id.as_deref(), Some("INC-2025-11-30-001"));
    assert_eq!(placed.dedup_key.as_deref(), Some("SQL_INJECTION||192.0.2.1"));
    assert_eq!(correlator.find("INC-2025-11-30-001").unwrap().count, 51);
    let other = event(Category::SqlInjection, "192.0.2.2", 60);
    assert_eq!(observe(&mut correlator, &other), [ChangeKind::Opened]);
    let next_day = event(Category::Xss, "192.0.2.1", 86_400);
    let (_, placed) = correlator.observe(&next_day, next_day.at);
    assert_eq!(placed.incident_id.as_deref(), Some("INC-2025-12-01-001"));
}

#[test]
fn a_subject_is_one_cause_wherever_it_comes_from() {
    let mut correlator = Correlator::new(100);
    for (n, source) in ["192.0.2.1", "192.0.2.2", "2001:db8::1"].into_iter().enumerate() {
        let mut sqli = event(Category::SqlInjection, source, n as u64);
        sqli.actor.subject = Some("alice".to_owned());
        sqli.actor.tenant = Some("acme".to_owned());
        observe(&mut correlator, &sqli);
    }
    assert_eq!(correlator.incidents().len(), 1);
    assert_eq!(correlator.incidents()[0].sources.len(), 3);
    assert_eq!(correlator.incidents()[0].dedup_key, "SQL_INJECTION|acme|alice");
}

#[test]
fn one_refused_request_opens_nothing_and_a_finding_does() {
    let mut correlator = Correlator::new(100);
    for category in [Category::RateLimit, Category::LoginFailed, Category::Ban, Category::GeoBlock]
    {
        let (changes, placed) = correlator.observe(&event(category, "192.0.2.1", 0), at(0));
        assert!(changes.is_empty());
        assert_eq!(placed, Placed::default());
    }
    let found = Event {
        scenario: Some("scan-paths".to_owned()),
        ..event(Category::Scanner, "192.0.2.1", 1)
    };
    assert_eq!(observe(&mut correlator, &found), [ChangeKind::Opened]);
    let later = event(Category::Scanner, "192.0.2.1", 2);
    assert_eq!(observe(&mut correlator, &later), [ChangeKind::Joined]);
}

#[test]
fn evidence_raises_but_never_to_p0() {
    let mut correlator = Correlator::new(100);
    let mut raised = Vec::new();
    for n in 0..200_u64 {
        let mut sqli = event(Category::SqlInjection, &format!("192.0.2.{n}"), n);
        sqli.actor.subject = Some("alice".to_owned());
        sqli.rule = Some(Rule { id: n.to_string(), ..Rule::default() });
        sqli.count = 100;
        raised.extend(observe(&mut correlator, &sqli));
    }
    raised.retain(|kind| *kind != ChangeKind::Joined);
    assert_eq!(raised, [ChangeKind::Opened, ChangeKind::Raised(Priority::P1)]);
}

#[test]
fn a_breach_that_was_meant_is_p0_and_a_stale_bookmark_is_p2() {
    let breach = |exists, is_cross_site| {
        let mut breach = event(Category::TenantBreach, "192.0.2.1", 0);
        breach.actor.subject = Some("alice".to_owned());
        breach.breach =
            Some(Breach { object: "l-1".to_owned(), exists, is_cross_site, ..Breach::default() });
        let mut correlator = Correlator::new(100);
        correlator.observe(&breach, at(0));
        correlator.incidents()[0].priority
    };
    assert_eq!(breach(true, false), Priority::P0);
    assert_eq!(breach(true, true), Priority::P2);
    assert_eq!(breach(false, false), Priority::P2);
}

#[test]
fn unanswered_incidents_escalate_after_the_times_of_the_table() {
    for (category, minutes, raised) in [
        (Category::TenantBreach, 60, Priority::P1),
        (Category::SqlInjection, 60, Priority::P1),
        (Category::Ddos, 15, Priority::P0),
        (Category::ConfigTamper, 5, Priority::P0),
    ] {
        let mut correlator = Correlator::new(100);
        observe(&mut correlator, &event(category, "192.0.2.1", 0));
        assert_eq!(correlator.tick(at(minutes * 60 - 1)), [], "{category:?}");
        let changes = kinds(correlator.tick(at(minutes * 60)));
        assert_eq!(changes, [ChangeKind::Unanswered(raised)], "{category:?}");
        assert_eq!(correlator.tick(at(minutes * 60 + 1)), []);
        assert_eq!(correlator.figures().unanswered_total, 1);
    }
}

#[test]
fn an_answered_incident_does_not_escalate_and_calms_down() {
    let mut correlator = Correlator::new(100);
    observe(&mut correlator, &event(Category::SqlInjection, "192.0.2.1", 0));
    correlator.tick(at(3600));
    let id = correlator.incidents()[0].id.clone();
    let change = correlator.acknowledge(&id, "ann", at(3700)).unwrap();
    assert_eq!(change.kind, ChangeKind::Acknowledged("ann".to_owned()));
    assert_eq!(kinds(correlator.tick(at(3701))), [ChangeKind::Lowered(Priority::P2)]);
    assert_eq!(correlator.tick(at(7199)), []);
    assert_eq!(kinds(correlator.tick(at(7200))), [ChangeKind::Resolved(None)]);
}

#[test]
fn the_states_follow_each_other_and_a_resolved_incident_reopens() {
    let mut correlator = Correlator::new(100);
    let sqli = |secs| event(Category::SqlInjection, "192.0.2.1", secs);
    observe(&mut correlator, &sqli(0));
    let id = correlator.incidents()[0].id.clone();
    assert_eq!(
        correlator.acknowledge("INC-1", "ann", at(1)),
        Err(NoChange::Unknown("INC-1".to_owned()))
    );
    assert!(correlator.acknowledge(&id, "ann", at(1)).is_ok());
    assert_eq!(
        correlator.acknowledge(&id, "bob", at(2)),
        Err(NoChange::Already(id.clone(), "acknowledged"))
    );
    assert!(correlator.contain(&id, "ann", at(3)).is_ok());
    assert!(correlator.resolve(&id, "ann", at(4)).is_ok());
    assert!(correlator.resolve(&id, "ann", at(5)).is_err());
    assert_eq!(observe(&mut correlator, &sqli(10)), [ChangeKind::Reopened]);
    assert_eq!(correlator.find(&id).unwrap().status, Status::Open);
    let timeline: Vec<_> =
        correlator.find(&id).unwrap().timeline.iter().map(|m| m.what.as_str()).collect();
    assert_eq!(
        timeline,
        ["opened at P2", "acknowledged by ann", "contained by ann", "resolved by ann", "reopened"]
    );
    correlator.resolve(&id, "ann", at(11)).unwrap();
    assert_eq!(observe(&mut correlator, &sqli(10 + 86_400)), [ChangeKind::Opened]);
}

#[test]
fn quiet_closes_everything_but_p0() {
    let mut correlator = Correlator::new(100);
    let scan = Event {
        scenario: Some("scan-paths".to_owned()),
        ..event(Category::Scanner, "192.0.2.1", 0)
    };
    observe(&mut correlator, &scan);
    observe(&mut correlator, &event(Category::ConfigTamper, "192.0.2.1", 0));
    assert!(!kinds(correlator.tick(at(1799))).contains(&ChangeKind::Resolved(None)));
    assert!(kinds(correlator.tick(at(1800))).contains(&ChangeKind::Resolved(None)));
    let all = kinds(correlator.tick(at(1_000_000)));
    assert!(!all.contains(&ChangeKind::Resolved(None)), "{all:?}");
}

#[test]
fn a_flood_is_one_incident_and_the_table_is_bounded() {
    let mut correlator = Correlator::new(10);
    let flood =
        Event { count: 1_000_000, route: "/".to_owned(), ..event(Category::Ddos, "192.0.2.1", 0) };
    for _ in 0..100 {
        observe(&mut correlator, &flood);
    }
    assert_eq!(correlator.incidents().len(), 1);
    assert_eq!(correlator.incidents()[0].count, 100_000_000);
    for n in 0..50 {
        observe(&mut correlator, &event(Category::Xss, &format!("192.0.2.{n}"), n));
    }
    assert_eq!(correlator.incidents().len(), 10);
    assert_eq!(correlator.figures().dropped_total, 41);
    let kept = correlator.incidents().iter().any(|i| i.category == Category::Ddos);
    assert!(kept, "the most urgent stays");
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let mut before = Correlator::new(100);
    observe(&mut before, &event(Category::Xss, "192.0.2.1", 0));
    observe(&mut before, &event(Category::Xss, "192.0.2.2", 0));
    let mut after = Correlator::restore(before.incidents().to_vec(), 100);
    assert_eq!(observe(&mut after, &event(Category::Xss, "192.0.2.1", 5)), [ChangeKind::Joined]);
    observe(&mut after, &event(Category::Xss, "192.0.2.3", 5));
    assert_eq!(after.incidents()[2].id, "INC-2025-11-30-003");
}

#[test]
fn no_number_is_given_twice_over_midnight_and_over_a_restart() {
    let mut correlator = Correlator::new(2);
    let late = event(Category::Xss, "192.0.2.1", 86_399);
    let mut ids = Vec::new();
    for (n, secs) in [86_399, 86_400, 86_400, 86_401].into_iter().enumerate() {
        let one = Event { source_ip: Some([198, 51, 100, n as u8].into()), ..late.clone() };
        ids.extend(correlator.observe(&one, at(secs)).1.incident_id);
    }
    let numbered = correlator.numbered();
    let mut after = Correlator::restore(Vec::new(), 2).numbered_after(numbered);
    ids.extend(after.observe(&late, at(86_500)).1.incident_id);
    assert_eq!(
        ids,
        [
            "INC-2025-11-30-001",
            "INC-2025-12-01-001",
            "INC-2025-12-01-002",
            "INC-2025-12-01-003",
            "INC-2025-12-01-004",
        ]
    );
    assert_eq!(Numbered::of(&ids[4]).map(|it| it.to_string()), Some(ids[4].clone()));
    assert_eq!(Numbered::of("INC-1-2-x"), None);
}

#[test]
fn incidents_are_kept_up_to_the_cap() {
    for (what, opened, forgotten) in [("one under", 9, 0), ("at it", 10, 0), ("one over", 11, 1)] {
        let mut correlator = Correlator::new(10);
        for n in 0..opened {
            observe(&mut correlator, &event(Category::Xss, &format!("192.0.2.{n}"), n));
        }
        assert_eq!(correlator.take_forgotten().len(), forgotten, "{what}");
        assert_eq!(correlator.incidents().len() as u64, opened.min(10), "{what}");
    }
}

#[test]
fn what_was_added_up_by_kind_alone_joins_the_incident_of_its_kind() {
    let mut correlator = Correlator::new(10);
    let now = Timestamp::from_secs(1_800_000_000);
    let mut flood = Event::new("e", Category::Ddos, Some("192.0.2.1".parse().unwrap()), now);
    flood.route = "a.test/".to_owned();
    let (_, placed) = correlator.observe(&flood, now);
    let rest = Event { count: 5000, ..Event::new("e", Category::Ddos, None, now) };
    assert_eq!(correlator.observe(&rest, now).1.incident_id, placed.incident_id);
    assert_eq!((correlator.incidents().len(), correlator.incidents()[0].count), (1, 5001));
    // Of another kind, or once that is over, it is one of its own.
    let other = Event::new("e", Category::SqlInjection, None, now);
    assert_ne!(correlator.observe(&other, now).1.incident_id, placed.incident_id);
    correlator.resolve(&placed.incident_id.clone().unwrap(), "ann", now).unwrap();
    assert_ne!(correlator.observe(&rest, now).1.incident_id, placed.incident_id);
}

#[test]
fn a_journey_is_as_urgent_as_what_speaks_for_it_and_a_new_network_is_no_incident() {
    let mut correlator = Correlator::new(10);
    let now = Timestamp::from_secs(1_800_000_000);
    let by_scenario = |category, subject: &str, urgency| {
        let mut event = Event::new("e", category, None, now);
        event.actor.subject = Some(subject.to_owned());
        Event { urgency, scenario: Some("s".to_owned()), ..event }
    };
    for (subject, urgency, expected) in
        [("ada", None, Priority::P2), ("bob", Some(Priority::P1), Priority::P1)]
    {
        let journey = by_scenario(Category::ImpossibleTravel, subject, urgency);
        assert_eq!(correlator.observe(&journey, now).1.priority, Some(expected));
    }
    let network = by_scenario(Category::NewNetwork, "ada", None);
    assert_eq!(correlator.observe(&network, now).1.incident_id, None);
}

#[test]
fn an_alert_ends_by_its_sender_and_never_by_quiet() {
    let mut correlator = Correlator::new(10);
    let now = Timestamp::from_secs(1_800_000_000);
    let alert =
        Event { alert: Some("f1".to_owned()), ..Event::new("e", Category::Alert, None, now) };
    let id = correlator.observe(&alert, now).1.incident_id.unwrap();
    let other = Event { alert: Some("f2".to_owned()), ..alert };
    assert_ne!(correlator.observe(&other, now).1.incident_id.as_ref(), Some(&id));
    for hour in 1..48 {
        correlator.tick(now.plus(Duration::from_secs(hour * 3600)));
    }
    let found = correlator.of_alert("f1").unwrap();
    assert!(found.id == id && !found.is_resolved());
    assert!(correlator.of_alert("f3").is_none());
}

#[test]
fn a_name_is_erased_from_what_is_over_and_what_is_not_stays_as_it_is() {
    let at = Timestamp::from_secs(1_764_460_800);
    let mut correlator = Correlator::new(10);
    let mut ids = Vec::new();
    for subject in ["ada", "adam"] {
        let mut event = Event::new("e", Category::SqlInjection, Some([192, 0, 2, 7].into()), at);
        event.actor.subject = Some(subject.to_owned());
        let (_, placed) = correlator.observe(&event, at);
        ids.push(placed.incident_id.unwrap());
    }
    correlator.note(&ids[0], "limited user ada".to_owned(), at);
    assert_eq!(correlator.erase("ada"), (vec![], vec![ids[0].clone()]), "it is worked on");
    assert!(correlator.find(&ids[0]).unwrap().names("ada"));
    correlator.resolve(&ids[0], "uid:0", at).unwrap();
    assert_eq!(correlator.erase("ada"), (vec![ids[0].clone()], vec![]));
    let erased = correlator.find(&ids[0]).unwrap();
    assert!(!erased.names("ada") && !erased.to_record().contains("ada"), "{}", erased.to_record());
    assert_eq!(erased.subjects.len(), 1, "that there was somebody is still known");
    assert!(correlator.find(&ids[1]).unwrap().names("adam"));
    // What comes after it is an incident of its own.
    let mut event = Event::new("e", Category::SqlInjection, Some([192, 0, 2, 8].into()), at);
    event.actor.subject = Some("ada".to_owned());
    let (_, placed) = correlator.observe(&event, at);
    assert!(!ids.contains(&placed.incident_id.unwrap()));
}
