use std::time::Duration;

use super::testing::built_in;
use super::*;
use crate::category::Category;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn event(category: Category, source: &str) -> Event {
    Event::new("e", category, Some(source.parse().unwrap()), at(0))
}

fn detectors() -> Detectors {
    Detectors::new(built_in(), 10_000)
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().filter_map(|event| event.scenario.as_deref()).collect()
}

#[test]
fn the_built_in_scenarios_load() {
    for scenario in built_in() {
        assert_eq!(scenario.clone().checked(), Ok(scenario));
    }
    let first = || built_in().remove(0);
    let count =
        |threshold| Condition::Count { distinct: None, counter: Counter::Sliding, threshold };
    let cases = [
        (Scenario { name: String::new(), ..first() }, BadScenario::NoName),
        (Scenario { watches: Vec::new(), ..first() }, BadScenario::WatchesNothing),
        (Scenario { condition: count(1), ..first() }, BadScenario::Threshold),
        (Scenario { condition: count(100_001), ..first() }, BadScenario::Threshold),
        (Scenario { raises: Category::Traffic, ..first() }, BadScenario::Raises("TRAFFIC")),
        (Scenario { window: Duration::ZERO, ..first() }, BadScenario::Window),
        (Scenario { window: Duration::from_secs(86_401), ..first() }, BadScenario::Window),
        (
            Scenario {
                condition: Condition::Count {
                    distinct: Some(Distinct::Path),
                    counter: Counter::Leaky,
                    threshold: 9,
                },
                ..first()
            },
            BadScenario::LeakyValues,
        ),
    ];
    for (scenario, expected) in cases {
        assert_eq!(scenario.checked(), Err(expected));
    }
}

#[test]
fn ten_failed_sign_ins_to_one_account_are_brute_force_and_nine_are_not() {
    let mut detectors = detectors();
    let mut failed = event(Category::LoginFailed, "192.0.2.1");
    failed.actor.account = Some("alice".to_owned());
    for n in 0..9 {
        assert!(detectors.observe(&failed, at(n)).is_empty(), "{n}");
    }
    let raised = detectors.observe(&failed, at(9));
    assert_eq!(names(&raised), ["login-brute-force"]);
    assert_eq!((raised[0].category, raised[0].count), (Category::BruteForce, 10));
    for n in 10..200 {
        assert!(detectors.observe(&failed, at(n)).is_empty(), "silent after it spoke");
    }
}

#[test]
fn slow_failures_are_nothing() {
    let mut detectors = detectors();
    let mut failed = event(Category::LoginFailed, "192.0.2.1");
    failed.actor.account = Some("alice".to_owned());
    for n in 0..100 {
        assert!(detectors.observe(&failed, at(n * 60)).is_empty());
    }
}

#[test]
fn many_accounts_from_one_source_are_stuffing_and_one_account_is_not() {
    let mut detectors = detectors();
    let mut raised = Vec::new();
    for n in 0..20 {
        let mut failed = event(Category::LoginFailed, "2001:db8::1");
        failed.source_ip = Some(format!("2001:db8::{n:x}").parse().unwrap());
        failed.actor.account = Some(format!("user-{n}"));
        raised = detectors.observe(&failed, at(n));
        assert_eq!(raised.is_empty(), n < 19, "{n}");
    }
    assert_eq!(names(&raised), ["login-stuffing"]);
}

#[test]
fn one_limited_office_is_no_flood_and_a_hundred_sources_are() {
    let mut detectors = detectors();
    let mut limited = event(Category::RateLimit, "192.0.2.1");
    limited.route = "/api/".to_owned();
    for n in 0..5000 {
        assert!(detectors.observe(&limited, at(n / 100)).is_empty());
    }
    let mut raised = Vec::new();
    for n in 0..99 {
        limited.source_ip = Some(format!("198.51.100.{n}").parse().unwrap());
        raised = detectors.observe(&limited, at(50));
    }
    assert_eq!(names(&raised), ["flood-of-limits"]);
    assert_eq!(raised[0].category, Category::Ddos);
}

#[test]
fn a_flood_that_was_aggregated_counts_for_all_it_stands_for() {
    let mut detectors = detectors();
    let forged = Event { count: 9, ..event(Category::TokenForgery, "192.0.2.1") };
    assert!(detectors.observe(&forged, at(0)).is_empty());
    let forged = Event { count: 1_000_000, ..forged };
    assert_eq!(detectors.observe(&forged, at(1))[0].count, 1_000_009);
}

#[test]
fn what_a_detector_raises_is_not_counted_again() {
    let mut detectors = detectors();
    let raised = Event {
        scenario: Some("forged-tokens".to_owned()),
        count: 1000,
        ..event(Category::TokenForgery, "192.0.2.1")
    };
    assert!(detectors.observe(&raised, at(0)).is_empty());
}

#[test]
fn groups_are_bounded_and_swept() {
    let mut detectors = Detectors::new(built_in(), 100);
    for n in 0..1000_u32 {
        let source = std::net::IpAddr::from((n + 1).to_be_bytes());
        detectors.observe(&event(Category::TokenForgery, &source.to_string()), at(0));
    }
    assert_eq!((detectors.groups(), detectors.dropped()), (100, 900));
    detectors.sweep(at(300));
    assert_eq!(detectors.groups(), 100);
    detectors.sweep(at(301));
    assert_eq!(detectors.groups(), 0);
}
