//! `GET /.well-known/jwks.json`: the keys that receipts are verified with. Anyone may read it.

use super::{Api, answer};
use crate::reason::Reason;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A key stands in the set for a day before it signs, so an hour in a cache is never too long; a revocation takes
/// effect for a caching reader when its hour is over.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// A JSON web key set (RFC 7517).
#[derive(Serialize, JsonSchema)]
pub(super) struct KeySet {
    #[schemars(with = "Vec<serde_json::Map<String, Value>>")]
    keys: Value,
}

/// Answers 200 with the key set, 404 where the service does not sign.
pub(super) async fn jwks(State(api): State<Api>) -> Response {
    let Some(signer) = &api.signer else {
        return answer::refuse(Reason::NotFound);
    };
    match signer.jwks().await {
        Ok(mut keys) => {
            let keys = KeySet { keys: keys["keys"].take() };
            let mut response = answer::json(StatusCode::OK, &keys);
            response.headers_mut().insert(CACHE_CONTROL, CACHED);
            response
        }
        Err(error) => answer::refuse(error),
    }
}
