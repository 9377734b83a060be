//! Sessions as administrators and their own holders see them in lists.

use super::gate::Member;
use super::request::{Admin, Asked, Id, Moment, Plain, Reply, listed, page, uuid, wrong};
use super::{Api, answer};
use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::reason::{Reason, Refusal};
use crate::store::office::Which;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A session, live or ended, as administrators and its holder see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Holder")]
pub(super) struct View {
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
    #[schemars(extend("enum" = ["expired", "released", "revoked", null]))]
    ending: Option<&'static str>,
    borrowed_until: Option<Moment>,
    /// How long it has not been heard of.
    idle_secs: u64,
}

fn view(session: Session, now: Timestamp) -> View {
    let ending = session.ending(now);
    View {
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
        is_active: ending.is_none(),
        ending: ending.map(|ending| ending.as_str()),
        borrowed_until: session.borrowed_until.map(Moment::from),
        idle_secs: now.since(session.last_heartbeat_at).as_secs(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    license_id: Option<String>,
    user_id: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Answers 200 with live sessions: an administrator's are the tenant's, everybody else's their own.
pub(super) async fn list(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Asked(filter): Asked<Filter>,
) -> Reply {
    let license = match &filter.license_id {
        None => None,
        Some(text) => {
            Some(uuid(text).ok_or_else(|| Refusal::field("license_id", "it is not a UUID"))?)
        }
    };
    let asked = filter.user_id.as_deref().map(str::parse).transpose().map_err(wrong("user_id"))?;
    let subject = match asked {
        Some(subject) if member.roles.admin || subject == member.subject => Some(subject),
        Some(_) => return Err(Reason::InsufficientScope.into()),
        None if member.roles.admin => None,
        None => Some(member.subject.clone()),
    };
    let page = page(filter.limit, filter.cursor.as_deref())?;
    let limit = page.limit;
    let found = api.store.live_sessions(member.scope(), Which { license, subject }, page).await?;
    let mut opened = Vec::with_capacity(found.len());
    for session in found {
        opened.push(api.open(&member.tenant, session).await);
    }
    let now = api.store.now().await?;
    let list =
        listed(opened, limit, |session| session.id.to_string(), |session| view(session, now));
    Ok(answer::found(&list))
}

/// Answers 200 with a session, live or ended: an administrator's are the tenant's, everybody else's their own.
pub(super) async fn show(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let found = api.store.session(member.scope(), id).await?;
    let seen = |(session, _): &(Session, _)| {
        member.roles.admin || session.subject == member.subject.as_str()
    };
    let (session, now) = found.filter(seen).ok_or(Reason::TenantAccess)?;
    Ok(answer::found(&view(api.open(&member.tenant, session).await, now)))
}

/// Answers 204 when the seat was taken back, 409 when the session is offline, 410 when it had ended before.
pub(super) async fn force_release(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
) -> Reply {
    if api.store.force_release(scope.clone(), id).await? {
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    let (session, now) = api.store.session(scope, id).await?.ok_or(Reason::TenantAccess)?;
    match session.ending(now) {
        Some(ending) => Err(crate::domain::denial::Denial::SessionEnded(ending).into()),
        None => Err(Reason::SessionBorrowed.into()),
    }
}
