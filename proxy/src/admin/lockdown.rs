//! `lockdown on`, `lockdown off`, `lockdown ls`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use http::StatusCode;
use portcullis_config::Timestamp;
use serde::Deserialize;
use serde_json::{Map, json};

use super::message::{LockdownView, PlaceLockdown};
use super::server::{Answer, Operator, Peer, refuse};
use crate::lockdown::{Lockdown, LockdownError, route_name};
use crate::log::rfc3339;

/// The longest time that a route is closed; a route that is to be gone for good is taken out of the configuration.
const LOCKDOWN_SECS_MAX: u64 = 30 * 24 * 3600;

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Json<Vec<LockdownView>> {
    let now = operator.shared.clock.now();
    let closed = operator.shared.lockdowns.list(now);
    Json(closed.iter().map(|(route, one)| view(route, one, now)).collect())
}

pub(super) async fn place(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<PlaceLockdown>,
) -> Answer<LockdownView> {
    let bad = |error: String| refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    if wanted.for_secs == 0 || wanted.for_secs > LOCKDOWN_SECS_MAX {
        return Err(bad("a lockdown lasts from 1 s to 30 days".to_owned()));
    }
    let mut routes: Vec<_> = {
        let snapshot = operator.shared.snapshot.load();
        let name =
            |entry: &Arc<crate::router::RouteEntry>| route_name(&entry.host, &entry.route.path);
        snapshot.router.entries().map(name).collect()
    };
    if !routes.contains(&wanted.route) {
        routes.sort();
        let known = routes.join(", ");
        let error = format!("there is no route `{}`: there are {known}", wanted.route);
        return Err(refuse(StatusCode::NOT_FOUND, error));
    }
    let now = operator.shared.clock.now();
    let until = now.plus(Duration::from_secs(wanted.for_secs));
    let lockdown = Lockdown { until, reason: wanted.reason.clone() };
    let command = format!("lockdown on {} --for {}s", wanted.route, wanted.for_secs);
    let outcome = Map::from_iter([("until".to_owned(), json!(rfc3339(until)))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let placed = operator.shared.lockdowns.place(&wanted.route, lockdown.clone(), now);
    placed.map_err(|error| failed(&error))?;
    Ok(Json(view(&wanted.route, &lockdown, now)))
}

/// The query of `lockdown off`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    route: Option<String>,
    reason: Option<String>,
}

pub(super) async fn lift(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(selected): Query<Selected>,
) -> Answer<Vec<String>> {
    let now = operator.shared.clock.now();
    let route = selected.route.as_deref();
    let closed: Vec<_> = operator.shared.lockdowns.list(now).into_iter().map(|one| one.0).collect();
    if let Some(route) = route.filter(|route| !closed.iter().any(|one| one == route)) {
        let error = format!("`{route}` is not locked down: {} routes are", closed.len());
        return Err(refuse(StatusCode::NOT_FOUND, error));
    }
    let command = format!("lockdown off{}", route.map(|one| format!(" {one}")).unwrap_or_default());
    let outcome = Map::from_iter([("lifted".to_owned(), json!(closed))]);
    operator.record(&peer.actor(), &command, selected.reason.as_deref(), &outcome)?;
    let lifted = operator.shared.lockdowns.lift(route, now).map_err(|error| failed(&error))?;
    Ok(Json(lifted))
}

fn failed(error: &LockdownError) -> (StatusCode, Json<super::Failure>) {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn view(route: &str, lockdown: &Lockdown, now: Timestamp) -> LockdownView {
    LockdownView {
        route: route.to_owned(),
        until: rfc3339(lockdown.until),
        remaining_secs: lockdown.until.since(now).as_secs(),
        reason: lockdown.reason.clone(),
    }
}
