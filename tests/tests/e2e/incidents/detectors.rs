//! What scenarios see of ordinary requests: journeys that nobody makes, new networks, one token at two places, license
//! keys that are tried out or shared.

use std::path::PathBuf;

use portcullis_incident::Incident;
use portcullis_tests::{Answer, Edge};

use super::*;

const LONDON: &str = "81.2.69.142";
const LONDON_TOO: &str = "81.2.69.160";
const CHANGCHUN: &str = "175.16.199.1";
/// An address that the database does not know.
const NOWHERE: &str = "192.0.2.7";

/// The published test database of cities stands beside the repository, where there is one.
#[expect(clippy::print_stderr, reason = "who runs the tests is told what was left out")]
pub(super) fn cities() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let shared =
        std::env::var_os("PORTCULLIS_SHARED").map_or_else(|| beside.join("shared"), PathBuf::from);
    let path = shared.join("vectors/maxmind/test-data/GeoIP2-City-Test.mmdb");
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("REQUIRE_ALL").is_none(), "MaxMind's test databases are required");
    eprintln!("skipped: MaxMind's test databases are not beside the repository");
    None
}

async fn edge(origin: &Origin, route: &str, incidents: &str) -> Option<Edge> {
    let top = format!(
        "trusted_hops: [127.0.0.0/8]\ngeo: {{ country: '{}' }}\nincidents: {{ dry_run: true{incidents} }}",
        cities()?.display()
    );
    Some(Edge::builder(origin).top(&top).routes(&[route]).start().await)
}

const IDENTIFIED: &str = "{ path: /, backend: origin, identity: { any: [dev] } }";

async fn ask(edge: &Edge, token: &str, from: &str) -> Answer {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: {from}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    edge.client().await.ask(request).await
}

