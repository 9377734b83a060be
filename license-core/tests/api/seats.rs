//! Seats: granted once, kept by heartbeats, given back, never revived. Each test runs on both stores.

use crate::harness::{Client, START, World, on_both_stores, user};
use http::Method;
use license_core::{Clock as _, Leasing};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

on_both_stores! {
    a_seat_is_acquired_kept_and_released,
    the_same_user_on_the_same_machine_gets_the_same_session_back,
    the_fourth_of_three_seats_is_refused_with_a_hint_and_given_once_one_is_free,
    an_expired_lease_is_gone_at_its_last_second_and_its_seat_is_free,
    a_heartbeat_after_expiry_revives_nothing_even_with_seats_to_spare,
    a_session_lasts_at_most_its_greatest_age_whatever_its_heartbeats,
    users_of_one_machine_share_its_seat_and_machines_of_one_user_share_theirs,
    what_is_another_tenants_and_what_is_nobodys_are_one_answer,
    a_colleague_can_neither_keep_nor_release_a_session,
    seats_are_never_exceeded_by_two_hundred_and_fifty_six_clients_at_once,
    two_hundred_and_fifty_six_takers_of_seven_seats_are_seven_given_and_the_rest_refused,
    a_lease_that_ran_out_while_the_service_was_away_gets_one_term_more,
    a_lease_that_ran_out_before_the_service_went_away_stays_lost,
}

async fn a_seat_is_acquired_kept_and_released(world: World) {
    let license = world.license("acme", "editor", 3).await;
    let anna = user("acme", "anna");
    let body = json!({"license_key": license.key.as_str(), "machine_id": "hw-1", "user_email": "anna@acme.example",
        "metadata": {"app_version": "1.2", "os": "linux", "hostname": "a"}, "ip_address": "6.6.6.6"});
    let got =
        world.ask(anna, Method::POST, "/api/v1/license/acquire", body.to_string().as_bytes()).await;
    assert_eq!(got.status, 201, "{got:?}");
    assert_eq!(got.headers["cache-control"], "no-store");
    assert_eq!(got.body["seats_used"], 1);
    assert_eq!(got.body["seats_total"], 3);
    assert_eq!(got.body["is_active"], true);
    let interval = got.body["heartbeat_interval"].as_u64().unwrap();
    assert!((162..=180).contains(&interval), "{interval}");
    assert_eq!(got.body["lease_ttl"], 360);
    assert_eq!(got.body["lease_epoch"], 1);
    assert_eq!(got.body["metadata"]["os"], "linux");
    assert_eq!(got.text("license_id"), license.id);
    assert_eq!(got.text("started_at"), "2027-01-15T08:00:00.000Z");
    assert_eq!(got.text("expires_at"), "2027-01-15T08:06:00.000Z");
    assert!(!got.body.to_string().contains("6.6.6.6"));
    assert!(!got.body.to_string().contains(license.key.as_str()));

    world.advance_secs(180).await;
    let beat = world.heartbeat(anna, got.text("session_id")).await;
    assert_eq!(beat.status, 200, "{beat:?}");
    assert_eq!(beat.text("expires_at"), "2027-01-15T08:09:00.000Z");

    let shown =
        world.ask(anna, Method::GET, &format!("/api/v1/licenses/{}/", license.id), b"").await;
    assert_eq!((shown.status.as_u16(), &shown.body["seats_used"]), (200, &json!(1)));

    for _ in 0..2 {
        let released = world.release(anna, got.text("session_id")).await;
        assert_eq!(released.status, 204, "{released:?}");
        assert!(released.body.is_null());
    }
    world.heartbeat(anna, got.text("session_id")).await.refused(410, "session_released");
    let shown = world.ask(anna, Method::GET, &format!("/api/v1/license/{}", license.id), b"").await;
    assert_eq!(shown.body["seats_used"], 0);
}

async fn the_same_user_on_the_same_machine_gets_the_same_session_back(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let anna = user("acme", "anna");
    let first = world.acquire(anna, &license.key, "hw-1").await;
    world.advance_secs(100).await;
    let again = world.acquire(anna, &license.key, "hw-1").await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(first.text("session_id"), again.text("session_id"));
    assert_eq!(again.body["seats_used"], 1);
    assert!(again.text("expires_at") > first.text("expires_at"));
}

async fn the_fourth_of_three_seats_is_refused_with_a_hint_and_given_once_one_is_free(world: World) {
    let license = world.license("acme", "editor", 3).await;
    let anna = user("acme", "anna");
    let mut sessions = Vec::new();
    for machine in ["a", "b", "c"] {
        let got = world.acquire(anna, &license.key, machine).await;
        assert_eq!(got.status, 201);
        sessions.push(got.text("session_id").to_owned());
        world.advance_secs(10).await;
    }
    let full = world.acquire(anna, &license.key, "d").await;
    full.refused(409, "no_seats_available");
    let wait: u64 = full.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((45..=60).contains(&wait), "{wait}");
    assert_eq!(full.body["details"]["max_seats"], 3);
    assert_eq!(full.body["details"]["active_seats"], 3);
    assert_eq!(full.body["details"]["next_available_hint"], "2027-01-15T08:06:00.000Z");
    assert_eq!((&full.body["retryable"], &full.body["conclusive"]), (&json!(true), &json!(true)));

    assert_eq!(world.release(anna, &sessions[1]).await.status, 204);
    let fourth = world.acquire(anna, &license.key, "d").await;
    assert_eq!(fourth.status, 201);
    assert_eq!(fourth.body["lease_epoch"], 4);
}

