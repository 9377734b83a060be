//! Tokens and tenants: who gets in, who does not, and what the origin is told.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::{Answer, Edge, Origin};
use serde_json::{Value, json};

const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] } }";

async fn get(edge: &Edge, headers: &[(&str, &str)]) -> Answer {
    let fields: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let answer = edge
        .client()
        .await
        .ask(format!("GET /a?b=c HTTP/1.1\r\nHost: edge.test\r\n{fields}\r\n"))
        .await;
    if headers.len() < 2 {
        let h2 = edge.h2().await.ask("GET", "/a?b=c", headers, b"").await;
        assert_eq!(
            (h2.status, h2.error()),
            (answer.status, answer.error()),
            "HTTP/2 and HTTP/1.1 agree"
        );
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_are_refused_with_the_contracts_codes_and_the_origin_sees_nothing() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).start().await;
    let with = |name: &str, value: Value| {
        let mut claims = edge.claims("ada", "t1");
        claims.insert(name.to_owned(), value);
        format!("Bearer {}", edge.sign(&claims))
    };
    let without = |name: &str| {
        let mut claims = edge.claims("ada", "t1");
        claims.remove(name);
        format!("Bearer {}", edge.sign(&claims))
    };
    let good = format!("Bearer {}", edge.token("ada", "t1"));
    let broken = good.chars().take(good.len() - 4).collect::<String>() + "AAAA";
    let none = format!("Bearer {}.e30.", URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#));
    let now = edge.now_secs();
    for (headers, status, code) in [
        (vec![], 401, "missing_auth"),
        (vec![("Authorization", "Basic YTpi")], 401, "invalid_token"),
        (vec![("Authorization", "Bearer")], 401, "invalid_token"),
        (vec![("Authorization", "Bearer nonsense")], 401, "invalid_token"),
        (vec![("Authorization", none.as_str())], 401, "invalid_token"),
        (vec![("Authorization", broken.as_str())], 401, "invalid_token"),
        (vec![("Authorization", with("exp", json!(now - 61)).leak())], 401, "invalid_token"),
        (
            vec![("Authorization", with("iss", json!("https://other.test")).leak())],
            401,
            "invalid_token",
        ),
        (vec![("Authorization", with("aud", json!("other")).leak())], 401, "invalid_token"),
        (vec![("Authorization", without("exp").leak())], 401, "invalid_token"),
        (vec![("Authorization", without("tenant_id").leak())], 403, "missing_tenant"),
        (
            vec![("Authorization", good.as_str()), ("Authorization", good.as_str())],
            401,
            "invalid_token",
        ),
    ] {
        let answer = get(&edge, &headers).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{headers:?}");
        origin.saw_nothing();
    }
    let twice = format!(
        "GET /?access_token=x HTTP/1.1\r\nHost: edge.test\r\nAuthorization: {good}\r\n\r\n"
    );
    assert_eq!(edge.client().await.ask(twice).await.status, 401);
    origin.saw_nothing();
    assert_eq!(get(&edge, &[("Authorization", &good)]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_is_told_who_calls_by_an_assertion_over_this_request_and_this_body() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).backend("assertion: true").start().await;
    let token = edge.token("ada", "t1");
    for body in [String::new(), "hello".to_owned(), "x".repeat(100_000)] {
        let head =
            format!("POST /a?b=c HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n");
        let request = format!(
            "{head}X-Edge-Assertion: forged\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(edge.client().await.ask(request).await.status, 200);
        let seen = origin.only();
        assert_eq!(seen.headers("X-Edge-Subject"), ["ada"]);
        assert_eq!(seen.headers("X-Edge-Tenant"), ["t1"]);
        assert_eq!(seen.headers("X-Edge-Roles"), ["member"]);
        let [assertion] = seen.headers("X-Edge-Assertion").try_into().unwrap();
        let claims = payload(&assertion);
        assert_eq!((&claims["sub"], &claims["tenant"]), (&json!("ada"), &json!("t1")));
        assert_eq!((&claims["htm"], &claims["htu"]), (&json!("POST"), &json!("/a?b=c")));
        assert_eq!(claims["jti"], json!(seen.headers("X-Request-Id")[0]));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        assert_eq!(claims["bh"], json!(URL_SAFE_NO_PAD.encode(sha256(body.as_bytes()))));
        origin.forget();
    }
}

fn payload(jws: &str) -> Value {
    let part = jws.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let rustls::SupportedCipherSuite::Tls13(suite) = suite else { panic!("a suite of TLS 1.3") };
    suite.common.hash_provider.hash(bytes).as_ref().to_vec()
}
