//! The listening side of the socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::extract::connect_info::Connected;
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use http::StatusCode;
use portcullis_config::Timestamp;
use serde_json::{Map, Value};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::message::Failure;
use super::{
    allow, api_key, assertion, backend, ban, change, erasure, incident, lockdown, revocation,
    status, upgrade, why,
};
use crate::audit::{Actor, Audit};
use crate::bans::BanKeeper;
use crate::incidents::DeskHandle;
use crate::reload::Reloader;
use crate::shared::Shared;
use crate::upgrade::UpgradeRequest;
use crate::upstream::Turns;

/// The largest request on the socket.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What the commands work on.
#[derive(Debug)]
pub struct Operator {
    /// The process.
    pub shared: Arc<Shared>,
    /// How a new configuration is taken.
    pub reloader: Arc<Reloader>,
    /// What keeps bans on disk.
    pub bans: Arc<BanKeeper>,
    /// What asks the incident desk.
    pub incidents: DeskHandle,
    /// Where changes are recorded.
    pub audit: Arc<Audit>,
    /// The backends as they stand.
    pub(crate) turns: Arc<Turns>,
    /// When the process started.
    pub started: Timestamp,
    /// The addresses that clients connect to.
    pub listeners: Vec<String>,
    /// The address of the metrics listener.
    pub metrics: Option<SocketAddr>,
    /// Where upgrades are asked for.
    pub upgrades: mpsc::Sender<UpgradeRequest>,
}

impl Operator {
    /// Waits until bans and allow-list are on disk: what is answered survives whatever comes.
    pub(super) async fn store(&self) -> Result<(), (StatusCode, Json<Failure>)> {
        let bans = Arc::clone(&self.bans);
        let stored = tokio::task::spawn_blocking(move || bans.store_now()).await;
        if stored.unwrap_or(false) {
            return Ok(());
        }
        let error = "the change holds, and is not on disk: see the log; it is tried again";
        Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_owned()))
    }

    /// Records a change; a change that cannot be recorded is refused.
    pub(super) fn record(
        &self,
        actor: &Actor,
        command: &str,
        reason: Option<&str>,
        outcome: &Map<String, Value>,
    ) -> Result<(), (StatusCode, Json<Failure>)> {
        let now = self.shared.clock.now();
        self.audit.record(actor, command, reason, outcome, now).map_err(|error| {
            let error = format!("the audit file cannot be written, so nothing is changed: {error}");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, error)
        })
    }
}

/// An answer of the socket.
pub(super) type Answer<T> = Result<Json<T>, (StatusCode, Json<Failure>)>;

pub(super) fn refuse(status: StatusCode, error: String) -> (StatusCode, Json<Failure>) {
    (status, Json(Failure { error, problems: Vec::new() }))
}

/// Why the admin socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Another process listens there.
    #[error("another portcullis listens on the admin socket `{}`: stop it, or give this one a state directory of its own", .0.display())]
    InUse(PathBuf),
    /// Something that is no socket stands there.
    #[error("`{}` is there and is no socket: remove it, or choose another path for `admin.socket`", .0.display())]
    NotASocket(PathBuf),
    /// The directory or the socket cannot be made.
    #[error("the admin socket `{}` cannot be made: {source}", path.display())]
    Make {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The socket, bound and not yet served. The file goes when this is dropped.
#[derive(Debug)]
pub struct AdminServer {
    listener: Option<UnixListener>,
    path: PathBuf,
    /// Device and inode: tells whether the name has become a successor's.
    identity: (u64, u64),
}

impl AdminServer {
    /// Makes the socket with mode 0600, and its directory with mode 0700 if it is not there. A socket that nobody
    /// listens on is left over from a process that was killed, and is replaced.
    ///
    /// # Errors
    /// When another process listens there, something else stands there, or the system refuses.
    pub async fn bind(path: &Path) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Make { path: path.to_owned(), source };
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        }
        clear_leftover(path).await?;
        Self::place(path)
    }

    /// Makes the socket in the place of the one on which the process before listens: whoever has connected there goes on
    /// with that process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn succeed(path: &Path) -> Result<Self, AdminError> {
        Self::place(path)
    }

    fn place(path: &Path) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Make { path: path.to_owned(), source };
        // Between bind and chmod the socket has the mode of the umask. It is bound under a name that nobody knows and
        // moved to its place with its mode set.
        let hidden = path.with_extension(format!("{}.tmp", std::process::id()));
        let listener = UnixListener::bind(&hidden).map_err(failed)?;
        let placed = fs::set_permissions(&hidden, Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&hidden, path))
            .and_then(|()| identity(path));
        match placed {
            Ok(identity) => Ok(Self { listener: Some(listener), path: path.to_owned(), identity }),
            Err(source) => {
                remove(&hidden);
                Err(failed(source))
            }
        }
    }

    /// Serves until `stop` changes.
    ///
    /// # Errors
    /// When accepting breaks off.
    pub async fn serve(
        mut self,
        operator: Arc<Operator>,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let routes = Router::new()
            .route("/v1/reload", post(change::reload))
            .route("/v1/reload/keep", post(change::keep))
            .route("/v1/rollback", post(change::roll_back))
            .route("/v1/upgrade", post(upgrade::start))
            .route("/v1/status", get(status::show))
            .route("/v1/why", get(why::show))
            .route("/v1/allow", get(allow::list).post(allow::add).delete(allow::remove))
            .route("/v1/bans", get(ban::list).post(ban::add).delete(ban::remove))
            .route("/v1/incidents", get(incident::list))
            .route("/v1/incident", get(incident::show).post(incident::change))
            .route("/v1/alerts", post(incident::take_alerts))
            .route("/v1/incidents/test-notify", post(incident::test_notify))
            .route("/v1/log/erase", post(erasure::erase))
            .route("/v1/backends", get(backend::list).post(backend::drain))
            .route(
                "/v1/lockdowns",
                get(lockdown::list).post(lockdown::place).delete(lockdown::lift),
            )
            .route("/v1/keys", get(api_key::list).post(api_key::issue).delete(api_key::revoke))
            .route("/v1/keys/rotate", post(api_key::rotate))
            .route("/v1/assertion", get(assertion::show))
            .route("/v1/assertion/rotate", post(assertion::rotate))
            .route(
                "/v1/revocations",
                get(revocation::list).post(revocation::revoke).delete(revocation::undo),
            )
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(operator);
        let stopped = async move {
            // An error means that the sender is gone, which stops us as well.
            stop.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
        };
        axum::serve(listener, routes.into_make_service_with_connect_info::<Peer>())
            .with_graceful_shutdown(stopped)
            .await
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.identity) {
            remove(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "the admin socket is gone already");
    }
}

async fn clear_leftover(path: &Path) -> Result<(), AdminError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(AdminError::NotASocket(path.to_owned()));
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(AdminError::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| AdminError::Make { path: path.to_owned(), source })
}

/// The process at the other end.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    uid: Option<u32>,
}

impl Peer {
    /// A peer whose uid the system does not tell is written as the overflow uid, which is nobody.
    pub(super) fn actor(&self) -> Actor {
        Actor::Uid(self.uid.unwrap_or(65_534))
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}
