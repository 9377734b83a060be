//! The checker: what happened, as the store's log has it, beside what the clients were told.

use crate::harness::Answer;
use std::collections::{HashMap, HashSet};

/// What a client was told of a session.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) session: String,
    /// Until when it is leased, and when it was renewed, in the store's time.
    pub(super) until: i64,
    pub(super) renewed: i64,
    /// Whether it was made by this answer.
    pub(super) fresh: bool,
}

impl Told {
    /// `ahead` is added to what a store without that time of its own said.
    pub(super) fn of(answer: &Answer, ahead: i64) -> Self {
        let millis = |field| {
            let text = answer.text(field);
            text.parse::<jiff::Timestamp>().unwrap().as_millisecond() + ahead
        };
        Self {
            session: answer.text("session_id").to_owned(),
            until: millis("expires_at"),
            renewed: millis("last_heartbeat_at"),
            fresh: answer.status == 201,
        }
    }
}

/// An event of the log, in its order.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: String,
    pub(super) license: String,
    pub(super) session: String,
}

/// A session as it stands at the end.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) session: String,
    pub(super) expires_at: i64,
    pub(super) ended_at: Option<i64>,
}

/// What the store says.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) events: Vec<Event>,
    pub(super) rows: Vec<Row>,
}

/// What was found, for people.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) granted: usize,
    pub(super) refreshed: usize,
    pub(super) expired: usize,
    pub(super) released: usize,
}

pub(super) fn check(log: &Log, told: &[Told], seats: u32) -> Checked {
    let mut live: HashMap<&str, HashSet<&str>> = HashMap::new();
    let (mut seen, mut ended) = (HashSet::new(), HashMap::new());
    for event in &log.events {
        let holders = live.entry(&event.license).or_default();
        if event.kind == "seat.acquired" {
            assert!(seen.insert(event.session.as_str()), "session {} came back", event.session);
            holders.insert(&event.session);
            assert!(
                holders.len() <= seats as usize,
                "license {} has too many seats given",
                event.license
            );
        } else {
            assert!(matches!(event.kind.as_str(), "seat.expired" | "seat.released"), "{event:?}");
            assert!(
                holders.remove(event.session.as_str()),
                "{event:?} ended twice, or before it began"
            );
            *ended.entry(event.kind.as_str()).or_insert(0) += 1;
        }
    }
    let rows: HashMap<&str, &Row> =
        log.rows.iter().map(|row| (row.session.as_str(), row)).collect();
    for told in told {
        assert!(
            seen.contains(told.session.as_str()),
            "{told:?} was acknowledged and is not in the log"
        );
        let row = rows[told.session.as_str()];
        assert!(row.expires_at >= told.until, "{told:?} was acknowledged and is lost: {row:?}");
        assert!(
            row.ended_at.is_none_or(|ended| told.renewed <= ended),
            "{told:?} after the end: {row:?}"
        );
    }
    Checked {
        granted: seen.len(),
        refreshed: told.iter().filter(|told| !told.fresh).count(),
        expired: ended.get("seat.expired").copied().unwrap_or(0),
        released: ended.get("seat.released").copied().unwrap_or(0),
    }
}

#[test]
#[should_panic(expected = "too many seats given")]
fn a_seat_that_is_given_twice_is_found() {
    let event = |kind: &str, session: &str| Event {
        kind: kind.to_owned(),
        license: "l".to_owned(),
        session: session.to_owned(),
    };
    let events = vec![
        event("seat.acquired", "a"),
        event("seat.released", "a"),
        event("seat.acquired", "b"),
        event("seat.acquired", "c"),
    ];
    check(&Log { events, ..Log::default() }, &[], 1);
}

#[test]
#[should_panic(expected = "acknowledged and is not in the log")]
fn an_acknowledged_seat_that_is_lost_is_found() {
    let told = Told { session: "a".to_owned(), until: 1, renewed: 0, fresh: true };
    check(&Log::default(), &[told], 1);
}

#[test]
#[should_panic(expected = "after the end")]
fn a_lease_that_is_revived_is_found() {
    let events = vec![Event {
        kind: "seat.acquired".to_owned(),
        license: "l".to_owned(),
        session: "a".to_owned(),
    }];
    let rows = vec![Row { session: "a".to_owned(), expires_at: 20, ended_at: Some(10) }];
    let told = Told { session: "a".to_owned(), until: 20, renewed: 11, fresh: false };
    check(&Log { events, rows }, &[told], 1);
}
