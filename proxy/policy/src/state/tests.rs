use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::address_set::IpSet;
use crate::limit::{BanRule, Threshold};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn secs(secs: u64) -> Timestamp {
    at(secs * 1000)
}

fn threshold(count: u32, secs: u64) -> Threshold {
    Threshold::new(count, Duration::from_secs(secs)).unwrap()
}

fn throttle(count: u32, secs: u64) -> Limit {
    Limit::new("p/1", "IP", threshold(count, secs), None)
}

fn banning(count: u32, secs: u64, total: Option<Threshold>, ban_secs: u64) -> Limit {
    let ban = BanRule::new(total, Duration::from_secs(ban_secs)).unwrap();
    Limit::new("p/1", "IP", threshold(count, secs), Some(ban))
}

fn key(text: &str) -> LimitKey {
    LimitKey::address(text.parse::<IpAddr>().unwrap())
}

fn state() -> State {
    State::new(Limits::default())
}

fn operator_ban(key: &str, until: Option<Timestamp>) -> Ban {
    Ban {
        key: key.parse().unwrap(),
        until,
        since: secs(0),
        reason: "abuse".to_owned(),
        origin: BanOrigin::Operator("ann".to_owned()),
        definition: None,
        generation: 1,
    }
}

fn caller(address: &str) -> Caller<'_> {
    let address = address.parse().unwrap();
    Caller { address, subject: None, tenant: None, fingerprint: None }
}

#[test]
fn the_hundred_and_first_of_a_hundred_is_refused() {
    let (state, limit, key) = (state(), throttle(100, 60), key("192.0.2.1"));
    for n in 0..100 {
        let outcome = state.check(&limit, &key, at(n * 10));
        assert_eq!(outcome, LimitOutcome::Conforms { remaining: 99 - n as u32 });
    }
    assert!(!state.check(&limit, &key, at(1000)).conforms());
    assert!(state.check(&limit, &self::key("192.0.2.2"), at(1000)).conforms());
}

#[test]
fn every_width_of_slot_is_exact_at_the_edge() {
    for count in [1, 2, 255, 256, 65_535, 65_536, 1_000_000] {
        let (state, limit, key) = (state(), throttle(count, 60), key("192.0.2.1"));
        for _ in 0..count {
            assert!(state.check(&limit, &key, at(5)).conforms());
        }
        assert!(!state.check(&limit, &key, at(5)).conforms(), "{count}");
        assert_eq!(state.usage(&limit, &key, at(5)), Usage { passed: count, total: None });
    }
}

#[test]
fn capacity_returns_when_the_window_has_passed_and_at_the_moment_that_was_told() {
    for interval in [10, 30, 60, 900, 3600] {
        let (state, limit, key) = (state(), throttle(1, interval), key("192.0.2.1"));
        assert!(state.check(&limit, &key, at(7)).conforms());
        let LimitOutcome::Exceeds { retry_at } = state.check(&limit, &key, at(8)) else {
            panic!("refused")
        };
        let waited = retry_at.since(at(7)).as_millis() as u64;
        assert!(waited > interval * 1000, "{waited}");
        assert!(waited <= interval * 1000 + interval * 1000 / 32 + 33, "{waited}");
        let before = Timestamp::from_millis(retry_at.as_millis() - 1);
        assert!(!state.check(&limit, &key, before).conforms());
        assert!(state.check(&limit, &key, retry_at).conforms());
    }
}

#[test]
fn a_throttled_client_that_never_stops_still_gets_its_rate() {
    let (state, limit, key) = (state(), throttle(10, 60), key("192.0.2.1"));
    let passed = (0..6000).filter(|n| state.check(&limit, &key, at(n * 100)).conforms()).count();
    assert!((90..=110).contains(&passed), "{passed} in ten minutes");
}

