//! The secrets of the edge are changed while it serves: nobody notices.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portcullis::clock::{Clock, System};
use portcullis_config::Timestamp;
use portcullis_identity::assertion::AssertionKey;
use portcullis_tests::{Edge, Issuer, LicenseHome, Origin, Way};
use serde_json::{Value, json};

use super::{issuers, process};

const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] } }";
/// How many requests there are between two rotations.
const BETWEEN: u64 = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_refused_while_the_assertion_key_rotates_under_load() {
    let (home, origin) = (LicenseHome::new(), Origin::start().await);
    let builder = Edge::builder(&origin).server(&home.server()).backend("assertion: true");
    let edge = Arc::new(builder.routes(&[ROUTE]).start().await);
    let license = home.start(Way::Embedded, &edge, "acme", 8).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (edge, stop, answered) = (Arc::clone(&edge), Arc::clone(&stop), Arc::clone(&answered));
            let body =
                json!({ "license_key": license.key, "hardware_id": format!("m{n}") }).to_string();
            tokio::spawn(async move {
                let token = edge.token("ada", "acme");
                let length = body.len();
                let request = format!(
                    "POST /api/v1/license/acquire HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\
                     Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                let mut client = edge.client().await;
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.ask(&request).await;
                    assert!(matches!(answer.status, 200 | 201), "{} {:?}", answer.status, answer.json());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut kids = vec![edge.shared().signing.key().kid().to_owned()];
    for rotation in 1..=4 {
        while answered.load(Ordering::Relaxed) < rotation * BETWEEN
            && clients.iter().all(|client| !client.is_finished())
        {
            tokio::task::yield_now().await;
        }
        let (key, _pem) = AssertionKey::generate().unwrap();
        kids.push(key.kid().to_owned());
        let until = Timestamp::from_secs(edge.now_secs() + 60);
        edge.shared().signing.rotate(key, until, || Ok(())).unwrap();
    }
    while answered.load(Ordering::Relaxed) < 5 * BETWEEN
        && clients.iter().all(|client| !client.is_finished())
    {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let published = || std::fs::read_to_string(edge.shared().signing.jwks()).unwrap();
    assert!(kids.iter().all(|kid| published().contains(kid.as_str())));
    edge.advance(Duration::from_secs(60));
    edge.shared().signing.withdraw(Timestamp::from_secs(edge.now_secs())).unwrap();
    let (newest, old) = kids.split_last().unwrap();
    assert!(published().contains(newest.as_str()));
    assert!(old.iter().all(|kid| !published().contains(kid.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_rotates_by_command_and_keeps_the_new_key() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("policy.yaml"), process::policy("/never")).unwrap();
    std::fs::write(home.join("portcullis.yaml"), process::configuration(&origin)).unwrap();
    assert!(process::run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let operate = |arguments: &[&str]| {
        let output = process::run(home, &[arguments, &["--socket", "admin.sock"]].concat());
        (output.status.success(), process::text(&output.stdout) + &process::text(&output.stderr))
    };
    let show = || {
        let (done, shown) = operate(&["assertion", "show", "--json"]);
        assert!(done, "{shown}");
        serde_json::from_str::<Value>(&shown).unwrap()
    };
    let edge = process::serve(home);
    let first = show()["kid"].as_str().unwrap().to_owned();
    let (done, said) = operate(&["assertion", "rotate", "--overlap", "1h", "--reason", "yearly"]);
    assert!(done && said.contains(&format!(": {first}")), "{said}");
    let second = show()["kid"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    let published = std::fs::read_to_string(home.join("state/edge-keys.json")).unwrap();
    assert!(published.contains(&first) && published.contains(&second), "{published}");
    let (done, said) = operate(&["assertion", "rotate", "--overlap", "59s"]);
    assert!(!done && said.contains("valid for 60s"), "{said}");
    drop(edge);
    let edge = process::serve(home);
    assert_eq!(show()["kid"], json!(second), "it is kept");
    let audit = std::fs::read_to_string(home.join("state/audit.jsonl")).unwrap();
    assert!(audit.contains("assertion rotate --overlap 3600s") && audit.contains("yearly"));
    drop(edge);
}

/// A token that the first secret of a file signs.
fn shared(file: &Path) -> String {
    let set: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let first = &set["keys"][0];
    let bytes = URL_SAFE_NO_PAD.decode(first["k"].as_str().unwrap()).unwrap();
    let secret = EncodingKey::from_secret(&bytes);
    let kid = first["kid"].as_str().unwrap().to_owned();
    let now = System::new().now().as_secs();
    let claims = json!({
        "iss": "https://batch.test", "aud": "license-api", "sub": "ada", "tenant_id": "t1",
        "iat": now, "exp": now + 600,
    });
    encode(&Header { kid: Some(kid), ..Header::new(Algorithm::HS256) }, &claims, &secret).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secrets_of_an_issuer_change_by_command_while_they_overlap() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("policy.yaml"), process::policy("/never")).unwrap();
    let text = process::configuration(&origin)
        .replace("identity: none", "identity: { any: [batch] }")
        + "identity: { providers: { batch: { kind: hmac, issuer: 'https://batch.test', \
           audience: license-api, secrets: 'file:batch.jwks.json' } } }\n";
    std::fs::write(home.join("portcullis.yaml"), text).unwrap();
    assert!(process::run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let file = home.join("batch.jwks.json");
    let add = |more: &[&str]| {
        let arguments = [&["token", "hmac-key", "batch.jwks.json"], more].concat();
        let output = process::run(home, &arguments);
        assert!(output.status.success(), "{}", process::text(&output.stderr));
        (process::text(&output.stdout), shared(&file))
    };
    let (said, first) = add(&[]);
    assert!(said.starts_with("new: ") && said.lines().count() == 1, "{said}");
    let edge = process::serve(home);
    issuers::answers(home, &edge, &first, "200");
    let (said, second) = add(&[]);
    assert!(said.contains("accepted still: "), "{said}");
    issuers::answers(home, &edge, &second, "200");
    issuers::answers(home, &edge, &first, "200");
    let (said, _) = add(&["--retire"]);
    assert!(said.starts_with("accepted still: ") && said.lines().count() == 1, "{said}");
    issuers::answers(home, &edge, &first, "401");
    issuers::answers(home, &edge, &second, "200");
    let (_, third) = add(&["--keep", "0"]);
    issuers::answers(home, &edge, &third, "200");
    for old in [&first, &second] {
        let authorization = format!("Authorization: Bearer {old}");
        assert_eq!(process::ask(home, &edge, "/", &["-H", &authorization]).0, "401");
    }
    // A secret that is too short is told and never served; those before stay.
    let short = r#"{"keys":[{"kty":"oct","kid":"s","alg":"HS256","k":"c2hvcnQ"}]}"#;
    std::fs::write(&file, short).unwrap();
    let checked = process::run(home, &["check", "portcullis.yaml"]);
    let told = process::text(&checked.stdout) + &process::text(&checked.stderr);
    assert!(!checked.status.success(), "{told}");
    assert!(told.contains("the key `s` cannot be used: the secret is shorter"), "{told}");
    issuers::answers(home, &edge, &third, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_in_an_issuers_file_overlap_while_both_are_in_it() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).start().await;
    let path = edge.directory().join("jwks.json");
    let mut set: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let new = Issuer::with_key("k2");
    let (of_old, of_new) = (edge.token("ada", "acme"), new.sign(&edge.claims("ada", "acme")));
    let put = |set: &Value| {
        std::fs::write(&path, set.to_string()).unwrap();
        edge.publish().unwrap();
    };
    let ask = async |token: &str| {
        let request =
            format!("GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\r\n");
        edge.client().await.ask(request).await.status
    };
    assert_eq!((ask(&of_old).await, ask(&of_new).await), (200, 401));
    set["keys"].as_array_mut().unwrap().push(new.jwk());
    put(&set);
    assert_eq!((ask(&of_old).await, ask(&of_new).await), (200, 200));
    put(&json!({ "keys": [new.jwk()] }));
    assert_eq!((ask(&of_old).await, ask(&of_new).await), (401, 200));
}
