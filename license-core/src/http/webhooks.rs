//! Webhooks: where the tenant hears of its seats and licenses.

use super::request::{Admin, Asked, Id, Part, Plain, Reply, Sent, listed};
use super::{Api, answer};
use crate::clock::Timestamp;
use crate::domain::webhook::{Events, NewWebhook, NotMade, Webhook, WebhookChange};
use crate::reason::{Reason, Refusal};
use crate::signing::SecretBox;
use crate::webhooks::{Target, new_secret, secret_name};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

fn view(hook: &Webhook) -> Value {
    json!({
        "id": hook.id, "url": hook.url, "events": hook.events.names(),
        "status": if hook.is_active { "active" } else { "disabled" }, "reason": hook.reason,
        "created_at": hook.created_at.to_rfc3339(), "delivered_at": hook.delivered_at.map(Timestamp::to_rfc3339),
        "failed_at": hook.failed_at.map(Timestamp::to_rfc3339), "failure": hook.failure, "waiting": hook.waiting,
    })
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
    Ok(answer::found(&listed(found, limit, |hook| hook.id.to_string(), |hook| view(&hook))))
}

/// Answers 200 with the webhook.
pub(super) async fn show(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let hook = api.store.webhook(scope, id).await?.ok_or(Reason::NotFound)?;
    Ok(answer::found(&view(&hook)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    url: String,
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
    Ok(answer::json(StatusCode::CREATED, &with_secret(&hook, &text)))
}

fn with_secret(hook: &Webhook, secret: &str) -> Value {
    let mut shown = view(hook);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("secret".to_owned(), json!(secret));
        fields.insert("former_secret_until".to_owned(), json!(hook.former_until.to_rfc3339()));
    }
    shown
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    url: Option<String>,
    events: Option<Vec<String>>,
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
    Ok(answer::found(&view(&hook)))
}

/// Answers 204 when the webhook and what waited for it are gone.
pub(super) async fn delete(State(api): State<Api>, Admin(scope): Admin, Id(id): Id) -> Reply {
    if api.store.remove_webhook(scope, id).await? {
        Ok(answer::empty(StatusCode::NO_CONTENT))
    } else {
        Err(Reason::NotFound.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
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
    Ok(answer::json(StatusCode::OK, &with_secret(&hook, &text)))
}

/// Answers 202 when a message that tells of nothing is on its way.
pub(super) async fn test(State(api): State<Api>, Admin(scope): Admin, Id(id): Id) -> Reply {
    if api.store.test_webhook(scope, id).await? {
        Ok(answer::json(StatusCode::ACCEPTED, &json!({ "status": "queued" })))
    } else {
        Err(Reason::NotFound.into())
    }
}