#[test]
fn a_ban_ends_its_duration_after_the_request_that_caused_it() {
    let (state, limit, key) = (state(), banning(100, 60, None, 600), key("192.0.2.1"));
    for _ in 0..100 {
        assert!(state.check(&limit, &key, secs(0)).conforms());
    }
    let until = secs(601);
    assert_eq!(state.check(&limit, &key, secs(1)), LimitOutcome::BanStarted { until });
    for at in [at(1001), secs(70), at(600_999)] {
        assert_eq!(state.check(&limit, &key, at), LimitOutcome::Banned { until: Some(until) });
    }
    assert!(state.check(&limit, &self::key("192.0.2.2"), secs(2)).conforms());
    assert!(state.check(&limit, &key, secs(601)).conforms());
    let refused = LimitOutcome::Banned { until: Some(until) };
    assert_eq!(refused.retry_after_secs(secs(2)), Some(599));
    assert_eq!(refused.retry_after_secs(at(600_999)), Some(1));
}

#[test]
fn with_a_threshold_of_its_own_a_ban_waits_for_all_requests() {
    let limit = banning(2, 60, Some(threshold(5, 600)), 300);
    let (state, key) = (state(), key("192.0.2.1"));
    let outcomes: Vec<_> = (0..7).map(|n| state.check(&limit, &key, secs(n))).collect();
    assert!(outcomes[..2].iter().all(LimitOutcome::conforms));
    for outcome in &outcomes[2..5] {
        assert!(matches!(outcome, LimitOutcome::Exceeds { .. }), "{outcome:?}");
    }
    assert_eq!(outcomes[5], LimitOutcome::BanStarted { until: secs(305) });
    assert_eq!(outcomes[6], LimitOutcome::Banned { until: Some(secs(305)) });
}

#[test]
fn a_ban_is_listed_and_its_removal_lets_the_next_request_pass() {
    let (state, limit, key) = (state(), banning(1, 60, None, 600), key("192.0.2.1"));
    state.check(&limit, &key, secs(0));
    assert!(state.check(&limit, &key, secs(1)).is_ban());
    let list = state.bans(secs(2));
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].key.to_string(), "rule:p/1=192.0.2.1");
    assert_eq!(list[0].reason, "more than 1 requests in 60 s");
    assert_eq!(list[0].until, Some(secs(601)));
    assert!(state.remove_bans(&"192.0.2.9".parse().unwrap()).is_empty());
    assert_eq!(state.remove_bans(&"192.0.2.1".parse().unwrap()), list);
    assert!(state.bans(secs(2)).is_empty());
    assert!(state.check(&limit, &key, secs(2)).conforms());
}

#[test]
fn an_operator_bans_addresses_networks_users_tenants_and_fingerprints() {
    let state = state();
    for key in
        ["192.0.2.1", "198.51.100.0/24", "2001:db8::1", "user:u", "tenant:t", "fingerprint:f"]
    {
        state.add_ban(operator_ban(key, Some(secs(60))), secs(0)).unwrap();
    }
    let with = |subject, tenant, fingerprint| Caller {
        subject,
        tenant,
        fingerprint,
        ..caller("203.0.113.1")
    };
    let cases = [
        (caller("192.0.2.1"), Some(Named::Network)),
        (caller("192.0.2.2"), None),
        (caller("198.51.100.77"), Some(Named::Network)),
        (caller("::ffff:198.51.100.77"), Some(Named::Network)),
        (caller("198.51.101.1"), None),
        (caller("2001:db8::ffff"), Some(Named::Network)),
        (caller("2001:db8:0:1::"), None),
        (with(Some("u"), None, None), Some(Named::Subject)),
        (with(Some("t"), None, None), None),
        (with(None, Some("t"), None), Some(Named::Tenant)),
        (with(None, None, Some("f")), Some(Named::Fingerprint)),
        (with(Some("f"), Some("u"), Some("t")), None),
    ];
    for (caller, expected) in cases {
        assert_eq!(state.banned(&caller, secs(1)).map(|hit| hit.named), expected, "{caller:?}");
    }
    for (caller, _) in cases {
        assert_eq!(state.banned(&caller, secs(60)), None, "{caller:?}");
    }
    assert_eq!(state.figures().bans_live, 0, "what has ended goes when it is looked up");
}

