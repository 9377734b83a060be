//! The real binary, as an operator runs it: serve, reload by command, refuse with carets, drain.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_tests::{Origin, WAIT_MAX, binary, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// The process; killed if the test ends before it.
pub(super) struct Portcullis {
    pub(super) process: Child,
    pub(super) address: String,
}

impl Drop for Portcullis {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(super) fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("portcullis"));
    command.current_dir(directory).args(arguments).output().expect("the binary starts")
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

/// Starts the binary and reads from its output where it listens.
pub(super) fn serve(directory: &Path) -> Portcullis {
    let mut command = Command::new(binary("portcullis"));
    command.current_dir(directory).args(["run", "--config", "portcullis.yaml"]);
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary starts");
    let output = BufReader::new(process.stdout.take().expect("a pipe"));
    let mut lines = output.lines().map_while(Result::ok);
    let address =
        lines.find_map(|line| line.trim().strip_prefix("listening on ").map(str::to_owned));
    // The rest has to be read, or the process would stop at a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Portcullis { process, address: address.expect("the process says where it listens") }
}

/// Asks with curl, and returns the status.
pub(super) fn curl(directory: &Path, edge: &Portcullis, path: &str) -> String {
    ask(directory, edge, path, &[]).0
}

/// Asks with curl and more of its options; returns the status and the answer's body.
pub(super) fn ask(
    directory: &Path,
    edge: &Portcullis,
    path: &str,
    more: &[&str],
) -> (String, String) {
    let port = edge.address.rsplit(':').next().expect("a port");
    let output = Command::new("curl")
        .current_dir(directory)
        .args(["-s", "--max-time", "20", "--cacert", "tls.crt"])
        .args(["-o", "answer", "-w", "%{http_code}"])
        .args(["--resolve", &format!("edge.test:{port}:127.0.0.1")])
        .args(more)
        .arg(format!("https://edge.test:{port}{path}"))
        .output()
        .expect("curl is installed");
    (text(&output.stdout), std::fs::read_to_string(directory.join("answer")).unwrap_or_default())
}

pub(super) fn configuration(origin: &Origin) -> String {
    format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock }}\n\
         listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}] }} }}]\n\
         log: {{ requests: off, events: off }}\nrulesets: {{ core: {{ builtin: core }} }}\n\
         policies: {{ tested: {{ file: policy.yaml }} }}\n\
         backends: {{ origin: {{ servers: ['{}'], policy: tested }} }}\n\
         hosts: {{ edge.test: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}\n",
        origin.address()
    )
}

