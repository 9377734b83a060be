//! `POST /api/v1/license/acquire`: a seat for a machine.

use super::gate::Member;
use super::request::{is_json, malformed, wrong};
use super::sessions::SessionView;
use super::{Api, Held, Person, answer};
use crate::domain::key::LicenseKey;
use crate::domain::names::{HardwareId, TenantId, UserEmail};
use crate::reason::{Reason, Refusal};
use crate::signing::{KeySet, verify};
use crate::store::{Acquire, Fresh, Granted, Named, Seats};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

const METADATA_ENTRIES_MAX: usize = 16;
const METADATA_NAME_BYTES_MAX: usize = 64;
const METADATA_VALUE_BYTES_MAX: usize = 256;

/// Who wants a seat where. One of `hardware_id` and `machine_id` names the machine.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "Acquire",
    extend("anyOf" = [{"required": ["hardware_id"]}, {"required": ["machine_id"]}])
)]
pub(super) struct Body {
    license_key: String,
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[!-~]+$"))]
    hardware_id: Option<String>,
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[!-~]+$"))]
    machine_id: Option<String>,
    #[schemars(length(max = 254))]
    user_email: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "metadata")]
    metadata: Metadata,
    /// The session whose seat is to be taken when no other is free; the policy says whose may be.
    take_over: Option<Uuid>,
    /// The receipt of a lease that is not over, by which a seat is had back after the store was restored.
    receipt: Option<String>,
    /// Clients of the sibling system send these two; a client's own word on them is never believed nor kept.
    #[serde(rename = "ip_address")]
    #[schemars(with = "Option<serde_json::Value>")]
    _ip_address: Option<IgnoredAny>,
    #[serde(rename = "user_agent")]
    #[schemars(with = "Option<serde_json::Value>")]
    _user_agent: Option<IgnoredAny>,
}

/// Describes what a client may say of itself.
fn metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": METADATA_ENTRIES_MAX,
        "additionalProperties": {"type": "string", "maxLength": METADATA_VALUE_BYTES_MAX}})
}

/// A session that holds a seat, and how many seats are leased.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Grant")]
pub(super) struct View {
    #[serde(flatten)]
    session: SessionView,
    seats_used: u32,
    seats_total: u32,
}

/// Answers 201 with a new session, or 200 with the one that the caller holds on this machine already.
pub(super) async fn acquire(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match try_acquire(&api, member, &headers, &body).await {
        Ok(response) => response,
        Err(refusal) => answer::refuse(refusal),
    }
}

async fn try_acquire(
    api: &Api,
    member: Member,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    let tenant = member.tenant.clone();
    let granted = api.store.acquire(read(api, member, headers, body).await?).await??;
    let status = match granted.fresh {
        Fresh::New => StatusCode::CREATED,
        Fresh::Renewed => StatusCode::OK,
    };
    Ok(self::granted(api, &tenant, granted, status).await)
}

/// Shows a seat that was granted.
pub(super) async fn granted(
    api: &Api,
    tenant: &TenantId,
    granted: Granted,
    status: StatusCode,
) -> Response {
    let Seats { used, total } = granted.seats;
    let session = api.view(tenant, granted.session).await;
    answer::json(status, &View { session, seats_used: used, seats_total: total })
}

/// Reads the body. The key's form is looked at first: what is no key is refused as such, whatever else is wrong.
async fn read(
    api: &Api,
    member: Member,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Acquire, Refusal> {
    if !is_json(headers) {
        return Err(Reason::UnsupportedMediaType.into());
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    let key = LicenseKey::parse(&body.license_key).map_err(|_| Reason::InvalidLicenseKey)?;
    let hardware = hardware(body.hardware_id, body.machine_id)?;
    let user_email = body
        .user_email
        .map(|email| email.parse::<UserEmail>())
        .transpose()
        .map_err(wrong("user_email"))?;
    let proven = match &body.receipt {
        Some(receipt) => Some(proven(api, &member, hardware.as_str(), receipt).await?),
        None => None,
    };
    let held = Held {
        tenant: &member.tenant,
        subject: member.subject.as_str(),
        hardware: hardware.as_str(),
    };
    let email = user_email.map(|email| email.as_str().to_owned());
    let person = api.seal(Person { email, metadata: body.metadata.0 }, held)?;
    Ok(Acquire {
        tenant: member.tenant,
        subject: member.subject,
        license: Named::Key(key.hash()),
        hardware,
        user_email: person.email,
        metadata: person.metadata,
        take_over: body.take_over,
        proven,
    })
}

/// Returns the license of which the receipt proves that this user held a seat on this machine until now.
async fn proven(
    api: &Api,
    member: &Member,
    hardware: &str,
    receipt: &str,
) -> Result<Uuid, Refusal> {
    let wrong = |problem: &str| Refusal::field("receipt", problem);
    let signer = api.signer.as_ref().ok_or(Reason::SigningUnavailable)?;
    let keys = KeySet::parse(signer.jwks().await?.to_string().as_bytes());
    let keys = keys.map_err(|_| Reason::SigningUnavailable)?;
    let now = api.store.now().await?;
    // The store's time is exact, so that the minute's leeway of a client's clock is not given.
    let receipt =
        verify(receipt, &keys, now).ok().filter(|receipt| receipt.expires_at > now.as_secs());
    let receipt =
        receipt.ok_or_else(|| wrong("it is not a receipt of a lease that is not over"))?;
    let own = receipt.tenant == member.tenant.as_str()
        && receipt.subject == member.subject.as_str()
        && receipt.is_for(hardware);
    if !own {
        return Err(wrong("it was given to another user or for another machine"));
    }
    receipt.license_id.parse().map_err(|_| wrong("it names no license"))
}

fn hardware(
    hardware_id: Option<String>,
    machine_id: Option<String>,
) -> Result<HardwareId, Refusal> {
    let given = match (hardware_id, machine_id) {
        (Some(one), None) | (None, Some(one)) => one,
        (Some(one), Some(other)) if one == other => one,
        (Some(_), Some(_)) => {
            return Err(Refusal::field("machine_id", "it differs from `hardware_id`"));
        }
        (None, None) => return Err(Refusal::field("hardware_id", "it is missing")),
    };
    given.parse().map_err(wrong("hardware_id"))
}

/// A few short texts about the client, kept with the session for people who look at holders.
#[derive(Default)]
struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("at most 16 short texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            let fits =
                name.len() <= METADATA_NAME_BYTES_MAX && value.len() <= METADATA_VALUE_BYTES_MAX;
            // A database text holds no NUL.
            let plain = !name.contains('\0') && !value.contains('\0');
            if !fits
                || !plain
                || entries.len() == METADATA_ENTRIES_MAX
                || entries.insert(name, value).is_some()
            {
                return Err(A::Error::custom("too many, too long or repeated entries"));
            }
        }
        Ok(Metadata(entries))
    }
}
