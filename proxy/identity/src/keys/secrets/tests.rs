use serde_json::json;

use super::*;
use crate::base64url::encode;
use crate::forge::*;

fn oct(alg: &str, kid: &str, bytes: usize) -> Value {
    json!({"kty": "oct", "alg": alg, "kid": kid, "k": encode(random_bytes(bytes))})
}

#[expect(clippy::needless_pass_by_value, reason = "cases are written as `json!`")]
fn set(keys: Value) -> Result<KeySet, KeyError> {
    KeySet::from_secrets(json!({ "keys": keys }).to_string().as_bytes())
}

fn fault(key: &Value) -> Option<KeyFault> {
    match set(json!([key])) {
        Ok(set) => {
            assert_eq!(set.len(), 1);
            None
        }
        Err(KeyError::BadSecret { why, .. }) => Some(why),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_secret_is_as_long_as_its_hash_at_least() {
    for (alg, bytes_min) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let short = Some(KeyFault::ShortSecret);
        for (bytes, expected) in
            [(0, short), (bytes_min - 1, short), (bytes_min, None), (bytes_min + 1, None)]
        {
            assert_eq!(fault(&oct(alg, "k", bytes)), expected, "{alg} {bytes}");
        }
    }
}

#[test]
fn every_key_says_its_id_and_its_one_algorithm_and_is_a_secret() {
    let good = oct("HS256", "k", 32);
    for (key, expected) in [
        (good.clone(), None),
        (with(good.clone(), "use", json!("sig")), None),
        (with(good.clone(), "key_ops", json!(["sign", "verify"])), None),
        (with(good.clone(), "use", json!("enc")), Some(KeyFault::WrongUse)),
        (with(good.clone(), "kid", Value::Null), Some(KeyFault::Unsaid("kid"))),
        (with(good.clone(), "alg", Value::Null), Some(KeyFault::Unsaid("alg"))),
        (with(good.clone(), "alg", json!("RS256")), Some(KeyFault::UnknownKind)),
        (with(good.clone(), "alg", json!("none")), Some(KeyFault::UnknownKind)),
        (with(good.clone(), "k", Value::Null), Some(KeyFault::Malformed)),
        (with(good.clone(), "k", json!("not base64url")), Some(KeyFault::Malformed)),
        (with(good, "kty", json!("RSA")), Some(KeyFault::NotSecret)),
        (rsa_jwk(&RSA, "k"), Some(KeyFault::NotSecret)),
        (ec_jwk(&EC, "k"), Some(KeyFault::NotSecret)),
        (ed_jwk(&ED, "k"), Some(KeyFault::NotSecret)),
    ] {
        assert_eq!(fault(&key), expected, "{key}");
    }
}

#[test]
fn one_bad_key_refuses_the_set() {
    let good = || oct("HS256", "a", 32);
    let bad = |kid: &str| oct("HS256", kid, 31);
    let refused = set(json!([good(), bad("b")])).unwrap_err();
    let expected = KeyError::BadSecret { kid: Some("b".to_owned()), why: KeyFault::ShortSecret };
    assert_eq!(refused, expected);
    assert_eq!(
        refused.to_string(),
        "the key `b` cannot be used: the secret is shorter than its algorithm's hash"
    );
    let twice = set(json!([good(), good()])).unwrap_err();
    assert_eq!(twice, KeyError::DuplicateKid("a".to_owned()));
    assert_eq!(set(json!([])).unwrap_err(), KeyError::NoUsableKey(Vec::new()));
    assert_eq!(set(json!({})).unwrap_err(), KeyError::Malformed);
    assert_eq!(set(json!(["a"])).unwrap_err(), KeyError::Malformed);
    assert_eq!(KeySet::from_secrets(b"c2VjcmV0").unwrap_err(), KeyError::Malformed);
    let many =
        |count: usize| -> Vec<_> { (0..count).map(|n| oct("HS256", &n.to_string(), 32)).collect() };
    for (what, count, is_read) in [
        ("one under", KEYS_MAX - 1, true),
        ("at it", KEYS_MAX, true),
        ("one over", KEYS_MAX + 1, false),
    ] {
        assert_eq!(set(json!(many(count))).is_ok(), is_read, "{what}");
    }
}

#[test]
fn a_new_secret_stands_first_and_those_before_stay_up_to_a_number() {
    let made = |before: Option<&MadeSecrets>, algorithm, keep| {
        add_secret(before.map(|made| made.text.as_slice()), algorithm, keep).unwrap()
    };
    let first = made(None, Algorithm::Hs256, 1);
    let second = made(Some(&first), Algorithm::Hs512, 1);
    assert_eq!(second.kids[1..], first.kids);
    assert_ne!(second.kids[0], first.kids[0]);
    assert_eq!(KeySet::from_secrets(&second.text).unwrap().len(), 2);
    assert_eq!(retire_secrets(&second.text).unwrap().kids, second.kids[..1]);
    assert_eq!(retire_secrets(&first.text).unwrap().kids, first.kids, "the only one stays");
    assert!(retire_secrets(b"{}").is_err());
    let third = made(Some(&second), Algorithm::Hs384, 1);
    assert_eq!(third.kids[1..], second.kids[..1], "one stays");
    assert_eq!(made(Some(&third), Algorithm::Hs256, 0).kids.len(), 1);
    let mut grown = made(None, Algorithm::Hs512, 0);
    for _ in 0..SECRETS_KEPT_MAX + 1 {
        grown = made(Some(&grown), Algorithm::Hs512, usize::MAX);
    }
    assert_eq!(grown.kids.len(), SECRETS_KEPT_MAX + 1);
    assert!(matches!(
        add_secret(Some(b"{\"keys\":[{}]}"), Algorithm::Hs256, 1),
        Err(SecretsError::Keys(KeyError::BadSecret { .. }))
    ));
    assert!(matches!(
        add_secret(None, Algorithm::Es256, 1),
        Err(SecretsError::NoMac(Algorithm::Es256))
    ));
}

#[test]
fn nothing_of_a_secret_is_printed() {
    let made = add_secret(None, Algorithm::Hs256, 0).unwrap();
    let text = String::from_utf8(made.text.to_vec()).unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    let secret = set["keys"][0]["k"].as_str().unwrap();
    let printed = format!("{made:?} {:?}", KeySet::from_secrets(&made.text).unwrap());
    assert!(!printed.contains(secret) && !printed.contains(&format!("{:?}", secret.as_bytes())));
}
