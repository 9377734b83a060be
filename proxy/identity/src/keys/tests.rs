use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use serde_json::json;

use super::*;
use crate::base64url::encode;
use crate::forge::*;

#[expect(clippy::needless_pass_by_value, reason = "cases are written as `json!`")]
fn set(keys: Value) -> Result<KeySet, KeyError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), &Algorithm::ALL[..10])
}

/// Reads a set of one key and returns what is wrong with it.
#[expect(clippy::needless_pass_by_value, reason = "cases are written as `json!`")]
fn fault(key: Value) -> Option<KeyFault> {
    match set(json!([key])) {
        Ok(_) => None,
        Err(KeyError::NoUsableKey(skipped)) => skipped.first().map(|key| key.why),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_key_must_fit_its_own_words() {
    let (rsa, ec, ed) = (rsa_jwk(&RSA, "k"), ec_jwk(&EC, "k"), ed_jwk(&ED, "k"));
    let with = |key: &Value, name, value| with(key.clone(), name, value);
    let one = encode([1]);
    let cases = [
        (rsa.clone(), None),
        (ec.clone(), None),
        (ed.clone(), None),
        (with(&ed, "alg", json!("Ed25519")), None),
        (with(&rsa, "alg", Value::Null), None),
        (with(&rsa, "use", Value::Null), None),
        (with(&rsa, "key_ops", json!(["verify"])), None),
        (with(&rsa, "x5c", json!(["ignored"])), None),
        (with(&rsa, "use", json!("enc")), Some(KeyFault::WrongUse)),
        (with(&rsa, "key_ops", json!(["encrypt"])), Some(KeyFault::WrongUse)),
        (with(&rsa, "key_ops", json!([])), Some(KeyFault::WrongUse)),
        (with(&rsa, "use", json!(1)), Some(KeyFault::Malformed)),
        (with(&rsa, "key_ops", json!("verify")), Some(KeyFault::Malformed)),
        (with(&rsa, "alg", json!("ES256")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "alg", json!("RSA-OAEP")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "alg", json!("none")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "alg", json!("HS256")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "kty", json!("EC")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "kty", json!("RSB")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "kty", Value::Null), Some(KeyFault::UnknownKind)),
        (with(&rsa, "crv", json!("P-256")), Some(KeyFault::UnknownKind)),
        (with(&rsa, "n", Value::Null), Some(KeyFault::Malformed)),
        (with(&rsa, "n", json!(5)), Some(KeyFault::Malformed)),
        (with(&rsa, "n", json!("A=")), Some(KeyFault::Malformed)),
        (with(&rsa, "e", json!(one)), Some(KeyFault::RsaExponent)),
        (with(&rsa, "e", json!("Aw")), Some(KeyFault::RsaExponent)),
        (with(&rsa, "e", json!("AQAA")), Some(KeyFault::RsaExponent)),
        (with(&rsa, "e", json!(encode([255; 9]))), Some(KeyFault::RsaExponent)),
        (with(&ec, "crv", json!("P-384")), Some(KeyFault::UnknownKind)),
        (with(&with(&ec, "alg", Value::Null), "crv", json!("P-384")), Some(KeyFault::Malformed)),
        (with(&ec, "crv", json!("secp256k1")), Some(KeyFault::UnknownKind)),
        (with(&ec, "x", json!(encode([1; 32]))), Some(KeyFault::Invalid)),
        (with(&ec, "x", json!(encode([0; 31]))), Some(KeyFault::Malformed)),
        (with(&ec, "y", json!(encode([0; 33]))), Some(KeyFault::Malformed)),
        (with(&ed, "x", json!(encode([0; 31]))), Some(KeyFault::Malformed)),
        (with(&ed, "crv", json!("X25519")), Some(KeyFault::UnknownKind)),
        (with(&ed, "alg", json!("ES256")), Some(KeyFault::UnknownKind)),
    ];
    for (key, expected) in cases {
        assert_eq!(fault(key.clone()), expected, "{key}");
    }
}

#[test]
fn rsa_keys_have_from_2048_to_8192_bits() {
    let of_bits = |bits: usize| {
        let mut modulus = random_bytes(bits / 8);
        modulus[0] |= 0x80;
        *modulus.last_mut().unwrap() |= 1;
        fault(with(rsa_jwk(&RSA, "k"), "n", json!(encode(modulus))))
    };
    assert_eq!(of_bits(1024), Some(KeyFault::RsaSize));
    assert_eq!(of_bits(2040), Some(KeyFault::RsaSize));
    assert_eq!(of_bits(2048), None);
    assert_eq!(of_bits(8192), None);
    assert_eq!(of_bits(8200), Some(KeyFault::RsaSize));
    let large = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
    assert_eq!(fault(rsa_jwk(&large, "k")), None);
    let mut padded = vec![0];
    padded.extend(RSA.public_key().modulus().big_endian_without_leading_zero());
    assert_eq!(fault(with(rsa_jwk(&RSA, "k"), "n", json!(encode(padded)))), None);
}

#[test]
fn a_set_that_cannot_be_trusted_whole_does_not_load() {
    let (a, b) = (rsa_jwk(&RSA, "a"), ec_jwk(&EC, "b"));
    let secret = json!({"kty": "oct", "kid": "s", "k": encode([7; 32])});
    let error = |keys| set(keys).err();
    assert_eq!(set(json!([a, b])).unwrap().len(), 2);
    assert_eq!(error(json!([a, ec_jwk(&EC, "a")])), Some(KeyError::DuplicateKid("a".to_owned())));
    let unusable = with(ec_jwk(&EC, "a"), "use", json!("enc"));
    assert_eq!(error(json!([a, unusable])), Some(KeyError::DuplicateKid("a".to_owned())));
    assert_eq!(error(json!([a, secret])), Some(KeyError::Mixed));
    assert_eq!(error(json!([secret, a])), Some(KeyError::Mixed));
    assert_eq!(error(json!([with(a.clone(), "d", json!("AQ"))])), Some(KeyError::PrivateKey));
    assert_eq!(error(json!([with(a.clone(), "kid", json!(1))])), Some(KeyError::Malformed));
    let of_length = |bytes: usize| json!([with(a.clone(), "kid", json!("k".repeat(bytes)))]);
    assert_eq!(error(of_length(256)), None);
    assert_eq!(error(of_length(257)), Some(KeyError::LongKid));
    let nameless = with(a.clone(), "kid", Value::Null);
    assert_eq!(error(json!([nameless])), None);
    assert!(matches!(error(json!([nameless, nameless])), Some(KeyError::DuplicateKid(_))));
    assert!(matches!(error(json!([nameless, b])), Some(KeyError::DuplicateKid(_))));
    assert_eq!(error(json!([])), Some(KeyError::NoUsableKey(Vec::new())));
    assert!(matches!(error(json!([secret])), Some(KeyError::NoUsableKey(_))));
}

#[test]
fn what_is_no_set_is_refused() {
    let read = |text: &[u8]| KeySet::from_jwks(text, &[Algorithm::Es256]).err();
    for text in
        ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[1]}", "{\"keys\":[],\"keys\":[]}"]
    {
        assert_eq!(read(text.as_bytes()), Some(KeyError::Malformed), "{text}");
    }
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|n| ec_jwk(&EC, &n.to_string())).collect();
        read(json!({ "keys": keys }).to_string().as_bytes())
    };
    assert_eq!(keys(99), None);
    assert_eq!(keys(100), None);
    assert_eq!(keys(101), Some(KeyError::TooMany));
    let of_bytes = |bytes: usize| {
        let text = json!({"keys": [ec_jwk(&EC, "k")]}).to_string();
        read(format!("{text}{}", " ".repeat(bytes - text.len())).as_bytes())
    };
    assert_eq!(of_bytes(KEY_SET_BYTES_MAX), None);
    assert_eq!(of_bytes(KEY_SET_BYTES_MAX + 1), Some(KeyError::TooLarge));
}

