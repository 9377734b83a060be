//! Nobody innocent is touched, whatever an attacker arranges: each row is one arrangement, with what may and what may not
//! be done about it. Everything goes through a running edge.

use portcullis_incident::event::{Actor, Breach, Taken};
use portcullis_incident::{Category, Event};
use portcullis_tests::Edge;

use super::*;

/// Everything that a row may say.
#[derive(Clone, Default)]
struct Row {
    name: &'static str,
    category: Option<Category>,
    events: u64,
    /// Subjects that have valid sessions from the source.
    sharing: usize,
    subject: Option<&'static str>,
    account: bool,
    distinct_paths: bool,
    /// The foreign objects that are asked for, and whether they exist, and whether another site caused it.
    breach: Option<(u64, bool, bool)>,
    allow: Option<&'static str>,
    scenario: bool,
    /// What may be done, as the timeline says it.
    done: &'static [&'static str],
}

const SOURCE: [u8; 4] = [198, 51, 100, 9];

fn rows() -> Vec<Row> {
    let row =
        |name, category, events| Row { name, category: Some(category), events, ..Row::default() };
    let limited = &["limit 198.51.100.9"];
    vec![
        Row { done: limited, ..row("SQL injection a hundred times", Category::SqlInjection, 100) },
        Row { done: limited, ..row("cross-site scripting a hundred times", Category::Xss, 100) },
        Row { done: limited, ..row("a command a hundred times", Category::CommandExecution, 100) },
        Row { done: limited, ..row("a local file a hundred times", Category::LocalFile, 100) },
        Row { done: limited, ..row("a generic attack", Category::GenericAttack, 100) },
        Row {
            subject: Some("victim"),
            done: &["limit user:victim"],
            ..row("a link with an injection, sent to a victim", Category::SqlInjection, 100)
        },
        Row { sharing: 3, ..row("an injection out of an office", Category::SqlInjection, 100) },
        row("one failed sign-in", Category::LoginFailed, 1),
        Row {
            account: true,
            sharing: 2,
            ..row("stuffing out of an office behind one address", Category::LoginFailed, 40)
        },
        Row {
            account: true,
            done: &["ban 198.51.100.9"],
            ..row("stuffing from an address of its own", Category::LoginFailed, 40)
        },
        Row {
            account: true,
            allow: Some("198.51.100.0/24"),
            ..row("stuffing from an address on the allow-list", Category::LoginFailed, 40)
        },
        Row { sharing: 400, ..row("a limited office", Category::RateLimit, 1000) },
        row("a limited address", Category::RateLimit, 1000),
        row("a banned address that goes on", Category::Ban, 1000),
        row("a refused country", Category::GeoBlock, 1000),
        row("tokens that are over", Category::TokenRefused, 1000),
        Row { done: limited, ..row("tokens that somebody made up", Category::TokenForgery, 20) },
        Row { sharing: 5, ..row("made-up tokens out of an office", Category::TokenForgery, 20) },
        Row {
            distinct_paths: true,
            sharing: 2,
            ..row("a scan out of an office", Category::Scanner, 50)
        },
        Row {
            breach: Some((50, true, true)),
            subject: Some("victim"),
            ..row("links to foreign objects, sent to a victim", Category::TenantBreach, 50)
        },
        Row {
            breach: Some((50, false, false)),
            subject: Some("victim"),
            ..row("stale bookmarks", Category::TenantBreach, 50)
        },
        Row {
            breach: Some((1, true, false)),
            subject: Some("victim"),
            done: &["capture evidence"],
            ..row("one foreign object, again and again", Category::TenantBreach, 50)
        },
        Row {
            breach: Some((50, true, false)),
            ..row("foreign objects without a verified subject", Category::TenantBreach, 50)
        },
        Row {
            breach: Some((50, true, false)),
            subject: Some("robot"),
            allow: Some("user:robot"),
            done: &["capture evidence"],
            ..row("a subject on the allow-list", Category::TenantBreach, 50)
        },
        Row {
            scenario: true,
            sharing: 2,
            ..row("a flood with an office in it", Category::Ddos, 10)
        },
        row("an impossible journey alone", Category::ImpossibleTravel, 5),
        row("an origin that is down", Category::Unavailable, 1000),
    ]
}

fn event(row: &Row, n: u64, edge: &Edge) -> Event {
    let path = if row.distinct_paths { format!("/{n}") } else { "/".to_owned() };
    Event {
        actor: Actor {
            subject: row.subject.map(str::to_owned),
            tenant: row.subject.map(|_| "acme".to_owned()),
            provider: row.subject.map(|_| "dev".to_owned()),
            account: row.account.then(|| format!("user-{n}")),
            ..Actor::default()
        },
        path,
        route: "edge.test/".to_owned(),
        taken: Taken::Blocked,
        scenario: row.scenario.then(|| "test".to_owned()),
        breach: row.breach.map(|(objects, exists, is_cross_site)| Breach {
            attempted_tenant: Some("other".to_owned()),
            object: format!("license-{}", n % objects),
            exists,
            is_cross_site,
        }),
        ..Event::new("", row.category.unwrap(), Some(SOURCE.into()), edge.shared().clock.now())
    }
}

/// Adds an entry as `portcullis allow add` does.
fn allow(edge: &Edge, key: &str) {
    let now = edge.shared().clock.now();
    let entry = portcullis::bans::AllowEntry {
        key: key.parse().unwrap(),
        until: None,
        since: now,
        reason: String::new(),
        by: "test".to_owned(),
    };
    edge.shared().allowances.add(entry).unwrap();
    portcullis::bans::apply(edge.shared());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_arrangement_gets_an_innocent_banned_or_suspended() {
    let rows = rows();
    assert!(rows.len() >= 20);
    let origin = Origin::start().await;
    for row in rows {
        let edge = Edge::builder(&origin).top("incidents: { dry_run: false }").start().await;
        // Who shares a source is known by now.
        edge.advance(Duration::from_secs(61));
        for n in 0..row.sharing {
            let now = edge.shared().clock.now();
            let mut session = Event::new("", Category::Session, Some(SOURCE.into()), now);
            session.actor.subject = Some(format!("colleague-{n}"));
            edge.shared().events.show(session);
        }
        if let Some(key) = row.allow {
            allow(&edge, key);
        }
        for n in 0..row.events {
            edge.shared().events.raise(event(&row, n, &edge));
        }
        edge.shared().events.flush();
        edge.shared().events.flush();
        let incidents = edge.incidents();
        let lines: Vec<_> =
            incidents.iter().flat_map(|one| &one.timeline).map(|one| one.what.clone()).collect();
        let done: Vec<_> = lines
            .iter()
            .filter(|what| {
                [
                    "ban ",
                    "limit ",
                    "suspend ",
                    "revoke ",
                    "release ",
                    "lock ",
                    "raise the",
                    "capture",
                ]
                .iter()
                .any(|word| what.starts_with(word))
            })
            .map(|what| what.split(" until ").next().unwrap().split(" (").next().unwrap())
            .collect();
        assert_eq!(done, row.done, "{}: {lines:?}", row.name);
        let now = edge.shared().clock.now();
        let bans = edge.shared().state.bans(now);
        assert_eq!(
            bans.len(),
            row.done.iter().filter(|what| what.starts_with("ban ")).count(),
            "{}",
            row.name
        );
        // An hour later nothing holds any more.
        edge.advance(Duration::from_secs(3601));
        until("the end", || {
            edge.shared().events.flush();
            edge.shared().state.bans(edge.shared().clock.now()).is_empty().then_some(())
        });
    }
}
