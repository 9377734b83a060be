//! Webhooks: where the tenant hears of its seats and licenses.

use super::request::{Admin, Asked, Id, Moment, Part, Plain, Reply, Sent, listed};
use super::{Api, answer};
use crate::domain::webhook::{EVENTS, Events, NewWebhook, NotMade, Webhook, WebhookChange};
use crate::reason::{Reason, Refusal};
use crate::signing::SecretBox;
use crate::webhooks::{Target, new_secret, secret_name};
use axum::extract::State;
use axum::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// A webhook.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub(super) struct View {
    id: Uuid,
    url: String,
    events: Vec<&'static str>,
    #[schemars(extend("enum" = ["active", "disabled"]))]
    status: &'static str,
    /// Why it is disabled.
    reason: Option<String>,
    created_at: Moment,
    delivered_at: Option<Moment>,
    failed_at: Option<Moment>,
    failure: Option<String>,
    /// How many messages wait for it.
    waiting: u32,
}

fn view(hook: Webhook) -> View {
    View {
        id: hook.id,
        url: hook.url,
        events: hook.events.names(),
        status: if hook.is_active { "active" } else { "disabled" },
        reason: hook.reason,
        created_at: hook.created_at.into(),
        delivered_at: hook.delivered_at.map(Moment::from),
        failed_at: hook.failed_at.map(Moment::from),
        failure: hook.failure,
        waiting: hook.waiting,
    }
}

/// A webhook and its secret, which is shown this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookSecret")]
pub(super) struct WithSecret {
    #[serde(flatten)]
    webhook: View,
    secret: String,
    /// Until when the secret before signs too.
    former_secret_until: Moment,
}

/// Describes a choice of events: those that there are.
fn event_names(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = EVENTS.iter().chain(&["*"]).copied().collect();
    json_schema!({"type": ["array", "null"], "minItems": 1, "items": {"enum": names}})
}

/// Answers 200 with the tenant's webhooks.
pub(super) async fn list(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let limit = page.limit;
    let found = api.store.webhooks(scope, page).await?;
    Ok(answer::found(&listed(found, limit, |hook| hook.id.to_string(), view)))
}

/// Answers 200 with the webhook.
pub(super) async fn show(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let hook = api.store.webhook(scope, id).await?.ok_or(Reason::NotFound)?;
    Ok(answer::found(&view(hook)))
}

/// A webhook that is to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhook")]
pub(super) struct New {
    #[schemars(length(max = 2048), extend("format" = "uri"))]
    url: String,
    #[schemars(schema_with = "event_names")]
    events: Option<Vec<String>>,
}

/// Answers 201 with the webhook and its secret, this once.
pub(super) async fn create(
    State(api): State<Api>,
    Admin(scope): Admin,
    Sent(new): Sent<New>,
) -> Reply {
    let secrets = secrets(&api)?;
    let url = url(&api, new.url)?;
    let events = new.events.map_or(Ok(Events::ALL), |names| events(&names))?;
    let id = Uuid::now_v7();
    let (secret, text) = new_secret().ok_or(Reason::SigningUnavailable)?;
    let sealed = secrets.seal(&secret, &secret_name(&scope.tenant, id));
    let secret = sealed.map_err(|_| Reason::SigningUnavailable)?;
    let new = NewWebhook { id, url, events, secret };
    api.store.add_webhook(scope.clone(), new).await?.map_err(|why| match why {
        NotMade::NoTenant => Reason::TenantAccess,
        NotMade::TooMany => Reason::TooManyWebhooks,
    })?;
    let hook = api.store.webhook(scope, id).await?.ok_or(Reason::NotFound)?;
    Ok(answer::json(StatusCode::CREATED, &with_secret(hook, &text)))
}

fn with_secret(hook: Webhook, secret: &str) -> WithSecret {
    let former_secret_until = hook.former_until.into();
    WithSecret { webhook: view(hook), secret: secret.to_owned(), former_secret_until }
}

