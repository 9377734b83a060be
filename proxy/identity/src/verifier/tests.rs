use portcullis_config::model::{
    ClaimPath, FetchedKeys, KeySource, PlatformProvider, StaticProvider, Url,
};
use serde_json::{Value, json};

use super::*;
use crate::base64url::encode;
use crate::forge::*;

#[test]
fn a_right_token_of_each_algorithm_tells_who_calls() {
    let payload = claims().to_string();
    let head = |alg| header(alg).to_string();
    for token in [
        by_rsa(&RSA, &head("RS256"), &payload),
        by_ec(&EC, &head("ES256"), &payload),
        by_ed(&ED, &head("EdDSA"), &payload),
    ] {
        let identity = verify(&token).unwrap();
        assert_eq!(identity.provider, "main");
        assert_eq!(identity.subject, "alice");
        assert_eq!(identity.require_tenant(), Ok("acme"));
        assert_eq!(identity.roles, ["admin", "user"]);
        assert_eq!(identity.token_id.as_deref(), Some("t-1"));
        assert_eq!(identity.expires, Timestamp::from_secs(NOW_SECS + 630));
        assert_eq!(Value::Object(identity.claims), claims());
    }
}

#[test]
fn a_token_of_another_implementation_is_read_and_the_other_way_round() {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.public_key_pem();
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(), &key).unwrap();
    let provider = Provider::Static(provider(KeySource::Pem("key".into())));
    let verifier = Verifier::compile("main", &provider, pem.as_bytes()).unwrap();
    assert_eq!(verifier.verify(token.as_bytes(), now()).unwrap().subject, "alice");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false;
    let key = DecodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_ok());
}

#[test]
fn every_rule_on_the_header_holds() {
    let kid_of = |bytes: usize| json!("k".repeat(bytes));
    let cases = [
        (token_with("typ", json!("JWT")), None),
        (token_with("typ", json!("jwt")), None),
        (token_with("typ", json!("application/at+jwt")), None),
        (token_with("typ", Value::Null), None),
        (token_with("typ", json!("logout+jwt")), Some(Why::WrongType)),
        (token_with("typ", json!("dpop+jwt")), Some(Why::WrongType)),
        (token_with("typ", json!(1)), Some(Why::WrongType)),
        (token_with("cty", json!("JWT")), Some(Why::WrongType)),
        (token_with("alg", Value::Null), Some(Why::UnknownAlg)),
        (token_with("alg", json!("")), Some(Why::UnknownAlg)),
        (token_with("alg", json!(["ES256"])), Some(Why::UnknownAlg)),
        (token_with("alg", json!("es256")), Some(Why::UnknownAlg)),
        (token_with("alg", json!("ES256K")), Some(Why::UnknownAlg)),
        (token_with("alg", json!("ES384")), Some(Why::AlgNotOfKey)),
        (token_with("alg", json!("RS256")), Some(Why::AlgNotOfKey)),
        (token_with("alg", json!("HS256")), Some(Why::AlgNotOfKey)),
        (token_with("kid", Value::Null), Some(Why::MissingKid)),
        (token_with("kid", json!("")), Some(Why::UnknownKid)),
        (token_with("kid", json!("EC")), Some(Why::UnknownKid)),
        (token_with("kid", json!("rsa")), Some(Why::AlgNotOfKey)),
        (token_with("kid", json!(7)), Some(Why::BadKid)),
        (token_with("kid", json!({"a": 1})), Some(Why::BadKid)),
        (token_with("kid", kid_of(256)), Some(Why::UnknownKid)),
        (token_with("kid", kid_of(257)), Some(Why::BadKid)),
        (token_with("crit", json!(["exp"])), Some(Why::Critical)),
        (token_with("crit", json!([])), Some(Why::Critical)),
        (token_with("zip", json!("DEF")), Some(Why::Critical)),
        (token_with("enc", json!("A128GCM")), Some(Why::Encrypted)),
        (token_with("b64", json!(false)), Some(Why::Unencoded)),
        (token_with("b64", json!(true)), Some(Why::Unencoded)),
        (token_with("jwk", ec_jwk(&EC, "ec")), Some(Why::EmbeddedKey)),
        (token_with("jku", json!("https://issuer.example.com/k")), Some(Why::EmbeddedKey)),
        (token_with("x5u", json!("https://issuer.example.com/k")), Some(Why::EmbeddedKey)),
        (token_with("x5c", json!(["AAAA"])), None),
        (token_with("x5t", json!("AAAA")), None),
        (token_with("unknown", json!("x")), None),
    ];
    for (index, (token, expected)) in cases.into_iter().enumerate() {
        assert_eq!(why(&token), expected, "case {index}");
    }
}

