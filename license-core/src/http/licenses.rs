//! Licenses: one read by anyone of the tenant, and all that administrators do to them.

use super::gate::Member;
use super::request::{
    Admin, Asked, Id, IdAndName, Moment, Part, Plain, Reply, Sent, listed, moment, wrong,
};
use super::{Api, answer};
use crate::domain::key::{KeyPrefix, LicenseKey};
use crate::domain::license::{Leasing, License, NewLicense, Standing};
use crate::domain::names::LicenseName;
use crate::reason::{Reason, Refusal};
use crate::store::office::{Burst, LicenseChange, Which};
use crate::store::{Conflict, Seats};
use axum::Extension;
use axum::extract::State;
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// A license and its seats.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "License")]
pub(super) struct View {
    id: Uuid,
    tenant_id: String,
    name: String,
    product: String,
    #[schemars(extend("enum" = ["active", "suspended", "revoked"]))]
    status: &'static str,
    #[schemars(extend("enum" = ["per_machine", "per_user"]))]
    leasing: &'static str,
    seats_total: u32,
    seats_used: u32,
    created_at: Moment,
    expires_at: Option<Moment>,
    revision: i64,
    policy: Option<String>,
    burst_seats: u32,
    burst_until: Moment,
}

/// Shows a license.
pub(super) fn view(license: License, seats: Seats) -> View {
    View {
        id: license.id,
        tenant_id: license.tenant.as_str().to_owned(),
        name: license.name,
        product: license.product,
        status: license.standing.as_str(),
        leasing: license.leasing.as_str(),
        seats_total: seats.total,
        seats_used: seats.used,
        created_at: license.created_at.into(),
        expires_at: license.expires_at.map(Moment::from),
        revision: license.revision,
        policy: license.policy,
        burst_seats: license.burst_seats,
        burst_until: license.burst_until.into(),
    }
}

/// A license that was made, and its key, which is shown this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedLicense")]
pub(super) struct Created {
    #[serde(flatten)]
    license: View,
    license_key: String,
}

/// Answers 200, or 403 alike for another tenant's license and for none.
pub(super) async fn show(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let (license, seats) = api.store.license(member.tenant, id).await??;
    Ok(answer::found(&view(license, seats)))
}

/// Answers 200 with the tenant's licenses.
pub(super) async fn list(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let limit = page.limit;
    let found = api.store.list_licenses(scope, page).await?;
    let view = |(license, seats)| view(license, seats);
    Ok(answer::found(&listed(found, limit, |(license, _)| license.id.to_string(), view)))
}

/// A license that is to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewLicense")]
pub(super) struct New {
    #[schemars(length(min = 1, max = 128))]
    name: String,
    #[schemars(length(min = 1, max = 128))]
    product: String,
    #[schemars(range(max = 4_294_967_295_u32))]
    seats: u32,
    #[schemars(extend("enum" = ["per_machine", "per_user", null]))]
    leasing: Option<String>,
    #[schemars(regex(pattern = "^[A-Z][A-Z0-9]{1,11}$"))]
    key_prefix: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
}

/// Answers 201 with the license and its key, this once.
pub(super) async fn create(
    State(api): State<Api>,
    Admin(scope): Admin,
    Sent(new): Sent<New>,
) -> Reply {
    let prefix = new.key_prefix.as_deref().unwrap_or("LIC");
    let prefix: KeyPrefix = prefix.parse().map_err(|_| {
        Refusal::field("key_prefix", "it must be 2 to 12 of `A-Z0-9`, a letter first")
    })?;
    let new = NewLicense {
        tenant: scope.tenant.clone(),
        name: new.name.parse().map_err(wrong("name"))?,
        product: new.product.parse().map_err(wrong("product"))?,
        seats: new.seats,
        leasing: leasing(new.leasing.as_deref())?,
        expires_at: new.expires_at.map(|text| moment("expires_at", &text)).transpose()?,
        key_prefix: prefix,
    };
    let key = LicenseKey::generate(&new.key_prefix).map_err(|_| Reason::StoreUnavailable)?;
    let id = api.store.add_license(scope.clone(), new, key.hash()).await?.map_err(conflict)?;
    let (license, seats) = api.store.license(scope.tenant, id).await??;
    let license_key = key.into_text().as_str().to_owned();
    let created = Created { license: view(license, seats), license_key };
    Ok(answer::json(StatusCode::CREATED, &created))
}

fn leasing(word: Option<&str>) -> Result<Leasing, Refusal> {
    let word = word.unwrap_or("per_machine");
    Leasing::from_column(word)
        .ok_or_else(|| Refusal::field("leasing", "it must be `per_machine` or `per_user`"))
}