#[test]
fn the_longest_ban_answers_and_a_permanent_one_has_no_end() {
    let state = state();
    state.add_ban(operator_ban("192.0.2.1", Some(secs(60))), secs(0)).unwrap();
    state.add_ban(operator_ban("192.0.2.0/24", Some(secs(90))), secs(0)).unwrap();
    assert_eq!(state.banned(&caller("192.0.2.1"), secs(1)).unwrap().until, Some(secs(90)));
    state.add_ban(operator_ban("192.0.0.0/16", None), secs(0)).unwrap();
    assert_eq!(state.banned(&caller("192.0.2.1"), secs(1)).unwrap().until, None);
    let ends: Vec<_> = state.bans(secs(1)).iter().map(|ban| ban.until).collect();
    assert_eq!(ends, [Some(secs(60)), Some(secs(90)), None]);
    assert!(state.banned(&caller("192.0.2.1"), secs(1_000_000_000)).is_some());
}

#[test]
fn an_allow_list_entry_ends_bans_at_once_and_none_starts_again() {
    let (state, limit, key) = (state(), banning(1, 60, None, 600), key("192.0.2.1"));
    state.check(&limit, &key, secs(0));
    assert!(state.check(&limit, &key, secs(0)).is_ban());
    state.add_ban(operator_ban("192.0.2.1", None), secs(0)).unwrap();
    let office = "192.0.2.1".parse().unwrap();
    let ended = state.set_allow_list(&AllowList::new(move |key| key.names_address(office)));
    assert_eq!(ended.len(), 2);
    assert_eq!(state.banned(&caller("192.0.2.1"), secs(1)), None);
    assert!(state.check(&limit, &key, secs(1)).conforms());
    let outcome = state.check(&limit, &key, secs(1));
    assert!(matches!(outcome, LimitOutcome::Exceeds { .. }), "throttled, not banned: {outcome:?}");
    let again = state.add_ban(operator_ban("192.0.2.1", None), secs(1));
    assert_eq!(again, Err(BanRefused::Allowed));
    let other = self::key("192.0.2.2");
    state.check(&limit, &other, secs(1));
    assert!(state.check(&limit, &other, secs(1)).is_ban(), "others are banned as before");
}

#[test]
fn a_reload_forgets_no_count_and_no_ban_whose_definition_stayed() {
    let state = state();
    let (limit, key) = (banning(2, 60, None, 600), key("192.0.2.1"));
    state.check(&limit, &key, secs(0));
    state.check(&limit, &key, secs(0));
    let same = banning(2, 60, None, 600);
    assert_eq!(state.retire(&[same.id().clone()], secs(0)), Retired::default());
    let until = secs(600);
    assert_eq!(state.check(&same, &key, secs(0)), LimitOutcome::BanStarted { until });
}

#[test]
fn a_changed_definition_counts_anew_and_its_bans_stand_until_released() {
    let state = state();
    let (old, key, other) = (banning(1, 60, None, 600), key("192.0.2.1"), key("192.0.2.2"));
    state.check(&old, &key, secs(0));
    assert!(state.check(&old, &key, secs(0)).is_ban());
    state.check(&old, &other, secs(0));
    let new = banning(2, 60, None, 600);
    let retired = state.retire(&[new.id().clone()], secs(1));
    assert_eq!(retired.keys, 2);
    assert_eq!(retired.changed_bans.len(), 1);
    assert!(state.check(&new, &key, secs(1)).is_ban(), "nobody is un-banned");
    assert_eq!(state.check(&new, &other, secs(1)), LimitOutcome::Conforms { remaining: 1 });
    state.remove_bans(&BanSelector::Rule("p/1".to_owned()));
    assert!(state.check(&new, &key, secs(1)).conforms());
}

#[test]
fn a_wide_ban_does_not_reach_whom_the_allow_list_names() {
    let state = state();
    state.add_ban(operator_ban("10.0.0.0/8", None), secs(0)).unwrap();
    let office = IpSet::new(["10.1.0.0/16".parse().unwrap()]);
    let ended = state.set_allow_list(&AllowList::new(move |key| key.is_within(&office)));
    assert!(ended.is_empty(), "the ban names more than the office");
    for (address, expected) in [("10.1.2.3", false), ("10.2.2.3", true)] {
        let caller = Caller {
            address: address.parse().unwrap(),
            subject: None,
            tenant: None,
            fingerprint: None,
        };
        assert_eq!(state.banned(&caller, secs(1)).is_some(), expected, "{address}");
    }
    assert!(matches!(
        state.add_ban(operator_ban("10.1.7.0/24", None), secs(1)),
        Err(BanRefused::Allowed)
    ));
}

