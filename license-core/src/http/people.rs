//! The tenant, which is always the one that the assertion names, and its subjects.

use super::licenses::{Released, standing};
use super::request::{
    Admin, Asked, Moment, Name, Part, Plain, Reply, Sent, TenantOperator, listed,
};
use super::{Api, answer};
use crate::domain::names::SubjectId;
use crate::reason::Reason;
use crate::store::erasure::erase as erase_person;
use crate::store::office::{Scope, Subject, Which};
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tenant.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub(super) struct TenantView {
    id: String,
    #[schemars(extend("enum" = ["active", "suspended"]))]
    status: &'static str,
    created_at: Moment,
    licenses: u32,
    seats_total: u32,
    seats_used: u32,
}

async fn tenant_view(api: &Api, scope: Scope) -> Result<TenantView, crate::reason::Refusal> {
    let tenant = api.store.tenant(scope.clone()).await?.ok_or(Reason::TenantAccess)?;
    Ok(TenantView {
        id: scope.tenant.as_str().to_owned(),
        status: tenant.standing.as_str(),
        created_at: tenant.created_at.into(),
        licenses: tenant.licenses,
        seats_total: tenant.seats.total,
        seats_used: tenant.seats.used,
    })
}

/// Answers 200 with the tenant.
pub(super) async fn tenant(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    Ok(answer::found(&tenant_view(&api, scope).await?))
}

/// Answers 201 when the tenant was created, 200 when it was there.
pub(super) async fn create_tenant(
    State(api): State<Api>,
    TenantOperator(scope): TenantOperator,
) -> Reply {
    let made = api.store.add_tenant(scope.clone()).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &tenant_view(&api, scope).await?))
}

/// Whether a tenant or a user may work.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Standing")]
pub(super) struct Status {
    #[schemars(extend("enum" = ["active", "suspended"]))]
    status: String,
}

/// Answers 200 with the tenant as it stands now.
pub(super) async fn change_tenant(
    State(api): State<Api>,
    TenantOperator(scope): TenantOperator,
    Sent(Status { status }): Sent<Status>,
) -> Reply {
    if !api.store.tenant_standing(scope.clone(), standing(&status, false)?).await? {
        return Err(Reason::TenantAccess.into());
    }
    Ok(answer::found(&tenant_view(&api, scope).await?))
}

/// A user, and whether it may work.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Subject")]
pub(super) struct View {
    id: String,
    #[schemars(extend("enum" = ["active", "suspended"]))]
    status: &'static str,
}

fn view(subject: Subject) -> View {
    View { id: subject.id, status: subject.standing.as_str() }
}

/// What was erased of a user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Erased")]
pub(super) struct ErasedView {
    /// What stands for the user in sessions from now on.
    pseudonym: String,
    sessions: u64,
    events: u64,
    /// Events that name the user still.
    kept_events: u64,
}

/// Answers 200 with the subjects that were ever suspended.
pub(super) async fn subjects(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let limit = page.limit;
    let found = api.store.subjects(scope, page).await?;
    Ok(answer::found(&listed(found, limit, |row| row.id.clone(), view)))
}

/// Answers 200: who was never acted on is active.
pub(super) async fn subject(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(id): Name<SubjectId>,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    Ok(answer::found(&view(api.store.subject(scope, id).await?)))
}

/// Answers 200 with the subject as it stands now. Its sessions get no heartbeat while it is suspended.
pub(super) async fn change_subject(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(id): Name<SubjectId>,
    Sent(Status { status }): Sent<Status>,
) -> Reply {
    let standing = standing(&status, false)?;
    if !api.store.subject_standing(scope.clone(), id.clone(), standing).await? {
        return Err(Reason::TenantAccess.into());
    }
    Ok(answer::found(&view(api.store.subject(scope, id).await?)))
}

/// Answers 200 with what was erased, 409 while the user has a seat offline. Live sessions end.
pub(super) async fn erase(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(id): Name<SubjectId>,
) -> Reply {
    let erased = erase_person(api.store.as_ref(), scope, id).await?;
    let erased = erased.ok_or(Reason::SessionBorrowed)?;
    let body = ErasedView {
        pseudonym: erased.pseudonym,
        sessions: erased.sessions,
        events: erased.events,
        kept_events: erased.kept_events,
    };
    Ok(answer::json(StatusCode::OK, &body))
}

/// Answers 200 with how many sessions were ended.
pub(super) async fn release_all(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(id): Name<SubjectId>,
) -> Reply {
    let which = Which { license: None, subject: Some(id) };
    let released = api.store.release_all(scope, which).await?;
    Ok(answer::json(StatusCode::OK, &Released { released }))
}