#[test]
fn every_rule_on_the_claims_holds() {
    let secs = |offset: i64| json!(NOW_SECS as i64 + offset);
    let cases = [
        ("iss", json!("https://issuer.example.com/"), Some(Why::WrongIssuer)),
        ("iss", json!("https://ISSUER.example.com"), Some(Why::WrongIssuer)),
        ("iss", json!([ISSUER]), Some(Why::WrongIssuer)),
        ("iss", Value::Null, Some(Why::WrongIssuer)),
        ("aud", json!([AUDIENCE]), None),
        ("aud", json!(["other", AUDIENCE]), None),
        ("aud", json!(["other"]), Some(Why::WrongAudience)),
        ("aud", json!([]), Some(Why::WrongAudience)),
        ("aud", json!([AUDIENCE, 1]), Some(Why::WrongAudience)),
        ("aud", json!("license-api2"), Some(Why::WrongAudience)),
        ("aud", json!(""), Some(Why::WrongAudience)),
        ("aud", json!({AUDIENCE: 1}), Some(Why::WrongAudience)),
        ("aud", Value::Null, Some(Why::WrongAudience)),
        ("exp", Value::Null, Some(Why::NoExpiry)),
        ("exp", secs(-29), None),
        ("exp", secs(-30), Some(Why::Expired)),
        ("exp", secs(-31), Some(Why::Expired)),
        ("exp", json!(0), Some(Why::Expired)),
        ("exp", json!(-1), Some(Why::BadTime)),
        ("exp", json!("1800000600"), Some(Why::BadTime)),
        ("exp", json!(true), Some(Why::BadTime)),
        ("exp", json!([1_800_000_600]), Some(Why::BadTime)),
        ("exp", json!(1e300), Some(Why::BadTime)),
        ("exp", json!(1_800_000_600.5), None),
        ("exp", secs(3540), None),
        ("exp", secs(3541), Some(Why::LivesTooLong)),
        ("iat", secs(30), None),
        ("iat", secs(31), Some(Why::IssuedInFuture)),
        ("iat", json!("x"), Some(Why::BadTime)),
        ("iat", json!(-5), Some(Why::BadTime)),
        ("iat", Value::Null, None),
        ("nbf", secs(30), None),
        ("nbf", secs(31), Some(Why::NotYetValid)),
        ("nbf", json!({}), Some(Why::BadTime)),
        ("nbf", secs(-99_999), None),
        ("sub", Value::Null, Some(Why::BadSubject)),
        ("sub", json!(""), Some(Why::BadSubject)),
        ("sub", json!(7), Some(Why::BadSubject)),
        ("sub", json!("a\r\nX-Edge-Tenant: b"), Some(Why::BadSubject)),
        ("sub", json!("a\u{0}"), Some(Why::BadSubject)),
        ("sub", json!("é@例"), None),
        ("sub", json!("s".repeat(255)), None),
        ("sub", json!("s".repeat(256)), Some(Why::BadSubject)),
        ("jti", json!(1), Some(Why::BadTokenId)),
        ("jti", Value::Null, None),
        ("tenant_id", json!(["acme"]), Some(Why::BadTenant)),
        ("tenant_id", json!(""), Some(Why::BadTenant)),
        ("tenant_id", json!("a\nb"), Some(Why::BadTenant)),
        ("roles", json!("admin user"), None),
        ("roles", json!([]), None),
        ("roles", json!([1]), Some(Why::BadRoles)),
        ("roles", json!({"admin": true}), Some(Why::BadRoles)),
        ("roles", json!(vec!["r"; 64]), None),
        ("roles", json!(vec!["r"; 65]), Some(Why::BadRoles)),
    ];
    for (name, value, expected) in cases {
        let token = token(&claims_with(name, value.clone()));
        assert_eq!(why(&token), expected, "{name}: {value}");
    }
}

