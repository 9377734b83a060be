//! `key issue`, `key ls`, `key rotate`, `key revoke`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use http::StatusCode;
use portcullis_config::Timestamp;
use portcullis_config::model::Credential;
use portcullis_identity::is_plain;
use serde::Deserialize;
use serde_json::{Map, json};

use super::message::{ApiKeyView, Failure, IssueKey, NewKey, RotateKey};
use super::server::{Answer, Operator, Peer, refuse};
use crate::api_keys::{ApiKey, KeyBookError};
use crate::log::rfc3339;

/// The most roles, and the most scopes, of a key.
const NAMES_MAX: usize = 64;

pub(super) async fn list(State(operator): State<Arc<Operator>>) -> Json<Vec<ApiKeyView>> {
    let now = operator.shared.clock.now();
    Json(operator.shared.api_keys.keys().iter().map(|(id, key)| view(id, key, now)).collect())
}

pub(super) async fn issue(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<IssueKey>,
) -> Answer<NewKey> {
    let now = operator.shared.clock.now();
    let by = peer.actor().to_string();
    let key = checked(&operator, wanted, by, now)
        .map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let command = format!("key issue {} {}/{}", key.provider, key.tenant, key.subject);
    let outcome = Map::from_iter([("expires".to_owned(), json!(key.expires.map(rfc3339)))]);
    operator.record(&peer.actor(), &command, key.note.as_deref(), &outcome)?;
    let (id, text) = operator.shared.api_keys.issue(key.clone()).map_err(|error| failed(&error))?;
    Ok(Json(NewKey { text: text.expose().to_owned(), key: view(&id, &key, now) }))
}

pub(super) async fn rotate(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<RotateKey>,
) -> Answer<NewKey> {
    let now = operator.shared.clock.now();
    known(&operator, &wanted.id)?;
    let command = format!("key rotate {} --overlap {}s", wanted.id, wanted.overlap_secs);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &Map::new())?;
    let ends = now.plus(Duration::from_secs(wanted.overlap_secs));
    let rotated = operator.shared.api_keys.rotate(&wanted.id, ends);
    let text = rotated.map_err(|error| failed(&error))?;
    let key = known(&operator, &wanted.id)?;
    Ok(Json(NewKey { text: text.expose().to_owned(), key: view(&wanted.id, &key, now) }))
}

/// The query of `key revoke`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    id: String,
    reason: Option<String>,
}

pub(super) async fn revoke(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(selected): Query<Selected>,
) -> Answer<ApiKeyView> {
    known(&operator, &selected.id)?;
    let command = format!("key revoke {}", selected.id);
    operator.record(&peer.actor(), &command, selected.reason.as_deref(), &Map::new())?;
    let revoked = operator.shared.api_keys.revoke(&selected.id).map_err(|error| failed(&error))?;
    Ok(Json(view(&selected.id, &revoked, operator.shared.clock.now())))
}

/// Makes the key that is wanted, or says what is wrong with it.
fn checked(
    operator: &Operator,
    wanted: IssueKey,
    by: String,
    now: Timestamp,
) -> Result<ApiKey, String> {
    let texts = [&wanted.tenant, &wanted.subject].into_iter().chain(&wanted.roles);
    if let Some(wrong) = texts.chain(&wanted.scopes).find(|text| !is_plain(text)) {
        let wrong = wrong.escape_debug();
        return Err(format!("`{wrong}` is empty, too long or no plain text: write 1 to 255 bytes"));
    }
    if wanted.roles.len() > NAMES_MAX || wanted.scopes.len() > NAMES_MAX {
        return Err(format!("a key has at most {NAMES_MAX} roles and as many scopes"));
    }
    Ok(ApiKey {
        provider: provider(operator, wanted.provider)?,
        tenant: wanted.tenant,
        subject: wanted.subject,
        roles: wanted.roles,
        scopes: wanted.scopes,
        issued: now,
        expires: wanted.for_secs.map(|secs| now.plus(Duration::from_secs(secs))),
        by,
        note: wanted.reason.map(|note| note.chars().take(256).collect()),
        hash: [0; 32],
        previous: None,
    })
}

/// The provider that is named, or the only one there is: a key of one that routes cannot name would open nothing.
fn provider(operator: &Operator, named: Option<String>) -> Result<String, String> {
    let config = Arc::clone(&operator.shared.snapshot.load().config);
    let of_keys = config.identity.credentials.iter();
    let known: Vec<&str> = of_keys
        .filter(|(_, one)| matches!(one, Credential::ApiKeys(_)))
        .map(|(id, _)| id.as_str())
        .collect();
    match (named, known.as_slice()) {
        (_, []) => Err("there is no provider with `kind: api_keys`: add one to \
             `identity.providers`, and name it in a route"
            .to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, several) => Err(format!("say which with `--provider`: {}", several.join(", "))),
        (Some(named), known) if known.contains(&named.as_str()) => Ok(named),
        (Some(named), known) => {
            Err(format!("`{named}` is no provider of keys: there are {}", known.join(", ")))
        }
    }
}

fn known(operator: &Operator, id: &str) -> Result<ApiKey, (StatusCode, Json<Failure>)> {
    let keys = operator.shared.api_keys.keys();
    let found = keys.into_iter().find(|(known, _)| known == id).map(|(_, key)| key);
    found.ok_or_else(|| failed(&KeyBookError::Unknown(id.to_owned())))
}

fn failed(error: &KeyBookError) -> (StatusCode, Json<Failure>) {
    let status = match error {
        KeyBookError::Unknown(_) => StatusCode::NOT_FOUND,
        KeyBookError::Full => StatusCode::UNPROCESSABLE_ENTITY,
        KeyBookError::NoRandomness | KeyBookError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, error.to_string())
}

fn view(id: &str, key: &ApiKey, now: Timestamp) -> ApiKeyView {
    ApiKeyView {
        id: id.to_owned(),
        provider: key.provider.clone(),
        tenant: key.tenant.clone(),
        subject: key.subject.clone(),
        roles: key.roles.clone(),
        scopes: key.scopes.clone(),
        issued: rfc3339(key.issued),
        expires: key.expires.map(rfc3339),
        has_ended: key.expires.is_some_and(|end| now >= end),
        overlap_until: key
            .previous
            .map(|(_, until)| until)
            .filter(|until| now < *until)
            .map(rfc3339),
        by: key.by.clone(),
        reason: key.note.clone(),
    }
}
