//! The suites of the OWASP CRS over HTTP, through the real binary, by its own `rules ftw --url`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis_rulesets::ftw;
use portcullis_tests::{Albedo, binary};

use crate::process::{run, serve, text};

/// Categories with a set of their own, as far as a generation has it.
const CATEGORIES: &[&str] = &[
    "methodenforcement",
    "scannerdetection",
    "protocolenforcement",
    "protocolattack",
    "multipart",
    "lfi",
    "rfi",
    "rce",
    "php",
    "nodejs",
    "generic",
    "xss",
    "sqli",
    "sessionfixation",
    "java",
    "dataleakage",
];

/// What a run is about.
struct Suite {
    /// The rules' set-up, and their folder.
    setup: PathBuf,
    rules: PathBuf,
    /// The cases, in the shared test data.
    tree: &'static str,
    /// The generation in the names of preconfigured sets.
    version: &'static str,
    /// The cases that an edge answers otherwise, in `ftw/`.
    overrides: &'static str,
    /// The least number of cases.
    expect: usize,
}

fn shared(name: &str) -> Option<PathBuf> {
    let variable = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|path| path.join("shared"));
    variable.into_iter().chain(above).map(|path| path.join(name)).find(|path| path.is_dir())
}

/// Every set of the generation as a preview at the highest sensitivity: everything is logged, nothing refused.
fn policy(version: &str) -> String {
    let exists = |category: &&&str| match **category {
        "nodejs" => version == "v33",
        "generic" => version == "v422",
        _ => true,
    };
    let mut policy = "name: ftw\nrules:\n".to_owned();
    for (at, category) in CATEGORIES.iter().filter(exists).enumerate() {
        let priority = 10 + at;
        policy += &format!(
            "  - priority: {priority}\n    action: deny(403)\n    preview: true\n    match: {{ expr: {{ expression: \"evaluatePreconfiguredWaf('{category}-{version}-stable', {{'sensitivity': 4}})\" }} }}\n"
        );
    }
    policy
        + "  - priority: 2147483647\n    action: allow\n    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }\n"
}

/// The hosts that the cases name, in lower case and without a port, as far as they are hosts.
fn hosts(tree: &Path) -> BTreeSet<String> {
    let cases = ftw::read(tree).unwrap();
    let requests = cases.iter().flat_map(|case| &case.stages).map(|stage| &stage.request);
    let named = requests.filter_map(|request| std::str::from_utf8(request.header("host")?).ok());
    let named = named.map(|host| host.split(':').next().unwrap_or_default().to_ascii_lowercase());
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let mut hosts: BTreeSet<String> = named.filter(|host| host.split('.').all(label)).collect();
    hosts.insert("localhost".to_owned());
    hosts
}

fn configuration(origin: &Albedo, hosts: &BTreeSet<String>) -> String {
    let mut text = format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock }}\nincidents: {{ dry_run: true }}\n\
         listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}] }} }}]\n\
         log: {{ requests: 'file:state/requests.jsonl', events: off }}\nrulesets: {{ crs: {{ crs: crs }} }}\n\
         policies: {{ ftw: {{ file: policy.yaml }} }}\n\
         backends: {{ origin: {{ servers: ['{}'], policy: ftw }} }}\nhosts:\n",
        origin.address()
    );
    for host in hosts {
        text += &format!(
            "  \"{host}\": {{ routes: [{{ path: /, backend: origin, identity: none, response_inspection: {{ ruleset: crs, body: 1MiB, on_match: log }} }}] }}\n"
        );
    }
    text
}

async fn suite(suite: Suite) -> Option<Output> {
    let (true, Some(tree)) = (suite.setup.is_file(), shared(suite.tree)) else {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "the rules or the cases are absent");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let write = |name: &str, text: &str| std::fs::write(home.join(name), text).unwrap();
    let origin = Albedo::start().await;
    std::fs::create_dir(home.join("crs")).unwrap();
    std::fs::create_dir(home.join("state")).unwrap();
    let setup = std::fs::read_to_string(&suite.setup).unwrap();
    write("crs/crs-setup.conf", &(setup + "\n" + ftw::SETUP));
    std::os::unix::fs::symlink(&suite.rules, home.join("crs/rules")).unwrap();
    let hosts = hosts(&tree);
    write("portcullis.yaml", &configuration(&origin, &hosts));
    write("policy.yaml", &policy(suite.version));
    let mut names = vec!["dev", "cert"];
    names.extend(hosts.iter().flat_map(|host| ["--name", host.as_str()]));
    assert!(run(home, &names).status.success());
    let edge = serve(home);
    let port = edge.address.rsplit(':').next().unwrap().to_owned();
    let home = home.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(binary("portcullis"));
        command.current_dir(&home).args(["rules", "ftw", "--rules", "crs", "--ca", "tls.crt"]);
        command.args([
            "--url",
            &format!("https://localhost:{port}"),
            "--log",
            "state/requests.jsonl",
        ]);
        let overrides = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/ftw/");
        command
            .arg("--tests")
            .arg(&tree)
            .arg("--overrides")
            .arg(overrides.to_owned() + suite.overrides);
        command.args(["--expect", &suite.expect.to_string()]).output().expect("the binary starts")
    });
    Some(output.await.unwrap())
}

/// Prints what failed, in the order of the report.
fn judge(output: Option<Output>) {
    let Some(output) = output else { return };
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cases_of_crs_3_3_4_hold_over_http() {
    let output = suite(Suite {
        setup: "/etc/modsecurity/crs/crs-setup.conf".into(),
        rules: "/usr/share/modsecurity-crs/rules".into(),
        tree: "crs-tests/v3.3.4",
        version: "v33",
        overrides: "crs3.overrides",
        expect: 2400,
    });
    judge(output.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "CRS 4 stands in no package: name a checkout in CRS4_DIR and run with --ignored"]
async fn the_cases_of_crs_4_28_0_hold_over_http() {
    let crs = PathBuf::from(std::env::var_os("CRS4_DIR").expect("CRS4_DIR names a checkout"));
    let output = suite(Suite {
        setup: crs.join("crs-setup.conf.example"),
        rules: crs.join("rules"),
        tree: "crs-tests/v4.28.0",
        version: "v422",
        overrides: "crs4.overrides",
        expect: 5000,
    });
    judge(output.await);
}
