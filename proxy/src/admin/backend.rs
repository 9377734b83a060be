//! `backend ls`, `backend drain`, `backend undrain`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use http::StatusCode;
use serde_json::{Map, json};

use super::message::{BackendView, DrainBackend};
use super::server::{Answer, Operator, Peer, refuse};
use crate::upstream::Upstream;

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Json<Vec<BackendView>> {
    Json(views(&operator))
}

/// Every server of every backend, by name.
fn views(operator: &Operator) -> Vec<BackendView> {
    let now = operator.shared.clock.monotonic();
    let upstreams = operator.turns.of(&operator.shared.snapshot.load());
    let mut views: Vec<_> = upstreams
        .by_id
        .values()
        .flat_map(|upstream| {
            let servers = upstream.members.iter().zip(&upstream.backend.servers);
            servers.map(|(member, server)| BackendView {
                backend: upstream.id.to_string(),
                server: member.name.clone(),
                state: member.standing(now).as_str().to_owned(),
                weight: server.weight,
                in_flight: member.in_flight() as u64,
                backend_in_flight: upstream.breaker.in_flight() as u64,
                backend_limit: room(upstream),
                backend_waiting: upstream.breaker.waiting() as u64,
            })
        })
        .collect();
    views.sort_by(|a, b| (&a.backend, &a.server).cmp(&(&b.backend, &b.server)));
    views
}

fn room(upstream: &Upstream) -> Option<u64> {
    let capacity = upstream.backend.capacity.as_ref()?;
    Some(upstream.breaker.room(capacity) as u64)
}

pub(super) async fn drain(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<DrainBackend>,
) -> Answer<Vec<BackendView>> {
    let upstreams = operator.turns.of(&operator.shared.snapshot.load());
    let (backend, server) = match wanted.name.split_once('/') {
        Some((backend, server)) => (backend, Some(server)),
        None => (wanted.name.as_str(), None),
    };
    let is_named = |name: &str| server.is_none_or(|server| server == name);
    let members: Vec<_> = upstreams
        .by_id
        .get(backend)
        .map(|upstream| upstream.members.iter().filter(|one| is_named(&one.name)).collect())
        .unwrap_or_default();
    if members.is_empty() {
        return Err(refuse(StatusCode::NOT_FOUND, unknown(&operator, &wanted.name)));
    }
    let word = if wanted.drained { "drain" } else { "undrain" };
    let command = format!("backend {word} {}", wanted.name);
    let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    let outcome = Map::from_iter([("servers".to_owned(), json!(names))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let now = operator.shared.clock.monotonic();
    for member in &members {
        member.set_drained(wanted.drained, now);
    }
    let views = views(&operator).into_iter();
    Ok(Json(views.filter(|view| view.backend == backend && is_named(&view.server)).collect()))
}

fn unknown(operator: &Operator, name: &str) -> String {
    let known: Vec<_> =
        views(operator).iter().map(|view| format!("{}/{}", view.backend, view.server)).collect();
    format!("there is no backend or server `{name}`: there are {}", known.join(", "))
}
