//! The attacks of the well-known token playbooks, made anew: each is tried against a verifier that takes the honest
//! token, and each is refused for the reason that names it.

use aws_lc_rs::signature::KeyPair;
use serde_json::{Value, json};

use crate::Why;
use crate::base64url::encode;
use crate::forge::*;

/// What a forger wants to be.
fn admin() -> String {
    claims_with("sub", json!("admin")).to_string()
}

fn head(alg: &str, kid: &str) -> String {
    json!({"alg": alg, "kid": kid, "typ": "JWT"}).to_string()
}

fn check(attacks: Vec<(&str, String, Why)>) {
    assert_eq!(why(&token(&claims())), None, "the honest token passes");
    for (name, token, expected) in attacks {
        assert_eq!(why(&token), Some(expected), "{name}: {token:.160}");
    }
}

#[test]
fn no_algorithm_in_any_spelling() {
    let honest = token(&claims());
    let signature = honest.rsplit('.').next().unwrap();
    let mut attacks = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "NoNe", " none", "none ", "\tnone", "none\n"] {
        let signed = unsigned(&head(alg, "ec"), &admin());
        attacks.push((alg, format!("{signed}."), Why::AlgNone));
        attacks.push((alg, format!("{signed}.{signature}"), Why::AlgNone));
        attacks.push((alg, signed.clone(), Why::NotCompact));
    }
    for alg in ["", "null", "no\u{0}ne", "nоne", "hs256", "RS256 ", "es256", "HS1", "RS1", "dir"] {
        let token = append(&unsigned(&head(alg, "ec"), &admin()), [0; 64]);
        attacks.push((alg, token, Why::UnknownAlg));
    }
    let untyped = |alg: Value| {
        append(&unsigned(&json!({"alg": alg, "kid": "ec"}).to_string(), &admin()), [0; 64])
    };
    for alg in [json!(null), json!(0), json!(false), json!({}), json!(["none"])] {
        attacks.push(("alg of another type", untyped(alg), Why::UnknownAlg));
    }
    check(attacks);
}

#[test]
fn a_missing_or_empty_signature() {
    let signed = unsigned(&head("ES256", "ec"), &admin());
    let zeros = |count: usize| append(&signed, vec![0; count]);
    check(vec![
        ("null signature", format!("{signed}."), Why::NoSignature),
        ("no third part", signed.clone(), Why::NotCompact),
        ("zeros (CVE-2022-21449)", zeros(64), Why::BadSignature),
        ("one zero", zeros(1), Why::BadSignature),
        ("zeros of another length", zeros(63), Why::BadSignature),
        ("a long run of zeros", zeros(512), Why::BadSignature),
        ("DER of two zeros", append(&signed, [0x30, 6, 2, 1, 0, 2, 1, 0]), Why::BadSignature),
    ]);
}

#[test]
fn the_public_key_as_a_shared_secret() {
    let pem = rsa_pem();
    let modulus = RSA.public_key().modulus().big_endian_without_leading_zero().to_vec();
    let jwk = rsa_jwk(&RSA, "rsa").to_string();
    let jwks = jwks().to_string();
    let secrets: [(&str, &[u8]); 9] = [
        ("PEM", pem.as_bytes()),
        ("PEM without its last newline", pem.trim_end().as_bytes()),
        ("modulus", &modulus),
        ("JWK", jwk.as_bytes()),
        ("JWKS", jwks.as_bytes()),
        ("point", EC.public_key().as_ref()),
        ("Ed25519 key", ED.public_key().as_ref()),
        ("nothing", b""),
        ("one zero", b"\0"),
    ];
    let mut attacks = Vec::new();
    for (name, secret) in secrets {
        for kid in ["rsa", "ec", "ed"] {
            let token = by_secret(secret, &head("HS256", kid), &admin());
            attacks.push((name, token, Why::AlgNotOfKey));
        }
    }
    for secret in ["secret", "password", "key", "your-256-bit-secret", "changeme", "jwt", "123456"]
    {
        let token = by_secret(secret.as_bytes(), &head("HS256", "rsa"), &admin());
        attacks.push((secret, token, Why::AlgNotOfKey));
    }
    check(attacks);
}

#[test]
fn a_key_that_the_token_brings() {
    let own = rsa_jwk(&OTHER_RSA, "rsa");
    let with = |name: &str, value: Value| {
        let header = json!({"alg": "RS256", "kid": "rsa", name: value}).to_string();
        by_rsa(&OTHER_RSA, &header, &admin())
    };
    let url = |url: &str| json!(url);
    check(vec![
        ("jwk", with("jwk", own.clone()), Why::EmbeddedKey),
        ("jwk as text", with("jwk", json!(own.to_string())), Why::EmbeddedKey),
        ("jku", with("jku", url("https://attacker.example/jwks.json")), Why::EmbeddedKey),
        (
            "jku of the issuer",
            with("jku", url("https://issuer.example.com@a.example/")),
            Why::EmbeddedKey,
        ),
        (
            "jku to the metadata service",
            with("jku", url("http://169.254.169.254/")),
            Why::EmbeddedKey,
        ),
        ("jku to a file", with("jku", url("file:///dev/null")), Why::EmbeddedKey),
        ("x5u", with("x5u", url("https://attacker.example/cert.pem")), Why::EmbeddedKey),
        ("x5c", with("x5c", json!(["MIIB"])), Why::BadSignature),
        ("x5t", with("x5t", json!("AAAA")), Why::BadSignature),
        ("keys", with("keys", json!([own])), Why::BadSignature),
        (
            "another key, same id",
            by_rsa(&OTHER_RSA, &head("RS256", "rsa"), &admin()),
            Why::BadSignature,
        ),
    ]);
}

