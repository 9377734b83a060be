//! `ban ls`, `ban add`, `ban rm`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use http::StatusCode;
use portcullis_config::Timestamp;
use portcullis_policy::{Ban, BanKey, BanOrigin, BanSelector};
use serde::Deserialize;
use serde_json::{Map, json};

use super::message::{AddBan, BanView, Failure};
use super::server::{Answer, Operator, Peer, refuse};
use crate::log::rfc3339;

/// The longest ban that has an end; longer ones are placed for good.
const BAN_SECS_MAX: u64 = 10 * 365 * 24 * 3600;

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Json<Vec<BanView>> {
    let now = operator.shared.clock.now();
    Json(operator.shared.state.bans(now).iter().map(|ban| view(ban, now)).collect())
}

pub(super) async fn add(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<AddBan>,
) -> Answer<BanView> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let key: BanKey = wanted.key.parse().map_err(|error| bad(format!("{error}")))?;
    if wanted.for_secs.is_some_and(|secs| secs == 0 || secs > BAN_SECS_MAX) {
        return Err(bad("a ban lasts from 1 s to 10 years, or is permanent".to_owned()));
    }
    let now = operator.shared.clock.now();
    let ban = Ban {
        until: wanted.for_secs.map(|secs| now.plus(Duration::from_secs(secs))),
        since: now,
        reason: wanted.reason.clone().unwrap_or_else(|| "no reason given".to_owned()),
        origin: BanOrigin::Operator(peer.actor().to_string()),
        definition: None,
        key,
    };
    let span =
        wanted.for_secs.map_or_else(|| "--permanent".to_owned(), |secs| format!("--for {secs}s"));
    let command = format!("ban add {} {span}", ban.key);
    let outcome = Map::from_iter([("until".to_owned(), json!(ban.until.map(rfc3339)))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let shown = view(&ban, now);
    operator.shared.state.add_ban(ban, now).map_err(|error| bad(error.to_string()))?;
    operator.shared.metrics.bans_added.with_label_values(&["operator"]).inc();
    Ok(Json(shown))
}

/// The query of `ban rm`.
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
) -> Answer<Vec<BanView>> {
    let selector: BanSelector = selected
        .key
        .parse()
        .map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}")))?;
    let now = operator.shared.clock.now();
    let lifted = operator.shared.state.remove_bans(&selector);
    let keys: Vec<String> = lifted.iter().map(|ban| ban.key.to_string()).collect();
    let outcome = Map::from_iter([("lifted".to_owned(), json!(keys))]);
    let command = format!("ban rm {}", selected.key);
    operator.record(&peer.actor(), &command, selected.reason.as_deref(), &outcome)?;
    if lifted.is_empty() {
        let error = format!("no ban names `{}`", selected.key);
        return Err((StatusCode::NOT_FOUND, Json(Failure { error, problems: Vec::new() })));
    }
    Ok(Json(lifted.iter().map(|ban| view(ban, now)).collect()))
}

pub(super) fn view(ban: &Ban, now: Timestamp) -> BanView {
    BanView {
        key: ban.key.to_string(),
        origin: match &ban.origin {
            BanOrigin::Rule => "rule".to_owned(),
            BanOrigin::Operator(name) => format!("operator:{name}"),
            BanOrigin::Incident(id) => format!("incident:{id}"),
        },
        reason: ban.reason.clone(),
        since: rfc3339(ban.since),
        until: ban.until.map(rfc3339),
        remaining_secs: ban.until.map(|until| {
            let millis = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
            millis.div_ceil(1000)
        }),
    }
}
