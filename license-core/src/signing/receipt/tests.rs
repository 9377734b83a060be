use super::{KeySet, Kind, Unverified, mint, verify};
use crate::assertion::thumbprint;
use crate::clock::Timestamp;
use crate::domain::lease::Session;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use std::path::PathBuf;
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

fn key() -> (Ed25519KeyPair, String, Value) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = B64.encode(pair.public_key().as_ref());
    let kid = thumbprint(&x);
    let jwk =
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "alg": "EdDSA", "use": "sig"});
    (pair, kid, jwk)
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
    let text = mint(Kind::Lease, &"acme".parse().unwrap(), &session(), &kid, &pair);
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
    let text = mint(Kind::Lease, &"acme".parse().unwrap(), &session(), &kid, &pair);
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
        (
            mint(Kind::Lease, &"acme".parse().unwrap(), &session(), &kid, &other),
            Unverified::Signature,
        ),
        (
            mint(Kind::Lease, &"acme".parse().unwrap(), &session(), &other_kid, &other),
            Unverified::UnknownKey,
        ),
        (format!("{none}.{claims}."), Unverified::Malformed),
        (format!("{hmac}.{claims}.{signature}"), Unverified::Malformed),
        (format!("{header}.{claims}."), Unverified::Signature),
        (signed.to_owned(), Unverified::Malformed),
        (String::new(), Unverified::Malformed),
        ("é.é.é".to_owned(), Unverified::Malformed),
        ("a".repeat(9000), Unverified::Malformed),
    ];
    for (forged, why) in cases {
        assert_eq!(verify(&forged, &keys, at(NOW)).unwrap_err(), why, "{forged}");
    }
    let mut renamed = other_jwk;
    renamed["kid"] = json!(kid);
    assert_eq!(verify(&text, &set(&[&renamed]), at(NOW)).unwrap_err(), Unverified::Signature);
}

/// The folder of shared test data: beside the repository, or where `PORTCULLIS_SHARED` says.
fn shared() -> Option<PathBuf> {
    if let Ok(named) = std::env::var("PORTCULLIS_SHARED") {
        return Some(named.into());
    }
    let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_dir
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|shared| shared.join("vectors").is_dir())
}

#[test]
fn wycheproofs_ed25519_vectors_are_all_judged_right() {
    let Some(shared) = shared() else {
        assert!(
            std::env::var("REQUIRE_ALL").as_deref() != Ok("1"),
            "REQUIRE_ALL=1 and the shared vectors are absent"
        );
        println!("skipped: the shared vectors are absent (set PORTCULLIS_SHARED)");
        return;
    };
    let text = std::fs::read(shared.join("vectors/wycheproof/ed25519_test.json")).unwrap();
    let file: Value = serde_json::from_slice(&text).unwrap();
    let hex = |text: &Value| -> Vec<u8> {
        let digits = text.as_str().unwrap().as_bytes();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let mut judged = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = UnparsedPublicKey::new(&ED25519, hex(&group["publicKey"]["pk"]));
        for test in group["tests"].as_array().unwrap() {
            let accepted = key.verify(&hex(&test["msg"]), &hex(&test["sig"])).is_ok();
            assert_eq!(accepted, test["result"] == "valid", "{test}");
            judged += 1;
        }
    }
    assert_eq!(judged, file["numberOfTests"].as_u64().unwrap());
    assert!(judged > 100);
}
