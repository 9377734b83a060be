//! `reload`, `reload --keep`, `policy rollback`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use http::StatusCode;

use super::message::{Failure, ReloadView, WantReload};
use super::server::{Answer, Operator, Peer, refuse};
use crate::audit::Actor;
use crate::reload::Reloader;

/// The longest wait for a confirmation.
const CONFIRM_SECS_MAX: u64 = 24 * 3600;

pub(super) async fn reload(
    operator: State<Arc<Operator>>,
    peer: ConnectInfo<Peer>,
    Json(wanted): Json<WantReload>,
) -> Answer<ReloadView> {
    if wanted.confirm_secs.is_some_and(|secs| secs == 0 || secs > CONFIRM_SECS_MAX) {
        let error = "a confirmation is awaited from 1 s to 24 h".to_owned();
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, error));
    }
    let confirm = wanted.confirm_secs.map(Duration::from_secs);
    off_the_worker(operator, peer, move |reloader, actor| reloader.reload(actor, confirm)).await
}

pub(super) async fn keep(
    operator: State<Arc<Operator>>,
    peer: ConnectInfo<Peer>,
) -> Answer<ReloadView> {
    off_the_worker(operator, peer, Reloader::keep).await
}

pub(super) async fn roll_back(
    operator: State<Arc<Operator>>,
    peer: ConnectInfo<Peer>,
) -> Answer<ReloadView> {
    off_the_worker(operator, peer, Reloader::roll_back).await
}

/// A change compiles, or waits for one that does: not on a worker thread.
async fn off_the_worker(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    change: impl FnOnce(&Reloader, &Actor) -> Result<ReloadView, Failure> + Send + 'static,
) -> Answer<ReloadView> {
    let reloader = Arc::clone(&operator.reloader);
    let actor = peer.actor();
    match tokio::task::spawn_blocking(move || change(&reloader, &actor)).await {
        Ok(Ok(view)) => Ok(Json(view)),
        Ok(Err(failure)) => Err((StatusCode::UNPROCESSABLE_ENTITY, Json(failure))),
        Err(error) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}
