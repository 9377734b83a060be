//! The plain listener of `/metrics`, `/healthz` and `/readyz`, and of `/alerts`, which takes what Alertmanager posts. Bind it where only operators and scrapers are.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::alerts;
use crate::incidents::DeskHandle;
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
    desk: DeskHandle,
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
        desk: DeskHandle,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readiness))
            .route("/alerts", post(take_alerts))
            .layer(DefaultBodyLimit::max(alerts::ALERTS_BYTES_MAX))
            .with_state(Arc::new(Served { shared, ready, license, desk }));
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

/// Takes alerts from whoever has the key. What is answered 200 is on disk; after a 5xx Alertmanager posts again.
async fn take_alerts(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let Some(key) = served.shared.snapshot.load().alerts_key.clone() else {
        return (
            StatusCode::NOT_FOUND,
            "alerts are not taken: see incidents.alerts_key\n".to_owned(),
        );
    };
    let shown =
        headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let is_right = |shown| verify_slices_are_equal(shown, key.expose().trim_ascii()).is_ok();
    if !shown.is_some_and(is_right) {
        return (
            StatusCode::UNAUTHORIZED,
            "the key is not the one of incidents.alerts_key\n".to_owned(),
        );
    }
    let alerts = match alerts::read(&body) {
        Ok(alerts) => alerts,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match alerts::take(&served.shared, &served.desk, alerts).await {
        Ok(_) => (StatusCode::OK, "taken\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn readiness(State(served): State<Arc<Served>>) -> impl IntoResponse {
    if served.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
