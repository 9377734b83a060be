//! Rates per user, for a service that no edge counts for.

use crate::harness::{World, on_both_stores, user};
use license_core::settings::{Rate, Rates};
use std::time::Duration;

on_both_stores! {
    a_user_asks_so_often_and_is_told_how_often,
    without_rates_nothing_is_counted_and_nothing_told,
}

async fn a_user_asks_so_often_and_is_told_how_often(mut world: World) {
    world.stop().await;
    let acquire = Some(Rate { requests: 3, window: Duration::from_secs(60) });
    world.rates = Rates { acquire, heartbeat: None };
    world.start().await;
    let license = world.license("acme", "editor", 10).await;
    let anna = user("acme", "anna");
    for (machine, left) in [("a", "2"), ("b", "1"), ("c", "0")] {
        let answer = world.acquire(anna, &license.key, machine).await;
        assert_eq!(answer.status, 201, "at it");
        assert_eq!(answer.headers["x-ratelimit-limit"], "3");
        assert_eq!(answer.headers["x-ratelimit-remaining"], left);
        assert_eq!(answer.headers["x-ratelimit-reset"], "60");
        assert_eq!(answer.headers["ratelimit-policy"], "\"user\";q=3;w=60");
        assert_eq!(answer.headers["ratelimit"], format!("\"user\";r={left};t=60"));
    }
    let fourth = world.acquire(anna, &license.key, "d").await;
    fourth.refused(429, "rate_limit_exceeded");
    assert_eq!(fourth.headers["retry-after"], "60");
    assert_eq!(
        (fourth.body["retryable"].as_bool(), fourth.body["conclusive"].as_bool()),
        (Some(true), Some(false))
    );
    // Heartbeats and other users have counts of their own, or none.
    let ben = world.acquire(user("acme", "ben"), &license.key, "e").await;
    assert_eq!(ben.status, 201);
    let beat = world.heartbeat(user("acme", "ben"), ben.text("id")).await;
    assert_eq!(beat.status, 200);
    assert!(!beat.headers.contains_key("ratelimit"));
    world.advance_secs(60).await;
    assert_eq!(world.acquire(anna, &license.key, "d").await.status, 201);
}

async fn without_rates_nothing_is_counted_and_nothing_told(world: World) {
    let license = world.license("acme", "editor", 50).await;
    for machine in 0..40 {
        let answer = world.acquire(user("acme", "anna"), &license.key, &machine.to_string()).await;
        assert_eq!(answer.status, 201);
        assert!(!answer.headers.contains_key("x-ratelimit-limit"));
    }
}
