//! ACME: certificates that the edge orders, proves, keeps and renews, with an authority on loopback.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::clock::{Clock, System};
use portcullis_tests::{AcmeServer, Edge, How, Origin, shown_to, within};
use tempfile::TempDir;

use super::process;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority, and where an edge keeps what it was given.
struct World {
    origin: Origin,
    authority: AcmeServer,
    home: TempDir,
}

impl World {
    async fn new() -> Self {
        let (origin, authority) = (Origin::start().await, AcmeServer::start().await);
        let home = tempfile::tempdir().unwrap();
        authority.write_root(&home.path().join("root.pem"));
        Self { origin, authority, home }
    }

    /// Starts an edge whose certificate for `edge.test` is to be proved by `challenge`.
    async fn edge(&self, challenge: &str) -> Edge {
        self.edge_for("edge.test", challenge).await
    }

    async fn edge_for(&self, names: &str, challenge: &str) -> Edge {
        let root = self.home.path().join("root.pem");
        let edge = Edge::builder(&self.origin)
            .certificates(&format!(
                "{{ acme: {{ names: [{names}], directory: '{}', terms_agreed: true, \
                 contact: [ops@example.com], challenge: {challenge} }} }}",
                self.authority.directory()
            ))
            .plain_listener()
            .state_dir(&self.home.path().join("state"))
            .top(&format!("egress: {{ networks: [127.0.0.0/8], ca: 'file:{}' }}", root.display()))
            .start()
            .await;
        self.authority.reaches(edge.plain_address(), edge.address());
        edge
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home.path().join("state/acme")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn certificate_file(&self) -> PathBuf {
        let is_pem = |path: &PathBuf| path.extension().is_some_and(|end| end == "pem");
        self.files().into_iter().find(is_pem).unwrap()
    }
}

/// Whether the edge shows the leaf that was issued last.
async fn shows_the_last(edge: &Edge, authority: &AcmeServer) -> bool {
    shown_to(edge.address(), "edge.test").await.unwrap() == *authority.issued().last().unwrap()
}

/// What is said of the one order, whose proof was not believed.
fn unproved(edge: &Edge) -> String {
    let metrics = edge.metrics();
    let line = metrics.lines().find(|line| line.starts_with("edge_acme_orders_total")).unwrap();
    assert!(line.ends_with("result=\"unproved\"} 1"), "{line}");
    let path = Path::new(line.split('"').nth(1).unwrap());
    edge.shared().proofs.failure(path).unwrap().why
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn first_issue_by(challenge: &str) {
    let world = World::new().await;
    let edge = world.edge(challenge).await;
    let refused = shown_to(edge.address(), "edge.test").await;
    assert!(refused.is_err(), "there is nothing to show yet");

    let mut keeper = edge.acme_keeper();
    keeper.look().await;
    assert_eq!(world.authority.counts(), (1, 1), "{}", edge.metrics());
    assert_eq!(edge.shared().proofs.failure(&world.certificate_file()), None);
    assert!(shows_the_last(&edge, &world.authority).await);
    let files = world.files();
    assert_eq!(files.len(), 2, "an account and a certificate: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
    assert_eq!(mode(files[0].parent().unwrap()), 0o700);

    keeper.look().await;
    assert_eq!(world.authority.counts(), (1, 1), "nothing is due");
    let text = edge.metrics();
    let certificate = world.certificate_file();
    let certificate = certificate.display();
    for line in [
        format!("edge_acme_orders_total{{certificate=\"{certificate}\",result=\"ok\"}} 1"),
        // 1 January 2026 and ninety days.
        format!(
            "edge_acme_certificate_not_after_timestamp_seconds{{certificate=\"{certificate}\"}} 1775001600"
        ),
    ] {
        assert!(text.contains(&line), "{line} is not in:\n{text}");
    }
    let handshakes = u32::from(challenge == "tls-alpn-01");
    let proofs = format!("edge_connections_refused_total{{cause=\"acme_proof\"}} {handshakes}");
    assert!(text.contains(&proofs), "{text}");
    world.origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_issued_by_http() {
    first_issue_by("http-01").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_issued_by_a_handshake() {
    first_issue_by("tls-alpn-01").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_names_are_proved_one_by_one_for_one_certificate() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let world = World::new().await;
        let edge = world.edge_for("edge.test, other.test", challenge).await;
        edge.acme_keeper().look().await;
        assert_eq!((world.authority.counts(), world.authority.issued().len()), ((1, 1), 1));
        let issued = world.authority.issued().remove(0);
        for name in ["edge.test", "other.test"] {
            assert_eq!(shown_to(edge.address(), name).await.unwrap(), issued, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_serves_the_certificate_from_disk_and_orders_nothing() {
    let world = World::new().await;
    let edge = world.edge("http-01").await;
    edge.acme_keeper().look().await;
    drop(edge);
    world.authority.behaves(How::Down);
    let edge = world.edge("http-01").await;
    assert!(shows_the_last(&edge, &world.authority).await, "before anything is asked");
    edge.acme_keeper().look().await;
    assert_eq!(world.authority.counts(), (1, 1));

    // What is damaged where it lies is ordered again, and keeps nobody from starting.
    std::fs::write(world.certificate_file(), "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    drop(edge);
    world.authority.behaves(How::Well);
    let edge = world.edge("http-01").await;
    assert!(shown_to(edge.address(), "edge.test").await.is_err());
    edge.acme_keeper().look().await;
    assert_eq!(world.authority.counts(), (1, 2), "with the same account");
    assert!(shows_the_last(&edge, &world.authority).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_at_two_thirds_of_its_lifetime_and_a_little_later() {
    let world = World::new().await;
    let edge = world.edge("tls-alpn-01").await;
    let mut keeper = edge.acme_keeper();
    keeper.look().await;
    edge.advance(60 * DAY - Duration::from_secs(1));
    keeper.look().await;
    assert_eq!(world.authority.issued().len(), 1, "two thirds of ninety days are not over");
    // A 24th of ninety days is less than four.
    edge.advance(4 * DAY);
    world.authority.set_clock(edge.now_secs());
    keeper.look().await;
    assert_eq!(world.authority.issued().len(), 2);
    assert_eq!(world.authority.counts(), (1, 2), "with the same account");
    assert!(shows_the_last(&edge, &world.authority).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_leaves_the_last_good_certificate_and_is_tried_again_less_and_less() {
    let world = World::new().await;
    let edge = world.edge("http-01").await;
    let mut keeper = edge.acme_keeper();
    keeper.look().await;
    let good = world.authority.issued().remove(0);
    edge.advance(70 * DAY);
    let certificate = world.certificate_file();
    let counted = |result: &str, count: u32| {
        let certificate = certificate.display();
        let line = format!(
            "edge_acme_orders_total{{certificate=\"{certificate}\",result=\"{result}\"}} {count}\n"
        );
        assert!(edge.metrics().contains(&line), "{line} is not in:\n{}", edge.metrics());
    };
    let why = || edge.shared().proofs.failure(&certificate).unwrap().why;

    world.authority.behaves(How::Down);
    keeper.look().await;
    counted("authority", 1);
    assert!(why().contains("down for the night"), "{}", why());
    world.authority.behaves(How::Rubbish);
    edge.advance(Duration::from_secs(299));
    keeper.look().await;
    counted("authority", 1);
    edge.advance(Duration::from_secs(1));
    keeper.look().await;
    counted("authority", 2);
    world.authority.behaves(How::ForAnother);
    edge.advance(Duration::from_secs(599));
    keeper.look().await;
    counted("authority", 2);
    edge.advance(Duration::from_secs(1));
    keeper.look().await;
    counted("issued", 1);
    assert!(why().contains("it is not for `edge.test`"), "{}", why());
    assert_eq!(shown_to(edge.address(), "edge.test").await.unwrap(), good);

    // The authority's clock stands: what it issues would be due at once.
    world.authority.behaves(How::Well);
    edge.advance(Duration::from_secs(1200));
    keeper.look().await;
    counted("issued", 2);
    assert!(why().contains("is the clock right?"), "{}", why());
    assert_eq!(shown_to(edge.address(), "edge.test").await.unwrap(), good);

    world.authority.set_clock(edge.now_secs());
    edge.advance(Duration::from_secs(2400));
    keeper.look().await;
    counted("ok", 2);
    assert_eq!(edge.shared().proofs.failure(&certificate), None);
    assert!(shows_the_last(&edge, &world.authority).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_proof_fails_with_the_name_and_the_authoritys_words() {
    for (challenge, says) in
        [("http-01", "the answer is 308 and not"), ("tls-alpn-01", "no handshake")]
    {
        let world = World::new().await;
        let edge = world.edge(challenge).await;
        // The names lead to somebody else, who proves nothing.
        let other = world.edge(challenge).await;
        world.authority.reaches(other.plain_address(), other.address());
        let mut keeper = edge.acme_keeper();
        keeper.look().await;
        assert_eq!(world.authority.counts(), (1, 1));
        let entry = edge.shared().snapshot.load().config.state_dir.join("acme");
        assert_eq!(std::fs::read_dir(entry).unwrap().count(), 1, "the account alone");
        let why = unproved(&edge);
        assert!(why.contains("`edge.test` is not proved") && why.contains(says), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_proved_but_what_was_ordered() {
    let world = World::new().await;
    let edge = world.edge("tls-alpn-01").await;
    world.authority.behaves(How::AsksForAnother);
    edge.acme_keeper().look().await;
    let why = unproved(&edge);
    assert!(why.contains("`another.test`") && why.contains("was not ordered"), "{why}");
    assert!(edge.metrics().contains("edge_connections_refused_total{cause=\"acme_proof\"} 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_the_authority_has_lost_is_made_again() {
    let world = World::new().await;
    let edge = world.edge("http-01").await;
    let mut keeper = edge.acme_keeper();
    keeper.look().await;
    world.authority.forget_accounts();
    edge.advance(70 * DAY);
    keeper.look().await;
    assert_eq!(world.authority.issued().len(), 1);
    edge.advance(Duration::from_secs(300));
    world.authority.set_clock(edge.now_secs());
    keeper.look().await;
    assert_eq!(world.authority.issued().len(), 2);
    assert!(shows_the_last(&edge, &world.authority).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_authority_that_is_awaited_is_answered() {
    let world = World::new().await;
    let edge = world.edge("http-01").await;
    let path = "/.well-known/acme-challenge/token-of-order_0-name_0";
    let ask = format!("GET {path} HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    let before = edge.plain(&ask).await;
    assert_eq!(before.status, 308, "nothing is proved: a path like any other");
    edge.acme_keeper().look().await;
    assert_eq!(edge.plain(&ask).await.status, 308, "and neither when it is over");
    assert!(edge.metrics().contains("edge_connections_refused_total{cause=\"acme_proof\"} 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_orders_tells_and_serves_again_after_a_restart() {
    let world = World::new().await;
    let home = world.home.path();
    let own = "{ cert: file:tls.crt, key: file:tls.key }";
    let ordered = format!(
        "{{ acme: {{ names: [edge.test], directory: '{}', terms_agreed: true }} }}",
        world.authority.directory()
    );
    let text = process::configuration(&world.origin).replace(own, &ordered);
    assert!(text.contains("acme"));
    let egress = "egress: { networks: [127.0.0.0/8], ca: file:root.pem }\n";
    std::fs::write(home.join("portcullis.yaml"), text + egress).unwrap();
    std::fs::write(home.join("policy.yaml"), process::policy("/old")).unwrap();
    world.authority.set_clock(System::new().now().as_secs());

    let checked = process::run(home, &["check", "portcullis.yaml"]);
    let said = process::text(&checked.stdout) + &process::text(&checked.stderr);
    assert!(checked.status.success() && said.contains("certificate-not-issued"), "{said}");
    let edge = process::serve(home);
    let address = edge.address.rsplit('/').next().unwrap().parse().unwrap();
    world.authority.reaches(address, address);
    let shown = within("the first certificate", async {
        loop {
            if let Ok(shown) = shown_to(address, "edge.test").await {
                return shown;
            }
            // Who asks without a pause floods.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(shown.await, world.authority.issued()[0]);
    let status = process::run(home, &["status", "--socket", "admin.sock"]);
    let status = process::text(&status.stdout);
    assert!(
        status.contains("edge.test from https://127.0.0.1") && status.contains("valid until"),
        "{status}"
    );

    drop(edge);
    let edge = process::serve(home);
    let address = edge.address.rsplit('/').next().unwrap().parse().unwrap();
    let shown = shown_to(address, "edge.test").await.unwrap();
    assert_eq!(shown, world.authority.issued()[0], "from disk, at once");
    assert_eq!(world.authority.counts(), (1, 1));
}