#[test]
fn keys_that_cannot_verify_are_left_out_and_told() {
    let encryption = with(rsa_jwk(&RSA, "enc"), "use", json!("enc"));
    let set = KeySet::from_jwks(
        json!({"keys": [encryption, ec_jwk(&EC, "ec"), ed_jwk(&ED, "ed")]}).to_string().as_bytes(),
        &[Algorithm::Es256],
    )
    .unwrap();
    assert_eq!(set.len(), 1);
    let skipped: Vec<_> =
        set.skipped().iter().map(|key| (key.kid.as_deref().unwrap(), key.why)).collect();
    assert_eq!(skipped, [("enc", KeyFault::WrongUse), ("ed", KeyFault::NotConfigured)]);
}

#[test]
fn one_pem_block_with_a_public_key_or_certificate_is_a_set() {
    let read = |text: &str| KeySet::from_pem(text.as_bytes(), &Algorithm::ALL[..10]).err();
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let good = [
        rsa_pem(),
        format!("# the issuer's key\r\n{}", rsa_pem().replace('\n', "\r\n")),
        p384.public_key_pem(),
        ed.public_key_pem(),
        certificate.cert.pem(),
    ];
    for text in &good {
        assert_eq!(read(text), None, "{text}");
    }
    let twice = format!("{}{}", rsa_pem(), p384.public_key_pem());
    let relabelled = rsa_pem().replace("PUBLIC KEY", "CERTIFICATE");
    let cut = rsa_pem().replace("-----END PUBLIC KEY-----", "");
    let mislabelled = rsa_pem().replace("END PUBLIC", "END RSA PUBLIC");
    for text in ["", "x", &twice, &relabelled, &cut, &mislabelled, "-----BEGIN PUBLIC KEY-----"] {
        assert_eq!(read(text), Some(KeyError::Pem), "{text}");
    }
    assert_eq!(read(&p384.serialize_pem()), Some(KeyError::PrivateKey));
}

