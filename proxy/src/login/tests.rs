use portcullis_identity::authorization::Endpoints;
use serde_json::json;

use super::*;
use crate::login::session::form;
use portcullis_config::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn sealer(file: &std::path::Path, host: &str) -> Sealer {
    Sealer::new(&crate::tickets::parse(&std::fs::read(file).unwrap()).unwrap(), host).unwrap()
}

fn login(file: &std::path::Path) -> Login {
    Login {
        provider: "staff".to_owned(),
        issuer: "https://id.test".to_owned(),
        client_id: "a client&id".to_owned(),
        secret: None,
        discovery: Url::parse("https://id.test/.well-known/openid-configuration").unwrap(),
        scopes: "openid email".to_owned(),
        lifetime: Duration::from_secs(3600),
        sealer: sealer(file, "admin.test"),
    }
}

#[test]
fn a_cookie_opens_for_its_name_its_host_and_its_keys_only() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("keys");
    crate::tickets::add_secret(&file, 0).unwrap();
    let here = sealer(&file, "admin.test");
    let text = here.seal("a", &json!({ "x": 1 })).unwrap();
    let open = |sealer: &Sealer, name, text: &str| {
        sealer.open::<serde_json::Value>(name, text.as_bytes()).is_some()
    };
    assert!(open(&here, "a", &text));
    assert!(!open(&here, "b", &text) && !open(&sealer(&file, "other.test"), "a", &text));
    for at in 0..text.len() {
        let mut forged = text.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert!(!open(&here, "a", &forged) || at + 1 == text.len(), "at {at}");
    }
    for text in ["", "A", "AAAAAAAAAAAAAAAAAAAA", &"A".repeat(COOKIE_BYTES_MAX + 1)] {
        assert!(!open(&here, "a", text));
    }
    assert!(here.seal("a", &"x".repeat(COOKIE_BYTES_MAX)).is_none(), "too long for a cookie");
    for (keep, opens) in [(1, true), (0, false)] {
        crate::tickets::add_secret(&file, keep).unwrap();
        assert_eq!(open(&sealer(&file, "admin.test"), "a", &text), opens, "{keep} kept");
    }
}

#[test]
fn a_sign_in_begins_with_fresh_values_and_ends_in_time() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("keys");
    crate::tickets::add_secret(&file, 0).unwrap();
    let login = login(&file);
    let endpoints = Endpoints {
        authorization: Url::parse("https://id.test/authorize?p=1").unwrap(),
        token: Url::parse("https://id.test/token").unwrap(),
    };
    for (back, expected) in [
        ("/a?b=c", "/a?b=c"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("https://evil.test", "/"),
        ("/a b", "/"),
        ("", "/"),
    ] {
        let (location, cookie) = begin(&login, &endpoints, "admin.test", back, NOW).unwrap();
        assert!(location.starts_with("https://id.test/authorize?p=1&response_type=code&"));
        assert!(location.contains("&client_id=a%20client%26id&"));
        let sealed = cookie.strip_prefix("__Host-portcullis-login=").unwrap();
        let (sealed, attributes) = sealed.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax");
        let open =
            |after| Pending::open(&login, sealed.as_bytes(), NOW.plus(Duration::from_secs(after)));
        assert_eq!(open(599).unwrap().back, expected, "{back}");
        assert!(open(600).is_none());
        assert!(!location.contains(&open(0).unwrap().verifier), "PKCE's secret stays here");
        assert!(opened(&login, sealed.as_bytes(), NOW).is_none(), "it is no session");
    }
    let values = |_| begin(&login, &endpoints, "admin.test", "/", NOW).unwrap().0;
    let all: std::collections::BTreeSet<String> = (0..20).map(values).collect();
    assert_eq!(all.len(), 20);
    assert_eq!(form(&[("a", "b c"), ("d", "\u{e9}&=")]), "a=b%20c&d=%C3%A9%26%3D");
}

#[test]
fn sessions_that_were_ended_are_remembered_within_a_cap() {
    let logins = Logins::new();
    let end = |n: u64| logins.end(&n.to_string(), NOW.as_secs() + 10 + n, NOW);
    let cap = ENDED_MAX as u64;
    (0..cap - 1).for_each(end);
    assert!(logins.has_ended("0"), "one under");
    end(cap - 1);
    assert!(logins.has_ended("0"), "at it");
    end(cap);
    assert!(!logins.has_ended("0"), "one over");
    assert!(logins.has_ended("1") && logins.has_ended(&ENDED_MAX.to_string()));
    let later = NOW.plus(Duration::from_secs(100_000));
    logins.end("last", later.as_secs() + 1, later);
    assert!(!logins.has_ended("1") && logins.has_ended("last"));
}

#[test]
fn so_many_exchanges_run_at_one_time() {
    let logins = Logins::new();
    let mut running: Vec<_> =
        (1..UNDER_WAY_MAX).map(|_| logins.room.try_acquire().expect("one under")).collect();
    running.push(logins.room.try_acquire().expect("at it"));
    assert!(logins.room.try_acquire().is_err(), "one over");
}

#[test]
fn a_cookie_is_sealed_and_opened_up_to_its_bytes() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("keys");
    crate::tickets::add_secret(&file, 0).unwrap();
    let here = sealer(&file, "admin.test");
    // Of a text of n bytes: two quotes, nonce and tag, four letters for three bytes.
    let sealed = |n: usize| here.seal("a", &"x".repeat(n));
    let plain = COOKIE_BYTES_MAX / 4 * 3 - 12 - 16 - 2;
    assert_eq!(sealed(plain - 1).map(|text| text.len()), Some(COOKIE_BYTES_MAX - 1), "one under");
    let text = sealed(plain).expect("at it");
    assert!(text.len() == COOKIE_BYTES_MAX && here.open::<String>("a", text.as_bytes()).is_some());
    assert!(sealed(plain + 1).is_none(), "one over");
}
