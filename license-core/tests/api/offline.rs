//! Seats that are taken offline: bounded, counted until they end, and proved without the service.

use crate::harness::{START, World, admin, bare, user};
use http::Method;
use license_core::Timestamp;
use license_core::signing::{KeySet, Memory, Unverified, verify_offline, verify_return};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: u64 = 3600;

async fn with_offline(mut world: World) -> World {
    world.stop().await;
    world.signs = true;
    world.lease.offline_max = Duration::from_secs(72 * HOUR);
    world.start().await;
    world
}

async fn keys(world: &World) -> KeySet {
    let answer =
        world.client().await.send(bare(Method::GET, "/.well-known/jwks.json", b"", &[])).await;
    KeySet::parse(answer.body.to_string().as_bytes()).unwrap()
}

async fn a_seat_goes_offline_counts_until_it_ends_and_comes_back(world: World) {
    let world = with_offline(world).await;
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "laptop").await;
    let session = format!("/api/v1/license/sessions/{}", held.text("id"));
    let borrow = format!("{session}/borrow");
    for bad in [0, 3599, 72 * HOUR + 1] {
        world
            .call(anna, "POST", &borrow, json!({"duration_secs": bad}))
            .await
            .refused(400, "invalid_request");
    }
    world
        .call(ben, "POST", &borrow, json!({"duration_secs": HOUR}))
        .await
        .refused(403, "tenant_access_denied");
    let lent = world.call(anna, "POST", &borrow, json!({"duration_secs": 48 * HOUR})).await;
    assert_eq!(lent.status, 200, "{lent:?}");
    assert!(lent.body["sequence"].as_i64().unwrap() > held.body["lease_epoch"].as_i64().unwrap());

    // Two days without a heartbeat: the seat is nobody else's, not even by force.
    world.advance_secs(47 * HOUR).await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    let ada = admin("acme");
    world
        .call(ada, "POST", &format!("{session}/force-release"), Value::Null)
        .await
        .refused(409, "session_borrowed");
    let all = format!("/api/v1/license/{}/release-all", license.id);
    assert_eq!(world.call(ada, "POST", &all, Value::Null).await.body["released"], 0);

    // The machine proves it without the service.
    let keys = keys(&world).await;
    let token = lent.text("borrow_token");
    let at = |hours: u64| Timestamp::from_millis(START + hours * HOUR * 1000);
    let mut memory = Memory::default();
    let receipt = verify_offline(token, &keys, "laptop", &mut memory, at(1)).unwrap();
    assert_eq!((receipt.session_id.as_str(), receipt.subject.as_str()), (held.text("id"), "anna"));
    assert_eq!(
        verify_offline(token, &keys, "other", &mut memory, at(2)),
        Err(Unverified::OtherMachine)
    );
    assert_eq!(
        verify_offline(token, &keys, "laptop", &mut memory, at(0)),
        Err(Unverified::ClockSetBack)
    );
    assert!(verify_offline(token, &keys, "laptop", &mut memory, at(47)).is_ok());
    assert_eq!(verify_offline(token, &keys, "laptop", &mut memory, at(49)), Err(Unverified::Time));
    // A receipt of the lease is no borrow token.
    assert_eq!(
        verify_offline(held.text("receipt"), &keys, "laptop", &mut memory, at(47)),
        Err(Unverified::Malformed)
    );

    // Borrowed anew, the token from before is a copy from before.
    let anew = world.call(anna, "POST", &borrow, json!({"duration_secs": HOUR})).await;
    assert!(
        verify_offline(anew.text("borrow_token"), &keys, "laptop", &mut memory, at(47)).is_ok()
    );
    assert_eq!(
        verify_offline(token, &keys, "laptop", &mut memory, at(47)),
        Err(Unverified::Superseded)
    );

    let back = world.call(anna, "POST", &format!("{session}/return"), Value::Null).await;
    assert_eq!((back.status.as_u16(), back.text("ending")), (200, "released"));
    let proof = verify_return(back.text("return_receipt"), &keys).unwrap();
    assert_eq!(
        (proof.session_id.as_str(), proof.epoch),
        (held.text("id"), anew.body["sequence"].as_i64().unwrap())
    );
    assert_eq!(world.acquire(ben, &license.key, "b").await.status, 201);
}

async fn a_borrowed_seat_is_free_when_its_time_is_over(world: World) {
    let world = with_offline(world).await;
    let license = world.license("acme", "editor", 1).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "laptop").await;
    let target = format!("/api/v1/license/sessions/{}/borrow", held.text("id"));
    assert_eq!(world.call(anna, "POST", &target, json!({"duration_secs": HOUR})).await.status, 200);
    world.advance_secs(HOUR - 1).await;
    world.acquire(user("acme", "ben"), &license.key, "b").await.refused(409, "no_seats_available");
    world.advance_secs(1).await;
    assert_eq!(world.acquire(user("acme", "ben"), &license.key, "b").await.status, 201);
    world
        .call(anna, "POST", &target, json!({"duration_secs": HOUR}))
        .await
        .refused(410, "session_expired");
}

async fn who_comes_back_gets_the_old_session_or_a_new_one(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "laptop").await;
    let back = |old: &str, hardware: &str| json!({"old_session_id": old, "hardware_id": hardware});
    let target = "/api/v1/license/reconnect";
    let same = world.call(anna, "POST", target, back(held.text("id"), "laptop")).await;
    assert_eq!((same.status.as_u16(), same.text("id")), (200, held.text("id")));
    for (who, hardware) in [(anna, "other"), (ben, "laptop")] {
        world
            .call(who, "POST", target, back(held.text("id"), hardware))
            .await
            .refused(403, "tenant_access_denied");
    }
    world.advance_secs(361).await;
    let new = world.call(anna, "POST", target, back(held.text("id"), "laptop")).await;
    assert_eq!(new.status, 201, "{new:?}");
    assert!(new.body["lease_epoch"].as_i64() > held.body["lease_epoch"].as_i64());
    world.advance_secs(361).await;
    world.acquire(ben, &license.key, "b").await;
    world
        .call(anna, "POST", target, back(new.text("id"), "laptop"))
        .await
        .refused(409, "no_seats_available");
    world.release(anna, held.text("id")).await;
    let other = world.license("acme", "viewer", 1).await;
    let gone = world.acquire(anna, &other.key, "laptop").await;
    world.release(anna, gone.text("id")).await;
    world
        .call(anna, "POST", target, back(gone.text("id"), "laptop"))
        .await
        .refused(410, "session_released");
}

crate::harness::on_both_stores! {
    a_seat_goes_offline_counts_until_it_ends_and_comes_back,
    a_borrowed_seat_is_free_when_its_time_is_over,
    who_comes_back_gets_the_old_session_or_a_new_one,
}

#[tokio::test]
async fn without_a_bound_or_a_signer_nothing_goes_offline() {
    let mut world = World::new().await;
    let license = world.license("acme", "editor", 1).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "laptop").await;
    let target = format!("/api/v1/license/sessions/{}/borrow", held.text("id"));
    world
        .call(anna, "POST", &target, json!({"duration_secs": HOUR}))
        .await
        .refused(403, "offline_not_allowed");
    world.stop().await;
    world.lease.offline_max = Duration::from_secs(HOUR);
    world.start().await;
    world
        .call(anna, "POST", &target, json!({"duration_secs": HOUR}))
        .await
        .refused(503, "signing_unavailable");
}
