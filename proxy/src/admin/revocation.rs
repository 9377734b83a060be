//! `token revoke`, `token ls`, `token undo`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use http::StatusCode;
use portcullis_config::Timestamp;
use portcullis_identity::revocation::Revoked;
use serde::Deserialize;
use serde_json::{Map, json};

use super::message::{Failure, RevocationView, Revoke};
use super::server::{Answer, Operator, Peer, refuse};
use crate::compile::moment_of;
use crate::log::rfc3339;
use crate::revocations::{Entry, RevocationError};

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Json<Vec<RevocationView>> {
    let entries = operator.shared.revocations.entries();
    Json(entries.iter().map(|(what, entry)| view(what, entry)).collect())
}

pub(super) async fn revoke(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<Revoke>,
) -> Answer<RevocationView> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let what = wanted.what.parse::<Revoked>().map_err(|error| bad(error.to_string()))?;
    known_provider(&operator, &what).map_err(|error| refuse(StatusCode::NOT_FOUND, error))?;
    let now = operator.shared.clock.now();
    let before = reach(&what, &wanted, now).map_err(bad)?;
    let span =
        before.map_or_else(|| "--all".to_owned(), |before| format!("--before {}", rfc3339(before)));
    let command = format!("token revoke {what} {span}");
    let outcome = Map::from_iter([("before".to_owned(), json!(before.map(rfc3339)))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let entry = Entry { before, since: now, by: peer.actor().to_string(), reason: wanted.reason };
    let entry = operator.shared.revocations.revoke(what.clone(), entry);
    entry.map(|entry| Json(view(&what, &entry))).map_err(|error| failed(&error))
}

/// The query of `token undo`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    what: String,
    reason: Option<String>,
}

pub(super) async fn undo(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(selected): Query<Selected>,
) -> Answer<RevocationView> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let what = selected.what.parse::<Revoked>().map_err(|error| bad(error.to_string()))?;
    let entries = operator.shared.revocations.entries();
    if !entries.iter().any(|(known, _)| *known == what) {
        let error = format!("`{what}` is not revoked by command: {} entries are", entries.len());
        return Err(refuse(StatusCode::NOT_FOUND, error));
    }
    let command = format!("token undo {what}");
    operator.record(&peer.actor(), &command, selected.reason.as_deref(), &Map::new())?;
    match operator.shared.revocations.undo(&what).map_err(|error| failed(&error))? {
        Some(entry) => Ok(Json(view(&what, &entry))),
        None => Err(refuse(StatusCode::NOT_FOUND, format!("`{what}` is not revoked any more"))),
    }
}

/// Says what an entry reaches. Where nothing is said: one token and what a key signed wholly, everything else as far as it
/// is issued by now, so that its owner can sign in again.
fn reach(what: &Revoked, wanted: &Revoke, now: Timestamp) -> Result<Option<Timestamp>, String> {
    if let Some(before) = &wanted.before {
        return moment_of(before).map(Some);
    }
    let is_whole = match what {
        Revoked::Token { .. } | Revoked::Key { .. } => true,
        Revoked::Subject { .. } | Revoked::Tenant(_) | Revoked::Provider(_) => wanted.all,
    };
    Ok((!is_whole).then_some(now))
}

/// A name that nobody has would revoke nothing, and nobody would know.
fn known_provider(operator: &Operator, what: &Revoked) -> Result<(), String> {
    let Some(provider) = what.provider() else { return Ok(()) };
    let config = Arc::clone(&operator.shared.snapshot.load().config);
    let mut providers = config.identity.names();
    if providers.any(|known| known == provider) {
        return Ok(());
    }
    let known: Vec<_> = config.identity.names().map(String::as_str).collect();
    Err(format!("there is no provider `{provider}`: there are {}", known.join(", ")))
}

fn failed(error: &RevocationError) -> (StatusCode, Json<Failure>) {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn view(what: &Revoked, entry: &Entry) -> RevocationView {
    RevocationView {
        what: what.to_string(),
        before: entry.before.map(rfc3339),
        since: rfc3339(entry.since),
        by: entry.by.clone(),
        reason: entry.reason.clone(),
    }
}
