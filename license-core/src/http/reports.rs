//! Reports for administrators: use, denials, the audit trail.

use super::request::{Admin, Asked, Id, Part, Reply, listed, moment};
use super::{Api, answer};
use crate::clock::Timestamp;
use crate::reason::{Reason, Refusal};
use crate::store::office::Page;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    from: Option<String>,
    to: Option<String>,
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
    let body = json!({
        "license_id": usage.license.id, "name": usage.license.name, "from": from.to_rfc3339(), "to": to.to_rfc3339(),
        "seats_total": total, "seats_used": usage.seats.used, "peak_sessions": usage.peak_sessions,
        "sessions_started": usage.acquired, "denied": usage.denied, "suggested_seats": suggested,
    });
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
    let view = |row: crate::store::office::Denied| json!({"hour": row.hour.to_rfc3339(), "code": row.code, "times": row.times});
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
        |one| json!({"head": one.head.to_string(), "at": one.at.to_rfc3339(), "checkpoint": one.signed}),
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
        |linked| {
            let (event, detail) =
                (&linked.event, serde_json::from_str::<Value>(&linked.event.detail));
            json!({"head": linked.head.to_string(), "at": Timestamp::from_column(event.at).to_rfc3339(),
            "kind": event.kind, "actor": event.actor, "license_id": event.license, "session_id": event.session,
            "detail": detail.unwrap_or(Value::Null)})
        },
    );
    Ok(answer::found(&list))
}