#[test]
fn a_key_id_that_means_something_elsewhere() {
    let kids = [
        "../../../../../../dev/null",
        "/dev/null",
        "..\\..\\windows\\win.ini",
        "file:///proc/sys/kernel/randomize_va_space",
        "' UNION SELECT 'secret' -- ",
        "x' OR '1'='1",
        "|sleep 10",
        "`id`",
        "$(id)",
        "; curl attacker.example",
        "ec\u{0}",
        "ec ",
        " ec",
        "EC",
        "%65c",
        "ec\n",
        "{{7*7}}",
        "__proto__",
        "",
    ];
    let mut attacks = Vec::new();
    for kid in kids {
        attacks.push((kid, by_secret(b"", &head("HS256", kid), &admin()), Why::UnknownKid));
        attacks.push((kid, by_ec(&EC, &head("ES256", kid), &admin()), Why::UnknownKid));
    }
    check(attacks);
}

#[test]
fn claims_changed_under_a_good_signature() {
    let honest = token(&claims());
    let parts: Vec<&str> = honest.split('.').collect();
    let [h, p, s] = [parts[0], parts[1], parts[2]];
    let changed = encode(admin());
    let other = token(&claims_with("jti", json!("t-2")));
    let other_signature = other.rsplit('.').next().unwrap();
    let shared = r#"{"iss":"https://issuer.example.com","sub":"alice","sub":"admin"}"#;
    check(vec![
        ("another payload", format!("{h}.{changed}.{s}"), Why::BadSignature),
        ("another token's signature", format!("{h}.{p}.{other_signature}"), Why::BadSignature),
        ("header and payload swapped", format!("{p}.{h}.{s}"), Why::UnknownAlg),
        ("a claim twice", by_ec(&EC, &head("ES256", "ec"), shared), Why::BadPayload),
        ("a longer life", token(&claims_with("exp", json!(NOW_SECS + 999_999))), Why::LivesTooLong),
        ("no end", token(&claims_with("exp", Value::Null)), Why::NoExpiry),
        ("an end as text", token(&claims_with("exp", json!("9999999999"))), Why::BadTime),
        ("another audience", token(&claims_with("aud", json!("license-core"))), Why::WrongAudience),
        ("another issuer", token(&claims_with("iss", json!("portcullis"))), Why::WrongIssuer),
    ]);
}

#[test]
fn one_algorithm_with_the_key_of_another() {
    check(vec![
        ("ES256 by the RSA key", by_rsa(&RSA, &head("ES256", "rsa"), &admin()), Why::AlgNotOfKey),
        ("RS256 by the EC key", by_ec(&EC, &head("RS256", "ec"), &admin()), Why::AlgNotOfKey),
        (
            "RS512 with an RS256 key",
            by_rsa(&RSA, &head("RS512", "rsa"), &admin()),
            Why::AlgNotOfKey,
        ),
        (
            "PS256 with an RS256 key",
            by_rsa(&RSA, &head("PS256", "rsa"), &admin()),
            Why::AlgNotOfKey,
        ),
        ("EdDSA by the EC key", by_ec(&EC, &head("EdDSA", "ed"), &admin()), Why::BadSignature),
        ("the wrong one of two ids", by_ec(&EC, &head("ES256", "ed"), &admin()), Why::AlgNotOfKey),
    ]);
}

#[test]
fn other_kinds_of_token() {
    let five = format!("{}.AA.AA.AA.AA", encode(r#"{"alg":"RSA-OAEP","enc":"A128GCM"}"#));
    let nested = json!({"alg": "ES256", "kid": "ec", "cty": "JWT"}).to_string();
    let inner = token(&claims());
    let bomb = json!({"alg": "ES256", "kid": "ec", "zip": "DEF"}).to_string();
    let detached = json!({"alg": "ES256", "kid": "ec", "b64": false, "crit": ["b64"]}).to_string();
    let flattened = json!({"protected": "e30", "payload": "e30", "signature": "AA"}).to_string();
    let general = json!({"payload": "e30", "signatures": [{"signature": "AA"}]}).to_string();
    check(vec![
        ("encrypted", five, Why::Encrypted),
        ("nested", by_ec(&EC, &nested, &inner), Why::WrongType),
        ("compressed", by_ec(&EC, &bomb, &admin()), Why::Critical),
        ("unencoded payload", by_ec(&EC, &detached, &admin()), Why::Unencoded),
        ("flattened JSON", flattened, Why::JsonSerialization),
        ("general JSON", general, Why::JsonSerialization),
        ("a byte-order mark", format!("\u{feff}{inner}"), Why::BadBase64),
        ("an escape", inner.replacen('.', "%2e", 1), Why::NotCompact),
    ]);
}
