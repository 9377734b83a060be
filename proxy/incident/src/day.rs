//! A scripted day of attacks, with every part together: exactly the expected incidents, actions and pages, and nobody
//! innocent touched.

use std::collections::BTreeMap;

use portcullis_config::Timestamp;

use crate::correlator::Change;
use crate::detector::testing::built_in;
use crate::event::{Breach, Rule};
use crate::notice::{Channel, NoticeKind};
use crate::{
    Category, Correlator, Detectors, Event, Notice, Priority, Responder, Response, ResponseSettings,
};

/// The whole of it, as the shell will hold it.
struct Desk {
    detectors: Detectors,
    correlator: Correlator,
    responder: Responder,
    done: Vec<Response>,
    undone: Vec<Response>,
    told: Vec<Notice>,
}

impl Desk {
    fn new() -> Self {
        Self {
            detectors: Detectors::new(built_in(), 10_000),
            correlator: Correlator::new(1000),
            responder: Responder::new(ResponseSettings::default(), 10_000),
            done: Vec::new(),
            undone: Vec::new(),
            told: Vec::new(),
        }
    }

    fn see(&mut self, event: &Event) {
        let now = event.at;
        let mut events = vec![event.clone()];
        events.extend(self.detectors.observe(event, now));
        for event in events {
            let (changes, placed) = self.correlator.observe(&event, now);
            self.tell(&changes);
            let Some(incident) = placed.incident_id.and_then(|id| self.correlator.find(&id)) else {
                continue;
            };
            self.done.extend(self.responder.plan(incident, &event, now).responses);
        }
    }

    fn pass(&mut self, now: Timestamp) {
        let changes = self.correlator.tick(now);
        self.tell(&changes);
        self.undone.extend(self.responder.tick(now));
    }

    fn tell(&mut self, changes: &[Change]) {
        for change in changes {
            let incident = self.correlator.find(&change.incident).unwrap();
            self.told.extend(Notice::of(change, incident));
        }
    }

    fn actions(&self) -> Vec<String> {
        self.done.iter().map(|response| response.action.to_string()).collect()
    }

    fn incidents(&self) -> Vec<(Category, Priority, u64)> {
        self.correlator.incidents().iter().map(|i| (i.category, i.priority, i.count)).collect()
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_764_489_600 + secs)
}

fn event(category: Category, source: &str, secs: u64) -> Event {
    let mut event = Event::new("e", category, Some(source.parse().unwrap()), at(secs));
    event.route = "/api/".to_owned();
    event
}

