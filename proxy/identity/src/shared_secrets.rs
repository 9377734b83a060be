//! Tokens with an HMAC: good ones, and the attacks that live where secrets and public keys are taken for each other.

use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use aws_lc_rs::signature::KeyPair;
use serde_json::{Value, json};

use crate::forge::*;
use crate::revocation::Revocations;
use crate::{KeyError, Refusal, TokenCache, Verifier, Why, verify_any};

const OLD: &[u8] = &[1; 32];
const NEW: &[u8] = &[2; 32];
const LONG: &[u8] = &[3; 64];

fn head(alg: &str, kid: &str) -> String {
    json!({"alg": alg, "kid": kid, "typ": "JWT"}).to_string()
}

fn verifier() -> Verifier {
    shares(&[("old", "HS256", OLD), ("new", "HS256", NEW), ("long", "HS512", LONG)]).unwrap()
}

fn why_of(verifier: &Verifier, token: &str) -> Option<Why> {
    match verifier.verify(token.as_bytes(), now()) {
        Ok(_) => None,
        Err(Refusal::InvalidToken(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_token_of_each_secret_tells_who_calls_while_they_overlap() {
    let payload = claims().to_string();
    let verifier = verifier();
    for (kid, token) in [
        ("old", by_secret(OLD, &head("HS256", "old"), &payload)),
        ("new", by_secret(NEW, &head("HS256", "new"), &payload)),
        ("long", by_mac(HMAC_SHA512, LONG, &head("HS512", "long"), &payload)),
    ] {
        let identity = verifier.verify(token.as_bytes(), now()).unwrap();
        assert_eq!((identity.provider.as_str(), identity.subject.as_str()), ("shared", "alice"));
        assert_eq!(identity.key_id.as_deref(), Some(kid));
    }
    let of_old = by_secret(OLD, &head("HS256", "old"), &payload);
    let without_old = shares(&[("new", "HS256", NEW)]).unwrap();
    assert_eq!(why_of(&without_old, &of_old), Some(Why::UnknownKid), "the overlap is over");
}

#[test]
fn a_token_is_verified_under_the_algorithm_of_its_secret_only() {
    let payload = claims().to_string();
    let verifier = verifier();
    for (what, token, expected) in [
        (
            "another hash",
            by_mac(HMAC_SHA512, OLD, &head("HS512", "old"), &payload),
            Why::AlgNotOfKey,
        ),
        (
            "a shorter hash",
            by_mac(HMAC_SHA256, LONG, &head("HS256", "long"), &payload),
            Why::AlgNotOfKey,
        ),
        (
            "a hash that no secret has",
            by_mac(HMAC_SHA384, LONG, &head("HS384", "long"), &payload),
            Why::AlgNotOfKey,
        ),
        (
            "one hash for another",
            by_mac(HMAC_SHA512, OLD, &head("HS256", "old"), &payload),
            Why::BadSignature,
        ),
        (
            "the secret of another id",
            by_secret(OLD, &head("HS256", "new"), &payload),
            Why::BadSignature,
        ),
        ("no secret", by_secret(b"", &head("HS256", "old"), &payload), Why::BadSignature),
        (
            "the id for a secret",
            by_secret(b"old", &head("HS256", "old"), &payload),
            Why::BadSignature,
        ),
        ("no id among several", by_secret(OLD, r#"{"alg":"HS256"}"#, &payload), Why::MissingKid),
        ("an id that is not there", by_secret(OLD, &head("HS256", "x"), &payload), Why::UnknownKid),
        ("half a tag", halved(&by_secret(OLD, &head("HS256", "old"), &payload)), Why::BadSignature),
        ("no tag", format!("{}.", unsigned(&head("HS256", "old"), &payload)), Why::NoSignature),
        ("none", format!("{}.", unsigned(&head("none", "old"), &payload)), Why::AlgNone),
    ] {
        assert_eq!(why_of(&verifier, &token), Some(expected), "{what}");
    }
}

/// A token with the first half of its tag: a comparison of as many bytes as are there would take it.
fn halved(token: &str) -> String {
    let (signed, tag) = token.rsplit_once('.').unwrap();
    let bytes = crate::base64url::decode(tag.as_bytes()).unwrap();
    append(signed, &bytes[..bytes.len() / 2])
}

#[test]
fn every_rule_on_claims_holds_for_them_too() {
    let verifier = verifier();
    let of = |name: &str, value: Value| {
        by_secret(OLD, &head("HS256", "old"), &claims_with(name, value).to_string())
    };
    for (name, value, expected) in [
        ("iss", json!("https://other.example.com"), Why::WrongIssuer),
        ("aud", json!("license-core"), Why::WrongAudience),
        ("aud", Value::Null, Why::WrongAudience),
        ("exp", Value::Null, Why::NoExpiry),
        ("exp", json!(NOW_SECS - 60), Why::Expired),
        ("sub", json!(""), Why::BadSubject),
    ] {
        assert_eq!(why_of(&verifier, &of(name, value.clone())), Some(expected), "{name} {value}");
    }
}

#[test]
fn no_public_key_serves_as_a_secret_and_no_secret_as_a_public_key() {
    let payload = claims().to_string();
    let (shared, public) = (verifier(), crate::forge::verifier());
    // Signed with a private key, for a provider of secrets: under its own algorithm, and under the one of the secret.
    for (what, token, expected) in [
        ("RS256", by_rsa(&RSA, &head("RS256", "old"), &payload), Why::AlgNotOfKey),
        ("ES256", by_ec(&EC, &head("ES256", "old"), &payload), Why::AlgNotOfKey),
        ("EdDSA", by_ed(&ED, &head("EdDSA", "old"), &payload), Why::AlgNotOfKey),
        ("its id", by_ec(&EC, &head("ES256", "ec"), &payload), Why::UnknownKid),
        ("as HS256", by_rsa(&RSA, &head("HS256", "old"), &payload), Why::BadSignature),
    ] {
        assert_eq!(why_of(&shared, &token), Some(expected), "{what}");
    }
    // With the secret, or with a public key taken for one, for a provider of public keys.
    let pem = rsa_pem();
    for secret in [OLD, pem.as_bytes(), EC.public_key().as_ref(), ED.public_key().as_ref()] {
        for kid in ["rsa", "ec", "ed"] {
            for (mac, alg) in
                [(HMAC_SHA256, "HS256"), (HMAC_SHA384, "HS384"), (HMAC_SHA512, "HS512")]
            {
                let token = by_mac(mac, secret, &head(alg, kid), &payload);
                assert_eq!(why_of(&public, &token), Some(Why::AlgNotOfKey), "{alg} {kid}");
            }
        }
    }
    // Of both on one route, with one issuer, the first is asked, and neither stands in for the other.
    let of_secret = by_secret(OLD, &head("HS256", "old"), &payload);
    let of_key = token(&claims());
    for (verifiers, token, is_good) in [
        ([&shared, &public], &of_secret, true),
        ([&shared, &public], &of_key, false),
        ([&public, &shared], &of_key, true),
        ([&public, &shared], &of_secret, false),
    ] {
        let verified = verify_any(verifiers, token.as_bytes(), now());
        assert_eq!(verified.is_ok(), is_good, "{verified:?}");
    }
}

#[test]
fn neither_kind_of_provider_reads_the_keys_of_the_other() {
    let secrets =
        json!({"keys": [{"kty": "oct", "kid": "a", "alg": "HS256", "k": "A".repeat(43)}]});
    let of_public = portcullis_config::model::Provider::Static(provider(
        portcullis_config::model::KeySource::Jwks("keys".into()),
    ));
    for keys in [secrets.clone(), with_first(&secrets, "alg", Value::Null)] {
        let read = Verifier::compile("main", &of_public, keys.to_string().as_bytes());
        assert!(matches!(read, Err(KeyError::NoUsableKey(_))), "{read:?}");
    }
    let mixed = json!({"keys": [secrets["keys"][0], ec_jwk(&EC, "ec")]}).to_string();
    let read = Verifier::compile("main", &of_public, mixed.as_bytes());
    assert_eq!(read.unwrap_err(), KeyError::Mixed);
    assert!(crate::KeySet::from_secrets(mixed.as_bytes()).is_err());
    assert!(crate::KeySet::from_secrets(jwks().to_string().as_bytes()).is_err());
    assert!(crate::KeySet::from_secrets(rsa_pem().as_bytes()).is_err());
}

fn with_first(set: &Value, name: &str, value: Value) -> Value {
    json!({"keys": [with(set["keys"][0].clone(), name, value)]})
}

#[test]
fn a_remembered_token_is_not_remembered_for_other_secrets() {
    let (cache, nothing) = (TokenCache::new(16), Revocations::default());
    let token = by_secret(OLD, &head("HS256", "k"), &claims().to_string());
    let ask = |secret: &[u8]| {
        let verifier = shares(&[("k", "HS256", secret)]).unwrap();
        cache.verify([&verifier], &nothing, token.as_bytes(), now()).is_ok()
    };
    assert!(ask(OLD));
    assert!(!ask(NEW), "under the same id there is another secret now");
    assert!(ask(OLD));
}
