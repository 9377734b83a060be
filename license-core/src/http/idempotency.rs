//! `Idempotency-Key`: the same request under the same key is carried out once, and answered the same again for a day.
//!
//! Only what was done is kept; a refusal leaves the key free, so that a client which was refused may ask again. The
//! operations that take a key say so in the table of operations; elsewhere the header is refused, not ignored.

use super::gate::Member;
use super::{Api, answer};
use crate::reason::{Reason, Refusal};
use crate::store::office::{Claim, Scope};
use crate::vault::Place;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;

/// Runs a request whose body is `body`, once per key when it has one.
pub(super) async fn once(api: &Api, request: Request, body: &Bytes, next: Next) -> Response {
    let key = match key(&request) {
        Ok(None) => return next.run(request).await,
        Ok(Some(key)) => key,
        Err(refusal) => return answer::refuse(refusal),
    };
    let takes = answer::route_of(&request)
        .is_some_and(|route| super::operations::takes_key(request.method().as_str(), &route.0));
    if !takes {
        let problem = "this request takes none: it may be repeated as it is";
        return answer::refuse(Refusal::field("Idempotency-Key", problem));
    }
    let Some(scope) = request.extensions().get::<Member>().map(Member::scope) else {
        return answer::refuse(Reason::MissingAssertion);
    };
    let said = fingerprint(&request, body);
    match api.store.claim(scope.clone(), key.clone(), said).await {
        Err(error) => answer::refuse(error),
        Ok(Claim::Other) => answer::refuse(Reason::IdempotencyMismatch),
        Ok(Claim::Full) => {
            answer::refuse(Refusal { retry_after_secs: Some(3600), ..Reason::TooManyKeys.into() })
        }
        Ok(Claim::InHand) => answer::refuse(Refusal {
            retry_after_secs: Some(1),
            ..Reason::IdempotencyInHand.into()
        }),
        Ok(Claim::Answered { status, body }) => {
            let place = Place::answer(&scope.tenant, &scope.actor, &key);
            match api.open_answer(place, body).await {
                Some(body) => replay(status, body),
                None => answer::refuse(Reason::StoreUnavailable),
            }
        }
        Ok(Claim::New) => keep(api, scope, key, next.run(request).await).await,
    }
}

fn key(request: &Request) -> Result<Option<String>, Refusal> {
    let mut given = request.headers().get_all(HEADER).iter();
    let (first, second) = (given.next(), given.next());
    let Some(first) = first else { return Ok(None) };
    let fits = (1..=KEY_BYTES_MAX).contains(&first.len());
    match first.to_str() {
        Ok(text) if fits && second.is_none() => Ok(Some(text.to_owned())),
        Ok(_) | Err(_) => Err(Refusal::field(
            "Idempotency-Key",
            "it must be one text of 1 to 255 visible characters",
        )),
    }
}

fn fingerprint(request: &Request, body: &[u8]) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let said =
        [request.method().as_str().as_bytes(), b" ", target.as_bytes(), b"\n", body].concat();
    digest(&SHA256, &said).as_ref().to_vec()
}

fn replay(status: u16, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = answer::bytes(status, body);
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

/// Keeps the answer of what was done. When that fails the key stays in hand for a minute; what was done is done.
async fn keep(api: &Api, scope: Scope, key: String, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return answer::refuse(Reason::StoreUnavailable) };
    let body = body.to_bytes();
    let place = Place::answer(&scope.tenant, &scope.actor, &key);
    let kept = match parts.status.is_success().then(|| api.seal_answer(place, body.to_vec())) {
        Some(Some(kept)) => Some((parts.status.as_u16(), kept)),
        // Not kept is better than kept in the clear, and what was done is done: the key stays in hand.
        Some(None) => return Response::from_parts(parts, Body::from(body)),
        None => None,
    };
    if let Err(error) = api.store.answered(scope, key, kept).await {
        tracing::warn!(%error, "the answer to a request with a key was not kept");
    }
    Response::from_parts(parts, Body::from(body))
}
