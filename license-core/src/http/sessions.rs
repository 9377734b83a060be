//! `PATCH …/sessions/{id}/heartbeat` and `DELETE …/sessions/{id}`: a seat kept and given back.

use super::gate::Member;
use super::{Api, answer};
use crate::domain::lease::Session;
use crate::reason::Refusal;
use crate::settings::Lease;
use crate::store::SessionRef;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A live session as its holder sees it.
#[derive(Serialize)]
pub(super) struct SessionView {
    id: Uuid,
    session_id: Uuid,
    license_id: Uuid,
    user_id: String,
    hardware_id: String,
    machine_id: String,
    user_email: Option<String>,
    metadata: BTreeMap<String, String>,
    lease_epoch: i64,
    started_at: String,
    last_heartbeat_at: String,
    expires_at: String,
    is_active: bool,
    lease_ttl: u64,
    heartbeat_interval: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

impl SessionView {
    /// Shows a session that was just granted or renewed.
    pub(super) fn new(session: Session, lease: Lease, receipt: Option<String>) -> Self {
        Self {
            id: session.id,
            session_id: session.id,
            license_id: session.license,
            user_id: session.subject,
            hardware_id: session.hardware.clone(),
            machine_id: session.hardware,
            user_email: session.user_email,
            metadata: session.metadata,
            lease_epoch: session.epoch,
            started_at: session.started_at.to_rfc3339(),
            last_heartbeat_at: session.last_heartbeat_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
            is_active: session.ended.is_none(),
            lease_ttl: lease.ttl.as_secs(),
            heartbeat_interval: lease.heartbeat.as_secs(),
            receipt,
        }
    }
}

/// The body of a heartbeat and of a release says nothing: it is empty or `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Answers 200 with the extended lease, 410 when the session ended: it never comes back, the client acquires anew.
pub(super) async fn heartbeat(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    body: Bytes,
) -> Response {
    let answer = async {
        let tenant = member.tenant.clone();
        let renewed = api.store.heartbeat(named(member, id, &body)?).await??;
        Ok::<_, Refusal>(answer::json(StatusCode::OK, &api.view(&tenant, renewed)))
    };
    answer.await.unwrap_or_else(answer::refuse)
}

/// Answers 204 when the seat is free of this session, however often it is asked and however the session ended.
pub(super) async fn release(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    body: Bytes,
) -> Response {
    let answer = async {
        api.store.release(named(member, id, &body)?).await??;
        Ok::<_, Refusal>(answer::empty(StatusCode::NO_CONTENT))
    };
    answer.await.unwrap_or_else(answer::refuse)
}

fn named(member: Member, id: Uuid, body: &[u8]) -> Result<SessionRef, Refusal> {
    if !body.is_empty() {
        let Nothing {} =
            serde_json::from_slice(body).map_err(|error| super::acquire::malformed(&error))?;
    }
    Ok(SessionRef { tenant: member.tenant, subject: member.subject, id })
}

/// The id in a path.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        let id = text.and_then(|Path(text)| Uuid::try_parse(&text).ok());
        id.map(Self).ok_or_else(|| answer::refuse(Refusal::field("id", "it is not a UUID")))
    }
}
