//! The client that programs use, against the service.

use crate::harness::{Edge, START, Who, World, on_both_stores, user};
use http::{HeaderName, HeaderValue, Method};
use license_core::client::{Acquire, Bearer, Client, ClientError, Credential, Refusal};
use license_core::signing::{KeySet, verify_offline, verify_return};
use license_core::{Clock as _, Timestamp};
use serde_json::Value;
use std::time::Duration;
use tokio::net::UnixStream;
use uuid::Uuid;

on_both_stores! {
    a_program_takes_keeps_borrows_and_gives_back_a_seat,
    a_refusal_says_what_to_do,
}

/// Vouches for each request as the edge does.
struct Vouched<'a> {
    edge: &'a Edge,
    who: Who<'a>,
    now_secs: u64,
}

impl Credential for Vouched<'_> {
    fn header(&self, method: &Method, target: &str, body: &[u8]) -> (HeaderName, HeaderValue) {
        let signed = self.edge.assertion(self.who, method.as_str(), target, body, self.now_secs);
        (HeaderName::from_static("x-edge-assertion"), signed.parse().unwrap())
    }
}

async fn client<'a>(world: &'a World, who: Who<'a>) -> Client<Vouched<'a>> {
    let stream = UnixStream::connect(world.socket()).await.unwrap();
    let vouched = Vouched { edge: &world.edge, who, now_secs: world.clock.now().as_secs() };
    Client::over(stream, "license", vouched).await.unwrap()
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Refusal {
    let error = answer.unwrap_err();
    let ClientError::Refused(refusal) = error else { panic!("{error:?}") };
    refusal
}

async fn a_program_takes_keeps_borrows_and_gives_back_a_seat(mut world: World) {
    world.stop().await;
    world.signs = true;
    world.lease.offline_max = Duration::from_secs(72 * 3600);
    world.start().await;
    let license = world.license("acme", "editor", 2).await;
    let mut anna = client(&world, user("acme", "anna")).await;
    let mut wanted = Acquire::of(&license.key, "hw");
    wanted.metadata.insert("os".to_owned(), "linux".to_owned());
    let lease = anna.acquire(&wanted).await.unwrap();
    assert_eq!((lease.seats_used, lease.seats_total), (Some(1), Some(2)));
    assert_eq!(lease.license_id.to_string(), license.id);
    let again = anna.acquire(&wanted).await.unwrap();
    assert_eq!(again.session_id, lease.session_id);
    let kept = anna.heartbeat(lease.session_id).await.unwrap();
    assert_eq!((kept.session_id, kept.seats_used), (lease.session_id, None));
    assert!((1..=180).contains(&kept.heartbeat_interval));

    let lent = anna.borrow(lease.session_id, 3600).await.unwrap();
    let keys: Value = anna.ask(Method::GET, "/.well-known/jwks.json", None).await.unwrap();
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    let now = Timestamp::from_millis(START);
    verify_offline(&lent.borrow_token, &keys, "hw", &mut Default::default(), now).unwrap();
    let receipt = anna.give_back(lease.session_id).await.unwrap().unwrap();
    assert_eq!(verify_return(&receipt, &keys).unwrap().session_id, lease.session_id.to_string());
    anna.release(lease.session_id).await.unwrap();
    let ended = refusal(anna.heartbeat(lease.session_id).await);
    assert_eq!(
        (ended.status, ended.error.as_str(), ended.conclusive),
        (410, "session_released", true)
    );
}

async fn a_refusal_says_what_to_do(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let mut anna = client(&world, user("acme", "anna")).await;
    let mut ben = client(&world, user("acme", "ben")).await;
    let held = anna.acquire(&Acquire::of(&license.key, "a")).await.unwrap();
    let full = refusal(ben.acquire(&Acquire::of(&license.key, "b")).await);
    assert_eq!((full.status, full.error.as_str()), (409, "no_seats_available"));
    assert!(full.retryable && full.retry_after_secs.is_some_and(|secs| secs > 0), "{full:?}");
    assert_eq!(full.details["max_seats"], 1);
    let other = refusal(ben.release(held.session_id).await);
    assert_eq!((other.status, other.error.as_str()), (403, "tenant_access_denied"));
    let nobody = refusal(ben.reconnect(Uuid::nil(), "b").await);
    assert_eq!(nobody.status, 403);
    // The connection goes on after refusals, and after a lease that ran out another one is had.
    world.advance_leases_secs(360).await;
    let back = anna.reconnect(held.session_id, "a").await.unwrap();
    assert!(back.session_id != held.session_id && back.lease_epoch > held.lease_epoch);

    // A token is for the edge: the service itself knows nothing of it.
    let stream = UnixStream::connect(world.socket()).await.unwrap();
    let mut stranger =
        Client::over(stream, "license", Bearer::new("token").unwrap()).await.unwrap();
    assert_eq!(refusal(stranger.heartbeat(held.session_id).await).error, "missing_auth");
    assert!(Bearer::new("a\nb").is_err());
    assert_eq!(format!("{:?}", Bearer::new("hush").unwrap()), "Bearer(…)");
}
