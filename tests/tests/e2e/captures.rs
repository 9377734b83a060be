//! Refused requests kept whole: captured by the real binary, shown to nobody without the key, judged again by `replay`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use portcullis_tests::{Origin, binary};
use serde_json::Value;

/// The process; killed if the test ends before it.
struct Portcullis {
    process: Child,
    port: String,
}

impl Drop for Portcullis {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Portcullis {
    fn serve(directory: &Path) -> Self {
        let mut command = Command::new(binary("portcullis"));
        command.current_dir(directory).args(["run", "--config", "portcullis.yaml"]);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("the binary starts");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = output.lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.trim().strip_prefix("listening on ").map(str::to_owned));
        // The rest has to be read, or the process would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.expect("the process says where it listens");
        Self { process, port: address.rsplit(':').next().expect("a port").to_owned() }
    }

    /// Posts with curl; returns the status.
    fn post(&self, directory: &Path, path: &str, more: &[&str]) -> String {
        let output = Command::new("curl")
            .current_dir(directory)
            .args(["-s", "--max-time", "20", "--cacert", "tls.crt", "-o", "answer"])
            .args([
                "-w",
                "%{http_code}",
                "--resolve",
                &format!("edge.test:{}:127.0.0.1", self.port),
            ])
            .args(more)
            .arg(format!("https://edge.test:{}{path}", self.port))
            .output()
            .expect("curl is installed");
        text(&output.stdout)
    }

    /// Ends it the way an operator does, so that everything is written.
    fn stop(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("portcullis"));
    command.current_dir(directory).args(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

const POLICY: &str = r#"name: tested
rules:
  - priority: 20
    action: deny(403)
    match: { expr: { expression: "evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})" } }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }
"#;

/// A directory with a policy, a certificate, two keys, and a configuration that captures for the first.
fn home(origin: &Origin) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let made = run(home, &["capture", "key", "capture.key"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(run(home, &["capture", "key", "other.key"]).status.success());
    let configuration = format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock }}\n\
         listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}] }} }}]\n\
         log: {{ requests: off, events: off, capture: {{ key: '{}', directory: captures }} }}\n\
         rulesets: {{ core: {{ builtin: core }} }}\npolicies: {{ tested: {{ file: policy.yaml }} }}\n\
         backends: {{ origin: {{ servers: ['{}'], policy: tested }} }}\n\
         hosts: {{ edge.test: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}\n",
        text(&made.stdout).trim(),
        origin.address()
    );
    std::fs::write(home.join("portcullis.yaml"), configuration).unwrap();
    std::fs::write(home.join("policy.yaml"), POLICY).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    directory
}

fn only_file(directory: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

const INJECTION: &str = "key=1%27+UNION+SELECT+password+FROM+users--+";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_post_is_captured_and_judged_again_with_its_body() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    let checked = run(home, &["check", "portcullis.yaml"]);
    let said = text(&checked.stdout);
    assert!(
        said.contains("captures refused requests, whole") && said.contains("512 MiB"),
        "{said}"
    );

    let edge = Portcullis::serve(home);
    let credential = ["-H", "Authorization: Bearer sesame-opens", "--data", INJECTION];
    assert_eq!(edge.post(home, "/form", &credential), "403");
    assert_eq!(edge.post(home, "/form", &["--http2", "--data", INJECTION]), "403");
    assert_eq!(edge.post(home, "/form", &["--data", "key=harmless"]), "200");
    edge.stop();

    let file = only_file(&home.join("captures"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let sealed = std::fs::read_to_string(&file).unwrap();
    for plain in ["sesame", "UNION", "/form", "edge.test", "tested", "127.0.0.1"] {
        assert!(!sealed.contains(plain), "{plain} stands in the file");
    }
    assert_eq!(sealed.lines().count(), 3, "the first line, and two refused requests");

    let capture = file.to_str().unwrap();
    let replay = |config: &str, key: &str| {
        run(home, &["replay", "--config", config, "--capture", capture, "--key", key, "--json"])
    };
    let judged = |config: &str| {
        let done = replay(config, "capture.key");
        assert!(done.status.success(), "{}", text(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let same = judged("portcullis.yaml");
    assert_eq!((&same["requests"], &same["unchanged"]), (&2.into(), &2.into()), "{same}");
    assert_eq!(same["notJudged"], 0, "{same}");

    let open = POLICY.replace("deny(403)", "allow");
    std::fs::write(home.join("policy.yaml"), open).unwrap();
    let opened = judged("portcullis.yaml");
    assert_eq!((&opened["changed"], &opened["notJudged"]), (&2.into(), &0.into()), "{opened}");

    let wrong = replay("portcullis.yaml", "other.key");
    assert_eq!(wrong.status.code(), Some(1));
    let said = text(&wrong.stderr);
    assert!(said.contains("is encrypted to the key"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_damaged_capture_the_whole_records_are_judged() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    let edge = Portcullis::serve(home);
    for _ in 0..3 {
        assert_eq!(edge.post(home, "/form", &["--data", INJECTION]), "403");
    }
    edge.stop();
    let file = only_file(&home.join("captures"));
    let mut sealed = std::fs::read(&file).unwrap();
    // The last record is cut in its middle, as by a full disk, and one bit of the second is another.
    sealed.truncate(sealed.len() - 200);
    let second = sealed.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    sealed[second + 60] ^= 1;
    std::fs::write(&file, sealed).unwrap();
    let capture = file.to_str().unwrap();
    let done = run(
        home,
        &["replay", "--config", "portcullis.yaml", "--capture", capture, "--key", "capture.key"],
    );
    let said = text(&done.stdout);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(
        said.contains("1 requests from a capture of portcullis; 2 records are damaged"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_rule_is_tuned_by_requests_that_were_captured_before_it_was_written() {
    let origin = Origin::start().await;
    let directory = home(&origin);
    let home = directory.path();
    let sampling = std::fs::read_to_string(home.join("portcullis.yaml")).unwrap();
    let sampling = sampling.replace("directory: captures", "directory: captures, sample_one_in: 1");
    std::fs::write(home.join("portcullis.yaml"), sampling).unwrap();
    let open =
        POLICY.replace("evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})", "false");
    std::fs::write(home.join("policy.yaml"), open).unwrap();
    let edge = Portcullis::serve(home);
    for _ in 0..2 {
        assert_eq!(edge.post(home, "/form", &["--data", INJECTION]), "200");
    }
    assert_eq!(edge.post(home, "/form", &["--data", "key=harmless"]), "200");
    edge.stop();

    let preview = POLICY.replace("action: deny(403)", "action: deny(403)\n    preview: true");
    std::fs::write(home.join("policy.yaml"), preview).unwrap();
    let file = only_file(&home.join("captures"));
    let capture = file.to_str().unwrap();
    let arguments = ["tune", "--config", "portcullis.yaml", "--capture", capture, "--key"];
    let done = run(home, &[&arguments[..], &["capture.key", "--json"]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let tuned: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&tuned["requests"], &tuned["falsePositives"]), (&3.into(), &2.into()), "{tuned}");
    let first = &tuned["proposals"][0];
    assert_eq!((&first["clears"], &first["rule"]), (&2.into(), &20.into()), "{tuned}");
    assert_eq!((&first["field"], &first["name"]), (&"parameter".into(), &"key".into()), "{tuned}");
    let refused = run(home, &[&arguments[..], &["other.key"]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("is encrypted to the key"));
}