#[test]
fn bans_survive_a_restart_and_ended_ones_do_not_come_back() {
    let before = state();
    before.add_ban(operator_ban("192.0.2.1", Some(secs(60))), secs(0)).unwrap();
    before.add_ban(operator_ban("192.0.2.2", Some(secs(90))), secs(0)).unwrap();
    before.add_ban(operator_ban("user:u", None), secs(0)).unwrap();
    let (limit, key) = (banning(1, 60, None, 600), key("192.0.2.3"));
    before.check(&limit, &key, secs(0));
    before.check(&limit, &key, secs(0));
    let stored = before.snapshot(secs(1));
    assert_eq!(stored.len(), 4);
    let after = state();
    assert_eq!(after.restore(stored.clone(), secs(60)), 3);
    assert_eq!(after.bans(secs(60)), stored[1..]);
    assert!(after.check(&limit, &key, secs(60)).is_ban());
}

#[test]
fn a_full_counter_table_lets_go_of_the_harmless_first() {
    let state = State::new(Limits { keys_max: 6400, bans_max: 100, ..Limits::default() });
    let limit = throttle(100, 60);
    let near: Vec<LimitKey> = (0..64u8).map(|n| key(&format!("198.51.100.{n}"))).collect();
    for key in &near {
        (0..99).for_each(|_| assert!(state.check(&limit, key, secs(0)).conforms()));
    }
    for n in 0..100_000u32 {
        state.check(&limit, &LimitKey::address(IpAddr::from(n.to_be_bytes())), secs(1));
    }
    let figures = state.figures();
    assert!(figures.keys_live <= 6400, "{figures:?}");
    assert!(figures.keys_evicted_total >= 93_000, "{figures:?}");
    for key in &near {
        assert!(state.check(&limit, key, secs(2)).conforms());
        assert!(!state.check(&limit, key, secs(2)).conforms(), "the count was kept");
    }
    state.sweep(secs(120));
    assert_eq!(state.figures().keys_live, 0);
}

#[test]
fn a_full_ban_table_keeps_what_an_operator_placed() {
    let state = State::new(Limits { keys_max: 100_000, bans_max: 640, ..Limits::default() });
    let limit = banning(1, 60, None, 600);
    for n in 0..640u32 {
        let key = format!("10.0.{}.{}", n / 256, n % 256);
        // Shards fill unevenly; what does not fit is refused and counted.
        let _placed = state.add_ban(operator_ban(&key, None), secs(0));
    }
    let placed = state.bans(secs(0)).len() as u64;
    assert_eq!(placed + state.figures().bans_refused_total, 640);
    for n in 0..5000u32 {
        let key = LimitKey::address(IpAddr::from(n.to_be_bytes()));
        state.check(&limit, &key, secs(1));
        assert!(!state.check(&limit, &key, secs(1)).conforms(), "refused even when not banned");
    }
    let figures = state.figures();
    assert!(figures.bans_live <= 640, "{figures:?}");
    assert!(figures.bans_evicted_total + figures.bans_refused_total > 4000, "{figures:?}");
    let kept = state.bans(secs(1)).iter().filter(|b| b.origin != BanOrigin::Rule).count();
    assert_eq!(kept as u64, placed);
}

#[test]
fn a_ban_in_the_past_and_a_ban_twice_are_told_apart() {
    let state = state();
    let ended = state.add_ban(operator_ban("192.0.2.1", Some(secs(5))), secs(5));
    assert_eq!(ended, Err(BanRefused::Ended));
    for until in [9, 7] {
        state.add_ban(operator_ban("192.0.2.1", Some(secs(until))), secs(5)).unwrap();
    }
    assert_eq!(state.bans(secs(5)).len(), 1);
    assert_eq!(state.banned(&caller("192.0.2.1"), secs(6)).unwrap().until, Some(secs(7)));
    assert_eq!(state.figures().bans_live, 1);
}

