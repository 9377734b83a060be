//! Reports for administrators: use, denials, the audit trail.

use super::request::{Admin, Asked, Id, Moment, Part, Reply, listed, moment};
use super::{Api, answer};
use crate::clock::Timestamp;
use crate::domain::audit::Linked;
use crate::reason::{Reason, Refusal};
use crate::store::office::{Denied, Page};
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    from: Option<String>,
    to: Option<String>,
}

/// How a license was used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
pub(super) struct UsageView {
    license_id: Uuid,
    name: String,
    from: Moment,
    to: Moment,
    seats_total: u32,
    seats_used: u32,
    peak_sessions: u32,
    sessions_started: u32,
    denied: u32,
    suggested_seats: u32,
}

/// How often seats were denied within an hour.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Denial")]
pub(super) struct DenialView {
    hour: Moment,
    code: String,
    times: u32,
}

/// A signed head of the audit trail.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Checkpoint")]
pub(super) struct CheckpointView {
    head: String,
    at: Moment,
    checkpoint: String,
}

/// An event of the audit trail, and its place in it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(super) struct EventView {
    head: String,
    at: Moment,
    kind: String,
    actor: String,
    license_id: Option<String>,
    session_id: Option<String>,
    detail: Value,
}

const MONTH: Duration = Duration::from_secs(30 * 86_400);
const PERIOD_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Answers 200 with how a license was used between two moments: the last 30 days, unless the query says otherwise.
pub(super) async fn usage(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    Asked(period): Asked<Period>,
) -> Reply {
    let to = match period.to {
        Some(text) => moment("to", &text)?,
        None => api.store.now().await?,
    };
    let from = match period.from {
        Some(text) => moment("from", &text)?,
        None => Timestamp::from_millis(
            to.since(Timestamp::default().plus(MONTH)).as_millis().try_into().unwrap_or(0),
        ),
    };
    if from >= to || to.since(from) > PERIOD_MAX {
        return Err(Refusal::field("from", "it must be before `to`, by at most 366 days"));
    }
    let usage = api.store.usage(scope, id, from, to).await?.ok_or(Reason::TenantAccess)?;
    let total = usage.seats.total;
    // What was needed and not there shows as denials; a fifth more than the peak is what buyers are told to plan.
    let suggested = if usage.denied == 0 {
        usage.peak_sessions
    } else {
        total.max(usage.peak_sessions).saturating_mul(6).div_ceil(5)
    };
    let body = UsageView {
        license_id: usage.license.id,
        name: usage.license.name,
        from: from.into(),
        to: to.into(),
        seats_total: total,
        seats_used: usage.seats.used,
        peak_sessions: usage.peak_sessions,
        sessions_started: usage.acquired,
        denied: usage.denied,
        suggested_seats: suggested,
    };
    Ok(answer::found(&body))
}

/// Answers 200 with the hours in which seats were denied. A page's last hour may go on in the next.
pub(super) async fn denials(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let limit = page.limit;
    let found = api.store.denials(scope, id, page).await?.ok_or(Reason::TenantAccess)?;
    let view = |row: Denied| DenialView { hour: row.hour.into(), code: row.code, times: row.times };
    Ok(answer::found(&listed(found, limit, |row| row.hour.as_millis().to_string(), view)))
}

/// Answers 200 with the signed heads of the audit trail.
pub(super) async fn checkpoints(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let found = api.store.checkpoints(scope, after(&page)?, page.limit).await?;
    let list = listed(
        found,
        page.limit,
        |one| one.head.position.to_string(),
        |one| CheckpointView {
            head: one.head.to_string(),
            at: one.at.into(),
            checkpoint: one.signed,
        },
    );
    Ok(answer::found(&list))
}

/// Reads the position after which a part begins.
fn after(page: &Page) -> Result<i64, Refusal> {
    let after = if page.after.is_empty() { Ok(0) } else { page.after.parse() };
    after.map_err(|_| Refusal::field("cursor", "it is not one that this service gave"))
}

/// Answers 200 with linked audit events, each with its place in the chain.
pub(super) async fn audit(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let found = api.store.events(scope, after(&page)?, page.limit).await?;
    let list = listed(
        found,
        page.limit,
        |linked| linked.head.position.to_string(),
        |Linked { event, head }| EventView {
            head: head.to_string(),
            at: Timestamp::from_column(event.at).into(),
            kind: event.kind,
            actor: event.actor,
            license_id: event.license,
            session_id: event.session,
            detail: serde_json::from_str(&event.detail).unwrap_or(Value::Null),
        },
    );
    Ok(answer::found(&list))
}
