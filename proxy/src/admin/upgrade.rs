//! `upgrade`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use http::StatusCode;
use serde_json::{Map, json};
use tokio::sync::oneshot;

use super::message::{UpgradeView, WantUpgrade};
use super::server::{Answer, Operator, Peer, refuse};
use crate::upgrade::UpgradeRequest;

pub(super) async fn start(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<WantUpgrade>,
) -> Answer<UpgradeView> {
    let program = wanted.program.as_ref().map(|program| program.display().to_string());
    let outcome = Map::from_iter([("program".to_owned(), json!(program))]);
    operator.record(&peer.actor(), "upgrade", None, &outcome)?;
    let (answer, answered) = oneshot::channel();
    let busy = || refuse(StatusCode::SERVICE_UNAVAILABLE, "the process is stopping".to_owned());
    let request = UpgradeRequest { program: wanted.program, answer };
    operator.upgrades.send(request).await.map_err(|_| busy())?;
    match answered.await.map_err(|_| busy())? {
        Ok((pid, generation)) => Ok(Json(UpgradeView { pid, generation })),
        Err(error) => Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
    }
}
