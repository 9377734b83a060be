//! A customer is locked out: from the request's id to the narrowest fix, tested and live, in four commands.

use portcullis::trial::attacks::ATTACKS;
use portcullis_tests::Origin;
use serde_json::Value;

use super::process::{ask, run, serve, text};

const POLICY: &str = r#"# The customers' policy.
name: tested
rules:
  # Injections.
  - priority: 20
    description: SQL injection
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})" } }
  - priority: 21
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('xss-core-stable', {'sensitivity': 1})" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }
"#;

/// A question about databases, which is what the customer sells books about.
const CUSTOMER: &str = "/search?q=union%20select%20name%20from%20books";

/// Attacks in places that the fix must not open: those of the corpus in the customer's own field, on its path and beside
/// it, and in another field.
fn attacks() -> Vec<(String, Vec<&'static str>)> {
    let places = ["/search?q=", "/search?id=", "/?q=", "/search?q=books&q=", "/search?%71="];
    let corpus = ATTACKS.iter().flat_map(|attack| {
        let value: String = attack.payload.bytes().map(|byte| format!("%{byte:02X}")).collect();
        places.map(|place| (format!("{place}{value}"), vec![]))
    });
    corpus.chain(elsewhere().into_iter().map(|(path, more)| (path.to_owned(), more))).collect()
}

fn elsewhere() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("/search?id=1%27%20UNION%20SELECT%20password%20FROM%20users--", vec![]),
        ("/?id=1%27%20OR%20%271%27%3D%271%27--%20", vec![]),
        ("/search?q=%3Cscript%3Ealert(1)%3C/script%3E", vec![]),
        ("/", vec!["-H", "X-Comment: 1' UNION SELECT password FROM users-- x"]),
        ("/", vec!["--data", "key=1%27+UNION+SELECT+password+FROM+users--+"]),
        ("/", vec!["-b", "session=1' UNION SELECT password FROM users-- x"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_out_customer_is_let_in_by_four_commands_and_no_attack_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let configuration = format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock }}\nincidents: {{ dry_run: true }}\n\
         listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}] }} }}]\n\
         log: {{ requests: file:./requests.jsonl, events: off }}\nrulesets: {{ core: {{ builtin: core }} }}\n\
         policies: {{ tested: {{ file: policy.yaml }} }}\n\
         backends: {{ origin: {{ servers: ['{}'], policy: tested }} }}\n\
         hosts: {{ edge.test: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}\n",
        origin.address()
    );
    std::fs::write(home.join("portcullis.yaml"), configuration).unwrap();
    std::fs::write(home.join("policy.yaml"), POLICY).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let edge = serve(home);
    let before: Vec<String> =
        attacks().iter().map(|(path, more)| ask(home, &edge, path, more).0).collect();
    // The policy asks for two of the corpus's categories.
    let refused = before.iter().filter(|status| *status == "403").count();
    assert!(refused >= 9 * 5 + elsewhere().len(), "{before:?}");
    let (status, body) = ask(home, &edge, CUSTOMER, &[]);
    assert_eq!(status, "403", "the customer is locked out");
    let body: Value = serde_json::from_str(&body).unwrap();
    let id = body["request_id"].as_str().unwrap();

    let why = run(home, &["why", id, "--socket", "admin.sock"]);
    let shown = text(&why.stdout);
    assert!(why.status.success(), "{}", text(&why.stderr));
    for part in [
        "rule     20 of tested",
        "ARG_VALUES `q`",
        "generation 1; still served",
        "a rule 19 above keeps it as it is, but for `q` of letters, digits and spaces on /search",
        "leave the parameter `q` out of",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let fixed = run(home, &["why", id, "--fix", "--socket", "admin.sock"]);
    assert!(fixed.status.success(), "{}", text(&fixed.stderr));
    let test = format!("policy.{id}.test.yaml");
    assert!(home.join(&test).exists(), "{}", text(&fixed.stdout));
    let tested = run(home, &["test", &test]);
    assert!(tested.status.success(), "{}{}", text(&tested.stdout), text(&tested.stderr));
    let reloaded = run(home, &["reload", "--socket", "admin.sock"]);
    assert!(reloaded.status.success(), "{}", text(&reloaded.stderr));

    let by_address = run(home, &["why", "127.0.0.1", "--socket", "admin.sock"]);
    assert!(text(&by_address.stdout).contains(id), "{}", text(&by_address.stdout));
    assert_eq!(ask(home, &edge, CUSTOMER, &[]).0, "200", "the customer is let in");
    let after: Vec<String> =
        attacks().iter().map(|(path, more)| ask(home, &edge, path, more).0).collect();
    assert_eq!(before, after, "no attack newly passes");
    let policy = std::fs::read_to_string(home.join("policy.yaml")).unwrap();
    assert!(
        policy.contains("# Injections.") && policy.contains("requestQueryParamsToExclude"),
        "{policy}"
    );

    let unknown = run(home, &["why", "nobody", "--socket", "admin.sock"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        text(&unknown.stderr).contains("nothing is remembered of `nobody`"),
        "{}",
        text(&unknown.stderr)
    );

    let log =
        run(home, &["replay", "--config", "portcullis.yaml", "--from", "requests.jsonl", "--json"]);
    assert!(log.status.success(), "{}", text(&log.stderr));
    let replayed: Value = serde_json::from_slice(&log.stdout).unwrap();
    // The two posts have no body in the log: they are not judged, and never unchanged.
    assert_eq!(replayed["notJudgedForWantOf"]["body"], 2, "{replayed}");
}
