use super::*;

fn key(expires: Option<u64>) -> ApiKey {
    ApiKey {
        provider: "keys".to_owned(),
        tenant: "acme".to_owned(),
        subject: "ci".to_owned(),
        roles: vec!["builder".to_owned()],
        scopes: vec!["seats".to_owned()],
        issued: at(1),
        expires: expires.map(at),
        by: "ada".to_owned(),
        note: None,
        hash: [0; 32],
        previous: None,
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn why(book: &KeyBook, text: &str, now: u64) -> Option<Why> {
    match book.verify(text.as_bytes(), at(now)) {
        Ok(_) => None,
        Err(Refusal::InvalidToken(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_good_until_it_ends_is_rotated_or_revoked_and_only_its_hash_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api-keys.json");
    let book = KeyBook::open(&path).unwrap();
    let (id, first) = book.issue(key(Some(100))).unwrap();
    let identity = book.verify(first.expose().as_bytes(), at(99)).unwrap();
    assert_eq!((identity.subject.as_str(), identity.tenant.as_deref()), ("ci", Some("acme")));
    assert_eq!(identity.token_id.as_deref(), Some(id.as_str()));
    assert_eq!(why(&book, first.expose(), 100), Some(Why::ExpiredApiKey));
    let second = book.rotate(&id, at(50)).unwrap();
    let issued = book.verify(second.expose().as_bytes(), at(10)).unwrap().issued;
    assert_eq!(issued, Some(at(1)), "what is revoked by then does not come back");
    let again = KeyBook::open(&path).unwrap();
    assert_eq!(again.keys(), book.keys());
    for (now, of_first) in [(10, None), (49, None), (50, Some(Why::ExpiredApiKey))] {
        assert_eq!(why(&again, first.expose(), now), of_first, "{now}");
        assert_eq!(why(&again, second.expose(), now), None);
    }
    let third = again.rotate(&id, at(20)).unwrap();
    assert_eq!(why(&again, first.expose(), 15), Some(Why::WrongApiKey), "two rotations ago");
    assert_eq!(why(&again, second.expose(), 20), Some(Why::ExpiredApiKey), "no overlap");
    let kept = std::fs::read_to_string(&path).unwrap();
    for text in [&first, &second, &third] {
        let secret = text.expose().rsplit('_').next().unwrap();
        assert!(!kept.contains(secret) && !format!("{text:?}").contains(secret));
    }
    again.revoke(&id).unwrap();
    assert_eq!(why(&again, third.expose(), 20), Some(Why::UnknownApiKey));
    assert!(matches!(again.revoke(&id), Err(KeyBookError::Unknown(_))));
    for broken in ["", "{}", "[1]", "[{\"id\":\"a\"}]"] {
        std::fs::write(&path, broken).unwrap();
        assert!(KeyBook::open(&path).is_err(), "{broken}");
    }
}

#[test]
fn what_is_no_key_of_ours_is_refused() {
    let book = KeyBook::default();
    let (id, text) = book.issue(key(None)).unwrap();
    let text = text.expose();
    let zeros = "0".repeat(64);
    for (wrong, expected) in [
        (String::new(), Why::NotApiKey),
        (text.to_uppercase(), Why::NotApiKey),
        (format!("{text}0"), Why::NotApiKey),
        (text.replacen("pck_", "pcx_", 1), Why::NotApiKey),
        (text.replacen('_', "-", 1), Why::NotApiKey),
        (format!("pck_{id}_{}", "é".repeat(32)), Why::NotApiKey),
        (format!("pck_{id}_{zeros}"), Why::WrongApiKey),
        (format!("pck_000000000000_{zeros}"), Why::UnknownApiKey),
    ] {
        assert_eq!(why(&book, &wrong, 1), Some(expected), "{wrong}");
    }
}

#[test]
fn keys_are_issued_up_to_the_cap() {
    let book = KeyBook::default();
    let most_but_two = (2..KEYS_MAX).map(|n| (format!("{n:012x}"), key(None))).collect();
    book.change(&mut book.held(), most_but_two).unwrap();
    for (what, is_full) in [("one under", false), ("at it", false), ("one over", true)] {
        assert_eq!(matches!(book.issue(key(None)), Err(KeyBookError::Full)), is_full, "{what}");
    }
}
