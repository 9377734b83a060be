//! Policies: overdraft, bursts, take-over, queue, terms and the end of a license's term. Each test runs on both stores.

use crate::harness::{Answer, Who, World, admin, on_both_stores, user};
use http::Method;
use license_core::CreatedLicense;
use serde_json::{Value, json};

on_both_stores! {
    a_policy_is_kept_used_and_deleted_when_nobody_follows_it,
    an_overdraft_gives_a_part_of_the_seats_more,
    a_burst_gives_seats_until_it_ends,
    a_policy_shortens_leases_and_their_greatest_age,
    the_end_of_the_term_ends_what_the_policy_says,
    ones_own_seat_elsewhere_can_be_taken_and_nobody_elses,
    any_seat_can_be_taken_where_the_policy_says_so,
    who_waits_longest_gets_the_next_seat,
    a_place_lapses_when_its_holder_does_not_ask,
    a_policy_bounds_how_long_a_seat_goes_offline,
}

async fn under(world: &World, seats: u32, policy: Value) -> CreatedLicense {
    let license = world.license("acme", "editor", seats).await;
    let ada = admin("acme");
    let put = world.call(ada, "PUT", "/api/v1/policy/team", policy).await;
    assert_eq!(put.status, 201, "{put:?}");
    let target = format!("/api/v1/license/{}", license.id);
    let set = world.call(ada, "PATCH", &target, json!({"policy": "team"})).await;
    assert_eq!((set.status.as_u16(), set.text("policy")), (200, "team"), "{set:?}");
    license
}

async fn take(world: &World, who: Who<'_>, key: &str, hardware: &str, session: &str) -> Answer {
    let body = json!({"license_key": key, "hardware_id": hardware, "take_over": session});
    world.call(who, "POST", "/api/v1/license/acquire", body).await
}

async fn a_policy_is_kept_used_and_deleted_when_nobody_follows_it(world: World) {
    let license =
        under(&world, 1, json!({"ttl_secs": 120, "take_over": "own", "queue": true})).await;
    let ada = admin("acme");
    let shown = world.call(ada, "GET", "/api/v1/policies/team/", Value::Null).await;
    let whole = json!({"name": "team", "ttl_secs": 120, "age_max_secs": null, "offline_max_secs": null,
        "overdraft_percent": 0, "take_over": "own", "expiry": "restrict", "queue": true});
    assert_eq!(shown.body, whole);
    let listed = world.call(ada, "GET", "/api/v1/policy", Value::Null).await;
    assert_eq!(listed.body["items"], json!([whole]));
    for bad in [
        json!({"ttl_secs": 59}),
        json!({"ttl_secs": 120, "age_max_secs": 119}),
        json!({"offline_max_secs": 604_801}),
        json!({"overdraft_percent": 1001}),
        json!({"take_over": "all"}),
        json!({"expiry": "never"}),
        json!({"seats": 1}),
    ] {
        world.call(ada, "PUT", "/api/v1/policy/team", bad).await.refused(400, "invalid_request");
    }
    world.call(ada, "DELETE", "/api/v1/policy/team", Value::Null).await.refused(409, "in_use");
    let target = format!("/api/v1/license/{}", license.id);
    world
        .call(ada, "PATCH", &target, json!({"policy": "none"}))
        .await
        .refused(400, "invalid_request");
    let set = world.call(ada, "PATCH", &target, json!({"policy": null})).await;
    assert_eq!(set.body["policy"], Value::Null);
    assert_eq!(world.call(ada, "DELETE", "/api/v1/policy/team", Value::Null).await.status, 204);
    world.call(ada, "GET", "/api/v1/policy/team", Value::Null).await.refused(404, "not_found");
}

