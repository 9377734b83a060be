//! Issuers whose keys are fetched: what an edge does when they rotate, stall, talk nonsense, talk too much, or are gone.

#[path = "issuers/flood.rs"]
mod flood;
#[path = "issuers/waiting.rs"]
mod waiting;

use std::path::Path;
use std::time::Duration;

use portcullis::clock::{Clock, System};
use portcullis_tests::{Answer, Authority, Claims, Edge, Issuer, KeyServer, Origin, Says};
use serde_json::json;
use tempfile::TempDir;

use super::process;

const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [main] } }";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An issuer's server, and what edges keep of it.
struct World {
    origin: Origin,
    server: KeyServer,
    home: TempDir,
}

impl World {
    async fn new() -> Self {
        let (origin, server) = (Origin::start().await, KeyServer::start().await);
        let home = tempfile::tempdir().unwrap();
        server.authority().write_root(&home.path().join("root.pem"));
        Self { origin, server, home }
    }

    async fn edge(&self, provider: &str) -> Edge {
        let root = self.home.path().join("root.pem");
        Edge::builder(&self.origin)
            .routes(&[ROUTE])
            .provider(provider)
            .state_dir(&self.home.path().join("state"))
            .top(&format!("egress: {{ networks: [127.0.0.0/8], ca: 'file:{}' }}", root.display()))
            .start()
            .await
    }

    /// An edge that finds the keys of its issuer by discovery.
    async fn oidc(&self) -> Edge {
        self.edge(&self.oidc_provider()).await
    }

    fn oidc_provider(&self) -> String {
        format!(
            "main: {{ kind: oidc, issuer: '{}', audience: license-api, algorithms: [ES256] }}",
            self.server.url("")
        )
    }

    /// Serves these keys by discovery.
    fn publishes(&self, issuers: &[&Issuer]) {
        self.publishes_as(&self.server.url(""), issuers, "Cache-Control: max-age=3600\r\n");
    }

    fn publishes_as(&self, issuer: &str, issuers: &[&Issuer], headers: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": self.server.url("/keys")});
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        self.server.says(Says::Documents(vec![
            ("/.well-known/openid-configuration".to_owned(), document.to_string(), String::new()),
            ("/keys".to_owned(), json!({ "keys": keys }).to_string(), headers.to_owned()),
        ]));
    }

    fn claims(&self, edge: &Edge) -> Claims {
        let mut claims = edge.claims("ada", "t1");
        claims.insert("iss".to_owned(), self.server.url("").into());
        claims
    }

    async fn ask(&self, edge: &Edge, issuer: &Issuer) -> u16 {
        ask(edge, &issuer.sign(&self.claims(edge))).await.status
    }
}

async fn ask(edge: &Edge, token: &str) -> Answer {
    let request =
        format!("GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    edge.client().await.ask(request).await
}

/// The fetches of the provider so far, by result.
fn fetches(edge: &Edge, result: &str) -> u64 {
    let start = format!("edge_key_set_fetches_total{{provider=\"main\",result=\"{result}\"}} ");
    let metrics = edge.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |count| count.parse().unwrap())
}

