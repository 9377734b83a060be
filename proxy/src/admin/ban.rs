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

/// The query of `ban ls`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Only bans of this rule, written `POLICY/PRIORITY`.
    rule: Option<String>,
}

pub(super) async fn list(
    State(operator): State<Arc<Operator>>,
    Query(listed): Query<Listed>,
) -> Json<Vec<BanView>> {
    let now = operator.shared.clock.now();
    let selector = listed.rule.map(BanSelector::Rule);
    let bans = operator.shared.state.bans(now);
    let wanted = bans.iter().filter(|ban| selector.as_ref().is_none_or(|s| s.selects(&ban.key)));
    Json(wanted.map(|ban| BanView::of(ban, now)).collect())
}

pub(super) async fn add(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<AddBan>,
) -> Answer<Vec<BanView>> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let keys: Result<Vec<BanKey>, _> = wanted.keys.iter().map(|key| key.parse()).collect();
    let keys = keys.map_err(|error| bad(format!("{error}")))?;
    let until = ends(wanted.for_secs, operator.shared.clock.now()).map_err(bad)?;
    let span =
        wanted.for_secs.map_or_else(|| "--permanent".to_owned(), |secs| format!("--for {secs}s"));
    let command = format!("ban add {} {span}", wanted.keys.join(" "));
    let outcome = Map::from_iter([("until".to_owned(), json!(until.map(rfc3339)))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let now = operator.shared.clock.now();
    let generation = operator.shared.snapshot.load().generation;
    let mut placed = Vec::new();
    let mut refused = Vec::new();
    for key in keys {
        let ban = Ban {
            until,
            since: now,
            reason: wanted.reason.clone().unwrap_or_else(|| "no reason given".to_owned()),
            origin: BanOrigin::Operator(peer.actor().to_string()),
            definition: None,
            generation,
            key,
        };
        let (shown, key) = (BanView::of(&ban, now), ban.key.to_string());
        match operator.shared.state.add_ban(ban, now) {
            Ok(()) => placed.push(shown),
            Err(error) => refused.push(format!("`{key}`: {error}")),
        }
    }
    operator.shared.metrics.bans_added.with_label_values(&["operator"]).inc_by(placed.len() as u64);
    operator.store().await?;
    match refused.first() {
        None => Ok(Json(placed)),
        Some(first) if refused.len() == 1 && placed.is_empty() => Err(bad(first.clone())),
        Some(_) => Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(Failure {
                error: format!(
                    "{} of {} bans are not placed; the others are",
                    refused.len(),
                    refused.len() + placed.len()
                ),
                problems: refused,
            }),
        )),
    }
}

/// Returns when something that lasts `secs` ends; none is never.
pub(super) fn ends(secs: Option<u64>, now: Timestamp) -> Result<Option<Timestamp>, String> {
    match secs {
        Some(0) => Err("the shortest time is 1 s".to_owned()),
        Some(secs) if secs > BAN_SECS_MAX => {
            Err("the longest time is 10 years; leave it out, or say `--permanent`".to_owned())
        }
        Some(secs) => Ok(Some(now.plus(Duration::from_secs(secs)))),
        None => Ok(None),
    }
}

/// The query of `ban rm`: a key, or a rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    key: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
}

pub(super) async fn remove(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(selected): Query<Selected>,
) -> Answer<Vec<BanView>> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    let (selector, said) = match (selected.key, selected.rule) {
        (Some(key), None) => {
            let selector = key.parse::<BanSelector>().map_err(|error| bad(format!("{error}")))?;
            (selector, key)
        }
        (None, Some(rule)) => (BanSelector::Rule(rule.clone()), format!("--rule {rule}")),
        (Some(_), Some(_)) | (None, None) => {
            return Err(bad("name one key, or one rule with `--rule`".to_owned()));
        }
    };
    let now = operator.shared.clock.now();
    let lifted = operator.shared.state.remove_bans(&selector);
    let keys: Vec<String> = lifted.iter().map(|ban| ban.key.to_string()).collect();
    let outcome = Map::from_iter([("lifted".to_owned(), json!(keys))]);
    let command = format!("ban rm {said}");
    operator.record(&peer.actor(), &command, selected.reason.as_deref(), &outcome)?;
    operator.store().await?;
    if lifted.is_empty() {
        let error = format!("no ban names `{said}`");
        return Err((StatusCode::NOT_FOUND, Json(Failure { error, problems: Vec::new() })));
    }
    Ok(Json(lifted.iter().map(|ban| BanView::of(ban, now)).collect()))
}

impl BanView {
    /// Shows a ban as it is at `now`.
    #[must_use]
    pub fn of(ban: &Ban, now: Timestamp) -> Self {
        Self {
            key: ban.key.to_string(),
            origin: match &ban.origin {
                BanOrigin::Rule => "rule".to_owned(),
                BanOrigin::Operator(name) => format!("operator:{name}"),
                BanOrigin::Incident(id) => format!("incident:{id}"),
            },
            rule: match &ban.key {
                BanKey::Rule { rule, .. } => Some(rule.to_string()),
                BanKey::Network(_)
                | BanKey::Subject(_)
                | BanKey::Tenant(_)
                | BanKey::Fingerprint(_) => None,
            },
            generation: ban.generation,
            reason: ban.reason.clone(),
            since: rfc3339(ban.since),
            until: ban.until.map(rfc3339),
            remaining_secs: ban.until.map(|until| remaining(until, now)),
        }
    }
}

/// Returns the seconds until a moment, rounded up.
pub(super) fn remaining(until: Timestamp, now: Timestamp) -> u64 {
    let millis = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
    millis.div_ceil(1000)
}
