use std::time::Duration;

use portcullis_config::model::{Alg, ClaimPath, ClaimRules, KeySource, Provider, StaticProvider};
use serde_json::Value;

use super::*;
use crate::keys::KeySet;
use crate::{Algorithm, Refusal, Verifier, Why};

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn inward<'a>(roles: &'a [String], body: &'a [u8; 32]) -> Inward<'a> {
    Inward {
        subject: "alice",
        tenant: Some("acme"),
        roles,
        request_id: "r-1",
        method: "POST",
        target: "/api/v1/license/acquire?a=b",
        body_sha256: body,
    }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&base64url::decode(part.as_bytes()).unwrap()).unwrap()
}

#[test]
fn an_assertion_says_who_calls_and_is_bound_to_one_request() {
    let (key, _) = AssertionKey::generate().unwrap();
    let roles = ["admin".to_owned()];
    let token = key.mint(&inward(&roles, &[0; 32]), now());
    assert_eq!(part(&token, 0), json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": key.kid()}));
    let expected = json!({
        "iss": "portcullis", "aud": "license-core", "sub": "alice", "tenant": "acme",
        "roles": ["admin"], "iat": 1_800_000_000, "exp": 1_800_000_060, "jti": "r-1",
        "htm": "POST", "htu": "/api/v1/license/acquire?a=b",
        "bh": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    });
    assert_eq!(part(&token, 1), expected);
    let keys = KeySet::from_jwks(public_jwks([&key]).as_bytes(), &[Algorithm::EdDsa]).unwrap();
    assert!(crate::jws::Jws::parse(token.as_bytes()).unwrap().verify(&keys).is_ok());
}

#[test]
fn without_a_tenant_the_claim_is_absent() {
    let (key, _) = AssertionKey::generate().unwrap();
    let token = key.mint(&Inward { tenant: None, ..inward(&[], &[0; 32]) }, now());
    assert_eq!(part(&token, 1).get("tenant"), None);
}

#[test]
fn a_stored_key_signs_as_before_and_keys_overlap_in_the_public_set() {
    let (key, pem) = AssertionKey::generate().unwrap();
    let again = AssertionKey::from_pkcs8(pem.as_bytes()).unwrap();
    assert_eq!(key.kid(), again.kid());
    let (next, _) = AssertionKey::generate().unwrap();
    assert_ne!(key.kid(), next.kid());
    let set = public_jwks([&key, &next]);
    let keys = KeySet::from_jwks(set.as_bytes(), &[Algorithm::EdDsa]).unwrap();
    assert_eq!(keys.len(), 2);
    for key in [&again, &next] {
        let token = key.mint(&inward(&[], &[1; 32]), now());
        assert!(crate::jws::Jws::parse(token.as_bytes()).unwrap().verify(&keys).is_ok());
    }
    assert!(!format!("{key:?}").contains("PRIVATE"));
    assert!(!set.contains("\"d\""));
}

#[test]
fn what_is_no_ed25519_key_in_pkcs8_is_refused() {
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    for bad in ["", "x", rsa, "-----BEGIN PRIVATE KEY-----\nAAAA\n", &p256.serialize_pem()] {
        let refused = AssertionKey::from_pkcs8(bad.as_bytes()).err();
        assert_eq!(refused, Some(BadAssertionKey::NotPkcs8), "{bad}");
    }
    let good = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    assert!(AssertionKey::from_pkcs8(good.serialize_pem().as_bytes()).is_ok());
    assert!(AssertionKey::from_pkcs8(&good.serialize_der()).is_ok());
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let public_key = base64url::decode(x.as_bytes()).unwrap();
    assert_eq!(thumbprint(&public_key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn an_assertion_is_no_token_for_the_edge_itself() {
    let (key, _) = AssertionKey::generate().unwrap();
    let provider = Provider::Static(StaticProvider {
        issuer: "portcullis".to_owned(),
        audience: "license-core".to_owned(),
        algorithms: vec![Alg::EdDsa],
        keys: KeySource::Jwks("keys".into()),
        claims: ClaimRules {
            tenant_claim: vec![ClaimPath::parse("tenant").unwrap()],
            roles_claim: None,
            scopes_claim: ClaimPath::parse("scope").into_iter().collect(),
            leeway: Duration::from_secs(5),
            max_lifetime: Duration::from_secs(3600),
        },
    });
    let verifier = Verifier::compile("x", &provider, public_jwks([&key]).as_bytes()).unwrap();
    let token = key.mint(&inward(&[], &[0; 32]), now());
    let refused = verifier.verify(token.as_bytes(), now()).unwrap_err();
    assert_eq!(refused, Refusal::InvalidToken(Why::WrongType));
}
