//! `allow ls`, `allow add`, `allow rm`: who is never banned.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use http::StatusCode;
use portcullis_config::Timestamp;
use portcullis_policy::BanKey;
use serde::Deserialize;
use serde_json::{Map, json};

use super::ban::{ends, remaining};
use super::message::{AddAllow, AllowAdded, AllowView, BanView};
use super::server::{Answer, Operator, Peer, refuse};
use crate::bans::{AllowEntry, apply};
use crate::log::rfc3339;

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Json<Vec<AllowView>> {
    let now = operator.shared.clock.now();
    Json(operator.shared.allowances.list(now).iter().map(|entry| view(entry, now)).collect())
}

pub(super) async fn add(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<AddAllow>,
) -> Answer<AllowAdded> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let key: BanKey = wanted.key.parse().map_err(|error| bad(format!("{error}")))?;
    let now = operator.shared.clock.now();
    let entry = AllowEntry {
        until: ends(wanted.for_secs, now).map_err(bad)?,
        since: now,
        reason: wanted.reason.clone().unwrap_or_else(|| "no reason given".to_owned()),
        by: peer.actor().to_string(),
        key,
    };
    let span = wanted.for_secs.map_or_else(String::new, |secs| format!(" --for {secs}s"));
    let command = format!("allow add {}{span}", entry.key);
    let outcome = Map::from_iter([("until".to_owned(), json!(entry.until.map(rfc3339)))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let shown = view(&entry, now);
    operator.shared.allowances.add(entry).map_err(|error| bad(error.to_string()))?;
    let ended = apply(&operator.shared).iter().map(|ban| BanView::of(ban, now)).collect();
    operator.store().await?;
    Ok(Json(AllowAdded { entry: shown, ended }))
}

/// The query of `allow rm`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    key: String,
    reason: Option<String>,
}

pub(super) async fn remove(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(selected): Query<Selected>,
) -> Answer<AllowView> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let key: BanKey = selected.key.parse().map_err(|error| bad(format!("{error}")))?;
    let now = operator.shared.clock.now();
    let command = format!("allow rm {key}");
    operator.record(&peer.actor(), &command, selected.reason.as_deref(), &Map::new())?;
    let Some(gone) = operator.shared.allowances.remove(&key) else {
        let error = format!(
            "no operator has put `{key}` on the allow-list; lists of the configuration are changed in their files"
        );
        return Err(refuse(StatusCode::NOT_FOUND, error));
    };
    apply(&operator.shared);
    operator.store().await?;
    Ok(Json(view(&gone, now)))
}

fn view(entry: &AllowEntry, now: Timestamp) -> AllowView {
    AllowView {
        key: entry.key.to_string(),
        by: entry.by.clone(),
        reason: entry.reason.clone(),
        since: rfc3339(entry.since),
        until: entry.until.map(rfc3339),
        remaining_secs: entry.until.map(|until| remaining(until, now)),
    }
}
