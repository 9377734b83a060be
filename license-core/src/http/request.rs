//! What handlers take from a request: a body, a query, an id, and who is asking with which right.

use super::answer::refuse;
use super::gate::Member;
use crate::clock::Timestamp;
use crate::domain::names::NameError;
use crate::reason::{Reason, Refusal};
use crate::store::office::{Page, Scope};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use uuid::Uuid;

/// What a handler answers.
pub(super) type Reply = Result<Response, Refusal>;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refuse(self)
    }
}

/// A JSON body, whose type says what the document says of it.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Reason::UnsupportedMediaType.into());
        }
        let body = Bytes::from_request(request, state).await.map_err(|_| Reason::InvalidRequest)?;
        serde_json::from_slice(&body).map(Self).map_err(|error| malformed(&error))
    }
}

/// Says whether a request calls its body JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Says where a body is wrong, and nothing of what stands there.
pub(super) fn malformed(error: &serde_json::Error) -> Refusal {
    let what = if error.is_data() {
        "it has a missing, unknown, repeated or mistyped field"
    } else {
        "it is not JSON"
    };
    Refusal::field("body", &format!("{what} (line {}, column {})", error.line(), error.column()))
}

/// Refuses a field whose name is not in its form.
pub(super) fn wrong(field: &'static str) -> impl Fn(NameError) -> Refusal {
    move |error| Refusal::field(field, &error.to_string())
}

/// The query of a request.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|_| {
            Refusal::field("query", "it has an unknown, repeated or malformed parameter")
        })
    }
}

/// A request that takes no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {}

/// The id in a path.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        text.and_then(|Path(text)| uuid(&text))
            .map(Self)
            .ok_or_else(|| Refusal::field("id", "it is not a UUID"))
    }
}

/// Reads an id as the service writes it.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

/// The name in a path.
pub(super) struct Name<T>(pub(super) T);

impl<T: std::str::FromStr<Err = NameError>, S: Send + Sync> FromRequestParts<S> for Name<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = text.map_err(|_| Refusal::field("name", "it is not UTF-8"))?;
        text.parse().map(Self).map_err(wrong("name"))
    }
}

/// The id and the name in a path.
pub(super) struct IdAndName<T>(pub(super) Uuid, pub(super) T);

impl<T: std::str::FromStr<Err = NameError>, S: Send + Sync> FromRequestParts<S> for IdAndName<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, name)) = text.map_err(|_| Refusal::field("name", "it is not UTF-8"))?;
        let id = uuid(&id).ok_or_else(|| Refusal::field("id", "it is not a UUID"))?;
        Ok(Self(id, name.parse().map_err(wrong("name"))?))
    }
}

impl Member {
    /// Returns the rows that the caller's requests read and write.
    pub(super) fn scope(&self) -> Scope {
        Scope { tenant: self.tenant.clone(), actor: self.subject.as_str().to_owned() }
    }
}

/// A caller who may administer the tenant's licenses.
pub(super) struct Admin(pub(super) Scope);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let member = parts.extensions.get::<Member>().ok_or(Reason::MissingAssertion)?;
        if member.roles.admin {
            Ok(Self(member.scope()))
        } else {
            Err(Reason::InsufficientScope.into())
        }
    }
}

/// A caller who may create and suspend the tenant.
pub(super) struct TenantOperator(pub(super) Scope);

impl<S: Send + Sync> FromRequestParts<S> for TenantOperator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let member = parts.extensions.get::<Member>().ok_or(Reason::MissingAssertion)?;
        if member.roles.operator {
            Ok(Self(member.scope()))
        } else {
            Err(Reason::InsufficientScope.into())
        }
    }
}

const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;
const CURSOR_BYTES_MAX: usize = 1024;

/// Reads what a client says of the part of a list that it wants. One row more than it gets is asked of the store, to
/// know whether another part follows.
pub(super) fn page(limit: Option<u32>, cursor: Option<&str>) -> Result<Page, Refusal> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::field("limit", "it is not between 1 and 1000"));
    }
    let wrong = || Refusal::field("cursor", "it is not one that this service gave");
    let after = match cursor {
        None => String::new(),
        Some(cursor) if cursor.len() <= CURSOR_BYTES_MAX => {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
            let text = String::from_utf8(bytes).map_err(|_| wrong())?;
            if text.contains('\0') { return Err(wrong()) } else { text }
        }
        Some(_) => return Err(wrong()),
    };
    Ok(Page { after, limit: limit + 1 })
}

/// Renders a part of a list; `name` says where the next part begins.
pub(super) fn listed<T, V>(
    mut rows: Vec<T>,
    page_limit: u32,
    name: impl Fn(&T) -> String,
    view: impl Fn(T) -> V,
) -> List<V> {
    let limit = usize::try_from(page_limit).unwrap_or(usize::MAX).saturating_sub(1);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| URL_SAFE_NO_PAD.encode(name(row)));
    List { items: rows.into_iter().map(view).collect(), next_cursor }
}

/// A part of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct List<T> {
    items: Vec<T>,
    /// Where the next part begins; `null` after the last one.
    next_cursor: Option<String>,
}

/// A moment, as answers write it.
pub(super) struct Moment(Timestamp);

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339())
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The query of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Part {
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        page(self.limit, self.cursor.as_deref())
    }
}

/// Reads a moment in RFC 3339.
pub(super) fn moment(field: &'static str, text: &str) -> Result<Timestamp, Refusal> {
    let wrong = || {
        Refusal::field(
            field,
            "it is not a time after 1970 in RFC 3339, such as `2027-01-15T08:00:00Z`",
        )
    };
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(time.as_millisecond()).map(Timestamp::from_millis).map_err(|_| wrong())
}
