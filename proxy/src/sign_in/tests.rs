use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_config::model::AccountField;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn rule(kind: SignInKind) -> Arc<SignIn> {
    Arc::new(SignIn {
        kind,
        account: Vec::new(),
        failed: vec![401],
        succeeded: vec![200],
        conflict: vec![409],
        reason: None,
        user: None,
        account_failures: 3,
        address_failures: 5,
        window: 8 * MINUTE,
        stuffing_accounts: 4,
    })
}

fn from(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn ask(account: &str, address: IpAddr) -> Ask<'_> {
    Ask { backend: "b", account: Some(account), address }
}

fn fail(
    sign_ins: &Arc<SignIns>,
    account: &str,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), TooMany> {
    let attempt = sign_ins.begin(ask(account, address), &rule(SignInKind::SignIn), now)?;
    attempt.end(Outcome::Failed, now);
    Ok(())
}

#[test]
fn an_account_has_so_many_failures_in_any_window_from_wherever() {
    let sign_ins = SignIns::new();
    for last in 1..=3 {
        fail(&sign_ins, "alice", from(last), NOW).unwrap();
    }
    let refused = fail(&sign_ins, "alice", from(4), NOW).unwrap_err();
    assert_eq!(refused.of, Whose::Account);
    assert!((8 * MINUTE..=9 * MINUTE).contains(&refused.retry_after), "{refused:?}");
    fail(&sign_ins, "bob", from(4), NOW).unwrap();
    let last = NOW.plus(8 * MINUTE);
    assert!(fail(&sign_ins, "alice", from(4), last).is_err(), "the window's last moment");
    assert!(fail(&sign_ins, "alice", from(4), NOW.plus(refused.retry_after)).is_ok());
}

#[test]
fn an_address_has_so_many_failures_whatever_the_accounts() {
    let sign_ins = SignIns::new();
    for n in 0..5 {
        fail(&sign_ins, &format!("user-{n}"), from(1), NOW).unwrap();
    }
    assert_eq!(fail(&sign_ins, "another", from(1), NOW).unwrap_err().of, Whose::Address);
    fail(&sign_ins, "another", from(2), NOW).unwrap();
    let v6 = |host: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
    for n in 0..5 {
        fail(&sign_ins, &format!("six-{n}"), v6(n), NOW).unwrap();
    }
    assert!(fail(&sign_ins, "six", v6(99), NOW).is_err(), "a network of 64 bits is one client");
}

#[test]
fn attempts_at_one_time_count_before_they_are_answered() {
    let sign_ins = SignIns::new();
    let rule = rule(SignInKind::SignIn);
    let begin = || sign_ins.begin(ask("alice", from(1)), &rule, NOW);
    let open: Vec<_> = (0..3).map(|_| begin().unwrap()).collect();
    assert_eq!(begin().unwrap_err().retry_after, Duration::from_secs(1));
    for attempt in open {
        attempt.end(Outcome::Unsaid, NOW);
    }
    begin().unwrap().end(Outcome::Left, NOW);
    drop(begin().unwrap());
    for _ in 0..2 {
        begin().unwrap().end(Outcome::Failed, NOW);
    }
    assert!(begin().is_err(), "who leaves early has failed; what is dropped is not counted");
}

#[test]
fn who_has_signed_in_from_an_address_is_not_locked_out_by_strangers() {
    let sign_ins = SignIns::new();
    let rule = rule(SignInKind::SignIn);
    let home = sign_ins.begin(ask("alice", from(1)), &rule, NOW).unwrap();
    home.end(Outcome::Succeeded, NOW);
    for last in 2..=4 {
        fail(&sign_ins, "alice", from(last), NOW).unwrap();
    }
    assert!(fail(&sign_ins, "alice", from(5), NOW).is_err());
    for _ in 0..5 {
        fail(&sign_ins, "alice", from(1), NOW).unwrap();
    }
    let refused = fail(&sign_ins, "alice", from(1), NOW).unwrap_err();
    assert_eq!(refused.of, Whose::Address, "the address has its limit");
}

#[test]
fn many_accounts_of_one_network_are_told_once_in_a_window() {
    let sign_ins = SignIns::new();
    let told = |account: &str, last: u8, now| {
        let rule = rule(SignInKind::SignIn);
        let attempt = sign_ins.begin(ask(account, from(last)), &rule, now).unwrap();
        attempt.end(Outcome::Failed, now).is_some()
    };
    for (n, expected) in [(1, false), (2, false), (3, false), (4, true), (5, false)] {
        assert_eq!(told(&format!("user-{n}"), n, NOW), expected, "{n}");
    }
    let later = NOW.plus(20 * MINUTE);
    for (n, expected) in [(1, false), (1, false), (2, false), (3, false), (4, true)] {
        assert_eq!(told(&format!("user-{n}"), n, later), expected, "{n} later");
    }
}

