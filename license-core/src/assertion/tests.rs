use super::key_set::{KeySet, KeySource, thumbprint};
use super::{Received, Unbelieved, verify};
use crate::clock::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use std::path::Path;

const NOW: u64 = 1_800_000_000;
const ASKED: Received<'static> = Received { method: "POST", target: "/api/v1/license/acquire" };

fn jwks(pairs: &[&Ed25519KeyPair]) -> String {
    let keys: Vec<Value> = pairs
        .iter()
        .map(|pair| json!({"kty": "OKP", "crv": "Ed25519", "x": B64.encode(pair.public_key().as_ref())}))
        .collect();
    json!({ "keys": keys }).to_string()
}

fn kid(pair: &Ed25519KeyPair) -> String {
    thumbprint(&B64.encode(pair.public_key().as_ref()))
}

fn claims() -> Value {
    json!({"iss": "portcullis", "aud": "license-core", "sub": "user-1", "tenant": "acme", "roles": ["member"],
        "iat": NOW, "exp": NOW + 60, "jti": "r-1", "htm": "POST", "htu": "/api/v1/license/acquire",
        "bh": B64.encode(digest(&SHA256, b"{}"))})
}

fn sign(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    format!("{signed}.{}", B64.encode(pair.sign(signed.as_bytes())))
}

fn header(pair: &Ed25519KeyPair) -> Value {
    json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": kid(pair)})
}

fn at(
    assertion: &str,
    pair: &Ed25519KeyPair,
    asked: Received<'_>,
    now: u64,
) -> Result<(), Unbelieved> {
    let keys = KeySet::parse(jwks(&[pair]).as_bytes(), Path::new("jwks")).unwrap();
    verify(assertion.as_bytes(), &keys, asked, Timestamp::from_millis(now * 1000))?
        .with_body(b"{}")
        .map(|_| ())
}

fn with(field: &str, value: Value) -> Value {
    let mut changed = claims();
    changed[field] = value;
    changed
}

#[test]
fn a_good_assertion_names_its_caller() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let keys = KeySet::parse(jwks(&[&pair]).as_bytes(), Path::new("jwks")).unwrap();
    let assertion = sign(&pair, &header(&pair), &claims());
    let pending =
        verify(assertion.as_bytes(), &keys, ASKED, Timestamp::from_millis(NOW * 1000)).unwrap();
    let caller = pending.with_body(b"{}").unwrap();
    assert_eq!(caller.subject.as_str(), "user-1");
    assert_eq!(caller.tenant.unwrap().as_str(), "acme");
}

#[test]
fn an_assertion_lives_from_iat_to_exp_with_five_seconds_leeway() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let assertion = sign(&pair, &header(&pair), &claims());
    let cases =
        [(NOW - 6, false), (NOW - 5, true), (NOW, true), (NOW + 64, true), (NOW + 65, false)];
    for (now, good) in cases {
        let answer = at(&assertion, &pair, ASKED, now);
        assert_eq!(answer, if good { Ok(()) } else { Err(Unbelieved::Time) }, "{now}");
    }
    let long = sign(&pair, &header(&pair), &with("exp", json!(NOW + 61)));
    assert_eq!(at(&long, &pair, ASKED, NOW), Err(Unbelieved::Time));
    let backwards = sign(&pair, &header(&pair), &with("exp", json!(NOW - 1)));
    assert_eq!(at(&backwards, &pair, ASKED, NOW), Err(Unbelieved::Time));
}

#[test]
fn an_assertion_serves_the_one_request_it_was_made_for() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let assertion = sign(&pair, &header(&pair), &claims());
    for other in [
        Received { method: "PUT", ..ASKED },
        Received { target: "/api/v1/license/acquire?x", ..ASKED },
        Received { target: "/api/v1/license/acquire/", ..ASKED },
    ] {
        assert_eq!(at(&assertion, &pair, other, NOW), Err(Unbelieved::OtherRequest), "{other:?}");
    }
    let keys = KeySet::parse(jwks(&[&pair]).as_bytes(), Path::new("jwks")).unwrap();
    for other in [b"{} ".as_slice(), b"", b"{}\n"] {
        let pending =
            verify(assertion.as_bytes(), &keys, ASKED, Timestamp::from_millis(NOW * 1000)).unwrap();
        assert!(pending.with_body(other).is_err());
    }
}

