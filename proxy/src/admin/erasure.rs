//! `log erase`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use http::StatusCode;
use portcullis_config::model::{EventFormat, LogTarget};
use serde_json::{Map, json};

use super::message::{ErasedView, WantErasure};
use super::server::{Answer, Operator, Peer, refuse};
use crate::erasure::{self, Log, Person};
use crate::hex::hex;

/// Takes a person's data out of the files of both logs and out of the incidents that are over.
pub(super) async fn erase(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<WantErasure>,
) -> Answer<ErasedView> {
    let unclear = |error: &str| refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_owned());
    let person = match (wanted.subject, wanted.address) {
        (Some(subject), None) if !subject.is_empty() => Person::Subject(subject),
        (None, Some(address)) => match address.parse::<IpAddr>() {
            Ok(address) => Person::Address(address),
            Err(_) => {
                return Err(unclear("the address is none: write `192.0.2.7` or `2001:db8::7`"));
            }
        },
        _ => return Err(unclear("name one subject or one address")),
    };
    let log = operator.shared.snapshot.load().config.log.clone();
    if matches!(log.events, LogTarget::File(_)) && log.events_format != EventFormat::Json {
        return Err(unclear(
            "the file of events is not in `json`, and cannot be erased from: set `log.events_format: json`",
        ));
    }
    // The audit file must not hold what is to be erased.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, person.name().as_bytes());
    let command = format!("log erase sha256:{}", hex(digest.as_ref()));
    let (actor, reason) = (peer.actor(), wanted.reason);
    operator.record(&actor, &command, reason.as_deref(), &Map::new())?;
    let view = work(&operator, log.requests, log.events, person).await;
    let view = view.map_err(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let outcome = json!({
        "request_lines": view.request_lines,
        "event_lines": view.event_lines,
        "incidents": view.incidents,
    });
    let outcome = outcome.as_object().cloned().unwrap_or_default();
    operator.record(&actor, &command, Some("done"), &outcome)?;
    Ok(Json(view))
}

async fn work(
    operator: &Arc<Operator>,
    requests: LogTarget,
    events: LogTarget,
    person: Person,
) -> Result<ErasedView, String> {
    let name = person.name();
    let shared = Arc::clone(&operator.shared);
    let begun = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
        let mut left_out = Vec::new();
        let mut request_lines = 0;
        if let LogTarget::File(path) = &requests {
            let (rewrites, others) = erasure::begin(path, Log::Requests, &person)?;
            left_out.extend(others);
            let gone = || std::io::Error::other("the request log's writer is gone");
            let erased = shared.requests.pause(move || erasure::finish(rewrites));
            request_lines = erased.ok_or_else(gone)??;
        }
        let mut rewrites = Vec::new();
        if let LogTarget::File(path) = &events {
            let (begun, others) = erasure::begin(path, Log::Events, &person)?;
            left_out.extend(others);
            rewrites = begun;
        }
        Ok((request_lines, rewrites, left_out))
    });
    let begun = begun.await.map_err(|error| error.to_string())?;
    let (request_lines, rewrites, left_out) = begun.map_err(|error| error.to_string())?;
    let asked = operator.incidents.ask(move |desk| desk.erase(rewrites, &name));
    let erased = asked.await.map_err(|error| error.to_string())?;
    let (event_lines, incidents, open) = erased.map_err(|error| error.to_string())?;
    Ok(ErasedView {
        request_lines,
        event_lines,
        incidents: incidents as u64,
        open_incidents: open,
        left_out: left_out.into_iter().map(|path| path.display().to_string()).collect(),
    })
}
