//! A flood of events, and a process that is killed at any point: counts stay exact, and nothing is lost or told twice
//! under two keys.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_incident::{Category, Event};
use portcullis_tests::Edge;

use super::notifiers::{Receiver, notifiers, secrets};
use super::*;

/// How often the process is killed. More by the environment: `KILLS=100`.
const KILLS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_beside_requests_are_one_incident_and_counted_exactly() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let now = edge.shared().clock.now();
    std::thread::scope(|scope| {
        for part in 0..4_u32 {
            let events = &edge.shared().events;
            scope.spawn(move || {
                for n in 0..250_000_u32 {
                    let source = (part * 250_000 + n % 50_000).to_be_bytes();
                    let flood = Event::new("", Category::Ddos, Some(source.into()), now);
                    events.raise(Event { route: "edge.test/".to_owned(), ..flood });
                }
            });
        }
    });
    assert_eq!(edge.get("/").await.status, 200, "requests go on");
    until("every event", || {
        edge.shared().events.flush();
        let incidents = edge.incidents();
        assert!(incidents.len() <= 1, "also of what was added up without a route: {incidents:?}");
        let count: u64 = incidents.iter().map(|one| one.count).sum();
        (count == 1_000_000).then_some(())
    });
    assert!(edge.metrics().contains("security_events_total{type=\"ddos\"} 1000000"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_it_loses_no_incident_and_no_page() {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let receiver = Receiver::start(&[]);
    secrets(home, &receiver);
    let mut edge = prepare(home, &origin, &notifiers(&receiver, ""));
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for kill in 0..kills {
        // The pager fails every other time.
        receiver.answers.lock().unwrap().extend(["500 Oops", "202 Accepted"]);
        assert_eq!(curl(home, &edge, SQLI), "403");
        // At another point of the work each time: from at once to after everything.
        std::thread::sleep(Duration::from_millis(kill * 7 % 60));
        for one in incidents_if_any(home) {
            let events = one["events"].as_u64().unwrap();
            let known = seen.entry(one["id"].as_str().unwrap().to_owned()).or_default();
            assert!(events >= *known, "what was answered is not forgotten");
            *known = events;
        }
        drop(edge);
        edge = serve(home);
    }
    let kept = incidents(home);
    for (id, events) in &seen {
        let same: Vec<_> = kept.iter().filter(|one| one["id"] == id.as_str()).collect();
        assert_eq!(same.len(), 1, "{id} once");
        assert!(same[0]["events"].as_u64() >= Some(*events));
    }
    let keys: BTreeSet<String> = kept.iter().map(|one| one["id"].to_string()).collect();
    until("a page for each", || {
        let pages = receiver.asked("/pager");
        let told: BTreeSet<String> = pages
            .iter()
            .filter(|page| page.json()["event_action"] == "trigger")
            .map(|page| page.json()["payload"]["custom_details"]["incident_id"].to_string())
            .collect();
        keys.is_subset(&told).then_some(())
    });
    let mut by_incident: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for page in receiver.asked("/pager") {
        let key = page.json()["dedup_key"].to_string();
        let id = key.split('/').next().unwrap().to_owned();
        by_incident.entry(id).or_default().insert(key);
    }
    assert!(by_incident.values().all(|keys| keys.len() == 1), "{by_incident:?}");
}

fn incidents_if_any(home: &Path) -> Vec<Value> {
    let output = run(home, &["incidents", "ls", "--all", "--json", "--socket", "admin.sock"]);
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
