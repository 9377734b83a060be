//! The plain, read-only listener of `/metrics`, `/healthz` and `/readyz`. Bind it where only operators and scrapers are.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::shared::Shared;

/// The embedded license service's page, where one runs.
pub(crate) type LicensePage = Arc<ArcSwapOption<license_core::MetricsPage>>;

/// Prometheus' text format, version 0.0.4.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The listener, bound and not yet served.
#[derive(Debug)]
pub struct Exposition {
    listener: TcpListener,
}

#[derive(Debug)]
struct Served {
    shared: Arc<Shared>,
    ready: Arc<AtomicBool>,
    license: LicensePage,
}

impl Exposition {
    /// Binds the address.
    ///
    /// # Errors
    /// When the system refuses, as for a port in use.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Takes a socket that the process before has passed on.
    ///
    /// # Errors
    /// When the system does not take it.
    pub fn inherit(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(socket)? })
    }

    /// Returns a second handle to the socket, for a successor.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn handle(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Returns the address that is bound.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` changes. `ready` is what `/readyz` answers: false before the edge serves and while it drains.
    /// The metrics of `license` are part of `/metrics`.
    ///
    /// # Errors
    /// When accepting breaks off.
    pub(crate) async fn serve(
        self,
        shared: Arc<Shared>,
        ready: Arc<AtomicBool>,
        license: LicensePage,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readiness))
            .with_state(Arc::new(Served { shared, ready, license }));
        let stopped = async move {
            // An error means that the sender is gone, which stops us as well.
            stop.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
        };
        axum::serve(self.listener, routes).with_graceful_shutdown(stopped).await
    }
}

async fn metrics(State(served): State<Arc<Served>>) -> impl IntoResponse {
    let shared = &served.shared;
    shared.metrics.figures(&shared.state.figures());
    shared.metrics.sign_in_figures(shared.sign_ins.evicted());
    let revoked = shared.snapshot.load().revoked.len();
    let keys = shared.api_keys.keys().len();
    shared.metrics.api_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    shared.metrics.owner_figures(&shared.owners.figures());
    shared.metrics.token_figures(
        &shared.tokens.figures(),
        shared.revocations.list().len(),
        revoked,
    );
    let mut text = shared.metrics.text();
    if let Some(license) = served.license.load().as_ref() {
        text.extend_from_slice(license.render().as_bytes());
    }
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}

async fn readiness(State(served): State<Arc<Served>>) -> impl IntoResponse {
    if served.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