#[test]
fn a_conflict_is_a_failure_of_a_registration_only() {
    for (kind, is_failure) in [(SignInKind::Registration, true), (SignInKind::SignIn, false)] {
        let sign_ins = SignIns::new();
        let begin = || sign_ins.begin(ask("alice", from(1)), &rule(kind), NOW);
        for _ in 0..3 {
            begin().unwrap().end(Outcome::Conflict, NOW);
        }
        assert_eq!(begin().is_err(), is_failure, "{kind:?}");
    }
}

#[test]
fn the_tables_have_their_caps_and_count_what_they_push_out() {
    let sign_ins = SignIns::new();
    for n in 0..u32::try_from(ENTRIES_MAX + 20_000).unwrap() {
        let address = IpAddr::V4(Ipv4Addr::from_bits(n << 8));
        fail(&sign_ins, &format!("user-{n}"), address, NOW).unwrap();
    }
    let [entries, networks, _] = sign_ins.table.sizes();
    assert!(entries <= ENTRIES_MAX && networks <= NETWORKS_MAX, "at it");
    assert!(sign_ins.evicted() > 0, "one over");
    let sign_ins = SignIns::new();
    // The shards of a table fill unevenly: far under the cap of all, none is full.
    for n in 0..u32::try_from(NETWORKS_MAX / 8).unwrap() {
        let address = IpAddr::V4(Ipv4Addr::from_bits(n << 8));
        fail(&sign_ins, &format!("user-{n}"), address, NOW).unwrap();
    }
    assert_eq!(sign_ins.evicted(), 0, "one under");
}

#[test]
fn pairs_that_have_signed_in_are_kept_up_to_their_cap() {
    let sign_ins = SignIns::new();
    let succeeds = |n: u32| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(n));
        let account = format!("user-{n}");
        let attempt = sign_ins.begin(ask(&account, address), &rule(SignInKind::SignIn), NOW);
        attempt.unwrap().end(Outcome::Succeeded, NOW);
    };
    let cap = u32::try_from(PAIRS_MAX).unwrap();
    (0..cap / 8).for_each(succeeds);
    assert_eq!(sign_ins.table.sizes()[2], PAIRS_MAX / 8, "one under");
    (cap / 8..2 * cap).for_each(succeeds);
    assert!(sign_ins.table.sizes()[2] <= PAIRS_MAX, "at it");
    assert!(sign_ins.evicted() > 0, "one over");
}

#[test]
fn an_account_is_found_where_the_route_says_and_once_only() {
    let json = |path: &str| AccountField::Json(path.split('.').map(str::to_owned).collect());
    let form = |name: &str| AccountField::Form(name.to_owned());
    let long = format!("{{\"email\":\"{}\"}}", "x".repeat(257));
    for (fields, body, expected) in [
        (vec![json("email")], r#"{"email":" Alice@Example.COM "}"#, Ok("alice@example.com")),
        (vec![json("email")], r#"{"a":[{"email":1}],"email":"a"}"#, Ok("a")),
        (vec![json("user.name")], r#"{"user":{"name":"a","x":{}}}"#, Ok("a")),
        (vec![json("id")], r#"{"id":42}"#, Ok("42")),
        (vec![json("email")], r#"{"email":"a","email":"b"}"#, Err(NoAccount::Twice)),
        (vec![json("email")], r#"{"email":"a","Email":"b"}"#, Err(NoAccount::Twice)),
        (vec![json("email")], r#"{"\u0065mail":"a"}"#, Ok("a")),
        (vec![json("email")], r#"{"email":null}"#, Err(NoAccount::Absent)),
        (vec![json("email")], r#"{"email":""}"#, Err(NoAccount::Absent)),
        (vec![json("email")], r#"{"email":["a"]}"#, Err(NoAccount::Absent)),
        (vec![json("email")], r#"{"email":"a"} x"#, Err(NoAccount::Absent)),
        (vec![json("email")], r#"{"email":"a""#, Err(NoAccount::Absent)),
        (vec![json("email")], "", Err(NoAccount::Absent)),
        (vec![json("email")], &long, Err(NoAccount::TooLong)),
        (vec![form("user")], "a=1&user=Al%69ce+B", Ok("alice b")),
        (vec![form("user")], "user=a&u%73er=b", Err(NoAccount::Twice)),
        (vec![form("user")], "USER=a", Err(NoAccount::Absent)),
        (vec![form("user")], "user=%ff", Err(NoAccount::Absent)),
        (vec![json("email"), form("user")], "user=a", Ok("a")),
    ] {
        let found = account(&fields, body.as_bytes());
        assert_eq!(found.as_deref().map_err(|why| *why), expected, "{body}");
    }
}