pub(super) fn policy(refused: &str) -> String {
    format!(
        "name: tested\nrules:\n  - priority: 10\n    action: deny(403)\n    match: {{ expr: {{ expression: \"request.path == '{refused}'\" }} }}\n  \
         - priority: 20\n    action: deny(403)\n    match: {{ expr: {{ expression: \"evaluatePreconfiguredWaf('sqli-core-stable', {{'sensitivity': 1}})\" }} }}\n  \
         - priority: 2147483647\n    action: allow\n    match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ['*'] }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_served_although_a_log_beside_it_is_never_quiet() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("portcullis.yaml"), configuration(&origin)).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/old")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let edge = serve(home);
    assert_eq!(curl(home, &edge, "/new"), "200");
    let is_served = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_served.load(Ordering::Relaxed) {
                std::fs::write(home.join("another.log"), "a line").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        std::fs::write(home.join("policy.yaml"), policy("/new")).unwrap();
        let begun = Instant::now();
        while curl(home, &edge, "/new") != "403" && begun.elapsed() < WAIT_MAX {}
        is_served.store(true, Ordering::Relaxed);
    });
    assert_eq!(curl(home, &edge, "/new"), "403");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_serves_reloads_by_command_bans_and_drains() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("portcullis.yaml"), configuration(&origin)).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/old")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let mut edge = serve(home);
    assert_eq!(curl(home, &edge, "/"), "200");
    assert_eq!(curl(home, &edge, "/old"), "403");
    assert_eq!(curl(home, &edge, "/?id=1%27%20UNION%20SELECT%20password%20FROM%20users--"), "403");

    std::fs::write(home.join("policy.yaml"), policy("/new")).unwrap();
    let reloaded = run(home, &["reload", "--socket", "admin.sock"]);
    assert!(reloaded.status.success(), "{}", text(&reloaded.stderr));
    assert_eq!(
        (curl(home, &edge, "/old"), curl(home, &edge, "/new")),
        ("200".to_owned(), "403".to_owned())
    );

    std::fs::write(
        home.join("policy.yaml"),
        "name: tested\nrules: [{ priority: 1, action: perhaps }]\n",
    )
    .unwrap();
    let refused = run(home, &["reload", "--socket", "admin.sock"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("perhaps") || text(&refused.stdout).contains("perhaps"));
    assert_eq!(curl(home, &edge, "/new"), "403", "the last good policy stays");

    let ban = ["ban", "add", "127.0.0.1", "--for", "1h", "--socket", "admin.sock"];
    assert!(run(home, &ban).status.success());
    assert_eq!(curl(home, &edge, "/"), "429");
    assert!(
        text(&run(home, &["ban", "ls", "--socket", "admin.sock"]).stdout).contains("127.0.0.1")
    );
    assert!(run(home, &["ban", "rm", "127.0.0.1", "--socket", "admin.sock"]).status.success());
    assert_eq!(curl(home, &edge, "/"), "200");

    let operate = |arguments: &[&str]| {
        let output = run(home, &[arguments, &["--socket", "admin.sock"]].concat());
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let server = format!("origin/{}", origin.address());
    let (listed, shown) = operate(&["backend", "ls"]);
    assert!(
        listed && shown.contains(&origin.address().to_string()) && shown.contains("up"),
        "{shown}"
    );
    assert!(operate(&["backend", "drain", &server, "--reason", "maintenance"]).0);
    assert_eq!(curl(home, &edge, "/"), "503");
    let (_, shown) = operate(&["backend", "ls", "--json"]);
    assert!(shown.contains("\"state\": \"drained\""), "{shown}");
    assert!(operate(&["backend", "undrain", "origin"]).0);
    assert_eq!(curl(home, &edge, "/"), "200");
    let (drained, said) = operate(&["backend", "drain", "orgin"]);
    assert!(!drained && said.contains(&server), "{said}");

    assert!(operate(&["lockdown", "on", "edge.test/", "--for", "1h"]).0);
    assert_eq!(curl(home, &edge, "/"), "503");
    assert!(operate(&["lockdown", "ls"]).1.contains("edge.test/"));
    assert!(operate(&["lockdown", "off"]).1.contains("open again: edge.test/"));
    assert_eq!(curl(home, &edge, "/"), "200");
    let (closed, said) = operate(&["lockdown", "on", "edge.test/nowhere", "--for", "1h"]);
    assert!(!closed && said.contains("there are edge.test/"), "{said}");
    let audit = std::fs::read_to_string(home.join("state/audit.jsonl")).unwrap();
    assert!(
        audit.contains("backend drain origin/") && audit.contains("lockdown on edge.test/"),
        "{audit}"
    );

    let pid = edge.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(edge.process.wait().unwrap().success(), "SIGTERM drains and ends well");
}

#[test]
fn check_shows_all_ten_mistakes_of_a_file_with_their_carets() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/testdata/ten-mistakes.yaml");
    let output = run(Path::new("."), &["check", file]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stderr) + &text(&output.stdout);
    assert!(shown.matches("╭─[").count() >= 10, "{shown}");
    assert!(shown.contains("did you mean `platform`?"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_threads_serve_as_the_configuration_says() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    std::fs::write(home.join("policy.yaml"), policy("/old")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    for workers in [1, 2, 5] {
        let text =
            configuration(&origin).replace("admin.sock }", "admin.sock, metrics: '127.0.0.1:0' }");
        let text = text + &format!("workers: {workers}\n");
        std::fs::write(home.join("portcullis.yaml"), text).unwrap();
        let edge = serve(home);
        assert_eq!(curl(home, &edge, "/"), "200");
        assert_eq!(metric(home, "edge_worker_threads").await, workers);
    }
}

/// One figure of the process's metrics; 0 where there is none.
pub(super) async fn metric(home: &Path, name: &str) -> u64 {
    let text = metrics(home).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or("0").trim().parse().unwrap()
}

/// The process's metrics page.
pub(super) async fn metrics(home: &Path) -> String {
    let shown = run(home, &["status", "--json", "--socket", "admin.sock"]).stdout;
    let status: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let address = status["metrics"].as_str().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    within("the metrics", async { while stream.read_buf(&mut bytes).await.unwrap() > 0 {} }).await;
    text(&bytes).split_once("\r\n\r\n").expect("a head").1.to_owned()
}
