//! How answers look: JSON, never stored by anyone, every refusal in the one shape.

use super::Api;
use super::gate::Admitted;
use crate::reason::Refusal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

const REQUEST_ID: &str = "x-edge-request-id";
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Answers with a JSON body, whose type says what the document says of it.
pub(super) fn json(status: StatusCode, body: &(impl Serialize + JsonSchema)) -> Response {
    bytes(status, text_of(body))
}

fn text_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("answers are plain structs of texts and numbers")
}

/// Answers with a JSON body that stands already.
pub(super) fn bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Answers 200 with a thing and the tag of its state.
pub(super) fn found(body: &(impl Serialize + JsonSchema)) -> Response {
    let text = text_of(body);
    let tag = tag_of_text(&text);
    let mut response = bytes(StatusCode::OK, text);
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Returns the tag of a thing's state: equal bodies have equal tags.
pub(super) fn tag_of(body: &impl Serialize) -> HeaderValue {
    tag_of_text(&text_of(body))
}

fn tag_of_text(text: &[u8]) -> HeaderValue {
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, text));
    let short: String = hash.chars().take(22).collect();
    HeaderValue::from_str(&format!("\"{short}\"")).expect("base64url is a header's text")
}

/// Says whether a header's list of tags names this one; comparison is weak (RFC 9110 §8.8.3.2).
pub(super) fn names_tag(tags: &HeaderValue, tag: &HeaderValue) -> bool {
    let strong = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let (Ok(tags), Ok(tag)) = (tags.to_str(), tag.to_str()) else { return false };
    tags.split(',').any(|named| strong(named) == tag)
}

/// Leaves out a body that the client has already.
fn unchanged(has: Option<&HeaderValue>, response: Response) -> Response {
    match (has, response.headers().get(ETAG)) {
        (Some(tags), Some(tag)) if names_tag(tags, tag) => {
            let tag = tag.clone();
            let mut short = empty(StatusCode::NOT_MODIFIED);
            short.headers_mut().insert(ETAG, tag);
            *short.extensions_mut() = response.extensions().clone();
            short
        }
        (_, None) | (None, Some(_)) | (Some(_), Some(_)) => response,
    }
}

/// Answers without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Refuses; [`envelope`] writes the body, since it knows the request's id.
pub(super) fn refuse(refusal: impl Into<Refusal>) -> Response {
    let refusal = refusal.into();
    let mut response = empty(
        StatusCode::from_u16(refusal.reason.row().status).expect("the table holds HTTP statuses"),
    );
    response.extensions_mut().insert(refusal);
    response
}

/// The template of the route that answered, which a handler behind the gate leaves in its response.
#[derive(Clone)]
pub(super) struct Route(pub(super) String);

/// Reads the template of the route that a request was matched to.
pub(super) fn route_of(request: &Request) -> Option<Route> {
    let matched = request.extensions().get::<MatchedPath>()?;
    Some(Route(matched.as_str().trim_end_matches('/').to_owned()))
}

/// Gives every answer its shape, the log its line and the metrics their count.
pub(super) async fn envelope(State(api): State<Api>, request: Request, next: Next) -> Response {
    let began = api.clock.uptime();
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let has = request.headers().get(IF_NONE_MATCH).filter(|_| method == Method::GET).cloned();
    let open_route = route_of(&request);
    let response = next.run(request).await;
    // The route's template, not the path: paths hold ids and whatever else a client wrote.
    let route = response.extensions().get::<Route>().cloned().or(open_route);
    let route = route.as_ref().map_or("none", |route| route.0.as_str());
    let refusal = response.extensions().get::<Refusal>().cloned();
    let took = api.clock.uptime().saturating_sub(began);
    let code = refusal.as_ref().map(|refusal| refusal.reason.row().code);
    api.metrics.answered(route, response.status().as_u16(), code, took);
    let mut response = match refusal {
        None => {
            let status = response.status().as_u16();
            tracing::info!(%request_id, %method, route, status, "answered");
            unchanged(has.as_ref(), response)
        }
        Some(refusal) => {
            log_refusal(&refusal, &request_id, method.as_str(), route);
            refused(&refusal, &request_id, &response)
        }
    };
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The edge's request id when it is one, or a new one. It is for logs; nothing is decided by it.
fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match sent {
        Some(id)
            if (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            id.to_owned()
        }
        Some(_) | None => Uuid::new_v4().to_string(),
    }
}

fn log_refusal(refusal: &Refusal, request_id: &str, method: &str, route: &str) {
    let row = refusal.reason.row();
    let (status, code) = (row.status, row.code);
    if row.level == tracing::Level::ERROR {
        tracing::error!(request_id, method, route, status, code, "refused");
    } else if row.level == tracing::Level::WARN {
        tracing::warn!(request_id, method, route, status, code, "refused");
    } else {
        tracing::info!(request_id, method, route, status, code, "refused");
    }
}

/// A refusal, as every client reads it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Refused<'a> {
    error: &'static str,
    message: &'static str,
    /// The message once more, for clients of the sibling system.
    detail: &'static str,
    request_id: &'a str,
    #[schemars(extend("const" = "license"))]
    source: &'static str,
    retryable: bool,
    /// Whether it is the service's verdict on the license.
    conclusive: bool,
    details: &'a Map<String, Value>,
}

/// How something stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct Status {
    pub(super) status: &'static str,
}

/// Writes the one error shape over the handler's bodiless refusal, keeping its headers (`Allow` of a 405).
fn refused(refusal: &Refusal, request_id: &str, response: &Response) -> Response {
    let row = refusal.reason.row();
    let body = Refused {
        error: row.code,
        message: row.message,
        detail: row.message,
        request_id,
        source: "license",
        retryable: row.retryable,
        conclusive: row.conclusive,
        details: &refusal.details,
    };
    let mut answer = json(response.status(), &body);
    for (name, value) in response.headers() {
        if name != CONTENT_LENGTH {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
    }
    if let Some(admitted) = response.extensions().get::<Admitted>() {
        answer.extensions_mut().insert(*admitted);
    }
    if let Some(secs) = refusal.retry_after_secs {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    answer
}
