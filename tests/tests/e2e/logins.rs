//! Sign-in of people at the edge, against an issuer of the test's own.

use portcullis_tests::{Answer, Builder, Claims, Edge, Issuer, KeyServer, Manner, Origin, Says};
use serde_json::json;

const CLIENT: &str = "staff-client";

/// An issuer with a key, and the edge before an origin that asks for its people.
struct Staff {
    server: KeyServer,
    issuer: Issuer,
    home: tempfile::TempDir,
}

impl Staff {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = KeyServer::start().await;
        server.authority().write_root(&home.path().join("ca.pem"));
        std::fs::write(home.path().join("client.secret"), "a+b secret\n").unwrap();
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(home.path().join("client.secret"), owner).unwrap();
        portcullis::tickets::add_secret(&home.path().join("login.keys"), 0).unwrap();
        Self { server, issuer: Issuer::with_key("k1"), home }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn builder(&self, origin: &Origin) -> Builder {
        let url = self.server.url("");
        let provider = format!(
            "staff: {{ kind: oidc, issuer: '{url}', audience: {CLIENT}, algorithms: [ES256], tenant_claim: [hd] }}"
        );
        let login = format!(
            "login: {{ provider: staff, client_secret: 'file:{}', keys: 'file:{}', session: 1h }}",
            self.path("client.secret"),
            self.path("login.keys"),
        );
        let egress =
            format!("egress: {{ networks: [127.0.0.0/8], ca: 'file:{}' }}", self.path("ca.pem"));
        Edge::builder(origin)
            .provider(&provider)
            .host(&login)
            .top(&egress)
            .routes(&["{ path: /, backend: origin, identity: { any: [staff, dev] } }"])
    }

    /// Answers with this token from now on, and with its documents.
    fn gives(&self, token: &str) {
        let url = self.server.url("");
        let document = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
        });
        let keys = json!({ "keys": [self.issuer.jwk()] });
        let answer = json!({ "access_token": "x", "token_type": "Bearer", "id_token": token });
        let plain = |path: &str, body: String| (path.to_owned(), body, String::new());
        self.server.says(Says::Documents(vec![
            plain("/.well-known/openid-configuration", document.to_string()),
            plain("/keys", keys.to_string()),
            plain("/token", answer.to_string()),
        ]));
    }

    fn claims(&self, edge: &Edge, nonce: &str) -> Claims {
        let now = edge.now_secs();
        let claims = json!({
            "iss": self.server.url(""), "aud": CLIENT, "sub": "anna", "hd": "example.com",
            "email": "anna@example.com", "iat": now, "exp": now + 600, "nonce": nonce,
        });
        claims.as_object().unwrap().clone()
    }
}

async fn ask(edge: &Edge, method: &str, target: &str, headers: &str) -> Answer {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0\r\n{headers}\r\n"
    );
    edge.client_as(&Manner::default()).await.ask(request).await
}

const PAGE: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";

/// Values of the cookies that an answer sets, by their name.
fn set(answer: &Answer, name: &str) -> Option<String> {
    let cookies = answer.headers.iter().filter(|(header, _)| header == "set-cookie");
    let mut values = cookies.filter_map(|(_, value)| {
        let (pair, attributes) = value.split_once("; ")?;
        assert!(
            attributes.starts_with("Path=/; Max-Age=")
                && attributes.ends_with("; Secure; HttpOnly; SameSite=Lax")
        );
        pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
    });
    values.next()
}

fn param(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {url}")).to_owned()
}

/// Where the issuer was to be asked, and the cookie of the sign-in.
async fn begin(edge: &Edge, target: &str) -> (String, String) {
    let sent = ask(edge, "GET", target, PAGE).await;
    assert_eq!(sent.status, 302, "{}", sent.body.escape_ascii());
    let pending = set(&sent, "__Host-portcullis-login").unwrap();
    (sent.header("location").unwrap().to_owned(), pending)
}

