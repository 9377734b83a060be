//! The real binary: its commands, its signals, and what survives a kill.

use crate::harness::{Client, Edge, World, user};
use http::Method;
use license_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub(crate) struct Machine {
    dir: TempDir,
    edge: Edge,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// A machine whose settings say this too.
    pub(crate) fn with(more: &str) -> Self {
        let (dir, edge) = (tempfile::tempdir().unwrap(), Edge::new());
        std::fs::write(dir.path().join("edge.jwks"), edge.jwks()).unwrap();
        let yaml = "version: 1\nlisten: { unix: l.sock }\ndatabase: { sqlite: l.db }\nedge_keys: edge.jwks\n";
        std::fs::write(dir.path().join("license.yaml"), format!("{yaml}{more}")).unwrap();
        Self { dir, edge }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.path("l.sock")).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn admin(&self, arguments: &[&str]) -> Output {
        program()
            .arg("admin")
            .arg("--config")
            .arg(self.path("license.yaml"))
            .args(arguments)
            .output()
            .unwrap()
    }

    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.admin(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the service and waits for the line that says it serves.
    pub(crate) fn serve(&self) -> Child {
        let mut command = program();
        command.arg("serve").arg("--config").arg(self.path("license.yaml"));
        Self::started(command)
    }

    /// The same, where a file that may not grow is an error and no signal.
    pub(crate) fn serve_ignoring_file_limits(&self) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve --config \"$1\""]);
        command.arg(env!("CARGO_BIN_EXE_license-core")).arg(self.path("license.yaml"));
        Self::started(command)
    }

    fn started(mut command: Command) -> Child {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("serving on unix:"), "{line}");
        child
    }

    pub(crate) async fn ask(
        &self,
        client: &mut Client,
        method: &str,
        target: &str,
        body: &str,
    ) -> Result<(u16, Value), license_core::client::ClientError> {
        let now = SystemClock::new().now().as_secs();
        let assertion =
            self.edge.assertion(user("acme", "anna"), method, target, body.as_bytes(), now);
        let request = http::Request::builder()
            .method(method)
            .uri(target)
            .header("host", "l")
            .header("content-type", "application/json")
            .header("x-edge-assertion", assertion)
            .body(http_body_util::Full::new(body.to_owned().into()))
            .unwrap();
        let answer = client.try_send(request).await?;
        Ok((answer.status.as_u16(), answer.body))
    }

    pub(crate) fn license(&self, seats: &str) -> String {
        self.said(&["tenant", "create", "acme"]);
        let said = self.said(&[
            "license",
            "create",
            "--tenant",
            "acme",
            "--name",
            "editor",
            "--product",
            "Editor",
            "--seats",
            seats,
        ]);
        let key = said.lines().nth(1).unwrap();
        key.split_whitespace().nth(1).unwrap().to_owned()
    }
}

