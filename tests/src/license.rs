//! The license service behind an edge: in this process on the test's clock, or as the real binary.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use license_core::settings::{Database, Listen};
use license_core::{Clock, Leasing, LicenseName, NewLicense, Running, Service, Settings, TenantId};
use portcullis::shared::Shared;
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::{Edge, within};

/// How the service runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// In this process, on the clock that the test moves.
    Embedded,
    /// As `license-core serve`, on the machine's clock.
    OwnProcess,
}

/// Where a service will listen: needed before the edge starts, which in turn has the keys that the service needs.
#[derive(Debug)]
pub struct LicenseHome {
    directory: TempDir,
}

/// A running service with one license.
#[derive(Debug)]
pub struct License {
    /// The license key.
    pub key: String,
    /// The license's id.
    pub id: String,
    _service: Process,
}

#[derive(Debug)]
enum Process {
    Embedded { _running: Running },
    OwnProcess(Child),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::OwnProcess(child) = self {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The edge's clock, as the license service takes it.
#[derive(Debug)]
struct EdgeClock(Arc<Shared>);

impl Clock for EdgeClock {
    fn now(&self) -> license_core::Timestamp {
        license_core::Timestamp::from_millis(self.0.clock.now().as_millis())
    }
}

impl LicenseHome {
    /// Makes a directory for one service.
    ///
    /// # Panics
    ///
    /// When none can be made.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("a directory can be made") }
    }

    /// The server to name in the edge's configuration.
    #[must_use]
    pub fn server(&self) -> String {
        format!("unix:{}", self.path("license.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the service with one license of `seats` seats for the tenant.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn start(&self, way: Way, edge: &Edge, tenant: &str, seats: u32) -> License {
        let keys = edge.shared().signing.jwks();
        std::os::unix::fs::symlink(keys, self.path("edge.jwks")).expect("a link can be made");
        match way {
            Way::Embedded => self.embedded(edge, tenant, seats).await,
            Way::OwnProcess => self.own_process(tenant, seats).await,
        }
    }

    async fn embedded(&self, edge: &Edge, tenant: &str, seats: u32) -> License {
        let settings = Settings::new(
            Database::Sqlite(self.path("license.db")),
            Listen::Unix(self.path("license.sock")),
            self.path("edge.jwks"),
        );
        let clock = Arc::new(EdgeClock(Arc::clone(edge.shared())));
        let running = Service::start(settings, clock).await.expect("the service starts");
        edge.license_port().lead_to(Some(&running));
        let tenant: TenantId = tenant.parse().expect("a tenant id");
        running.operator().create_tenant(&tenant).await.expect("a tenant can be made");
        let created = running
            .operator()
            .create_license(license(tenant, seats))
            .await
            .expect("a license can be made");
        License {
            key: created.key.to_string(),
            id: created.id,
            _service: Process::Embedded { _running: running },
        }
    }

    async fn own_process(&self, tenant: &str, seats: u32) -> License {
        let config = self.path("license.yaml");
        let text = "version: 1\ndatabase: { sqlite: license.db }\nlisten: { unix: license.sock }\nedge_keys: edge.jwks\n";
        std::fs::write(&config, text).expect("the settings can be written");
        let mut serve = Command::new(binary("license-core"));
        serve.arg("serve").arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let service = Process::OwnProcess(serve.spawn().expect("the binary starts"));
        within("the service's start", self.accepting()).await;
        self.admin(&["tenant", "create", tenant]);
        let seats = seats.to_string();
        let printed = self.admin(&[
            "license",
            "create",
            "--tenant",
            tenant,
            "--name",
            "editor",
            "--product",
            "editor",
            "--seats",
            &seats,
        ]);
        let text = String::from_utf8(printed).expect("the command prints text");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().next().expect("a value").to_owned()
        };
        License { key: field("key "), id: field("license "), _service: service }
    }

    async fn accepting(&self) {
        while UnixStream::connect(self.path("license.sock")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn admin(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(binary("license-core"));
        command.arg("admin").arg("--config").arg(self.path("license.yaml")).args(arguments);
        let output = command.output().expect("the binary starts");
        assert!(output.status.success(), "{arguments:?}: {}", output.stderr.escape_ascii());
        output.stdout
    }
}

impl Default for LicenseHome {
    fn default() -> Self {
        Self::new()
    }
}

fn license(tenant: TenantId, seats: u32) -> NewLicense {
    let name: LicenseName = "editor".parse().expect("a name");
    NewLicense {
        tenant,
        name: name.clone(),
        product: name,
        seats,
        leasing: Leasing::PerMachine,
        key_prefix: "LIC".parse().expect("a prefix"),
        expires_at: None,
    }
}

/// Finds a binary of the workspace beside the test that runs.
///
/// # Panics
///
/// When it was not built: `cargo test --workspace` builds it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let found =
        test.ancestors().nth(2).map(|target| target.join(name)).filter(|path| path.exists());
    found.unwrap_or_else(|| panic!("`{name}` is not built: cargo build --workspace --bins"))
}