fn is_usable(edge: &Edge) -> bool {
    edge.metrics().contains("edge_key_set_usable{provider=\"main\"} 1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_key_set_tokens_are_answered_503_and_then_200() {
    let world = World::new().await;
    let (edge, issuer) = (world.oidc().await, Issuer::with_key("a"));
    let mut keeper = edge.key_keeper();
    let refused = ask(&edge, &issuer.sign(&world.claims(&edge))).await;
    assert_eq!((refused.status, refused.error().as_str()), (503, "unavailable"));
    // Nobody is told that a stranger's nonsense might be good.
    assert_eq!(ask(&edge, "nonsense").await.status, 401);
    world.origin.saw_nothing();
    world.publishes(&[&issuer]);
    keeper.look().await;
    assert_eq!(world.server.asked(), ["/.well-known/openid-configuration", "/keys"]);
    assert_eq!(world.ask(&edge, &issuer).await, 200);
    assert!(is_usable(&edge));
    keeper.look().await;
    assert!(world.server.asked().is_empty(), "nothing is due");
    assert!(
        edge.metrics().contains("edge_egress_requests_total{purpose=\"keys\",result=\"ok\"} 1")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_another_issuer_is_not_believed() {
    let world = World::new().await;
    let (edge, issuer) = (world.oidc().await, Issuer::with_key("a"));
    world.publishes_as(&format!("{}/", world.server.url("")), &[&issuer], "");
    edge.key_keeper().look().await;
    assert_eq!(fetches(&edge, "discovery"), 1);
    assert_eq!(world.server.asked(), ["/.well-known/openid-configuration"]);
    assert_eq!(world.ask(&edge, &issuer).await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_found_by_the_first_token_that_names_it_without_a_reload() {
    let world = World::new().await;
    let (edge, old, new) = (world.oidc().await, Issuer::with_key("a"), Issuer::with_key("b"));
    let mut keeper = edge.key_keeper();
    world.publishes(&[&old]);
    keeper.look().await;
    let generation = edge.shared().snapshot.load().generation;
    world.publishes(&[&new]);
    assert_eq!(world.ask(&edge, &new).await, 401);
    keeper.look().await;
    assert_eq!(world.ask(&edge, &new).await, 200);
    assert_eq!(world.ask(&edge, &old).await, 401, "what the issuer took away is gone");
    assert_eq!(edge.shared().snapshot.load().generation, generation);
    assert_eq!(fetches(&edge, "changed"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_unknown_keys_cost_a_bounded_number_of_fetches_and_hide_no_rotation() {
    let world = World::new().await;
    let (edge, old, new) = (world.oidc().await, Issuer::with_key("a"), Issuer::with_key("b"));
    let mut keeper = edge.key_keeper();
    world.publishes_as(&world.server.url(""), &[&old], "Cache-Control: max-age=86400\r\n");
    keeper.look().await;
    assert_eq!(world.server.asked().len(), 2);
    // Ten minutes, a stranger's key id and a look each second.
    for second in 0..600 {
        if second % 10 == 0 {
            let stranger = Issuer::with_key(&format!("made-up-{second}"));
            assert_eq!(world.ask(&edge, &stranger).await, 401);
        }
        edge.advance(Duration::from_secs(1));
        keeper.look().await;
    }
    let fetched = world.server.asked().len() / 2;
    assert!((10..=13).contains(&fetched), "one a minute once they bring nothing: {fetched}");
    // In the middle of it the issuer rotates: it takes a minute at most, and the pace is the first one again.
    world.publishes(&[&new]);
    let stranger = Issuer::with_key("made-up");
    for _ in 0..60 {
        assert_eq!(world.ask(&edge, &stranger).await, 401);
        edge.advance(Duration::from_secs(1));
        keeper.look().await;
        if world.ask(&edge, &new).await == 200 {
            return;
        }
    }
    panic!("the new key is not known after a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_floods_and_errors_leave_the_last_good_keys_in_use() {
    let world = World::new().await;
    let (edge, issuer) = (world.oidc().await, Issuer::with_key("a"));
    let mut keeper = edge.key_keeper();
    world.publishes(&[&issuer]);
    keeper.look().await;
    let document = json!({"issuer": world.server.url(""), "jwks_uri": world.server.url("/keys")});
    let document = |keys: &str| {
        Says::Documents(vec![
            ("/.well-known/openid-configuration".to_owned(), document.to_string(), String::new()),
            ("/keys".to_owned(), keys.to_owned(), String::new()),
        ])
    };
    for (says, label) in [
        (Says::Body(b"<html>maintenance</html>".to_vec()), "discovery"),
        (Says::Body(vec![0xff; 1000]), "discovery"),
        (document("nonsense"), "no_key_set"),
        (document("{\"keys\":[]}"), "no_key_set"),
        (document("{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"kid\":\"x\"}]}"), "no_key_set"),
        (Says::Endless(100 << 20), "too_large"),
        (Says::Status(500), "status"),
        (Says::Status(302), "redirect"),
        (Says::Closes, "broken"),
    ] {
        world.server.says(says.clone());
        edge.advance(HOUR);
        let before = fetches(&edge, label);
        keeper.look().await;
        assert_eq!(fetches(&edge, label), before + 1, "{says:?}\n{}", edge.metrics());
        assert_eq!(world.ask(&edge, &issuer).await, 200, "{says:?}");
    }
    // It is tried again after five seconds, then less and less often, and at the latest every five minutes.
    drop(world.server.asked());
    let mut tries = 0;
    for _ in 0..3600 {
        edge.advance(Duration::from_secs(1));
        keeper.look().await;
        tries += world.server.asked().len();
    }
    assert!((11..=20).contains(&tries), "{tries}");
    world.publishes(&[&issuer]);
    edge.advance(5 * MINUTE);
    keeper.look().await;
    assert_eq!(fetches(&edge, "unchanged"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_stalls_holds_nobody_up() {
    let world = World::new().await;
    let (edge, issuer) = (world.oidc().await, Issuer::with_key("a"));
    let mut keeper = edge.key_keeper();
    world.publishes(&[&issuer]);
    keeper.look().await;
    world.server.says(Says::Nothing);
    edge.advance(HOUR);
    let token = issuer.sign(&world.claims(&edge));
    let stranger = Issuer::with_key("b").sign(&world.claims(&edge));
    let asking = async {
        for _ in 0..20 {
            assert_eq!(ask(&edge, &token).await.status, 200);
            assert_eq!(ask(&edge, &stranger).await.status, 401);
        }
    };
    tokio::join!(keeper.look(), asking);
    assert_eq!(fetches(&edge, "timed_out"), 1, "one fetch, whatever came meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_gone_is_done_without_for_a_day_and_across_restarts() {
    let world = World::new().await;
    let issuer = Issuer::with_key("a");
    {
        let edge = world.oidc().await;
        world.publishes(&[&issuer]);
        edge.key_keeper().look().await;
    }
    world.server.says(Says::Closes);
    let edge = world.oidc().await;
    let mut keeper = edge.key_keeper();
    keeper.look().await;
    assert_eq!(world.ask(&edge, &issuer).await, 200, "the kept copy serves");
    edge.advance(24 * HOUR - Duration::from_secs(1));
    keeper.look().await;
    assert_eq!(world.ask(&edge, &issuer).await, 200);
    edge.advance(Duration::from_secs(1));
    keeper.look().await;
    assert_eq!(world.ask(&edge, &issuer).await, 503, "older than `max_age`");
    assert!(!is_usable(&edge));
    world.publishes(&[&issuer]);
    edge.advance(5 * MINUTE);
    keeper.look().await;
    assert_eq!(world.ask(&edge, &issuer).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_platform_is_served_from_a_map_of_certificates() {
    let world = World::new().await;
    let google = Issuer::with_rsa_key("g1");
    let edge = world
        .edge(&format!(
            "main: {{ kind: identity_platform, project: example-project, keys_url: '{}' }}",
            world.server.url("/x509")
        ))
        .await;
    let says = vec![("/x509".to_owned(), google.certificates(), "Expires: 0\r\n".to_owned())];
    world.server.says(Says::Documents(says));
    let mut keeper = edge.key_keeper();
    keeper.look().await;
    let mut claims = edge.claims("uid-1", "unused");
    claims.remove("tenant_id");
    for (name, value) in [
        ("iss", json!("https://securetoken.google.com/example-project")),
        ("aud", json!("example-project")),
        ("auth_time", json!(edge.now_secs())),
        ("firebase", json!({"tenant": "acme", "sign_in_provider": "password"})),
    ] {
        claims.insert(name.to_owned(), value);
    }
    assert_eq!(ask(&edge, &google.sign(&claims)).await.status, 200);
    assert_eq!(world.origin.only().headers("X-Edge-Tenant"), ["acme"]);
    world.origin.forget();
    claims.insert("iss".to_owned(), json!("https://session.firebase.google.com/example-project"));
    assert_eq!(ask(&edge, &google.sign(&claims)).await.status, 401, "a session cookie");
    world.origin.saw_nothing();
    // `Expires: 0` is obeyed as far as it goes: once a minute.
    drop(world.server.asked());
    edge.advance(MINUTE - Duration::from_secs(1));
    keeper.look().await;
    assert!(world.server.asked().is_empty());
    edge.advance(Duration::from_secs(1));
    keeper.look().await;
    assert_eq!(world.server.asked(), ["/x509"]);
}

/// Asks the binary again and again, until it answers as it should.
pub(super) fn answers(directory: &Path, edge: &process::Portcullis, token: &str, expected: &str) {
    let authorization = format!("Authorization: Bearer {token}");
    let deadline = System::new().now().plus(Duration::from_secs(20));
    loop {
        let (status, body) = process::ask(directory, edge, "/", &["-H", &authorization]);
        if status == expected {
            return;
        }
        assert!(System::new().now() < deadline, "{status} in place of {expected}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_follows_a_rotation_and_starts_again_without_its_issuer() {
    let world = World::new().await;
    let directory = world.home.path();
    let authority = Authority::new();
    authority.write(&["edge.test"], &directory.join("tls.crt"), &directory.join("tls.key"));
    std::fs::write(directory.join("policy.yaml"), process::policy("false")).unwrap();
    let text = process::configuration(&world.origin)
        .replace("identity: none", "identity: { any: [main] }")
        + &format!(
            "identity: {{ providers: {{ {} }} }}\n\
             egress: {{ networks: [127.0.0.0/8], ca: file:root.pem }}\n",
            world.oidc_provider()
        );
    std::fs::write(directory.join("portcullis.yaml"), text).unwrap();
    let now = System::new().now().as_secs();
    let claims: Claims = serde_json::from_value(json!({
        "iss": world.server.url(""), "aud": "license-api", "sub": "ada", "tenant_id": "t1",
        "iat": now, "exp": now + 600,
    }))
    .unwrap();
    let (old, new) = (Issuer::with_key("a"), Issuer::with_key("b"));
    world.publishes(&[&old]);
    let edge = process::serve(directory);
    answers(directory, &edge, &old.sign(&claims), "200");
    world.publishes(&[&old, &new]);
    answers(directory, &edge, &new.sign(&claims), "200");
    drop(edge);
    world.server.says(Says::Closes);
    let edge = process::serve(directory);
    answers(directory, &edge, &new.sign(&claims), "200");
}
