//! Lists fetched from an HTTPS server on loopback into a configuration that is served.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_identity::assertion::AssertionKey;
use portcullis_policy::{Limits, State};
use tempfile::TempDir;

use super::*;
use crate::audit::Audit;
use crate::clock::{Clock, Manual};
use crate::compile::compile;
use crate::dev;
use crate::egress::tests::Server;
use crate::events::Events;
use crate::log::{RequestLog, Target};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::reload::Reloader;
use crate::shared::Shared;

const TEXT: &str = include_str!("../../../config/examples/development.yaml");
const LISTS: &str = "lists: { known-bad: { file: dev/known-bad.txt } }\n";

/// A served configuration whose list `known-bad` is fetched.
struct Served {
    dir: TempDir,
    clock: Arc<Manual>,
    shared: Arc<Shared>,
    keeper: FeedKeeper,
}

impl Served {
    /// Starts as the process does: what was never fetched first, then the rest.
    async fn start(server: &Server, keys: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), server, keys).await
    }

    async fn start_in(dir: TempDir, server: &Server, keys: &str) -> Self {
        let embedded = Origin::Embedded { data_dir: dir.path().to_owned() };
        dev::prepare(&embedded.load().unwrap().config, Timestamp::from_secs(1_000)).unwrap();
        let lists = format!(
            "lists: {{ known-bad: {{ url: '{}', {keys} }}, both: {{ include: [known-bad] }} }}\n\
             egress: {{ networks: [127.0.0.0/8], ca: file:ca.pem }}\n",
            server.url().as_str()
        );
        assert!(TEXT.contains(LISTS));
        let file = dir.path().join("portcullis.yaml");
        std::fs::write(&file, TEXT.replace(LISTS, &lists)).unwrap();
        std::fs::write(dir.path().join("ca.pem"), pem(&server.authority)).unwrap();
        let clock = Arc::new(Manual::at(Timestamp::from_secs(1_800_000_000)));
        let origin = Origin::File(file);
        let loaded = origin.load().unwrap_or_else(|report| panic!("{report}"));
        prime(&loaded.config, clock.now()).await;
        let (snapshot, _) = compile(loaded, 1).unwrap_or_else(|report| panic!("{report}"));
        let metrics = Metrics::new();
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            state: State::new(Limits::default()),
            allowances: crate::bans::Allowances::default(),
            recent: crate::recent::Recent::new(1000),
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
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
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
        let keeper = FeedKeeper::new(Arc::clone(&shared), Arc::new(reloader));
        Self { dir, clock, shared, keeper }
    }

    async fn look_after(&mut self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
        self.keeper.look().await;
    }

    /// What the served snapshot says of an address, in the list and in the one that includes it.
    fn has(&self, address: &str) -> bool {
        let snapshot = self.shared.snapshot.load();
        let address = address.parse().unwrap();
        let answers = ["known-bad", "both"].map(|name| snapshot.lists[name].contains(address));
        assert_eq!(answers[0], answers[1]);
        answers[0]
    }

    fn generation(&self) -> u64 {
        self.shared.snapshot.load().generation
    }

    fn counted(&self, result: &str) -> u64 {
        self.shared.metrics.list_fetches.with_label_values(&["known-bad", result]).get()
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn copies(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.join("lists")) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_there_at_the_start_renewed_when_due_and_kept_over_a_restart() {
    let server = Server::start().await;
    server.serves("192.0.2.1\n192.0.2.2\n");
    let mut served = Served::start(&server, "refresh: 1h").await;
    assert!(served.has("192.0.2.1") && !served.has("198.51.100.7"));
    server.serves("192.0.2.1\n198.51.100.0/24\n2001:db8::/32\n");
    served.look_after(3599).await;
    assert_eq!((served.generation(), server.asked.lock().unwrap().len()), (1, 1), "not due yet");
    served.look_after(1).await;
    assert!(served.has("198.51.100.7") && !served.has("192.0.2.2"));
    assert_eq!((served.generation(), served.counted("changed")), (2, 1));
    server.answers("HTTP/1.1 304 Not Modified\r\n\r\n");
    served.look_after(3600).await;
    assert_eq!((served.generation(), served.counted("unchanged")), (2, 1));
    assert!(server.asked.lock().unwrap()[2].contains("if-none-match"));
    let text = String::from_utf8(served.shared.metrics.text()).unwrap();
    for line in [
        "edge_list_prefixes{list=\"known-bad\"} 3",
        "edge_list_last_success_timestamp_seconds{list=\"known-bad\"} 1800007200",
        "edge_list_stale{list=\"known-bad\"} 0",
        "edge_egress_requests_total{purpose=\"list\",result=\"ok\"} 2",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }

    server.answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let Served { dir, .. } = served;
    let restarted = Served::start_in(dir, &server, "refresh: 1h, required: true").await;
    assert!(restarted.has("198.51.100.7"), "the last good copy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_list_never_replaces_a_good_one() {
    let server = Server::start().await;
    server.serves("192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n");
    let mut served = Served::start(&server, "refresh: 1m, max_age: 1d").await;
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n192.0.2.1\n192.0.2.2\n192.0.2.3\n";
    for (answer, result) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n<html>login</html>\n", "not_a_list"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n192.0.2.9\n", "shrunk"),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "redirect"),
        (short, "broken"),
    ] {
        server.answers(answer);
        served.look_after(3600).await;
        assert_eq!(served.counted(result), 1, "{answer}");
        assert!(served.has("192.0.2.4") && !served.has("192.0.2.9"), "{answer}");
    }
    assert_eq!(served.generation(), 1);
    // Past its age the copy is worth less than what the source says, even if that is little.
    server.serves("192.0.2.9\n");
    served.look_after(86_400).await;
    assert!(served.has("192.0.2.9") && !served.has("192.0.2.4"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fetch_is_tried_again_less_and_less_often() {
    let server = Server::start().await;
    server.answers("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    let mut served = Served::start(&server, "refresh: 2m").await;
    assert!(!served.has("192.0.2.1"), "never fetched, so empty");
    let asked = |server: &Server| server.asked.lock().unwrap().len();
    assert_eq!(asked(&server), 1);
    served.look_after(1).await;
    assert_eq!(asked(&server), 2);
    for (secs, expected) in [(29, 2), (1, 3), (59, 3), (1, 4), (119, 4), (1, 5), (119, 5), (1, 6)] {
        served.look_after(secs).await;
        assert_eq!(asked(&server), expected, "{secs}");
    }
    assert_eq!(served.counted("status"), 5);
    server.serves("192.0.2.1\n");
    served.look_after(120).await;
    assert!(served.has("192.0.2.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_copy_is_kept_or_given_up_as_the_configuration_says() {
    for (keys, is_kept) in
        [("max_age: 2h, stale: keep", true), ("max_age: 2h, stale: empty", false)]
    {
        let server = Server::start().await;
        server.serves("192.0.2.1\n");
        let mut served = Served::start(&server, keys).await;
        server.answers("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
        let stale = |served: &Served| {
            served.shared.metrics.list_stale.with_label_values(&["known-bad"]).get()
        };
        served.look_after(7200).await;
        assert!(served.has("192.0.2.1") && stale(&served) == 0, "{keys}");
        served.look_after(1).await;
        assert_eq!((served.has("192.0.2.1"), stale(&served)), (is_kept, 1), "{keys}");
        server.serves("192.0.2.1\n");
        served.look_after(7200).await;
        assert!(served.has("192.0.2.1"), "{keys}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_list_that_cannot_be_had_refuses_the_configuration() {
    let server = Server::start().await;
    server.serves("<html>");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("portcullis.yaml");
    let embedded = Origin::Embedded { data_dir: dir.path().to_owned() };
    dev::prepare(&embedded.load().unwrap().config, Timestamp::from_secs(1_000)).unwrap();
    let lists =
        format!("lists: {{ known-bad: {{ url: '{}', required: true }} }}\n", server.url().as_str());
    std::fs::write(&config, TEXT.replace(LISTS, &lists)).unwrap();
    let loaded = Origin::File(config).load().unwrap();
    prime(&loaded.config, Timestamp::from_secs(1)).await;
    let report = compile(loaded, 1).unwrap_err();
    assert!(report.errors().any(|error| error.code == "list-required"), "{report}");
    assert!(copies(dir.path()).is_empty());
    assert!(server.asked.lock().unwrap().is_empty(), "loopback is not listed here");
}
