//! A scripted day of attacks through an edge, on the test's clock, with an office that works through all of it: exactly
//! the expected incidents, answers and pages, nobody innocent touched, and nothing left at the end.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_incident::{Incident, Priority};
use portcullis_tests::{Answer, Client, Edge};

use super::detectors::cities;
use super::notifiers::{Receiver, secrets};
use super::*;

const OFFICE: &str = "198.51.100.1";
const NEIGHBOUR: &str = "198.51.100.50";
const SCANNER: &str = "192.0.2.1";
const INJECTOR: &str = "192.0.2.2";
const STUFFER: &str = "192.0.2.3";
const MALLORY: &str = "192.0.2.5";
const LONDON: &str = "81.2.69.142";
const CHANGCHUN: &str = "175.16.199.1";

const POLICY: &str = "\
name: tested
rules:
  - priority: 10
    action: deny(403)
    match: { expr: { expression: \"evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})\" } }
  - priority: 20
    action: throttle
    match: { expr: { expression: \"request.path.startsWith('/api')\" } }
    rateLimitOptions:
      conformAction: allow
      exceedAction: deny(429)
      enforceOnKey: IP
      rateLimitThreshold: { count: 5, intervalSec: 60 }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }
";

const ROUTES: &[&str] = &[
    "{ path: /api, backend: origin, identity: none }",
    "{ path: /work, backend: origin, identity: { any: [dev] } }",
    "{ path: /licenses, backend: origin, identity: { any: [dev], owners: [license] } }",
    "{ path: /login, backend: origin, identity: none, sign_in: { kind: sign_in, account: ['json:email'] } }",
];
const OWNERS: &str = "owners: { license: { answer: licenses.license_id, path: '/licenses/{id}' } }";

/// Nobody's password is right, and whoever asks for licenses is told of four.
fn decide(seen: &portcullis_tests::Seen) -> &'static [u8] {
    let line = seen.line();
    if line.starts_with("POST /login") {
        return b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    }
    if line.starts_with("GET /licenses ") {
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 111\r\n\r\n\
            {\"licenses\":[{\"license_id\":\"lic-1\"},{\"license_id\":\"lic-2\"},{\"license_id\":\"lic-3\"},{\"license_id\":\"lic-4\"}]}     ";
    }
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
}

struct Day {
    edge: Edge,
    receiver: Receiver,
    client: Client,
    _home: tempfile::TempDir,
}

impl Day {
    async fn begin(origin: &Origin) -> Option<Self> {
        let cities = cities()?;
        let home = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(&[]);
        secrets(home.path(), &receiver);
        let (at, server) = (home.path().display(), receiver.address);
        let top = format!(
            "trusted_hops: [127.0.0.0/8]\ngeo: {{ country: '{}' }}\n\
             egress: {{ networks: [127.0.0.0/8], plain_http: [127.0.0.1] }}\n\
             incidents:\n  dry_run: false\n  raised_to: 2\n  \
             responses: [{{ category: DDOS, at: P1, actions: [ban, raise] }}]\n  notifiers:\n    \
             pager: {{ kind: pagerduty, key: 'file:{at}/pager.key', url: 'http://{server}/pager' }}\n    \
             hook: {{ kind: webhook, key: 'file:{at}/hook.key', url: 'http://{server}/hook' }}",
            cities.display()
        );
        let builder = Edge::builder(origin).policy(POLICY).routes(ROUTES).identity(OWNERS);
        let edge = builder.top(&top).start().await;
        // By now it is known who shares a source.
        edge.advance(Duration::from_secs(61));
        let client = edge.client().await;
        Some(Self { edge, receiver, client, _home: home })
    }

    async fn get(&mut self, from: &str, target: &str, token: Option<&str>) -> u16 {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: {from}\r\n{}\r\n",
            token.unwrap_or_default()
        );
        self.ask(head).await.status
    }

    /// Asks on the connection that there is, or on a new one where it was closed.
    async fn ask(&mut self, request: String) -> Answer {
        self.client.send(&request).await;
        if let Some(answer) = self.client.maybe_answer().await {
            return answer;
        }
        self.client = self.edge.client().await;
        self.client.ask(request).await
    }

    async fn sign_in(&mut self, from: &str, account: &str) -> u16 {
        let body = serde_json::json!({ "email": account, "password": "secret" }).to_string();
        let head = format!(
            "POST /login HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: {from}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.ask(head + &body).await.status
    }

    /// The office works: three people behind one address, who are over a limit now and then.
    async fn office_works(&mut self) {
        for user in ["ann", "ben", "cat"] {
            let token = self.edge.token(user, "acme");
            assert_eq!(self.get(OFFICE, "/work", Some(&token)).await, 200, "{user}");
        }
        let mut limited = 0;
        for _ in 0..12 {
            limited += usize::from(self.get(OFFICE, "/api", None).await == 429);
        }
        assert!(limited > 0, "it is over the limit");
        let bob = self.edge.token("bob", "acme");
        assert_eq!(self.get(NEIGHBOUR, "/work", Some(&bob)).await, 200, "a neighbour");
    }

    /// Waits until everything is worked off, and returns the lines of all timelines.
    fn timelines(&self) -> Vec<String> {
        self.edge.shared().events.flush();
        let incidents = self.edge.incidents();
        let lines = incidents.iter().flat_map(|one| &one.timeline);
        lines.map(|line| line.what.clone()).collect()
    }

    /// Waits for an answer to an incident, by how its line begins.
    fn done(&self, words: &str) {
        until(words, || self.timelines().iter().any(|line| line.starts_with(words)).then_some(()));
    }

    /// The pages, by the key under which they were sent.
    fn pages(&self, action: &str) -> BTreeMap<String, usize> {
        let mut pages = BTreeMap::new();
        for page in self.receiver.asked("/pager") {
            let page = page.json();
            if page["event_action"] == action {
                *pages.entry(page["dedup_key"].to_string()).or_default() += 1;
            }
        }
        pages
    }
}

async fn attack(day: &mut Day) {
    // A scan.
    for n in 0..12 {
        assert_eq!(day.get(SCANNER, &format!("/admin{n}.php"), None).await, 404);
    }
    day.done("limit 192.0.2.1 until");
    day.office_works().await;

    // SQL injection from one address.
    let injection = "/api?id=1%27%20UNION%20SELECT%20password%20FROM%20users--";
    for _ in 0..8 {
        assert_eq!(day.get(INJECTOR, injection, None).await, 403);
    }
    day.done("limit 192.0.2.2 until");
    day.edge.advance(Duration::from_secs(61));
    day.office_works().await;

    // A flood from a hundred and twenty addresses.
    for n in 0..120 {
        let from = format!("203.0.113.{n}");
        for _ in 0..6 {
            day.get(&from, "/api", None).await;
        }
    }
    day.done("ban 203.0.113.");
    day.done("raise the protection of edge.test/api until");
    day.edge.advance(Duration::from_secs(61));
    day.office_works().await;

    // Passwords of a list.
    for n in 0..12 {
        day.sign_in(STUFFER, &format!("user-{n}@example.com")).await;
    }
    day.done("ban 192.0.2.3 until");
    assert_eq!(day.get(STUFFER, "/api", None).await, 429);
    day.edge.advance(Duration::from_secs(61));
    day.office_works().await;

    // A stolen token abroad, while its owner works on.
    let mut claims = day.edge.claims("alice", "acme");
    claims.insert("jti".to_owned(), serde_json::json!("stolen"));
    let stolen = day.edge.sign(&claims);
    for from in [LONDON, CHANGCHUN, LONDON] {
        day.edge.advance(Duration::from_secs(61));
        assert_eq!(day.get(from, "/work", Some(&stolen)).await, 200);
    }
    day.done("revoke tokens of user:alice until");
    day.edge.advance(Duration::from_secs(1));
    assert_eq!(day.get(CHANGCHUN, "/work", Some(&stolen)).await, 401, "it is worth nothing now");
    let fresh = day.edge.token("alice", "acme");
    assert_eq!(day.get(LONDON, "/work", Some(&fresh)).await, 200, "its owner signs in again");
    day.office_works().await;

    // Licenses of another tenant.
    let owner = day.edge.token("olga", "other");
    assert_eq!(day.get("192.0.2.77", "/licenses", Some(&owner)).await, 200);
    day.edge.counts("edge_owner_answers_total{outcome=\"learnt\"} 1\n").await;
    let mallory = day.edge.token("mallory", "acme");
    for n in 1..=4 {
        let status = day.get(MALLORY, &format!("/licenses/lic-{n}"), Some(&mallory)).await;
        assert!(matches!(status, 401 | 403 | 429), "{status}");
    }
    day.done("suspend user:mallory until");
    day.done("release sessions of user:mallory");
    day.edge.advance(Duration::from_secs(61));
    let again = day.edge.token("mallory", "acme");
    assert_eq!(day.get(MALLORY, "/work", Some(&again)).await, 429, "whatever the token");
    assert_eq!(day.get("192.0.2.77", "/licenses/lic-1", Some(&owner)).await, 200, "the owner");
    day.office_works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_attacks_has_the_expected_incidents_answers_and_pages_and_no_victim() {
    let origin = Origin::deciding(decide).await;
    let Some(mut day) = Day::begin(&origin).await else { return };
    day.office_works().await;
    assert_eq!(day.timelines(), [] as [String; 0], "a limited office is no incident");
    attack(&mut day).await;

    let of = |one: &Incident| (one.category.as_str(), one.priority.as_str());
    let incidents = day.edge.incidents();
    let found: Vec<_> = incidents.iter().map(of).collect();
    let expected = [
        ("SCANNER", "P3"),
        ("SQL_INJECTION", "P2"),
        ("DDOS", "P1"),
        ("CREDENTIAL_STUFFING", "P1"),
        ("IMPOSSIBLE_TRAVEL", "P1"),
        ("TOKEN_REPLAY", "P1"),
        ("TENANT_BREACH", "P0"),
    ];
    assert_eq!(found, expected);
    let answered: BTreeSet<String> = day
        .timelines()
        .iter()
        .filter_map(|line| line.split_once(" until ").map(|(what, _)| what.to_owned()))
        .map(|what| if what.starts_with("ban 203.") { "ban 203".to_owned() } else { what })
        .collect();
    let expected = [
        "ban 192.0.2.3",
        "ban 203",
        "limit 192.0.2.1",
        "limit 192.0.2.2",
        "raise the protection of edge.test/api",
        "revoke tokens of user:alice",
        "revoke tokens of user:mallory",
        "suspend user:mallory",
    ];
    assert_eq!(answered.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    for incident in &incidents {
        let took = incident.time_to_contain();
        let is_contained = incident.category.as_str() != "IMPOSSIBLE_TRAVEL";
        assert_eq!(took.is_some(), is_contained, "{}", incident.category.as_str());
        assert!(took.is_none_or(|took| took <= Duration::from_secs(5)), "{took:?}");
    }

    // One page for each that is worth one, one message for each incident, and none about the office.
    let urgent = 5;
    let pages = until("the pages", || {
        // What was not taken is tried again.
        day.edge.advance(Duration::from_secs(1));
        Some(day.pages("trigger")).filter(|one| one.len() >= urgent)
    });
    assert_eq!((pages.len(), pages.values().max()), (urgent, Some(&1)), "{pages:?}");
    until("the messages", || {
        day.edge.advance(Duration::from_secs(1));
        (day.receiver.asked("/hook").len() >= 7).then_some(())
    });
    for asked in day.receiver.asked("/pager").iter().chain(&day.receiver.asked("/hook")) {
        assert!(!asked.body.contains(OFFICE) && !asked.body.contains(NEIGHBOUR), "{}", asked.body);
    }
    end(&mut day, &incidents).await;
}

/// Whoever was paged says that it is over; the rest ends by quiet, and two hours later nothing is left.
async fn end(day: &mut Day, incidents: &[Incident]) {
    for paged in incidents.iter().filter(|one| one.priority >= Priority::P1) {
        day.edge.resolve(&paged.id);
    }
    day.edge.advance(Duration::from_secs(3601));
    for words in
        ["ended: suspend user:mallory", "ended: raise", "ended: ban 203", "ended: limit 192.0.2.2"]
    {
        day.done(words);
    }
    day.edge.advance(Duration::from_secs(2 * 3600));
    until("the end", || {
        let open = day.edge.incidents().iter().filter(|one| !one.is_resolved()).count();
        (open == 0).then_some(())
    });
    let shared = day.edge.shared();
    let now = shared.clock.now();
    assert!(shared.state.bans(now).is_empty());
    assert!(shared.revocations.entries().is_empty());
    assert!(shared.lockdowns.list(now).is_empty());
    until("the ends of the pages", || {
        day.edge.advance(Duration::from_secs(10));
        (day.pages("resolve").len() == 5).then_some(())
    });
    let mallory = day.edge.token("mallory", "acme");
    assert_eq!(day.get(MALLORY, "/work", Some(&mallory)).await, 200, "the time is over");
    for from in [SCANNER, INJECTOR, STUFFER] {
        for _ in 0..5 {
            assert_eq!(day.get(from, "/api", None).await, 200, "{from}");
        }
    }
}