async fn come_back(edge: &Edge, pending: &str, query: &str) -> Answer {
    let target = format!("/.portcullis/callback?{query}");
    ask(edge, "GET", &target, &format!("Cookie: a=1; __Host-portcullis-login={pending}\r\n")).await
}

/// Signs anna in, and returns her session's cookie.
async fn sign_in(staff: &Staff, edge: &Edge) -> String {
    let (location, pending) = begin(edge, "/reports?month=5").await;
    staff.gives(&staff.issuer.sign(&staff.claims(edge, &param(&location, "nonce"))));
    let query = format!("code=c-1&state={}", param(&location, "state"));
    let back = come_back(edge, &pending, &query).await;
    assert_eq!((back.status, back.header("location")), (302, Some("/reports?month=5")));
    assert_eq!(set(&back, "__Host-portcullis-login").as_deref(), Some(""));
    set(&back, "__Host-portcullis-session").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_at_the_issuer_and_comes_back_with_a_session() {
    let staff = Staff::start().await;
    staff.gives("none");
    let origin = Origin::start().await;
    let edge = staff.builder(&origin).start().await;
    edge.key_keeper().look().await;
    let (location, _) = begin(&edge, "/").await;
    assert!(
        location.starts_with(&format!("{}/authorize?response_type=code&", staff.server.url("")))
    );
    for (name, expected) in [
        ("client_id", CLIENT),
        ("redirect_uri", "https%3A%2F%2Fedge.test%2F.portcullis%2Fcallback"),
        ("scope", "openid%20email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(param(&location, name), expected);
    }
    assert_eq!(ask(&edge, "GET", "/", "Accept: application/json\r\n").await.status, 401);
    assert_eq!(ask(&edge, "POST", "/", PAGE).await.status, 401);
    origin.saw_nothing();

    let session = sign_in(&staff, &edge).await;
    let cookie = format!("Cookie: theme=dark; __Host-portcullis-session={session}; b=2\r\n");
    assert_eq!(ask(&edge, "GET", "/reports", &cookie).await.status, 200);
    let seen = origin.only();
    assert_eq!(seen.headers("cookie"), ["theme=dark; b=2"], "origins never get the session");
    assert_eq!(seen.headers("x-edge-subject"), ["anna"]);
    assert_eq!(seen.headers("x-edge-tenant"), ["example.com"]);
    let exchanged = staff.server.bodies();
    let form = exchanged.iter().find(|body| body.contains("grant_type")).unwrap();
    assert!(
        form.contains("grant_type=authorization_code&code=c-1&") && form.contains("code_verifier=")
    );
    // Another site cannot use it.
    let forged = format!("{cookie}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(ask(&edge, "POST", "/", &forged).await.status, 403);
    let own = format!("{cookie}Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(ask(&edge, "POST", "/", &own).await.status, 200);
    // A session ends by itself.
    edge.advance(std::time::Duration::from_secs(3600));
    assert_eq!(ask(&edge, "GET", "/", &cookie).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_by_signing_out_by_revocation_and_with_its_key() {
    let staff = Staff::start().await;
    staff.gives("none");
    let origin = Origin::start().await;
    let edge = staff.builder(&origin).start().await;
    edge.key_keeper().look().await;
    let first = format!("Cookie: __Host-portcullis-session={}\r\n", sign_in(&staff, &edge).await);
    let second = format!("Cookie: __Host-portcullis-session={}\r\n", sign_in(&staff, &edge).await);
    assert_eq!(ask(&edge, "GET", "/.portcullis/logout", &first).await.status, 405);
    let there = format!("{first}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(ask(&edge, "POST", "/.portcullis/logout", &there).await.status, 403);
    let here = format!("{first}Sec-Fetch-Site: same-origin\r\n");
    let out = ask(&edge, "POST", "/.portcullis/logout", &here).await;
    assert_eq!((out.status, set(&out, "__Host-portcullis-session").as_deref()), (200, Some("")));
    assert_eq!(ask(&edge, "GET", "/", &first).await.status, 401, "a copy of the cookie neither");
    assert_eq!(ask(&edge, "GET", "/", &second).await.status, 200, "another session stands");
    let keys = staff.home.path().join("login.keys");
    for (keep, status) in [(1, 200), (0, 401)] {
        portcullis::tickets::add_secret(&keys, keep).unwrap();
        edge.publish().unwrap();
        assert_eq!(ask(&edge, "GET", "/", &second).await.status, status, "{keep} kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_sign_in_that_was_begun_is_refused() {
    let staff = Staff::start().await;
    staff.gives("none");
    let origin = Origin::start().await;
    let edge = staff.builder(&origin).start().await;
    edge.key_keeper().look().await;
    let (location, pending) = begin(&edge, "/").await;
    let (state, nonce) = (param(&location, "state"), param(&location, "nonce"));
    let good = staff.claims(&edge, &nonce);
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims.insert(name.to_owned(), value);
        staff.issuer.sign(&claims)
    };
    let query = format!("code=c&state={state}");
    for (token, query, pending, what) in [
        (with("nonce", json!("other")), query.clone(), pending.as_str(), "another nonce"),
        (with("nonce", json!(null)), query.clone(), &pending, "no nonce"),
        (with("aud", json!("other")), query.clone(), &pending, "another audience"),
        (with("iss", json!("https://evil.test")), query.clone(), &pending, "another issuer"),
        (with("exp", json!(edge.now_secs() - 100)), query.clone(), &pending, "ended"),
        (Issuer::with_key("k1").sign(&good), query.clone(), &pending, "another key"),
        ("nonsense".to_owned(), query.clone(), &pending, "no token"),
        (with("sub", json!("anna")), "code=c&state=other".to_owned(), &pending, "another state"),
        (with("sub", json!("anna")), "code=c".to_owned(), &pending, "no state"),
        (with("sub", json!("anna")), format!("{query}&state={state}"), &pending, "two states"),
        (
            with("sub", json!("anna")),
            format!("error=access_denied&state={state}"),
            &pending,
            "no code",
        ),
        (
            with("sub", json!("anna")),
            format!("{query}&iss=https%3A%2F%2Fevil.test"),
            &pending,
            "mixed up",
        ),
        (with("sub", json!("anna")), query.clone(), "forged", "a forged cookie"),
    ] {
        staff.gives(&token);
        let back = come_back(&edge, pending, &query).await;
        assert_eq!((back.status, back.error().as_str()), (403, "sign_in_failed"), "{what}");
        assert_eq!(set(&back, "__Host-portcullis-session"), None, "{what}");
    }
    origin.saw_nothing();
    edge.advance(std::time::Duration::from_secs(600));
    staff.gives(&with("sub", json!("anna")));
    assert_eq!(come_back(&edge, &pending, &query).await.status, 403, "it took too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_to_another_host_and_an_issuer_that_is_away_is_503() {
    let staff = Staff::start().await;
    let origin = Origin::start().await;
    let edge = staff.builder(&origin).start().await;
    let away = ask(&edge, "GET", "/", PAGE).await;
    assert_eq!((away.status, away.error().as_str()), (503, "unavailable"));
    staff.gives("none");
    edge.key_keeper().look().await;
    let (location, pending) = begin(&edge, "//evil.test/x").await;
    staff.gives(&staff.issuer.sign(&staff.claims(&edge, &param(&location, "nonce"))));
    let query = format!("code=c&state={}", param(&location, "state"));
    let back = come_back(&edge, &pending, &query).await;
    assert_eq!((back.status, back.header("location")), (302, Some("/")));
    let bearer = format!("Authorization: Bearer {}\r\n", edge.token("alice", "acme"));
    assert_eq!(ask(&edge, "GET", "/", &bearer).await.status, 200, "tokens are taken as ever");
    assert_eq!(origin.only().headers("x-edge-subject"), ["alice"]);
}
