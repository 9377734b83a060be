//! Tokens whose key is not known yet wait for the fetch that they cause, a few of them and not for long.

use std::time::Duration;

use portcullis::clock::{Clock, System};
use portcullis_tests::{Edge, Issuer, Says};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{World, ask, fetches};

/// More than there are places.
const STRANGERS: u64 = 80;

/// A keeper that runs beside the edge, and what stops it.
fn keep(edge: &Edge) -> (watch::Sender<bool>, JoinHandle<()>) {
    let (stop, stopped) = watch::channel(false);
    let keeper = edge.key_keeper();
    (stop, tokio::spawn(async move { keeper.run(stopped).await.unwrap() }))
}

async fn until_good(world: &World, edge: &Edge, issuer: &Issuer) {
    let deadline = System::new().now().plus(Duration::from_secs(20));
    while world.ask(edge, issuer).await != 200 {
        assert!(System::new().now() < deadline, "the first key set does not come");
        tokio::task::yield_now().await;
    }
}

/// Requests that waited so far, by outcome.
fn waits(edge: &Edge, outcome: &str) -> u64 {
    let start = format!("edge_key_set_waits_total{{outcome=\"{outcome}\"}} ");
    let metrics = edge.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_token_after_a_rotation_is_accepted() {
    let world = World::new().await;
    let (edge, old, new) = (world.oidc().await, Issuer::with_key("a"), Issuer::with_key("b"));
    world.publishes(&[&old]);
    let (stop, keeping) = keep(&edge);
    until_good(&world, &edge, &old).await;
    world.publishes(&[&old, &new]);
    assert_eq!(world.ask(&edge, &new).await, 200, "{}", edge.metrics());
    assert_eq!((fetches(&edge, "changed"), waits(&edge, "fetched")), (2, 1));
    assert!(!edge.metrics().contains("reason=\"unknown_kid\""), "what was accepted is not refused");
    // Where a fetch may begin again, a made-up key waits for it in vain.
    let stranger = Issuer::with_key("made-up");
    edge.advance(Duration::from_secs(60));
    assert_eq!(world.ask(&edge, &stranger).await, 401);
    assert_eq!((fetches(&edge, "unchanged"), waits(&edge, "fetched")), (1, 2));
    // The pace of fetches stands: the next one causes none for a time, and is not held.
    assert_eq!(world.ask(&edge, &stranger).await, 401);
    assert_eq!((fetches(&edge, "unchanged"), waits(&edge, "fetched")), (1, 2));
    stop.send(true).unwrap();
    keeping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_is_not_held_beyond_the_places_while_the_issuer_stalls() {
    let world = World::new().await;
    let (edge, issuer) = (world.oidc().await, Issuer::with_key("a"));
    world.publishes(&[&issuer]);
    let (stop, keeping) = keep(&edge);
    until_good(&world, &edge, &issuer).await;
    world.server.says(Says::Nothing);
    let mut clients = Vec::new();
    for _ in 0..STRANGERS {
        clients.push(edge.client().await);
    }
    let stranger = Issuer::with_key("made-up").sign(&world.claims(&edge));
    let request =
        format!("GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {stranger}\r\n\r\n");
    let asking: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let request = request.clone();
            tokio::spawn(async move { client.ask(request).await.status })
        })
        .collect();
    let good = issuer.sign(&world.claims(&edge));
    assert_eq!(ask(&edge, &good).await.status, 200, "a good token is held up by nobody");
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 401);
    }
    let (waited, refused) = (waits(&edge, "too_late"), waits(&edge, "no_place"));
    assert_eq!(waited + refused, STRANGERS);
    assert!(refused > 0, "{waited} waited, and there are 64 places");
    stop.send(true).unwrap();
    keeping.await.unwrap();
}
