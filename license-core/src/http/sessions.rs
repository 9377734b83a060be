//! `PATCH …/sessions/{id}/heartbeat` and `DELETE …/sessions/{id}`: a seat kept and given back.

use super::gate::Member;
use super::request::{Id, Moment};
use super::{Api, answer};
use crate::domain::lease::Session;
use crate::reason::Refusal;
use crate::settings::Lease;
use crate::store::SessionRef;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A live session as its holder sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
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
    started_at: Moment,
    last_heartbeat_at: Moment,
    expires_at: Moment,
    is_active: bool,
    lease_ttl: u64,
    heartbeat_interval: u64,
    borrowed_until: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

impl SessionView {
    /// Shows a session that was just granted or renewed.
    pub(super) fn new(session: Session, lease: Lease, receipt: Option<String>) -> Self {
        let lease_ttl = session.expires_at.since(session.last_heartbeat_at).as_secs();
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
            started_at: session.started_at.into(),
            last_heartbeat_at: session.last_heartbeat_at.into(),
            expires_at: session.expires_at.into(),
            is_active: session.ended.is_none(),
            lease_ttl,
            heartbeat_interval: interval_secs(&session.id, lease, lease_ttl),
            borrowed_until: session.borrowed_until.map(Moment::from),
            receipt,
        }
    }
}

/// Tells each session another interval, up to a tenth below the settings' one, so that clients which began together
/// do not heartbeat together for ever.
fn interval_secs(session: &Uuid, lease: Lease, lease_ttl: u64) -> u64 {
    let whole = lease.heartbeat.as_secs().min(lease_ttl / 2).max(1);
    // The id's last bytes are random.
    let [.., high, low] = *session.as_bytes();
    let spread = whole / 10 + 1;
    whole - u64::from(u16::from_be_bytes([high, low])) % spread
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
        Ok::<_, Refusal>(answer::json(StatusCode::OK, &api.view(&tenant, renewed).await))
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
            serde_json::from_slice(body).map_err(|error| super::request::malformed(&error))?;
    }
    Ok(SessionRef { tenant: member.tenant, subject: member.subject, id })
}