#[test]
fn a_changed_certificate_or_key_never_panics() {
    let certificate = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let good = certificate.cert.der().to_vec();
    for index in 0..good.len() {
        for change in [1_u8, 0x80, 0xff] {
            let mut changed = good.clone();
            changed[index] ^= change;
            let _key = der::certificate(&changed);
        }
        assert!(der::certificate(&good[..index]).is_none());
    }
    assert!(der::certificate(&good).is_some());
}

#[test]
fn a_token_without_id_is_served_only_where_there_is_one_key() {
    let one = set(json!([ec_jwk(&EC, "a")])).unwrap();
    let two = set(json!([ec_jwk(&EC, "a"), rsa_jwk(&RSA, "b")])).unwrap();
    let nameless = set(json!([with(ec_jwk(&EC, "a"), "kid", Value::Null)])).unwrap();
    let found = |set: &KeySet, kid| set.find(kid).is_some();
    for (set, kid, expected) in [
        (&one, None, true),
        (&one, Some("a"), true),
        (&one, Some("b"), false),
        (&two, None, false),
        (&two, Some("b"), true),
        (&nameless, None, true),
        (&nameless, Some("whatever"), true),
    ] {
        assert_eq!(found(set, kid), expected, "{kid:?}");
    }
}

#[test]
fn a_secret_is_as_long_as_its_hash() {
    for (name, algorithm, bytes) in [
        ("HS256", Algorithm::Hs256, 32),
        ("HS384", Algorithm::Hs384, 48),
        ("HS512", Algorithm::Hs512, 64),
    ] {
        let of = |bytes: usize| {
            let key = json!({"kty": "oct", "kid": "s", "alg": name, "k": encode(vec![7; bytes])});
            KeySet::from_jwks(json!({"keys": [key]}).to_string().as_bytes(), &[algorithm]).is_ok()
        };
        assert_eq!((of(bytes - 1), of(bytes), of(bytes + 1)), (false, true, true), "{name}");
    }
}