/// Turns what stands against a change into its refusal.
pub(super) fn conflict(conflict: Conflict) -> Refusal {
    match conflict {
        Conflict::NoTenant | Conflict::NoLicense => Reason::TenantAccess,
        Conflict::NameTaken => Reason::NameTaken,
        Conflict::Changed => Reason::PreconditionFailed,
        Conflict::NoPolicy => return Refusal::field("policy", "there is none of that name"),
    }
    .into()
}

/// What is to be otherwise of a license. `null` takes a term and a policy away.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LicenseChange")]
pub(super) struct Change {
    #[schemars(range(max = 4_294_967_295_u32))]
    seats: Option<u32>,
    #[schemars(extend("enum" = ["active", "suspended", "revoked", null]))]
    status: Option<String>,
    #[schemars(length(min = 1, max = 128))]
    product: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires_at: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>", length(min = 1, max = 128))]
    policy: Option<Option<String>>,
    burst: Option<BurstText>,
}

/// More seats for a time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Burst")]
struct BurstText {
    #[schemars(range(max = 4_294_967_295_u32))]
    seats: u32,
    #[schemars(range(max = 2_678_400))]
    secs: u64,
}

/// The longest time that more seats are given for.
const BURST_SECS_MAX: u64 = 31 * 86_400;

/// Tells `null`, which takes the term away, from a field that is not there.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reads a standing of a license, tenant or subject.
pub(super) fn standing(word: &str, revocable: bool) -> Result<Standing, Refusal> {
    match Standing::from_column(word) {
        Some(Standing::Revoked) | None if !revocable => {
            Err(Refusal::field("status", "it must be `active` or `suspended`"))
        }
        None => Err(Refusal::field("status", "it must be `active`, `suspended` or `revoked`")),
        Some(standing) => Ok(standing),
    }
}

/// Answers 200 with the license as changed, 412 when `If-Match` names another state of it.
pub(super) async fn change(
    State(api): State<Api>,
    Admin(scope): Admin,
    Id(id): Id,
    headers: HeaderMap,
    Sent(change): Sent<Change>,
) -> Reply {
    let mut wanted = LicenseChange {
        seats: change.seats,
        standing: change.status.map(|word| standing(&word, true)).transpose()?,
        product: change.product.map(|text| text.parse()).transpose().map_err(wrong("product"))?,
        expires_at: match change.expires_at {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(moment("expires_at", &text)?)),
        },
        policy: match change.policy {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(text.parse().map_err(wrong("policy"))?)),
        },
        burst: match change.burst {
            Some(burst) if burst.secs > BURST_SECS_MAX => {
                return Err(Refusal::field("burst.secs", "it is more than 31 days"));
            }
            Some(burst) => {
                Some(Burst { seats: burst.seats, lasts: Duration::from_secs(burst.secs) })
            }
            None => None,
        },
        revision: None,
    };
    if let Some(tags) = headers.get(IF_MATCH) {
        let (license, seats) = api.store.license(scope.tenant.clone(), id).await??;
        let revision = license.revision;
        let tag = answer::tag_of(&view(license, seats));
        if tags.as_bytes() != b"*" && !answer::names_tag(tags, &tag) {
            return Err(Reason::PreconditionFailed.into());
        }
        wanted.revision = Some(revision);
    }
    let (license, seats) = api.store.amend_license(scope, id, wanted).await?.map_err(conflict)?;
    Ok(answer::found(&view(license, seats)))
}

/// How many sessions were ended.
#[derive(Serialize, JsonSchema)]
pub(super) struct Released {
    pub(super) released: u64,
}

/// Names of entitlements.
#[derive(Serialize, JsonSchema)]
pub(super) struct Names {
    items: Vec<String>,
}

/// Answers 200 with how many sessions were ended.
pub(super) async fn release_all(State(api): State<Api>, Admin(scope): Admin, Id(id): Id) -> Reply {
    api.store.license(scope.tenant.clone(), id).await??;
    let which = Which { license: Some(id), subject: None };
    let released = api.store.release_all(scope, which).await?;
    Ok(answer::json(StatusCode::OK, &Released { released }))
}

/// Answers 200 with the names.
pub(super) async fn entitlements(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let names = api.store.entitlements(member.scope(), id).await?.ok_or(Reason::TenantAccess)?;
    Ok(answer::found(&Names { items: names }))
}

/// Answers 204, whether the license had it before or not.
pub(super) async fn entitle(
    State(api): State<Api>,
    Admin(scope): Admin,
    IdAndName(id, name): IdAndName<LicenseName>,
) -> Reply {
    api.store.entitle(scope, id, name).await?.ok_or(Reason::TenantAccess)?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Answers 204, whether the license had it or not.
pub(super) async fn disentitle(
    State(api): State<Api>,
    Admin(scope): Admin,
    IdAndName(id, name): IdAndName<LicenseName>,
) -> Reply {
    api.store.license(scope.tenant.clone(), id).await??;
    api.store.disentitle(scope, id, name).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
