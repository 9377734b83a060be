//! A running edge with all that alerts and dashboards ask about: an embedded license service, an issuer, a fetched
//! list, a geo database, a certificate that is ordered, traffic of every kind.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis::clock::{Clock as _, System};
use portcullis_tests::{Authority, Claims, Issuer, KeyServer, Origin, Says, WAIT_MAX};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::process::{self, Portcullis};
use super::{dashboards, is_absent, names, rules};

/// Starts it.
async fn start(directory: &Path, origin: &Origin, server: &KeyServer) -> Portcullis {
    server.authority().write_root(&directory.join("root.pem"));
    Authority::new().write(&["edge.test"], &directory.join("tls.crt"), &directory.join("tls.key"));
    let preview = "  - { priority: 5, action: deny(403), preview: true, match: { expr: { expression: \"request.path == '/previewed'\" } } }\n";
    let policy = process::policy("/refused").replace("rules:\n", &format!("rules:\n{preview}"));
    std::fs::write(directory.join("policy.yaml"), policy).unwrap();
    std::fs::write(directory.join("geoip"), "2130706432,2147483647,US\n").unwrap();
    let text = format!(
        "version: 1\nenvironment: development\nstate_dir: state\n\
         admin: {{ socket: admin.sock, metrics: '127.0.0.1:0' }}\n\
         listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}, \
         {{ acme: {{ names: [acme.test], directory: 'https://127.0.0.1:1/directory', terms_agreed: true }} }}] }} }}]\n\
         log: {{ requests: off, events: off, sinks: {{ nobody: {{ kind: syslog, to: 'unix:nobody' }} }} }}\nrulesets: {{ core: {{ builtin: core }} }}\n\
         geo: {{ country: geoip }}\n\
         lists: {{ fetched: {{ url: '{list}', refresh: 1h, required: false }} }}\n\
         egress: {{ networks: [127.0.0.0/8], ca: file:root.pem }}\n\
         identity: {{ providers: {{ main: {{ kind: oidc, issuer: '{issuer}', audience: license-api, algorithms: [ES256] }} }} }}\n\
         policies: {{ tested: {{ file: policy.yaml }} }}\n\
         license: {{ embedded: true }}\n\
         backends: {{ origin: {{ servers: ['{origin}'], policy: tested, health: {{ path: /health, every: 2s, timeout: 1s }} }}, license: {{ servers: [embedded], policy: tested }} }}\n\
         hosts: {{ edge.test: {{ routes: [{{ path: /api, backend: license, identity: {{ any: [main] }} }}, {{ path: /, backend: origin, identity: none }}] }} }}\n",
        list = server.url("/list"),
        issuer = server.url(""),
        origin = origin.address(),
    );
    std::fs::write(directory.join("portcullis.yaml"), text).unwrap();
    process::serve(directory)
}

fn publish(server: &KeyServer, issuer: &Issuer) {
    let document = json!({ "issuer": server.url(""), "jwks_uri": server.url("/keys") });
    let keys = json!({ "keys": [issuer.jwk()] });
    server.says(Says::Documents(vec![
        ("/.well-known/openid-configuration".to_owned(), document.to_string(), String::new()),
        ("/keys".to_owned(), keys.to_string(), String::new()),
        ("/list".to_owned(), "192.0.2.0/24\n".to_owned(), String::new()),
    ]));
}

fn token(server: &KeyServer, issuer: &Issuer) -> String {
    let now = System::new().now().as_secs();
    let claims: Claims = serde_json::from_value(json!({
        "iss": server.url(""), "aud": "license-api", "sub": "ada", "tenant_id": "t1", "iat": now, "exp": now + 600,
    }))
    .unwrap();
    issuer.sign(&claims)
}

/// Makes one request of each kind: answered, refused by a rule, by want of a token, and by the license service.
fn traffic(directory: &Path, edge: &Portcullis, token: &str) {
    assert_eq!(process::curl(directory, edge, "/"), "200");
    assert_eq!(process::curl(directory, edge, "/refused"), "403");
    assert_eq!(process::curl(directory, edge, "/previewed"), "200");
    assert_eq!(
        process::curl(directory, edge, "/?id=1%27%20UNION%20SELECT%20password%20FROM%20users--"),
        "403"
    );
    assert_eq!(process::curl(directory, edge, "/api/v1/license/sessions"), "401");
    let authorization = format!("Authorization: Bearer {token}");
    let body = r#"{"license_key":"nonsense","hardware_id":"m"}"#;
    let more = ["-H", &authorization, "-H", "Content-Type: application/json", "-d", body];
    let begun = Instant::now();
    // Until the issuer's keys are there, it is 503.
    loop {
        let (status, answer) = process::ask(directory, edge, "/api/v1/license/acquire", &more);
        if status == "400" {
            return;
        }
        assert!(begun.elapsed() < WAIT_MAX, "{status}: {answer}");
    }
}

/// The names of all samples on the metrics page.
fn exported(text: &str) -> BTreeSet<String> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = kinds.flat_map(|(name, kind)| match kind {
        "histogram" => ["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")).to_vec(),
        _ => vec![name.to_owned()],
    });
    // What Prometheus itself knows of what it scrapes.
    names.chain(["up".to_owned()]).collect()
}

fn check_metrics(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        return is_absent();
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.stdout.escape_ascii());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_edge_exports_every_metric_that_rules_and_dashboards_name() {
    let directory = tempfile::tempdir().unwrap();
    let (origin, server) = (Origin::start().await, KeyServer::start().await);
    let issuer = Issuer::with_key("a");
    publish(&server, &issuer);
    let edge = start(directory.path(), &origin, &server).await;
    traffic(directory.path(), &edge, &token(&server, &issuer));
    let begun = Instant::now();
    // A list that is fetched is told of when it is there.
    loop {
        let text = process::metrics(directory.path()).await;
        let missing = missing(&exported(&text));
        if missing.is_empty() {
            return check_metrics(&text);
        }
        assert!(begun.elapsed() < WAIT_MAX, "not exported: {missing:?}");
    }
}

/// What rules and dashboards name that is neither exported nor recorded, each with where it stands.
fn missing(exported: &BTreeSet<String>) -> Vec<(String, String)> {
    let recording = rules("recording-rules.yaml");
    let recorded: Vec<_> = recording.iter().filter_map(|rule| rule["record"].as_str()).collect();
    let of_rules =
        recording.iter().chain(&rules("alerts.yaml")).map(expression).collect::<Vec<_>>();
    let expressions = of_rules.into_iter().chain(dashboards::expressions());
    let named = expressions.flat_map(|(place, expression)| {
        names::metrics(&expression).into_iter().map(move |name| (place.clone(), name))
    });
    named
        .filter(|(_, name)| !exported.contains(name) && !recorded.contains(&name.as_str()))
        .collect()
}

/// A rule's name and expression.
fn expression(rule: &Value) -> (String, String) {
    let name = rule["alert"].as_str().or_else(|| rule["record"].as_str()).unwrap();
    (name.to_owned(), rule["expr"].as_str().unwrap().to_owned())
}