async fn an_expired_lease_is_gone_at_its_last_second_and_its_seat_is_free(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.advance_secs(359).await;
    let full = world.acquire(ben, &license.key, "b").await;
    full.refused(409, "no_seats_available");
    assert_eq!(full.headers["retry-after"], "1");
    world.advance_secs(1).await;
    assert_eq!(world.acquire(ben, &license.key, "b").await.status, 201);
    let dead = world.heartbeat(anna, held.text("session_id")).await;
    dead.refused(410, "session_expired");
    assert_eq!(dead.body["conclusive"], true);
    assert_eq!(world.release(anna, held.text("session_id")).await.status, 204);
    world.acquire(anna, &license.key, "a").await.refused(409, "no_seats_available");
}

async fn a_heartbeat_after_expiry_revives_nothing_even_with_seats_to_spare(world: World) {
    let license = world.license("acme", "editor", 5).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    world.advance_secs(360).await;
    for _ in 0..2 {
        world.heartbeat(anna, held.text("session_id")).await.refused(410, "session_expired");
    }
    let anew = world.acquire(anna, &license.key, "a").await;
    assert_eq!(anew.status, 201);
    assert_ne!(anew.text("session_id"), held.text("session_id"));
    assert!(anew.body["lease_epoch"].as_i64() > held.body["lease_epoch"].as_i64());
}

async fn a_session_lasts_at_most_its_greatest_age_whatever_its_heartbeats(mut world: World) {
    world.stop().await;
    world.lease.age_max = Duration::from_secs(1000);
    world.start().await;
    let license = world.license("acme", "editor", 1).await;
    let anna = user("acme", "anna");
    let held = world.acquire(anna, &license.key, "a").await;
    for (secs, alive) in [(300, true), (600, true), (900, true), (999, true), (1000, false)] {
        let now = (world.clock.now().as_millis() - START) / 1000;
        world.advance_secs(secs - now).await;
        let answer = world.heartbeat(anna, held.text("session_id")).await;
        assert_eq!(answer.status == 200, alive, "{secs} {answer:?}");
    }
}

async fn users_of_one_machine_share_its_seat_and_machines_of_one_user_share_theirs(world: World) {
    let by_machine = world.license_by("acme", "machines", 1, Leasing::PerMachine).await;
    let by_user = world.license_by("acme", "users", 1, Leasing::PerUser).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let one = world.acquire(anna, &by_machine.key, "hw").await;
    let two = world.acquire(ben, &by_machine.key, "hw").await;
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (201, 201));
    assert_ne!(one.text("session_id"), two.text("session_id"));
    assert_eq!(two.body["seats_used"], 1);
    world.acquire(anna, &by_machine.key, "hw-2").await.refused(409, "no_seats_available");

    assert_eq!(world.acquire(anna, &by_user.key, "hw-1").await.status, 201);
    let second = world.acquire(anna, &by_user.key, "hw-2").await;
    assert_eq!((second.status.as_u16(), &second.body["seats_used"]), (201, &json!(1)));
    world.acquire(ben, &by_user.key, "hw-1").await.refused(409, "no_seats_available");
}

async fn what_is_another_tenants_and_what_is_nobodys_are_one_answer(world: World) {
    let foreign = world.license("other", "editor", 3).await;
    world.license("acme", "editor", 3).await;
    let (anna, zoe) = (user("acme", "anna"), user("other", "zoe"));
    let session = world.acquire(zoe, &foreign.key, "z").await.text("session_id").to_owned();
    let nobodys = world.license("other", "deleted", 1).await;
    let unknown = "01890000-0000-7000-8000-000000000000";
    let mut answers = Vec::new();
    for id in [foreign.id.as_str(), unknown] {
        answers.push(world.ask(anna, Method::GET, &format!("/api/v1/licenses/{id}/"), b"").await);
    }
    for id in [session.as_str(), unknown] {
        answers.push(world.heartbeat(anna, id).await);
        answers.push(world.release(anna, id).await);
    }
    answers.push(world.acquire(anna, &foreign.key, "z").await);
    answers.push(world.acquire(anna, &nobodys.key, "z").await);
    answers.push(world.acquire(user("nowhere", "x"), &foreign.key, "z").await);
    for answer in &mut answers {
        answer.refused(403, "tenant_access_denied");
        assert_eq!(answer.text("detail"), "Tenant access denied");
        answer.body["request_id"] = json!("");
        answer.headers.remove("date");
    }
    let same: HashSet<String> =
        answers.iter().map(|answer| format!("{:?} {}", answer.headers, answer.body)).collect();
    assert_eq!(same.len(), 1, "{same:?}");
    assert_eq!(world.heartbeat(zoe, &session).await.status, 200);
}

