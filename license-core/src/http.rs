//! The HTTP service: the gate (assertion), the API behind it, and the one error shape.

mod acquire;
mod answer;
mod catalog;
mod docs;
pub(crate) mod gate;
mod holders;
mod idempotency;
mod keys;
mod license_file;
mod licenses;
pub(crate) mod listener;
mod offline;
mod openapi;
mod operations;
mod people;
mod personal;
mod policies;
pub(crate) mod rates;
mod reports;
mod request;
mod sessions;
mod signatures;
mod validate;
pub(crate) mod webhooks;

use crate::assertion::KeySource;
use crate::clock::Clock;
use crate::domain::lease::Session;
use crate::domain::names::TenantId;
use crate::metrics::Metrics;
use crate::reason::Reason;
use crate::settings::Lease;
use crate::signing::{SecretBox, Signer};
use crate::store::Store;
use crate::vault::Vault;
use crate::webhooks::Guard;
use answer::refuse;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use operations::{Access, OPERATIONS};
pub(crate) use personal::{Held, Person};
use rates::Counts;
use sessions::SessionView;
use std::sync::Arc;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Arc<KeySource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lease: Lease,
    /// Signs receipts, where the settings have a wrapping key.
    pub(crate) signer: Option<Arc<Signer>>,
    /// Seals the secrets of webhooks, where the settings have a wrapping key.
    pub(crate) secrets: Option<Arc<SecretBox>>,
    /// Judges where webhooks lead.
    pub(crate) guard: Arc<Guard>,
    /// Counts what users ask, where the settings say so.
    pub(crate) counts: Arc<Counts>,
    /// Seals personal data, where the settings say so.
    pub(crate) vault: Option<Arc<Vault>>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Builds the service: everything but health stands behind the gate, what does not exist included.
pub(crate) fn router(api: Api) -> Router {
    let (mut open, mut guarded) = (Router::new(), Router::new());
    for operation in OPERATIONS {
        let router = if operation.access == Access::Open { &mut open } else { &mut guarded };
        for path in operation.spellings() {
            *router = std::mem::take(router).route(&path, (operation.handler)());
        }
    }
    let guarded = guarded
        .fallback(async || refuse(Reason::NotFound))
        .method_not_allowed_fallback(async || refuse(Reason::MethodNotAllowed))
        .layer(from_fn_with_state(api.clone(), gate::admit))
        .with_state(api.clone());
    let open = open
        .route("/openapi.json", get(openapi::show))
        .route("/docs", get(docs::show))
        .route("/docs/", get(docs::show))
        .with_state(api.clone())
        .method_not_allowed_fallback(async || refuse(Reason::MethodNotAllowed));
    // The envelope goes around both, so that every answer has its shape.
    open.fallback_service(guarded)
        .layer(from_fn_with_state(api.clone(), answer::envelope))
        .layer(from_fn_with_state(api, signatures::sign))
}

impl Api {
    /// Shows a session that was just granted or renewed, with its receipt.
    async fn view(&self, tenant: &TenantId, session: Session) -> SessionView {
        let receipt = match &self.signer {
            Some(signer) => signer.receipt(tenant, &session).await,
            None => None,
        };
        SessionView::new(self.open(tenant, session).await, self.lease, receipt)
    }
}

/// Says that the process lives.
async fn health() -> Response {
    answer::json(StatusCode::OK, &answer::Status { status: "ok" })
}

/// Says that the store serves.
async fn ready(State(api): State<Api>) -> Response {
    match api.store.ready().await {
        Ok(()) => answer::json(StatusCode::OK, &answer::Status { status: "ready" }),
        Err(error) => refuse(error),
    }
}

/// Builds the service that Prometheus reads.
pub(crate) fn metrics_router(metrics: Arc<Metrics>) -> Router {
    let page = get(async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()));
    Router::new().route("/metrics", page)
}
