//! `GET /.well-known/jwks.json`: the keys that receipts are verified with. Anyone may read it.

use super::{Api, answer};
use crate::reason::Reason;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

/// A key stands in the set for a day before it signs, so an hour in a cache is never too long; a revocation takes
/// effect for a caching reader when its hour is over.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// Answers 200 with the key set, 404 where the service does not sign.
pub(super) async fn jwks(State(api): State<Api>) -> Response {
    let Some(signer) = &api.signer else {
        return answer::refuse(Reason::NotFound);
    };
    match signer.jwks().await {
        Ok(keys) => {
            let mut response = answer::json(StatusCode::OK, &keys);
            response.headers_mut().insert(CACHE_CONTROL, CACHED);
            response
        }
        Err(error) => answer::refuse(error),
    }
}
