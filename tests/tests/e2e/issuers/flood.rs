//! Tokens with made-up key ids as fast as the machine sends them: what they cost whoever has a good one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::clock::{Clock, System};
use portcullis_tests::{Edge, Issuer};
use tokio::sync::watch;

use super::World;

const FLOODERS: u64 = 8;
const TIME: Duration = Duration::from_secs(10);

fn request(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// The same claims under a key id of its own.
fn stranger(good: &str, n: u64) -> String {
    let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"made-up-{n}"}}"#));
    let mut parts = good.split('.').skip(1);
    format!("{head}.{}.{}", parts.next().unwrap(), parts.next().unwrap())
}

/// Asks with a good token for a while, one request after the other; returns the latencies, sorted. The edge's clock goes
/// along.
async fn latencies(edge: &Edge, token: &str) -> Vec<Duration> {
    let (clock, request) = (System::new(), request(token));
    let mut client = edge.client().await;
    let begun = clock.monotonic();
    let (mut all, mut last) = (Vec::new(), begun);
    while clock.monotonic() - begun < TIME {
        let before = clock.monotonic();
        assert_eq!(client.ask(&request).await.status, 200);
        let after = clock.monotonic();
        all.push(after - before);
        edge.advance(after - last);
        last = after;
    }
    all.sort_unstable();
    all
}

#[expect(clippy::print_stdout, reason = "the figures are what the test is run for")]
fn told(what: &str, all: &[Duration]) {
    let at = |share: usize| all[(all.len() - 1) * share / 1000];
    println!(
        "{what}: {} requests, median {:?}, p99 {:?}, worst {:?}",
        all.len(),
        at(500),
        at(990),
        at(1000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for twenty seconds: run it alone with --ignored --nocapture"]
async fn a_flood_of_unknown_key_ids_leaves_good_tokens_alone() {
    let world = World::new().await;
    let (edge, issuer) = (Arc::new(world.oidc().await), Issuer::with_key("a"));
    world.publishes(&[&issuer]);
    let mut keeper = edge.key_keeper();
    keeper.look().await;
    let (stop_keeper, stopped) = watch::channel(false);
    let keeping = tokio::spawn(keeper.run(stopped));
    let mut claims = world.claims(&edge);
    claims.insert("exp".to_owned(), (edge.now_secs() + 3600).into());
    let good = issuer.sign(&claims);
    told("quiet", &latencies(&edge, &good).await);
    let before = world.server.asked().len();
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let flooders: Vec<_> = (0..FLOODERS)
        .map(|_| {
            let (edge, stop) = (Arc::clone(&edge), Arc::clone(&stop));
            let (count, good) = (Arc::clone(&count), good.clone());
            tokio::spawn(async move {
                let mut client = edge.client().await;
                while !stop.load(Ordering::Relaxed) {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(client.ask(request(&stranger(&good, n))).await.status, 401);
                }
            })
        })
        .collect();
    let flooded = latencies(&edge, &good).await;
    stop.store(true, Ordering::Relaxed);
    for flooder in flooders {
        flooder.await.unwrap();
    }
    told("flooded", &flooded);
    let fetched = world.server.asked().len() / 2;
    let flood = count.load(Ordering::Relaxed);
    println!("{flood} unknown key ids in {TIME:?}, {fetched} fetches, {before} requests before");
    assert!((1..=2).contains(&fetched), "one each ten seconds: {fetched}");
    stop_keeper.send(true).unwrap();
    keeping.await.unwrap().unwrap();
}