async fn a_colleague_can_neither_keep_nor_release_a_session(world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let session = world.acquire(anna, &license.key, "a").await.text("session_id").to_owned();
    world.heartbeat(ben, &session).await.refused(403, "tenant_access_denied");
    world.release(ben, &session).await.refused(403, "tenant_access_denied");
    assert_eq!(world.heartbeat(anna, &session).await.status, 200);
}

async fn seats_are_never_exceeded_by_two_hundred_and_fifty_six_clients_at_once(world: World) {
    const SEATS: usize = 7;
    let world = Arc::new(world);
    let license = Arc::new(world.license("acme", "editor", u32::try_from(SEATS).unwrap()).await);
    let socket = world.socket();
    let clients: Vec<_> = (0..256)
        .map(|number| {
            let (world, license, socket) = (world.clone(), license.clone(), socket.clone());
            tokio::spawn(async move {
                let subject = format!("user-{number}");
                let who = user("acme", &subject);
                let mut client = Client::connect(&socket).await;
                let body = json!({"license_key": license.key.as_str(), "hardware_id": subject})
                    .to_string();
                let (mut granted, mut denied) = (0, 0);
                for _ in 0..8 {
                    let request = world.request(
                        who,
                        Method::POST,
                        "/api/v1/license/acquire",
                        body.as_bytes(),
                    );
                    let answer = client.send(request).await;
                    if answer.status == 409 {
                        denied += 1;
                        continue;
                    }
                    assert_eq!(answer.status, 201, "{answer:?}");
                    assert!(answer.body["seats_used"].as_u64().unwrap() <= SEATS as u64);
                    granted += 1;
                    let target = format!("/api/v1/license/sessions/{}", answer.text("session_id"));
                    let beat =
                        world.request(who, Method::PATCH, &format!("{target}/heartbeat"), b"");
                    assert_eq!(client.send(beat).await.status, 200);
                    // Every other client keeps its seat, so that the license fills up.
                    if number % 32 == 0 {
                        break;
                    }
                    assert_eq!(
                        client.send(world.request(who, Method::DELETE, &target, b"")).await.status,
                        204
                    );
                }
                (granted, denied)
            })
        })
        .collect();
    let (mut granted, mut denied) = (0, 0);
    for client in clients {
        let (yes, no) = client.await.unwrap();
        granted += yes;
        denied += no;
    }
    assert!(granted >= SEATS && denied > 0, "{granted} granted, {denied} denied");
    let shown = world
        .ask(user("acme", "x"), Method::GET, &format!("/api/v1/licenses/{}/", license.id), b"")
        .await;
    assert!(shown.body["seats_used"].as_u64().unwrap() <= SEATS as u64);
}

async fn two_hundred_and_fifty_six_takers_of_seven_seats_are_seven_given_and_the_rest_refused(
    world: World,
) {
    let world = Arc::new(world);
    let license = Arc::new(world.license("acme", "editor", 7).await);
    let takers: Vec<_> = (0..256)
        .map(|number| {
            let (world, license) = (world.clone(), license.clone());
            tokio::spawn(async move {
                let subject = format!("user-{number}");
                world.acquire(user("acme", &subject), &license.key, &subject).await.status.as_u16()
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for taker in takers {
        statuses.push(taker.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|&&status| status == 201).count(), 7);
    assert_eq!(statuses.iter().filter(|&&status| status == 409).count(), 249);
}

async fn a_lease_that_ran_out_while_the_service_was_away_gets_one_term_more(mut world: World) {
    let license = world.license("acme", "editor", 1).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.stop().await;
    world.advance_secs(20 * 60).await;
    world.start().await;
    world.acquire(ben, &license.key, "b").await.refused(409, "no_seats_available");
    assert_eq!(world.heartbeat(anna, held.text("session_id")).await.status, 200);
    world.advance_secs(360).await;
    assert_eq!(world.acquire(ben, &license.key, "b").await.status, 201);
    assert_eq!(world.clock.now().as_millis(), START + 1_560_000);
}

async fn a_lease_that_ran_out_before_the_service_went_away_stays_lost(mut world: World) {
    let license = world.license("acme", "editor", 2).await;
    let (anna, ben) = (user("acme", "anna"), user("acme", "ben"));
    let held = world.acquire(anna, &license.key, "a").await;
    world.advance_secs(361).await;
    // Any write tells the store that the service ran at this moment.
    assert_eq!(world.acquire(ben, &license.key, "b").await.status, 201);
    world.stop().await;
    world.advance_secs(1).await;
    world.start().await;
    world.heartbeat(anna, held.text("session_id")).await.refused(410, "session_expired");
}