#[test]
fn without_iat_what_is_left_is_bounded() {
    let until = |offset: u64| {
        token(&with(claims_with("iat", Value::Null), "exp", json!(NOW_SECS + offset)))
    };
    assert_eq!(why(&until(3630)), None);
    assert_eq!(why(&until(3631)), Some(Why::LivesTooLong));
}

#[test]
fn every_rule_on_the_form_holds() {
    let good = token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [h, p, s] = [parts[0], parts[1], parts[2]];
    let twice = r#"{"alg":"ES256","kid":"ec","kid":"ec"}"#;
    let sign = |header: &str, payload: &str| by_ec(&EC, header, payload);
    let head = header("ES256").to_string();
    let padded = format!("{}{}", claims().to_string().trim_end_matches('}'), r#","x":""#);
    let of_length = |total: usize| {
        // A payload that brings the whole token to a length, found by growing it.
        let mut text = padded.clone();
        while sign(&head, &format!("{text}\"}}")).len() < total {
            text.push('y');
        }
        sign(&head, &format!("{text}\"}}"))
    };
    let mut noncanonical = s.to_owned();
    noncanonical.pop();
    noncanonical.push(if s.ends_with('A') { 'B' } else { '_' });
    let json_form = json!({"payload": p, "protected": h, "signature": s}).to_string();
    let cases = [
        (good.clone(), None),
        (String::new(), Some(Why::NotCompact)),
        (".".to_owned(), Some(Why::NotCompact)),
        ("..".to_owned(), Some(Why::BadHeader)),
        (format!("{h}.{p}"), Some(Why::NotCompact)),
        (format!("{h}.{p}."), Some(Why::NoSignature)),
        (format!("{h}..{s}"), Some(Why::BadSignature)),
        (format!("{h}.{p}.{s}."), Some(Why::NotCompact)),
        (format!("{h}.{p}.{s}.{s}"), Some(Why::NotCompact)),
        (format!("{h}.{p}.{s}.{s}.{s}"), Some(Why::Encrypted)),
        (format!("{h}.{p}.{s}.{s}.{s}.{s}"), Some(Why::NotCompact)),
        (json_form, Some(Why::JsonSerialization)),
        (" {\"payload\":\"\"}".to_owned(), Some(Why::JsonSerialization)),
        (format!("{h}.{p}.{s}="), Some(Why::BadBase64)),
        (format!("{h}.{p}.{s}\n"), Some(Why::BadBase64)),
        (format!(" {good}"), Some(Why::BadBase64)),
        (format!("{h}.{p}=.{s}"), Some(Why::BadBase64)),
        (format!("{h}.{p}.{}+", s.split_at(s.len() - 1).0), Some(Why::BadBase64)),
        (format!("{h}.{p}.{noncanonical}"), Some(Why::BadBase64)),
        (sign(twice, &claims().to_string()), Some(Why::BadHeader)),
        (sign("[]", "{}"), Some(Why::BadHeader)),
        (sign("{", "{}"), Some(Why::BadHeader)),
        (sign(&head, "{}x"), Some(Why::BadPayload)),
        (sign(&head, "[]"), Some(Why::BadPayload)),
        (sign(&head, ""), Some(Why::BadPayload)),
        (sign(&head, r#"{"sub":"a","sub":"b"}"#), Some(Why::BadPayload)),
        (sign(&head, r#"{"exp":1e999}"#), Some(Why::BadPayload)),
        (sign(&head, &"[".repeat(3000)), Some(Why::BadPayload)),
        (of_length(8190), None),
        (format!("{}A", of_length(8192)), Some(Why::TooLong)),
    ];
    for (token, expected) in cases {
        assert_eq!(why(&token), expected, "{token:.120}");
    }
}

#[test]
fn a_token_is_looked_at_up_to_its_bytes() {
    const MOST: usize = crate::jws::TOKEN_BYTES_MAX;
    for (what, bytes, is_too_long) in
        [("one under", MOST - 1, false), ("at it", MOST, false), ("one over", MOST + 1, true)]
    {
        let refused = why(&"a".repeat(bytes));
        assert_eq!(refused == Some(Why::TooLong), is_too_long, "{what}");
    }
}

#[test]
fn a_long_header_is_refused_and_a_header_at_the_limit_is_read() {
    let of = |bytes: usize| {
        let empty = with(header("ES256"), "x", json!("")).to_string().len();
        let header = with(header("ES256"), "x", json!("y".repeat(bytes - empty))).to_string();
        assert_eq!(header.len(), bytes);
        by_ec(&EC, &header, &claims().to_string())
    };
    assert_eq!(why(&of(1023)), None);
    assert_eq!(why(&of(1024)), None);
    assert_eq!(why(&of(1025)), Some(Why::BadHeader));
    assert_eq!(why(&of(4000)), Some(Why::BadHeader));
}

#[test]
fn the_tenant_is_the_first_claim_that_is_there_and_two_must_agree() {
    let of = |claims: Value| verify(&token(&claims)).map(|identity| identity.tenant);
    let nested = |tenant: &str| claims_with("firebase", json!({"tenant": tenant}));
    let neither = claims_with("tenant_id", Value::Null);
    assert_eq!(of(claims()), Ok(Some("acme".to_owned())));
    assert_eq!(of(nested("acme")), Ok(Some("acme".to_owned())));
    assert_eq!(of(nested("other")), Err(Refusal::InvalidToken(Why::TenantConflict)));
    let only = with(nested("other"), "tenant_id", Value::Null);
    assert_eq!(of(only), Ok(Some("other".to_owned())));
    assert_eq!(of(neither.clone()), Ok(None));
    let identity = verify(&token(&neither)).unwrap();
    assert_eq!(identity.require_tenant(), Err(Refusal::MissingTenant));
    let flat = with(neither, "firebase", json!("acme"));
    assert_eq!(of(flat), Ok(None), "a path that is not there is no tenant");
}

#[test]
fn every_changed_bit_of_a_token_is_noticed() {
    let good = token(&claims());
    let verifier = verifier();
    for index in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[index] ^= 1;
        assert!(verifier.verify(&changed, now()).is_err(), "byte {index}");
    }
    for end in 0..good.len() {
        assert!(verifier.verify(&good.as_bytes()[..end], now()).is_err(), "cut at {end}");
    }
}

#[test]
fn noise_is_refused_and_nothing_panics() {
    let verifier = verifier();
    for size in 0..300 {
        assert!(verifier.verify(&random_bytes(size), now()).is_err());
        let noise = encode(random_bytes(size));
        let head = encode(header("ES256").to_string());
        assert!(verifier.verify(format!("{head}.{noise}.{noise}").as_bytes(), now()).is_err());
    }
}

#[test]
fn a_provider_without_issuer_audience_or_algorithm_does_not_load() {
    let bytes = jwks().to_string();
    let compile = |change: fn(&mut StaticProvider)| {
        let mut provider = provider(KeySource::Jwks("keys".into()));
        change(&mut provider);
        Verifier::compile("x", &Provider::Static(provider), bytes.as_bytes()).err()
    };
    assert_eq!(compile(|_| ()), None);
    assert_eq!(compile(|p| p.issuer.clear()), Some(KeyError::NoIssuer));
    assert_eq!(compile(|p| p.audience.clear()), Some(KeyError::NoAudience));
    assert_eq!(compile(|p| p.algorithms.clear()), Some(KeyError::NoAlgorithm));
    assert_eq!(compile(|p| p.claims.leeway = Duration::from_secs(60)), None);
    assert_eq!(compile(|p| p.claims.leeway = Duration::from_secs(61)), Some(KeyError::Leeway));
}

#[test]
fn of_several_providers_the_issuer_chooses_and_cannot_lend_its_name() {
    let other = {
        let mut provider = provider(KeySource::Jwks("keys".into()));
        provider.issuer = "https://other.example.com".to_owned();
        let keys = json!({"keys": [rsa_jwk(&OTHER_RSA, "rsa")]}).to_string();
        Verifier::compile("other", &Provider::Static(provider), keys.as_bytes()).unwrap()
    };
    let main = verifier();
    let any = |token: &str| verify_any([&main, &other], token.as_bytes(), now());
    let of_other = claims_with("iss", json!("https://other.example.com")).to_string();
    let head = header("RS256").to_string();
    assert_eq!(any(&token(&claims())).unwrap().provider, "main");
    assert_eq!(any(&by_rsa(&OTHER_RSA, &head, &of_other)).unwrap().provider, "other");
    let lent = any(&by_rsa(&RSA, &head, &of_other));
    assert_eq!(lent, Err(Refusal::InvalidToken(Why::BadSignature)));
    let stranger = token(&claims_with("iss", json!("https://stranger.example.com")));
    assert_eq!(any(&stranger), Err(Refusal::InvalidToken(Why::UnknownIssuer)));
    assert!(verify_any([], stranger.as_bytes(), now()).is_err());
}

fn platform(project: &str) -> Provider {
    Provider::IdentityPlatform(PlatformProvider {
        project: project.to_owned(),
        keys: FetchedKeys {
            url: Url::parse("https://keys.example.com/").unwrap(),
            max_age: Duration::from_secs(86_400),
        },
        claims: ClaimRules {
            tenant_claim: vec![ClaimPath::parse("firebase.tenant").unwrap()],
            roles_claim: None,
            scopes_claim: ClaimPath::parse("scope").into_iter().collect(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(86_400),
        },
    })
}

#[test]
fn without_keys_nobody_is_told_that_a_token_is_wrong() {
    let provider = platform("example-project");
    let verifier = Verifier::without_keys("google", &provider).unwrap();
    assert_eq!(verifier.key_count(), 0);
    let token = by_rsa(&RSA, &header("RS256").to_string(), &platform_claims().to_string());
    assert_eq!(verifier.verify(token.as_bytes(), now()), Err(Refusal::KeysUnavailable));
    let nonsense = verifier.verify(b"nonsense", now()).unwrap_err();
    assert_eq!(nonsense, Refusal::InvalidToken(Why::NotCompact));
    assert!(Verifier::without_keys("google", &platform("")).is_err());
}

fn platform_claims() -> Value {
    json!({
        "iss": "https://securetoken.google.com/example-project", "aud": "example-project",
        "sub": "uid-1", "iat": NOW_SECS - 60, "exp": NOW_SECS + 3540, "auth_time": NOW_SECS - 90,
        "firebase": {"tenant": "acme", "sign_in_provider": "password", "identities": {}},
    })
}

#[test]
fn identity_platform_tokens_follow_its_own_rules() {
    let keys = json!({"keys": [rsa_jwk(&RSA, "rsa")]}).to_string();
    let verifier =
        Verifier::compile("google", &platform("example-project"), keys.as_bytes()).unwrap();
    let head = header("RS256");
    let why = |head: &Value, claims: &Value| {
        let token = by_rsa(&RSA, &head.to_string(), &claims.to_string());
        verifier.verify(token.as_bytes(), now()).err().map(|refusal| refusal.reason())
    };
    let identity = {
        let token = by_rsa(&RSA, &head.to_string(), &platform_claims().to_string());
        verifier.verify(token.as_bytes(), now()).unwrap()
    };
    assert_eq!((identity.subject.as_str(), identity.tenant.as_deref()), ("uid-1", Some("acme")));
    let custom =
        "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit";
    let with = |name: &str, value: Value| with(platform_claims(), name, value);
    let anonymous = json!({"tenant": "acme", "sign_in_provider": "anonymous"});
    for (claims, expected) in [
        (
            with("iss", json!("https://session.firebase.google.com/example-project")),
            "session_cookie",
        ),
        (with("aud", json!(custom)), "custom_token"),
        (with("aud", json!("another-project")), "wrong_audience"),
        (with("aud", json!(["example-project"])), "wrong_audience"),
        (with("iss", json!("https://securetoken.google.com/another")), "wrong_issuer"),
        (with("iss", json!("https://accounts.google.com")), "wrong_issuer"),
        (with("sub", json!("u".repeat(129))), "bad_subject"),
        (with("sub", json!("")), "bad_subject"),
        (with("exp", json!(NOW_SECS + 3541)), "lives_too_long"),
        (with("iat", Value::Null), "bad_time"),
        (with("auth_time", Value::Null), "bad_time"),
        (with("auth_time", json!(NOW_SECS + 31)), "issued_in_future"),
        (with("firebase", anonymous), "anonymous"),
    ] {
        assert_eq!(why(&head, &claims), Some(expected), "{claims}");
    }
    assert_eq!(why(&head, &with("sub", json!("u".repeat(128)))), None);
    assert_eq!(why(&head, &with("auth_time", json!(NOW_SECS + 30))), None);
    let nameless = crate::forge::with(head, "kid", Value::Null);
    assert_eq!(why(&nameless, &platform_claims()), Some("missing_kid"));
    let signed_by_account = crate::forge::with(nameless, "typ", json!("JWT"));
    assert_eq!(why(&signed_by_account, &with("aud", json!(custom))), Some("custom_token"));
    let emulator = format!(
        "{}.{}.",
        encode(r#"{"alg":"none","typ":"JWT"}"#),
        encode(platform_claims().to_string())
    );
    let refused = verifier.verify(emulator.as_bytes(), now()).unwrap_err();
    assert_eq!(refused, Refusal::InvalidToken(Why::AlgNone));
}

#[test]
fn identity_platform_keys_come_as_certificates_too() {
    let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .unwrap();
    let params = rcgen::CertificateParams::new(vec!["securetoken.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().pem();
    let map = json!({"k1": certificate}).to_string();
    let verifier =
        Verifier::compile("google", &platform("example-project"), map.as_bytes()).unwrap();
    let key = aws_lc_rs::signature::RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap();
    let head = json!({"alg": "RS256", "kid": "k1"}).to_string();
    let token = by_rsa(&key, &head, &platform_claims().to_string());
    assert_eq!(verifier.verify(token.as_bytes(), now()).unwrap().subject, "uid-1");
    let forged = by_rsa(&RSA, &head, &platform_claims().to_string());
    assert!(verifier.verify(forged.as_bytes(), now()).is_err());
    for bad in ["", "{}", "{\"k\":1}", "{\"k\":\"\"}", "[]", "{\"k\":\"x\",\"k\":\"x\"}"] {
        let refused = Verifier::compile("g", &platform("example-project"), bad.as_bytes());
        assert!(refused.is_err(), "{bad}");
    }
}