#[test]
fn a_day_of_attacks_ends_with_the_right_pages_and_no_victim() {
    let mut desk = Desk::new();
    // The office: 400 people behind one address, valid all day, over a limit now and then.
    for n in 0..400 {
        desk.responder.note_valid("198.51.100.1".parse().unwrap(), &format!("u{n}"), at(n));
    }
    for n in 0..1000 {
        desk.see(&event(Category::RateLimit, "198.51.100.1", n / 10));
    }
    assert_eq!(desk.incidents(), [], "a rate-limited office is no incident");
    assert!(desk.told.is_empty());

    // A scan: twelve paths within a minute.
    for n in 0..12 {
        let mut scan = event(Category::Scanner, "192.0.2.1", 1000 + n);
        scan.path = format!("/admin{n}.php");
        desk.see(&scan);
    }
    assert_eq!(desk.actions(), ["limit 192.0.2.1"]);

    // SQL injection from one address, again and again.
    for n in 0..30 {
        let mut sqli = event(Category::SqlInjection, "192.0.2.2", 2000 + n);
        sqli.rule = Some(Rule { id: "942100".to_owned(), ..Rule::default() });
        desk.see(&sqli);
    }

    // A distributed flood: 150 sources limited within a minute.
    for n in 0..150 {
        desk.see(&event(Category::RateLimit, &format!("203.0.113.{n}"), 3000 + n / 10));
    }

    // Stuffing: 30 accounts from one source.
    for n in 0..30 {
        let mut failed = event(Category::LoginFailed, "192.0.2.3", 4000 + n);
        failed.actor.account = Some(format!("user-{n}"));
        desk.see(&failed);
    }

    // A stolen token abroad.
    let mut travel = event(Category::ImpossibleTravel, "192.0.2.4", 5000);
    travel.actor.subject = Some("alice".to_owned());
    travel.travel = Some(("FR".to_owned(), "JP".to_owned()));
    desk.see(&travel);

    // A foreign tenant's licenses, four of them, on purpose.
    for n in 0..4 {
        let mut breach = event(Category::TenantBreach, "192.0.2.5", 6000 + n);
        breach.actor.subject = Some("mallory".to_owned());
        breach.actor.tenant = Some("own".to_owned());
        breach.actor.provider = Some("idp".to_owned());
        breach.breach = Some(Breach {
            attempted_tenant: Some("other".to_owned()),
            object: format!("license-{n}"),
            exists: true,
            is_cross_site: false,
        });
        desk.see(&breach);
    }

    let incidents: Vec<_> = desk.incidents().into_iter().map(|(c, p, _)| (c, p)).collect();
    assert_eq!(
        incidents,
        [
            (Category::Scanner, Priority::P3),
            (Category::SqlInjection, Priority::P2),
            (Category::Ddos, Priority::P1),
            (Category::CredentialStuffing, Priority::P1),
            (Category::ImpossibleTravel, Priority::P2),
            (Category::TenantBreach, Priority::P0),
        ]
    );
    assert_eq!(
        desk.actions(),
        [
            "limit 192.0.2.1",
            "limit 192.0.2.2",
            "ban 203.0.113.99",
            "ban 192.0.2.3",
            "capture evidence",
            "suspend user:mallory",
            "revoke tokens of user:mallory",
            "release sessions of user:mallory",
        ]
    );

    // One page each, to whom the table says.
    let triggers = |desk: &Desk| {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for notice in desk.told.iter().filter(|notice| notice.kind == NoticeKind::Trigger) {
            *count.entry(notice.dedup_key.clone()).or_default() += 1;
        }
        count
    };
    assert_eq!(triggers(&desk).len(), 6);
    assert!(triggers(&desk).values().all(|times| *times == 1));
    let team = desk.told.iter().filter(|notice| notice.channels.contains(&Channel::PageTeam));
    assert_eq!(team.count(), 1);
    assert!(desk.told.iter().all(|notice| !notice.dedup_key.contains("198.51.100.1")));

    // Somebody answers, the day ends.
    let ids: Vec<String> = desk.correlator.incidents().iter().map(|i| i.id.clone()).collect();
    for id in &ids {
        let change = desk.correlator.acknowledge(id, "ann", at(6100)).unwrap();
        desk.tell(&[change]);
    }
    let breach = ids.last().unwrap();
    let change = desk.correlator.resolve(breach, "ann", at(6200)).unwrap();
    desk.tell(&[change]);
    for minute in 104..600 {
        desk.pass(at(minute * 60));
    }
    assert!(desk.correlator.incidents().iter().all(crate::Incident::is_resolved));
    assert!(desk.responder.active().is_empty());
    assert_eq!(desk.undone.len(), desk.done.len(), "everything has ended");
    let resolved = desk.told.iter().filter(|notice| notice.kind == NoticeKind::Resolve);
    assert_eq!(resolved.count(), 6);
}

#[test]
fn a_million_events_are_counted_and_one_page_is_sent() {
    let mut desk = Desk::new();
    for n in 0..1000_u64 {
        let mut flood = event(Category::Ddos, "192.0.2.9", n * 60 / 1000);
        flood.count = 1000;
        desk.see(&flood);
    }
    assert_eq!(desk.incidents(), [(Category::Ddos, Priority::P1, 1_000_000)]);
    assert_eq!(desk.told.len(), 1);
    assert_eq!(desk.actions(), ["ban 192.0.2.9"]);
}
