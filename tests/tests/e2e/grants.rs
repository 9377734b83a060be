//! What a good token grants, and what a route asks for.

use portcullis_tests::{Answer, Edge, Origin};
use serde_json::{Value, json};

async fn ask(edge: &Edge, path: &str, token: &str) -> Answer {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = edge.client().await.ask(request).await;
    let authorization = format!("Bearer {token}");
    let h2 = edge.h2().await.ask("GET", path, &[("authorization", &authorization)], b"").await;
    assert_eq!((h2.status, h2.error()), (answer.status, answer.error()), "{path} by HTTP/2");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_does_not_grant_what_the_route_asks_for_is_403_and_is_told_the_scopes() {
    let origin = Origin::start().await;
    let routes = [
        "{ path: /scopes, backend: origin, identity: { any: [dev], scopes: [license.use, seats] } }",
        "{ path: /roles, backend: origin, identity: { any: [dev], roles: [admin, owner] } }",
        "{ path: /both, backend: origin, identity: { all: [dev], scopes: [seats], roles: [admin] } }",
    ];
    let edge = Edge::builder(&origin).routes(&routes).start().await;
    let token = |scope: Value, roles: Value| {
        let mut claims = edge.claims("ada", "t1");
        claims.insert("scope".to_owned(), scope);
        claims.insert("roles".to_owned(), roles);
        edge.sign(&claims)
    };
    let told = "Bearer error=\"insufficient_scope\"";
    let told_scopes = format!("{told}, scope=\"license.use seats\"");
    let told_seats = format!("{told}, scope=\"seats\"");
    for (path, scope, roles, challenge) in [
        ("/scopes", json!("seats license.use other"), json!([]), None),
        ("/scopes", json!(["license.use", "seats"]), json!([]), None),
        ("/scopes", json!("seats"), json!(["admin"]), Some(told_scopes.as_str())),
        ("/scopes", json!("license.use.more seats"), json!([]), Some(told_scopes.as_str())),
        ("/scopes", json!(""), json!([]), Some(told_scopes.as_str())),
        ("/scopes", json!(7), json!([]), Some(told_scopes.as_str())),
        ("/scopes", json!("LICENSE.USE seats"), json!([]), Some(told_scopes.as_str())),
        ("/roles", json!(""), json!(["owner"]), None),
        ("/roles", json!(""), json!(["member", "admin"]), None),
        ("/roles", json!("admin"), json!(["member"]), Some(told)),
        ("/roles", json!(""), json!([]), Some(told)),
        ("/both", json!("seats"), json!(["admin"]), None),
        ("/both", json!("seats"), json!(["member"]), Some(told)),
        ("/both", json!(""), json!(["admin"]), Some(told_seats.as_str())),
    ] {
        origin.forget();
        let case = format!("{path} {scope} {roles}");
        let answer = ask(&edge, path, &token(scope, roles)).await;
        assert_eq!(answer.header("www-authenticate"), challenge, "{case}");
        match challenge {
            None => assert_eq!(answer.status, 200, "{case}"),
            Some(_) => {
                let said = (answer.status, answer.error());
                assert_eq!(said, (403, "insufficient_scope".to_owned()), "{case}");
                origin.saw_nothing();
            }
        }
    }
    assert_eq!(ask(&edge, "/scopes", "nonsense").await.status, 401, "401 goes before 403");
    let line = "edge_refusals_with_valid_token_total{reason=\"insufficient_scope\"} 18\n";
    edge.counts(line).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_go_to_the_origin_as_headers_and_clients_cannot_send_them() {
    let origin = Origin::start().await;
    let routes = [
        "{ path: /, backend: origin, identity: { any: [dev] } }",
        "{ path: /open, backend: origin, identity: none }",
    ];
    let named = "claim_headers: { X-User-Email: email, X-Groups: realm.groups, X-Absent: absent }";
    let edge = Edge::builder(&origin).routes(&routes).identity(named).start().await;
    let mut claims = edge.claims("ada", "t1");
    claims.insert("email".to_owned(), json!("ada@example.com\r\nX-Groups: root"));
    claims.insert("realm".to_owned(), json!({ "groups": ["staff", "a,b"] }));
    let forged =
        "X-User-Email: forged\r\nX_Groups: forged\r\nX.Absent: forged\r\nx-absent: forged\r\n";
    for (path, email, groups) in [
        ("/", vec!["ada@example.com%0D%0AX-Groups:%20root"], vec!["staff,a%2Cb"]),
        ("/open", vec![], vec![]),
    ] {
        origin.forget();
        let token = edge.sign(&claims);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n{forged}\r\n"
        );
        assert_eq!(edge.client().await.ask(request).await.status, 200, "{path}");
        let seen = origin.only();
        assert_eq!(seen.headers("X-User-Email"), email, "{path}");
        assert_eq!(seen.headers("X-Groups"), groups, "{path}");
        assert!(!seen.head.escape_ascii().to_string().contains("forged"), "{path}");
    }
}