#[test]
fn many_threads_never_pass_more_than_the_count() {
    let (state, limit, key) = (state(), throttle(1000, 60), key("192.0.2.1"));
    let passed: usize = std::thread::scope(|scope| {
        let count = || (0..1000).filter(|_| state.check(&limit, &key, secs(0)).conforms()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 1000);
}

/// The plain way: every time that passed, kept for ever.
#[derive(Default)]
struct LogOfTimes {
    passed: Vec<u64>,
}

impl LogOfTimes {
    fn in_window(&self, now: u64, millis: u64) -> usize {
        self.passed.iter().filter(|t| now - **t < millis).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Against the log: no window ever holds more than the count, and what the log would still refuse one slot later is
    /// all that is refused beyond it.
    #[test]
    fn the_ring_agrees_with_a_log_of_times(
        count in 1u32..12,
        interval in prop::sample::select(vec![10u64, 30, 60, 180]),
        steps in prop::collection::vec((0u64..4, 0u64..9000), 1..200),
    ) {
        let (state, limit) = (state(), throttle(count, interval));
        let mut logs: HashMap<u64, LogOfTimes> = HashMap::new();
        let millis = interval * 1000;
        let slot = u64::from(limit.threshold().slot_millis());
        let mut now = 1_800_000_000_123;
        for (who, step) in steps {
            now += step;
            let log = logs.entry(who).or_default();
            let key = key(&format!("192.0.2.{who}"));
            let conforms = state.check(&limit, &key, Timestamp::from_millis(now)).conforms();
            if conforms {
                prop_assert!(log.in_window(now, millis) < count as usize);
                log.passed.push(now);
            } else {
                prop_assert!(log.in_window(now, 33 * slot) >= count as usize);
            }
        }
    }
}

#[test]
fn counts_go_over_to_a_state_with_the_same_secret() {
    let (old, now) = (state(), secs(10));
    let small = throttle(100, 60);
    let medium = Limit::new("p/2", "IP", threshold(1_000, 60), None);
    let large = Limit::new("p/3", "IP", threshold(100_000, 60), None);
    let limits = [small, medium, large];
    for (at, limit) in limits.iter().enumerate() {
        for n in 0..10 + at {
            assert!(old.check(limit, &key("192.0.2.1"), secs(n as u64)).conforms());
        }
    }
    let new = State::with_secret(Limits::default(), old.secret());
    new.check(&limits[0], &key("192.0.2.9"), now);
    new.import_counts(&old.export_counts(now), now).unwrap();
    for (at, limit) in limits.iter().enumerate() {
        let usage = new.usage(limit, &key("192.0.2.1"), now);
        assert_eq!(usage, old.usage(limit, &key("192.0.2.1"), now));
        assert_eq!(usage.passed, 10 + at as u32);
    }
    assert_eq!(new.usage(&limits[0], &key("192.0.2.9"), now).passed, 1, "its own count stays");
    let much_later = secs(1000);
    let late = State::with_secret(Limits::default(), old.secret());
    late.import_counts(&old.export_counts(much_later), much_later).unwrap();
    assert_eq!(late.figures().keys_live, 0, "what is over does not go over");
}

#[test]
fn foreign_and_cut_counts_are_refused() {
    let (old, now) = (state(), secs(10));
    old.check(&throttle(100, 60), &key("192.0.2.1"), now);
    let counts = old.export_counts(now);
    assert_eq!(state().import_counts(&counts, now), Err(ForeignCounts), "another secret");
    let new = || State::with_secret(Limits::default(), old.secret());
    for end in (0..8).chain(9..counts.len()) {
        assert_eq!(new().import_counts(&counts[..end], now), Err(ForeignCounts), "{end}");
    }
    let mut odd = counts.clone();
    odd[8] = 2;
    assert_eq!(new().import_counts(&odd, now), Err(ForeignCounts), "no slot has two bytes");
    assert!(new().import_counts(&counts, now).is_ok());
}
