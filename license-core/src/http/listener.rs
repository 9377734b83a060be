//! Sockets: bind, accept under a cap, end gracefully.

use crate::service::{End, LocalAddress, told_to_end};
use crate::settings::Listen;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

/// The most connections at once; beyond them callers wait in the socket's backlog.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in hand may take once the service ends.
const DRAIN: Duration = Duration::from_secs(10);

/// A bound socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener, SocketAddr),
}

impl Listener {
    /// Takes a Unix socket that the process before bound.
    pub(crate) fn inherit(
        socket: std::os::unix::net::UnixListener,
        path: &Path,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(socket)?, path.to_owned()))
    }

    /// Returns a second handle to the socket, for a successor.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Unix(listener, _) => listener.as_fd().try_clone_to_owned(),
            Self::Tcp(listener, _) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Binds the address. A Unix socket is mode 0600 before its name appears.
    pub(crate) async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Unix(path) => Ok(Self::Unix(bind_private(path).await?, path.clone())),
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let bound = listener.local_addr()?;
                Ok(Self::Tcp(listener, bound))
            }
        }
    }

    /// Returns where it is bound.
    pub(crate) fn address(&self) -> LocalAddress {
        match self {
            Self::Unix(_, path) => LocalAddress::Unix(path.clone()),
            Self::Tcp(_, address) => LocalAddress::Tcp(*address),
        }
    }

    /// Serves until `end` says so, then lets requests in hand finish.
    pub(crate) async fn serve(self, router: Router, mut end: watch::Receiver<End>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
        loop {
            let permit =
                permits.clone().acquire_owned().await.expect("nobody closes this semaphore");
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                () = told_to_end(&mut end) => break,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // The usual cause is a lack of file descriptors, which only time cures.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let connection = connection(stream, router.clone(), &graceful);
            tokio::spawn(async move {
                connection.await;
                drop(permit);
            });
        }
        if let Self::Unix(_, path) = &self
            && *end.borrow() != End::HandedOver
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "the socket was not removed");
        }
        drop(self);
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still in hand when the service ended");
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Tcp(listener, _) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

fn connection(
    stream: Box<dyn Stream>,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    let serving = builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .into_owned();
    let watched = graceful.watch(serving);
    async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Binds beside the name, sets the mode, then moves the socket to its name, over one that nobody listens on.
async fn bind_private(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens on this socket",
        ));
    }
    if std::fs::symlink_metadata(path)
        .is_ok_and(|there| !std::os::unix::fs::FileTypeExt::is_socket(&there.file_type()))
    {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of this name that is no socket",
        ));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    if let Err(error) = std::fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}
