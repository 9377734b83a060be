use portcullis_config::model::KeySource;
use serde_json::json;

use super::*;
use crate::forge::*;
use crate::revocation::{Revocation, Revoked};

fn none() -> Revocations {
    Revocations::default()
}

#[test]
fn a_token_is_verified_once_and_never_past_its_end() {
    let (cache, verifier) = (TokenCache::new(100), verifier());
    let token = token(&claims());
    let check = |secs: u64| {
        let now = Timestamp::from_secs(NOW_SECS + secs);
        cache.verify([&verifier], &none(), token.as_bytes(), now)
    };
    let first = check(0).unwrap();
    assert!(Arc::ptr_eq(&first, &check(1).unwrap()));
    assert!(check(629).is_ok());
    assert_eq!(check(630), Err(Refusal::InvalidToken(Why::Expired)));
    let figures = cache.figures();
    assert_eq!((figures.entries, figures.hits_total, figures.misses_total), (1, 2, 2));
    cache.sweep(Timestamp::from_secs(NOW_SECS + 630));
    assert_eq!(cache.figures().entries, 0);
}

#[test]
fn a_revocation_counts_on_the_very_next_request() {
    let (cache, verifier) = (TokenCache::new(100), verifier());
    let token = token(&claims());
    let entry = Revocation { what: Revoked::Tenant("acme".to_owned()), before: None, until: None };
    let revoked = Revocations::new([entry], now()).unwrap();
    let check = |list: &Revocations| cache.verify([&verifier], list, token.as_bytes(), now());
    let knows =
        |list: &Revocations| cache.recall([&verifier], list, token.as_bytes(), now()).is_some();
    assert!(!knows(&none()), "it has not been verified yet");
    assert!(check(&none()).is_ok());
    assert!(knows(&none()) && !knows(&revoked));
    assert_eq!(check(&revoked).unwrap_err(), Refusal::InvalidToken(Why::RevokedTenant));
    assert!(check(&none()).is_ok());
}

#[test]
fn changed_keys_or_rules_forget_what_was_verified_before() {
    let cache = TokenCache::new(100);
    let token = token(&claims());
    assert!(cache.verify([&verifier()], &none(), token.as_bytes(), now()).is_ok());
    let without = verifier_of(&json!({"keys": [rsa_jwk(&RSA, "rsa"), ed_jwk(&ED, "ed")]}));
    let refused = cache.verify([&without], &none(), token.as_bytes(), now());
    assert_eq!(refused, Err(Refusal::InvalidToken(Why::UnknownKid)));
    let mut provider = provider(KeySource::Jwks("keys".into()));
    provider.audience = "another".to_owned();
    let provider = portcullis_config::model::Provider::Static(provider);
    let other = Verifier::compile("main", &provider, jwks().to_string().as_bytes()).unwrap();
    let refused = cache.verify([&other], &none(), token.as_bytes(), now());
    assert_eq!(refused, Err(Refusal::InvalidToken(Why::WrongAudience)));
}

#[test]
fn a_token_verified_for_two_providers_is_not_taken_for_one_by_its_length() {
    let cache = TokenCache::new(100);
    let (main, other) = (verifier(), verifier_of(&json!({"keys": [rsa_jwk(&OTHER_RSA, "rsa")]})));
    let token = token(&claims());
    assert!(cache.verify([&main, &main], &none(), token.as_bytes(), now()).is_ok());
    let trick = [main.fingerprint().as_slice(), token.as_bytes()].concat();
    assert!(cache.verify([&main], &none(), &trick, now()).is_err());
    assert!(cache.verify([&other], &none(), token.as_bytes(), now()).is_err());
}

#[test]
fn verified_tokens_are_remembered_up_to_the_cap_of_their_shard() {
    // Two in each shard; these tokens all fall into one.
    let (cache, verifier) = (TokenCache::new(2 * SHARDS), verifier());
    let of_one_shard = |token: &String| {
        let [first, ..] = digest([&verifier].into_iter(), token.as_bytes());
        usize::from(first) % SHARDS == 0
    };
    let tokens = (0..).map(|n| token(&claims_with("jti", json!(format!("t-{n}")))));
    let mut tokens = tokens.filter(of_one_shard);
    for (what, remembered) in [("one under", 1), ("at it", 2), ("one over", 2)] {
        let token = tokens.next().unwrap();
        assert!(cache.verify([&verifier], &none(), token.as_bytes(), now()).is_ok());
        assert_eq!(cache.figures().entries, remembered, "{what}");
    }
}

#[test]
fn the_cache_is_bounded_and_refusals_do_not_fill_it() {
    let (cache, verifier) = (TokenCache::new(32), verifier());
    for n in 0..200 {
        let token = token(&claims_with("jti", json!(format!("t-{n}"))));
        assert!(cache.verify([&verifier], &none(), token.as_bytes(), now()).is_ok());
    }
    assert!(cache.figures().entries <= 32);
    let cache = TokenCache::new(32);
    let expired = token(&claims_with("exp", json!(1)));
    assert!(cache.verify([&verifier], &none(), expired.as_bytes(), now()).is_err());
    assert_eq!(cache.figures().entries, 0);
}