#[test]
fn claims_of_other_parties_or_shapes_are_refused() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let cases = [
        (with("iss", json!("someone")), Unbelieved::Parties),
        (with("aud", json!("other")), Unbelieved::Parties),
        (with("aud", json!(["license-core"])), Unbelieved::Malformed),
        (with("sub", json!("")), Unbelieved::Malformed),
        (with("tenant", json!("a b")), Unbelieved::Malformed),
        (with("tenant", json!(7)), Unbelieved::Malformed),
        (with("roles", json!(vec!["r"; 65])), Unbelieved::Malformed),
        (with("iat", json!("now")), Unbelieved::Malformed),
        (with("exp", json!(-1)), Unbelieved::Malformed),
    ];
    for (changed, why) in cases {
        assert_eq!(
            at(&sign(&pair, &header(&pair), &changed), &pair, ASKED, NOW),
            Err(why),
            "{changed}"
        );
    }
    let sixty_four = sign(&pair, &header(&pair), &with("roles", json!(vec!["r"; 64])));
    assert_eq!(at(&sixty_four, &pair, ASKED, NOW), Ok(()));
}

#[test]
fn forged_headers_and_signatures_are_refused() {
    let (pair, other) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
    let good = sign(&pair, &header(&pair), &claims());
    let (front, signature) = good.rsplit_once('.').unwrap();
    let mut flipped = B64.decode(signature).unwrap();
    flipped[0] ^= 1;
    let (head, body) = front.split_once('.').unwrap();
    let none = B64.encode(json!({"alg": "none", "typ": "edge+jwt", "kid": kid(&pair)}).to_string());
    let cases = [
        (sign(&other, &header(&pair), &claims()), Unbelieved::Signature),
        (sign(&other, &header(&other), &claims()), Unbelieved::UnknownKey),
        (format!("{front}.{}", B64.encode(flipped)), Unbelieved::Signature),
        (format!("{front}."), Unbelieved::Signature),
        (format!("{none}.{body}."), Unbelieved::Malformed),
        (format!("{head}.{body}"), Unbelieved::Malformed),
        (format!("{good}.x"), Unbelieved::Malformed),
        (format!("{good}="), Unbelieved::Malformed),
        (String::new(), Unbelieved::Malformed),
        ("..".to_owned(), Unbelieved::Malformed),
        ("a".repeat(9000), Unbelieved::Malformed),
    ];
    for (forged, why) in cases {
        assert_eq!(at(&forged, &pair, ASKED, NOW), Err(why), "{forged}");
    }
    for wrong in [
        json!({"alg": "HS256", "typ": "edge+jwt", "kid": kid(&pair)}),
        json!({"alg": "EdDSA", "typ": "JWT", "kid": kid(&pair)}),
        json!({"alg": "EdDSA", "typ": "edge+jwt"}),
        json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": kid(&pair), "crit": ["x"]}),
        json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": kid(&pair), "jwk": {}}),
    ] {
        assert_eq!(
            at(&sign(&pair, &wrong, &claims()), &pair, ASKED, NOW),
            Err(Unbelieved::Malformed),
            "{wrong}"
        );
    }
}

#[test]
fn key_sets_of_other_shapes_do_not_load() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = B64.encode(pair.public_key().as_ref());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid(&pair)});
    let bad = [
        json!({}),
        json!({"keys": []}),
        json!({"keys": vec![key.clone(); 101]}),
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}),
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "!"}]}),
        json!({"keys": [{"kty": "OKP", "crv": "X25519", "x": x}]}),
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "mine"}]}),
    ];
    for text in bad {
        assert!(KeySet::parse(text.to_string().as_bytes(), Path::new("jwks")).is_err(), "{text}");
    }
    assert!(
        KeySet::parse(json!({"keys": vec![key; 100]}).to_string().as_bytes(), Path::new("jwks"))
            .is_ok()
    );
}

#[test]
fn a_changed_file_is_read_again_and_a_bad_one_keeps_the_last_good_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edge.jwks");
    let (first, second) =
        (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
    std::fs::write(&path, jwks(&[&first])).unwrap();
    let source = KeySource::open(&path).unwrap();
    std::fs::write(&path, jwks(&[&first, &second])).unwrap();
    assert!(source.current().find(&kid(&second)).is_some());
    std::fs::write(&path, "{").unwrap();
    assert!(source.current().find(&kid(&second)).is_some());
    std::fs::remove_file(&path).unwrap();
    assert!(source.current().find(&kid(&first)).is_some());
    std::fs::write(&path, jwks(&[&second])).unwrap();
    assert!(source.current().find(&kid(&first)).is_none());
}