fn secrets(api: &Api) -> Result<&SecretBox, Refusal> {
    api.secrets.as_deref().ok_or_else(|| Reason::SigningUnavailable.into())
}

fn url(api: &Api, url: String) -> Result<String, Refusal> {
    Target::parse(&url, &api.guard).map_err(|why| Refusal::field("url", &why.to_string()))?;
    Ok(url)
}

fn events(names: &[String]) -> Result<Events, Refusal> {
    Events::parse(names.iter().map(String::as_str))
        .map_err(|why| Refusal::field("events", &why.to_string()))
}

/// What is to be otherwise of a webhook.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookChange")]
pub(super) struct Change {
    #[schemars(length(max = 2048), extend("format" = "uri"))]
    url: Option<String>,
    #[schemars(schema_with = "event_names")]
    events: Option<Vec<String>>,
    #[schemars(extend("enum" = ["active", "disabled", null]))]
    status: Option<String>,
}

/// Answers 200 with the webhook as changed.
pub(super) async fn change(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    Sent(change): Sent<Change>,
) -> Reply {
    let active = match change.status.as_deref() {
        None => None,
        Some("active") => Some(true),
        Some("disabled") => Some(false),
        Some(_) => return Err(Refusal::field("status", "it must be `active` or `disabled`")),
    };
    let wanted = WebhookChange {
        url: change.url.map(|text| url(&api, text)).transpose()?,
        events: change.events.map(|names| events(&names)).transpose()?,
        active,
    };
    if !api.store.change_webhook(scope.clone(), id, wanted).await? {
        return Err(Reason::NotFound.into());
    }
    let hook = api.store.webhook(scope, id).await?.ok_or(Reason::NotFound)?;
    Ok(answer::found(&view(hook)))
}

/// Answers 204 when the webhook and what waited for it are gone.
pub(super) async fn delete(State(api): State<Api>, Admin(scope): Admin, Id(id): Id) -> Reply {
    if api.store.remove_webhook(scope, id).await? {
        Ok(answer::empty(StatusCode::NO_CONTENT))
    } else {
        Err(Reason::NotFound.into())
    }
}

/// How a secret is to be replaced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecretRotation")]
pub(super) struct Rotation {
    #[schemars(range(max = 604_800))]
    overlap_secs: Option<u64>,
}

/// How long the secret before signs too, unless it is said, and at the most.
pub(crate) const OVERLAP_SECS: u64 = 86_400;
pub(crate) const OVERLAP_SECS_MAX: u64 = 7 * 86_400;

/// Answers 200 with the webhook and its new secret, this once.
pub(super) async fn rotate(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    Sent(rotation): Sent<Rotation>,
) -> Reply {
    let overlap = rotation.overlap_secs.unwrap_or(OVERLAP_SECS);
    if overlap > OVERLAP_SECS_MAX {
        return Err(Refusal::field("overlap_secs", "it is more than 7 days"));
    }
    let (secret, text) = new_secret().ok_or(Reason::SigningUnavailable)?;
    let sealed = secrets(&api)?.seal(&secret, &secret_name(&scope.tenant, id));
    let sealed = sealed.map_err(|_| Reason::SigningUnavailable)?;
    let overlap = Duration::from_secs(overlap);
    if !api.store.rotate_secret(scope.clone(), id, sealed, overlap).await? {
        return Err(Reason::NotFound.into());
    }
    let hook = api.store.webhook(scope, id).await?.ok_or(Reason::NotFound)?;
    Ok(answer::json(StatusCode::OK, &with_secret(hook, &text)))
}

/// Answers 202 when a message that tells of nothing is on its way.
pub(super) async fn test(State(api): State<Api>, Admin(scope): Admin, Id(id): Id) -> Reply {
    if api.store.test_webhook(scope, id).await? {
        Ok(answer::json(StatusCode::ACCEPTED, &answer::Status { status: "queued" }))
    } else {
        Err(Reason::NotFound.into())
    }
}