async fn an_overdraft_gives_a_part_of_the_seats_more(world: World) {
    let license = under(&world, 4, json!({"overdraft_percent": 25})).await;
    let anna = user("acme", "anna");
    for number in 0..5 {
        let got = world.acquire(anna, &license.key, &format!("m{number}")).await;
        assert_eq!(got.status, 201, "{number}: {got:?}");
        assert_eq!(got.body["seats_total"], 4);
    }
    let full = world.acquire(anna, &license.key, "m5").await;
    full.refused(409, "no_seats_available");
    assert_eq!(
        (&full.body["details"]["max_seats"], &full.body["details"]["active_seats"]),
        (&json!(4), &json!(5))
    );
}

async fn a_burst_gives_seats_until_it_ends(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben, cleo) = (user("acme", "anna"), user("acme", "ben"), user("acme", "cleo"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    let target = format!("/api/v1/license/{}", license.id);
    let burst = json!({"burst": {"seats": 1, "secs": 600}});
    let more = world.call(admin("acme"), "PATCH", &target, burst).await;
    assert_eq!((more.status.as_u16(), &more.body["seats_total"]), (200, &json!(2)), "{more:?}");
    let second = world.acquire(ben, &license.key, "b").await;
    assert_eq!((second.status.as_u16(), &second.body["seats_total"]), (201, &json!(2)));
    for _ in 0..3 {
        world.advance_secs(200).await;
        assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
        assert_eq!(world.heartbeat(ben, second.text("id")).await.status, 200);
    }
    // It is over: nobody loses a seat by that, and nobody gets one.
    world.acquire(cleo, &license.key, "c").await.refused(409, "no_seats_available");
    world.release(ben, second.text("id")).await;
    world.acquire(cleo, &license.key, "c").await.refused(409, "no_seats_available");
    let long = json!({"burst": {"seats": 1, "secs": 31 * 86_400 + 1}});
    world.call(admin("acme"), "PATCH", &target, long).await.refused(400, "invalid_request");
}

async fn a_policy_shortens_leases_and_their_greatest_age(world: World) {
    let license = under(&world, 1, json!({"ttl_secs": 60, "age_max_secs": 100})).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    assert_eq!(held.body["lease_ttl"], 60);
    assert!(held.body["heartbeat_interval"].as_u64().unwrap() <= 30, "{held:?}");
    world.advance_secs(59).await;
    let beat = world.heartbeat(anna, held.text("id")).await;
    assert_eq!((beat.status.as_u16(), &beat.body["lease_ttl"]), (200, &json!(41)), "{beat:?}");
    world.advance_secs(41).await;
    world.heartbeat(anna, held.text("id")).await.refused(410, "session_expired");
}

async fn the_end_of_the_term_ends_what_the_policy_says(world: World) {
    let license = under(&world, 2, json!({"expiry": "maintain"})).await;
    let (ada, anna, ben) = (admin("acme"), user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    let over = json!({"expires_at": "2027-01-15T08:00:00Z"});
    world.call(ada, "PATCH", &format!("/api/v1/license/{}", license.id), over).await;
    assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
    world.acquire(ben, &license.key, "b").await.refused(403, "license_expired");
    world.call(ada, "PUT", "/api/v1/policy/team", json!({"expiry": "allow"})).await;
    assert_eq!(world.acquire(ben, &license.key, "b").await.status, 201);
    world.call(ada, "PUT", "/api/v1/policy/team", json!({"expiry": "restrict"})).await;
    world.heartbeat(anna, held.text("id")).await.refused(403, "license_expired");
}

async fn ones_own_seat_elsewhere_can_be_taken_and_nobody_elses(world: World) {
    let license = under(&world, 2, json!({"take_over": "own"})).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let desk = world.acquire(anna, &license.key, "desk").await;
    let other = world.acquire(ben, &license.key, "bens").await;
    world.advance_secs(7).await;
    let full = world.acquire(anna, &license.key, "laptop").await;
    full.refused(409, "no_seats_available");
    let candidates =
        json!([{"session_id": desk.text("id"), "hardware_id": "desk", "idle_secs": 7}]);
    assert_eq!(full.body["details"]["take_over"], candidates);
    take(&world, anna, &license.key, "laptop", other.text("id"))
        .await
        .refused(409, "no_seats_available");
    let taken = take(&world, anna, &license.key, "laptop", desk.text("id")).await;
    assert_eq!((taken.status.as_u16(), &taken.body["seats_used"]), (201, &json!(2)), "{taken:?}");
    world.heartbeat(anna, desk.text("id")).await.refused(410, "session_revoked");
    assert_eq!(world.heartbeat(ben, other.text("id")).await.status, 200);
}

async fn any_seat_can_be_taken_where_the_policy_says_so(world: World) {
    let license = under(&world, 1, json!({"take_over": "any"})).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "desk").await;
    let full = world.acquire(ben, &license.key, "bens").await;
    full.refused(409, "no_seats_available");
    // Whose it is and where is not told.
    let candidates = json!([{"session_id": held.text("id"), "hardware_id": null, "idle_secs": 0}]);
    assert_eq!(full.body["details"]["take_over"], candidates);
    assert_eq!(take(&world, ben, &license.key, "bens", held.text("id")).await.status, 201);
    world.heartbeat(anna, held.text("id")).await.refused(410, "session_revoked");
    let missing = "00000000-0000-7000-8000-000000000000";
    take(&world, anna, &license.key, "desk", missing).await.refused(409, "no_seats_available");
}

async fn who_waits_longest_gets_the_next_seat(world: World) {
    let license = under(&world, 1, json!({"queue": true})).await;
    let (anna, ben, cleo) = (user("acme", "anna"), user("acme", "ben"), user("acme", "cleo"));
    let held = world.acquire(anna, &license.key, "a").await;
    for (who, hardware, place) in [(ben, "b", 1), (cleo, "c", 2), (ben, "b", 1), (cleo, "c", 2)] {
        let full = world.acquire(who, &license.key, hardware).await;
        full.refused(409, "no_seats_available");
        assert_eq!(full.body["details"]["queue_place"], place, "{hardware}");
        world.advance_secs(1).await;
    }
    world.release(anna, held.text("id")).await;
    // Who asks first is not who waited first.
    world.acquire(anna, &license.key, "a").await.refused(409, "no_seats_available");
    world.acquire(cleo, &license.key, "c").await.refused(409, "no_seats_available");
    let got = world.acquire(ben, &license.key, "b").await;
    assert_eq!(got.status, 201, "{got:?}");
    let next = world.acquire(cleo, &license.key, "c").await;
    assert_eq!(next.body["details"]["queue_place"], 1);
}

async fn a_place_lapses_when_its_holder_does_not_ask(world: World) {
    let license = under(&world, 1, json!({"queue": true})).await;
    let (anna, ben, cleo) = (user("acme", "anna"), user("acme", "ben"), user("acme", "cleo"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    world.advance_secs(120).await;
    assert_eq!(world.heartbeat(anna, held.text("id")).await.status, 200);
    let full = world.acquire(cleo, &license.key, "c").await;
    assert_eq!(full.body["details"]["queue_place"], 1);
    world.release(anna, held.text("id")).await;
    assert_eq!(world.acquire(cleo, &license.key, "c").await.status, 201);
}

async fn a_policy_bounds_how_long_a_seat_goes_offline(mut world: World) {
    world.stop().await;
    world.signs = true;
    world.start().await;
    let license = under(&world, 1, json!({"offline_max_secs": 7200})).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    let target = format!("/api/v1/license/sessions/{}/borrow", held.text("id"));
    world
        .call(anna, "POST", &target, json!({"duration_secs": 7201}))
        .await
        .refused(400, "invalid_request");
    let lent = world.ask(anna, Method::POST, &target, br#"{"duration_secs":7200}"#).await;
    assert_eq!(lent.status, 200, "{lent:?}");
}