/// What stands once everything before is worked off.
fn found(edge: &Edge) -> Vec<(String, &'static str, String)> {
    edge.shared().events.flush();
    let one = |one: &Incident| {
        let who = one.subjects.iter().chain(one.sources.iter()).next().unwrap_or_default();
        (one.category.as_str().to_owned(), one.priority.as_str(), who.to_owned())
    };
    edge.incidents().iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_far_away_minutes_later_is_an_incident_and_one_who_flies_is_not() {
    let origin = Origin::start().await;
    let Some(edge) = edge(&origin, IDENTIFIED, "").await else { return };
    for (subject, after, expected) in [("ada", 5 * 60, true), ("bob", 14 * 3600, false)] {
        assert_eq!(ask(&edge, &edge.token(subject, "acme"), LONDON).await.status, 200);
        edge.advance(Duration::from_secs(after));
        assert_eq!(ask(&edge, &edge.token(subject, "acme"), CHANGCHUN).await.status, 200);
        let incidents = found(&edge);
        let travelled = ("IMPOSSIBLE_TRAVEL".to_owned(), "P1", subject.to_owned());
        assert_eq!(incidents.contains(&travelled), expected, "{subject}: {incidents:?}");
        edge.advance(Duration::from_secs(2 * 3600));
    }
    let log = edge.event_log();
    let travel = log.iter().find(|event| event["type"] == "geo_anomaly").unwrap();
    assert!(travel["last_location"].as_str().unwrap().starts_with("GB 51.5,"), "{travel}");
    assert!(travel["current_location"].as_str().unwrap().starts_with("CN 43.9,"), "{travel}");
    assert_eq!(travel["corroborated_by"], serde_json::json!(["new_network"]));
    let news: Vec<_> = log.iter().filter(|event| event["category"] == "NEW_NETWORK").collect();
    assert_eq!(news.len(), 2, "one for each of the two: {news:?}");
    assert!(news.iter().all(|event| event["incident_id"].is_null()));
    assert!(
        log.iter().all(|event| event["category"] != "SESSION"),
        "what is ordinary is not written"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_places_near_ones_and_the_houses_own_exit_are_no_journeys() {
    let origin = Origin::start().await;
    let exits = ", exits: ['175.16.199.0/24']";
    let Some(edge) = edge(&origin, IDENTIFIED, exits).await else { return };
    for from in [LONDON, LONDON_TOO, NOWHERE, CHANGCHUN, LONDON] {
        assert_eq!(ask(&edge, &edge.token("ada", "acme"), from).await.status, 200);
        edge.advance(Duration::from_secs(61));
    }
    assert_eq!(found(&edge), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_at_two_places_at_once_is_replayed_and_its_subject_is_revoked() {
    let origin = Origin::start().await;
    let Some(edge) = edge(&origin, IDENTIFIED, "").await else { return };
    let mut claims = edge.claims("ada", "acme");
    claims.insert("jti".to_owned(), serde_json::json!("token-1"));
    let token = edge.sign(&claims);
    for from in [LONDON, CHANGCHUN, LONDON] {
        assert_eq!(ask(&edge, &token, from).await.status, 200);
        edge.advance(Duration::from_secs(61));
    }
    let replayed = ("TOKEN_REPLAY".to_owned(), "P1", "ada".to_owned());
    let incidents = found(&edge);
    assert!(incidents.contains(&replayed), "{incidents:?}");
    assert_eq!(incidents.len(), 2, "and the journey: {incidents:?}");
    let planned = until("what would be done", || {
        let incidents = edge.incidents();
        let lines = incidents.iter().flat_map(|one| &one.timeline);
        lines.map(|line| line.what.clone()).find(|what| what.contains("revoke"))
    });
    assert!(planned.starts_with("would: revoke tokens of user:ada"), "{planned}");
}

const LICENSED: &str = "{ path: /, backend: origin, identity: { any: [dev] }, license_call: { license_key: ['json:license_key'], device: ['json:hardware_id'] } }";

async fn call(edge: &Edge, subject: &str, from: &str, key: &str, device: &str) -> Answer {
    let body = serde_json::json!({ "license_key": key, "hardware_id": device }).to_string();
    let token = edge.token(subject, "acme");
    let head = format!(
        "POST /api/v1/license/acquire HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: {from}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    edge.client().await.ask(head + &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_tried_out_are_abuse_and_no_key_is_kept() {
    let origin = Origin::answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let edge = Edge::builder(&origin)
        .top("trusted_hops: [127.0.0.0/8]\nincidents: { dry_run: true }")
        .routes(&[LICENSED])
        .start()
        .await;
    for n in 0..9 {
        let key = format!("SECRET-KEY-{n}");
        assert_eq!(call(&edge, "eve", NOWHERE, &key, "laptop").await.status, 404);
    }
    for _ in 0..20 {
        call(&edge, "eve", NOWHERE, "SECRET-KEY-0", "laptop").await;
    }
    assert_eq!(found(&edge), [], "nine keys, one of them often");
    call(&edge, "eve", NOWHERE, "SECRET-KEY-9", "laptop").await;
    assert_eq!(found(&edge), [("LICENSE_ABUSE".to_owned(), "P2", "eve".to_owned())]);
    let log = edge.event_log();
    let abuse = log.iter().find(|event| event["category"] == "LICENSE_ABUSE").unwrap();
    assert_eq!(abuse["actor"]["license_key_digest"].as_str().unwrap().len(), 16);
    assert!(!format!("{log:?}").contains("SECRET-KEY"), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_on_many_more_devices_than_seats_is_shared() {
    let origin = Origin::answering(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n").await;
    let edge = Edge::builder(&origin)
        .top("trusted_hops: [127.0.0.0/8]\nincidents: { dry_run: true }")
        .routes(&[LICENSED])
        .start()
        .await;
    for n in 0..24 {
        call(&edge, &format!("user-{n}"), NOWHERE, "key", &format!("device-{n}")).await;
    }
    assert_eq!(found(&edge), []);
    call(&edge, "user-24", NOWHERE, "key", "device-24").await;
    assert_eq!(found(&edge), [("LICENSE_ABUSE".to_owned(), "P2", "user-24".to_owned())]);
}

/// The requests of a route, by the desk's own measure, on the test's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_gets_far_more_than_usual_is_flooded_and_a_load_test_is_not_seen() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("own.yaml"),
        "scenario: flood-by-baseline\nwatches: [TRAFFIC]\ngroup_by: route\n\
         baseline: { factor: 2, floor: 30, ceiling: 60, learn: 1m }\nwindow: 1m\nraises: DDOS\n",
    )
    .unwrap();
    let origin = Origin::start().await;
    let scenarios = directory.path().display();
    let edge = Edge::builder(&origin)
        .top(&format!("incidents: {{ dry_run: true, scenarios: '{scenarios}' }}"))
        .start()
        .await;
    let minute = async |requests: usize| {
        let mut client = edge.client().await;
        for _ in 0..requests {
            let asked = client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await;
            assert_eq!(asked.status, 200);
        }
        drop(client);
        // The desk measures every ten seconds, and looks at its clock all the time.
        for _ in 0..6 {
            edge.advance(Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(60));
        }
    };
    for _ in 0..3 {
        minute(12).await;
    }
    assert_eq!(found(&edge), []);
    minute(40).await;
    let flood = found(&edge);
    assert_eq!(flood.len(), 1, "{flood:?}");
    assert_eq!((flood[0].0.as_str(), flood[0].1), ("DDOS", "P1"));
    assert!(edge.incidents()[0].dedup_key.contains("edge.test/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cuts_the_audit_file_is_an_incident_with_evidence() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("incidents: { dry_run: false }").start().await;
    let file = edge.directory().join("incident-audit.jsonl");
    std::fs::remove_file(&file).unwrap();
    let found = until("the incident", || {
        edge.advance(Duration::from_secs(10));
        edge.shared().events.flush();
        edge.incidents().into_iter().next()
    });
    assert_eq!((found.category.as_str(), found.priority.as_str()), ("CONFIG_TAMPER", "P0"));
    let evidence = edge.directory().join(format!("evidence/{}.json", found.id));
    until("the evidence", || evidence.exists().then_some(()));
    let audit = std::fs::read_to_string(&file).unwrap();
    assert!(audit.contains("capture evidence"), "recording goes on: {audit}");
    edge.advance(Duration::from_secs(60));
    edge.shared().events.flush();
    assert_eq!(edge.incidents().len(), 1, "and once");
}