fn program() -> Command {
    Command::new(Path::new(env!("CARGO_BIN_EXE_license-core")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_seat_is_lost_by_kill_nine() {
    let machine = Machine::new();
    let key = machine.license("1000");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..4 {
        let mut child = machine.serve();
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(Client::connect(&machine.path("l.sock")).await);
        }
        // Everything of the rounds before is still there.
        for session in &acknowledged {
            let target = format!("/api/v1/license/sessions/{session}/heartbeat");
            let (status, body) = machine.ask(&mut clients[0], "PATCH", &target, "").await.unwrap();
            assert_eq!(status, 200, "round {round}: {body}");
        }
        let work = clients.iter_mut().enumerate().map(|(number, client)| {
            let (machine, key) = (&machine, &key);
            async move {
                let mut got = Vec::new();
                for step in 0..1000 {
                    let body = json!({"license_key": key, "hardware_id": format!("{round}-{number}-{step}")}).to_string();
                    match machine.ask(client, "POST", "/api/v1/license/acquire", &body).await {
                        Ok((201, body)) => got.push(body["session_id"].as_str().unwrap().to_owned()),
                        Ok(other) => panic!("{other:?}"),
                        Err(_killed) => break,
                    }
                    if number == 0 && step == 10 {
                        // The others are in the middle of something.
                        kill(machine, "-KILL");
                    }
                }
                got
            }
        });
        std::fs::write(machine.path("pid"), child.id().to_string()).unwrap();
        for got in futures(work).await {
            acknowledged.extend(got);
        }
        child.wait().unwrap();
    }
    assert!(acknowledged.len() > 40, "{}", acknowledged.len());
    let listed = machine.said(&["license", "ls", "--tenant", "acme", "--json"]);
    let license: Value = serde_json::from_str(listed.trim()).unwrap();
    assert!(license["seats_used"].as_u64().unwrap() >= acknowledged.len() as u64);
}

/// Runs all at once on this task.
async fn futures<F: Future>(work: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = work.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |context| {
        for (one, done) in &mut running {
            if done.is_none()
                && let std::task::Poll::Ready(output) = one.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if running.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(running.drain(..).filter_map(|(_, done)| done).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

fn kill(machine: &Machine, how: &str) {
    let pid = std::fs::read_to_string(machine.path("pid")).unwrap();
    assert!(Command::new("kill").arg(how).arg(pid).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_gracefully_on_sigterm_and_removes_its_socket() {
    let machine = Machine::new();
    let mut child = machine.serve();
    assert!(machine.path("l.sock").exists());
    std::fs::write(machine.path("pid"), child.id().to_string()).unwrap();
    kill(&machine, "-TERM");
    assert!(child.wait().unwrap().success());
    assert!(!machine.path("l.sock").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_by_command_is_seen_and_told() {
    let machine = Machine::new();
    machine.license("2");
    let which = ["--tenant", "acme", "--name", "editor"];
    machine.said(&[&["license", "burst"][..], &which, &["+20", "--for", "8h"]].concat());
    let listed = machine.said(&["license", "ls", "--tenant", "acme", "--json"]);
    assert!(listed.contains(r#""seats_total":22"#), "{listed}");
    let told = machine.said(&["audit", "export", "--tenant", "acme"]);
    assert!(told.contains("license.burst"), "{told}");
    for bad in [["+20", "--for", "32d"], ["+x", "--for", "8h"], ["+20", "--for", "8"]] {
        let output = machine.admin(&[&["license", "burst"][..], &which, &bad].concat());
        assert!(!output.status.success(), "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_change_standings_beside_a_running_service() {
    let machine = Machine::new();
    let key = machine.license("2");
    let mut child = machine.serve();
    let mut client = Client::connect(&machine.path("l.sock")).await;
    let body = json!({"license_key": key, "hardware_id": "a"}).to_string();
    let acquire = "/api/v1/license/acquire";
    let (status, got) = machine.ask(&mut client, "POST", acquire, &body).await.unwrap();
    assert_eq!(status, 201);
    let beat =
        format!("/api/v1/license/sessions/{}/heartbeat", got["session_id"].as_str().unwrap());
    let license = ["--tenant", "acme", "--name", "editor"];
    let cases: [(&[&str], &str, u16); 9] = [
        (&["tenant", "suspend", "acme"], "tenant_suspended", 403),
        (&["tenant", "activate", "acme"], "", 200),
        (&["subject", "suspend", "--tenant", "acme", "anna"], "subject_suspended", 403),
        (&["subject", "activate", "--tenant", "acme", "anna"], "", 200),
        (
            &["license", "suspend", license[0], license[1], license[2], license[3]],
            "license_suspended",
            403,
        ),
        (&["license", "activate", license[0], license[1], license[2], license[3]], "", 200),
        (&["license", "seats", license[0], license[1], license[2], license[3], "0"], "", 200),
        (
            &["license", "revoke", license[0], license[1], license[2], license[3]],
            "license_revoked",
            403,
        ),
        (&["license", "activate", license[0], license[1], license[2], license[3]], "", 200),
    ];
    for (arguments, code, expected) in cases {
        machine.said(arguments);
        for (method, target, body) in
            [("PATCH", beat.as_str(), ""), ("POST", acquire, body.as_str())]
        {
            let (status, answer) = machine.ask(&mut client, method, target, body).await.unwrap();
            assert_eq!(
                (status, answer["error"].as_str().unwrap_or_default()),
                (expected, code),
                "{arguments:?}"
            );
        }
    }
    let listed =
        machine.said(&["session", "ls", license[0], license[1], license[2], license[3], "--json"]);
    let held: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!(held["user_id"], "anna");
    machine.said(&["session", "revoke", "--tenant", "acme", held["id"].as_str().unwrap()]);
    let (status, answer) = machine.ask(&mut client, "PATCH", &beat, "").await.unwrap();
    assert_eq!((status, answer["error"].as_str().unwrap()), (410, "session_revoked"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_cannot_start_says_why() {
    let machine = Machine::new();
    let refused = |yaml: &str, says: &str| {
        std::fs::write(machine.path("license.yaml"), yaml).unwrap();
        let output = program()
            .arg("serve")
            .arg("--config")
            .arg(machine.path("license.yaml"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(says), "{text}");
    };
    let with = |listen: &str, database: &str, keys: &str| {
        format!(
            "version: 1\nlisten: {listen}\ndatabase: {{ sqlite: {database} }}\nedge_keys: {keys}\n"
        )
    };
    refused("version: 1\nlisten: { unix: s }\nbogus: 1\n", "bogus");
    refused(&with("{ unix: s }", "l.db", "none.jwks"), "none.jwks");
    refused(&with("{ unix: no/such/dir/s }", "l.db", "edge.jwks"), "no/such/dir/s");
    refused(&with("{ unix: s }", "no/such/dir/l.db", "edge.jwks"), "no/such/dir/l.db");
    refused(&with("{ unix: edge.jwks }", "l.db", "edge.jwks"), "no socket");
    std::fs::write(
        machine.path("text.db"),
        "this is no database, however long this text may be".repeat(100),
    )
    .unwrap();
    refused(&with("{ unix: s }", "text.db", "edge.jwks"), "database");
    let output = program().arg("serve").arg("--config").arg("absent.yaml").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("absent.yaml"));
}

#[tokio::test]
async fn a_second_service_on_one_database_or_socket_is_refused() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.listen = license_core::settings::Listen::Unix(world.path("other.sock"));
    let error = license_core::Service::start(settings, world.clock.clone()).await.unwrap_err();
    assert!(
        matches!(error, license_core::StartError::Store(license_core::OpenError::InUse(_))),
        "{error:?}"
    );
    let mut settings = world.settings();
    settings.database = license_core::settings::Database::Sqlite(world.path("other.db"));
    let error = license_core::Service::start(settings, world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, license_core::StartError::Bind { .. }), "{error:?}");
    let answer = world.ask(user("acme", "anna"), Method::GET, "/x", b"").await;
    answer.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_command_does_not_pass_for_a_server_that_is_away() {
    let machine = Machine::new();
    let key = machine.license("1");
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let body = json!({"license_key": key, "hardware_id": "a"}).to_string();
    let (_, got) =
        machine.ask(&mut client, "POST", "/api/v1/license/acquire", &body).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The server is long gone: what it wrote last stands twenty minutes back, and so does the lease.
    let options = SqliteConnectOptions::new().filename(machine.path("l.db"));
    let mut file = options.connect().await.unwrap();
    let back = "UPDATE memory SET value = value - 1200000 WHERE name = 'alive_at'; \
        UPDATE session SET started_at = started_at - 1200000, expires_at = expires_at - 1200000";
    sqlx::raw_sql(back).execute(&mut file).await.unwrap();
    machine.said(&["license", "seats", "--tenant", "acme", "--name", "editor", "2"]);
    let mut child = machine.serve();
    let mut client = machine.client().await;
    let beat =
        format!("/api/v1/license/sessions/{}/heartbeat", got["session_id"].as_str().unwrap());
    assert_eq!(machine.ask(&mut client, "PATCH", &beat, "").await.unwrap().0, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}
