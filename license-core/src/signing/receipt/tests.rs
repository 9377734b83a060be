use super::{Head, KeySet, Kind, Unverified, mint, verify};
use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::signing::algorithm::Algorithm;
use crate::signing::pair::Pair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: u64 = 1_800_000_000;

fn session() -> Session {
    let at = |secs: u64| Timestamp::from_millis(secs * 1000);
    Session {
        id: Uuid::nil(),
        license: Uuid::nil(),
        subject: "anna".into(),
        hardware: "hw-1".into(),
        user_email: None,
        metadata: Default::default(),
        epoch: 7,
        started_at: at(NOW),
        last_heartbeat_at: at(NOW),
        expires_at: at(NOW + 360),
        ended: None,
        borrowed_until: None,
    }
}

fn key() -> (Pair, String, Value) {
    let pair = Pair::generate(Algorithm::EdDsa).unwrap();
    let kid = Algorithm::EdDsa.thumbprint(&pair.public());
    let jwk = Algorithm::EdDsa.jwk(&pair.public(), &kid);
    (pair, kid, jwk)
}

fn receipt(kid: &str, pair: &Pair) -> String {
    let head = Head { algorithm: pair.algorithm(), kid };
    let text = mint(Kind::Lease, &"acme".parse().unwrap(), &session(), head).unwrap();
    let signature = B64.encode(pair.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

fn set(keys: &[&Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn a_receipt_says_who_holds_what_until_when_and_for_which_machine() {
    let (pair, kid, jwk) = key();
    let text = receipt(&kid, &pair);
    let receipt = verify(&text, &set(&[&jwk]), at(NOW)).unwrap();
    assert_eq!(
        (receipt.subject.as_str(), receipt.tenant.as_str(), receipt.epoch),
        ("anna", "acme", 7)
    );
    assert_eq!((receipt.issued_at, receipt.expires_at), (NOW, NOW + 360));
    assert!(receipt.is_for("hw-1") && !receipt.is_for("hw-2"));
    for (now, good) in [(NOW - 61, false), (NOW - 60, true), (NOW + 419, true), (NOW + 420, false)]
    {
        assert_eq!(verify(&text, &set(&[&jwk]), at(now)).is_ok(), good, "{now}");
    }
}

#[test]
fn forged_receipts_prove_nothing() {
    let ((pair, kid, jwk), (other, other_kid, other_jwk)) = (key(), key());
    let text = receipt(&kid, &pair);
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let keys = set(&[&jwk]);
    let mut changed: Value = serde_json::from_slice(&B64.decode(claims).unwrap()).unwrap();
    changed["tenant"] = json!("other");
    let none = B64.encode(json!({"alg": "none", "typ": "lease+jwt", "kid": kid}).to_string());
    let hmac = B64.encode(json!({"alg": "HS256", "typ": "lease+jwt", "kid": kid}).to_string());
    let cases = [
        (
            format!("{header}.{}.{signature}", B64.encode(changed.to_string())),
            Unverified::Signature,
        ),
        (receipt(&kid, &other), Unverified::Signature),
        (receipt(&other_kid, &other), Unverified::UnknownKey),
        (format!("{none}.{claims}."), Unverified::Malformed),
        (format!("{hmac}.{claims}.{signature}"), Unverified::Malformed),
        (format!("{header}.{claims}."), Unverified::Signature),
        (signed.to_owned(), Unverified::Malformed),
        (String::new(), Unverified::Malformed),
        ("é.é.é".to_owned(), Unverified::Malformed),
        ("a".repeat(40_000), Unverified::Malformed),
    ];
    for (forged, why) in cases {
        assert_eq!(verify(&forged, &keys, at(NOW)).unwrap_err(), why, "{forged}");
    }
    let mut renamed = other_jwk;
    renamed["kid"] = json!(kid);
    assert_eq!(verify(&text, &set(&[&renamed]), at(NOW)).unwrap_err(), Unverified::Signature);
}
