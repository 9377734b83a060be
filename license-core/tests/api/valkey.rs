//! A Redis or Valkey of a test's own, on a Unix socket, or on a port with TLS and a password.

use license_core::settings::{Accelerator, Secret};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The server; it ends with the test.
#[derive(Debug)]
pub(crate) struct Valkey {
    child: Option<Child>,
    arguments: Vec<String>,
    url: String,
    pub(crate) ca: Option<PathBuf>,
}

fn program() -> Option<&'static str> {
    let found = ["valkey-server", "redis-server"].into_iter().find(|name| {
        let asked = Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        assert!(
            std::env::var("REQUIRE_ALL").as_deref() != Ok("1"),
            "REQUIRE_ALL=1 and there is no Redis or Valkey"
        );
        println!("skipped: no Redis or Valkey server (install Debian's `redis-server`)");
    }
    found
}

impl Valkey {
    /// Starts one on a socket in `dir`; `None` where there is none to start.
    pub(crate) async fn launch(dir: &Path) -> Option<Self> {
        program()?;
        let socket = dir.join("valkey.sock");
        let arguments =
            vec!["--port".into(), "0".into(), "--unixsocket".into(), socket.display().to_string()];
        Some(Self::with(arguments, format!("unix://{}", socket.display()), None).await)
    }

    /// Starts one that speaks TLS and asks for a password.
    pub(crate) async fn with_tls(dir: &Path) -> Option<Self> {
        program()?;
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (dir.join("valkey.pem"), dir.join("valkey.key"));
        std::fs::write(&cert, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let mut arguments = vec!["--port".to_owned(), "0".to_owned()];
        for (name, value) in [
            ("--tls-port", port.to_string().as_str()),
            ("--tls-cert-file", cert.as_str()),
            ("--tls-key-file", key.as_str()),
            ("--tls-ca-cert-file", cert.as_str()),
            ("--tls-auth-clients", "no"),
            ("--requirepass", "hush"),
        ] {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
        let url = format!("rediss://:hush@localhost:{port}");
        Some(Self::with(arguments, url, Some(PathBuf::from(cert))).await)
    }

    async fn with(arguments: Vec<String>, url: String, ca: Option<PathBuf>) -> Self {
        let mut server = Self { child: None, arguments, url, ca };
        server.start().await;
        server
    }

    pub(crate) async fn start(&mut self) {
        let mut command = Command::new(program().unwrap());
        command
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.arguments);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for _ in 0..200 {
            if self.ask(&["PING"]).is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no Redis or Valkey came up at {}", self.url);
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn settings(&self) -> Accelerator {
        Accelerator {
            url: Secret::new(self.url.clone()),
            ahead: Duration::from_secs(180),
            ca: self.ca.clone(),
        }
    }

    /// Asks a command on a connection of its own.
    pub(crate) fn ask(&self, words: &[&str]) -> Option<redis::Value> {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client = match &self.ca {
            None => redis::Client::open(self.url.as_str()).ok()?,
            Some(ca) => {
                let root_cert = Some(std::fs::read(ca).unwrap());
                let certificates = redis::TlsCertificates { client_tls: None, root_cert };
                redis::Client::build_with_tls(self.url.as_str(), certificates).ok()?
            }
        };
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(2)).ok()?;
        let (name, arguments) = words.split_first()?;
        let mut command = redis::cmd(name);
        command.arg(arguments);
        command.query(&mut connection).ok()
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
