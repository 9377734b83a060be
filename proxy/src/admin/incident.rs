//! `incidents ls`, `show`, `ack`, `contain`, `resolve`, `undo`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query, State};
use http::StatusCode;
use portcullis_config::Timestamp;
use portcullis_incident::correlator::NoChange;
use portcullis_incident::incident::{Seen, Status};
use portcullis_incident::{Incident, Response};
use serde::Deserialize;
use serde_json::Map;

use super::message::{
    ChangeIncident, Failure, IncidentView, MomentView, NotifiedView, ResponseView, TestNotify,
};
use super::server::{Answer, Operator, Peer, refuse};
use crate::alerts;
use crate::incidents::{ChangeRefused, DeskGone, Letter, Outcome, Sending, What, Word};
use crate::log::rfc3339;

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Answer<Vec<IncidentView>> {
    let now = operator.shared.clock.now();
    let asked = operator.incidents.ask(|desk| {
        let incidents = desk.correlator().incidents().iter();
        incidents.map(|one| (one.clone(), desk.responses(&one.id))).collect::<Vec<_>>()
    });
    let incidents = asked.await.map_err(gone)?;
    Ok(Json(incidents.iter().map(|(one, responses)| view(one, responses, now)).collect()))
}

/// The query of `incidents show`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    id: String,
}

pub(super) async fn show(
    State(operator): State<Arc<Operator>>,
    Query(Selected { id }): Query<Selected>,
) -> Answer<IncidentView> {
    let now = operator.shared.clock.now();
    let wanted = id.clone();
    let found = operator.incidents.ask(move |desk| {
        let found = desk.correlator().find(&wanted).cloned();
        found.map(|one| (one, desk.responses(&wanted)))
    });
    let found = found.await.map_err(gone)?;
    let (incident, responses) = found.ok_or_else(|| {
        let error = format!("there is no incident `{id}`: `portcullis incidents ls` shows them");
        refuse(StatusCode::NOT_FOUND, error)
    })?;
    Ok(Json(view(&incident, &responses, now)))
}

pub(super) async fn change(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<ChangeIncident>,
) -> Answer<IncidentView> {
    let what = match wanted.what.as_str() {
        "ack" => What::Acknowledge,
        "contain" => What::Contain,
        "resolve" => What::Resolve,
        "undo" => What::Undo,
        other => {
            let error = format!("`{other}` is not `ack`, `contain`, `resolve` or `undo`");
            return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, error));
        }
    };
    let now = operator.shared.clock.now();
    let command = format!("incidents {} {}", wanted.what, wanted.id);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &Map::new())?;
    let word = Word { what, by: peer.actor().to_string(), reason: wanted.reason };
    let changed = operator.incidents.ask(move |desk| {
        let changed = desk.change(&wanted.id, &word, now)?;
        let responses = desk.responses(&changed.id);
        Ok((changed, responses))
    });
    let (incident, responses) = changed.await.map_err(gone)?.map_err(|error| refused(&error))?;
    if what == What::Undo {
        operator.store().await?;
    }
    Ok(Json(view(&incident, &responses, now)))
}

/// Sends a test to the notifiers that are named, or to every one, and says what came of it.
pub(super) async fn test_notify(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<TestNotify>,
) -> Answer<Vec<NotifiedView>> {
    let snapshot = operator.shared.snapshot.load_full();
    let incidents = &snapshot.config.incidents;
    let known = &incidents.notifiers;
    if let Some(name) = wanted.notifier.as_ref().filter(|name| !known.contains_key(*name)) {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let error = format!("there is no notifier `{name}`: there are {}", names.join(", "));
        return Err(refuse(StatusCode::NOT_FOUND, error));
    }
    let now = operator.shared.clock.now();
    operator.record(&peer.actor(), "incidents test-notify", None, &Map::new())?;
    let mut told = Vec::new();
    let is_meant = |name: &String| wanted.notifier.as_ref().is_none_or(|one| one == name);
    for (name, notifier) in known.iter().filter(|(name, _)| is_meant(name)) {
        let sending = Sending {
            egress: Arc::clone(&snapshot.egress),
            notifier: notifier.clone(),
            runbooks: incidents.runbooks.clone(),
            letters: vec![Letter::test(name, now)],
            now,
        };
        let error = match sending.send().await {
            Outcome::Delivered => None,
            Outcome::Later(why, _) | Outcome::Refused(why) => Some(why),
        };
        told.push(NotifiedView { notifier: name.clone(), error });
    }
    Ok(Json(told))
}

/// Takes what Alertmanager posts, from whoever may use the socket.
pub(super) async fn take_alerts(
    State(operator): State<Arc<Operator>>,
    body: Bytes,
) -> Answer<BTreeMap<&'static str, usize>> {
    let read = alerts::read(&body);
    let read = read.map_err(|error| refuse(StatusCode::BAD_REQUEST, error.to_string()))?;
    let taken = alerts::take(&operator.shared, &operator.incidents, read).await;
    taken.map(Json).map_err(|error| refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

fn refused(error: &ChangeRefused) -> (StatusCode, Json<Failure>) {
    let status = match error {
        ChangeRefused::NoChange(NoChange::Unknown(_)) => StatusCode::NOT_FOUND,
        ChangeRefused::NoChange(NoChange::Already(..)) | ChangeRefused::NothingHolds(_) => {
            StatusCode::CONFLICT
        }
        ChangeRefused::NotStored => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, error.to_string())
}

fn gone(gone: DeskGone) -> (StatusCode, Json<Failure>) {
    refuse(StatusCode::SERVICE_UNAVAILABLE, gone.to_string())
}

fn response(response: &Response) -> ResponseView {
    let state = match (response.is_undone, response.is_dry_run, response.is_done) {
        (true, _, _) => "undone",
        (false, true, _) => "dry run",
        (false, false, true) => "holds",
        (false, false, false) => "is tried",
    };
    ResponseView {
        what: response.action.to_string(),
        state: state.to_owned(),
        since: rfc3339(response.since),
        until: rfc3339(response.until),
    }
}

fn view(incident: &Incident, responses: &[Response], now: Timestamp) -> IncidentView {
    let texts = |seen: &Seen| seen.iter().map(str::to_owned).collect();
    let moment = |moment: &portcullis_incident::incident::Moment| MomentView {
        at: rfc3339(moment.at),
        what: moment.what.clone(),
    };
    let due = incident.waiting_since.plus(incident.priority.response_time());
    IncidentView {
        id: incident.id.clone(),
        priority: incident.priority.as_str().to_owned(),
        status: incident.status.as_str().to_owned(),
        category: incident.category.as_str().to_owned(),
        dedup_key: incident.dedup_key.clone(),
        events: incident.count,
        first_seen: rfc3339(incident.first_seen),
        last_seen: rfc3339(incident.last_seen),
        contained_after_secs: incident.time_to_contain().map(|took| took.as_secs()),
        escalates_in_secs: (incident.status == Status::Open).then(|| due.since(now).as_secs()),
        sources: texts(&incident.sources),
        subjects: texts(&incident.subjects),
        tenants: texts(&incident.tenants),
        rules: texts(&incident.rules),
        objects: texts(&incident.objects),
        responses: responses.iter().map(response).collect(),
        timeline: incident.timeline.iter().map(moment).collect(),
    }
}
