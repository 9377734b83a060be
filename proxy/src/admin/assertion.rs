//! `assertion rotate`, `assertion show`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use http::StatusCode;
use portcullis_config::model::AssertionKey as Source;
use portcullis_identity::assertion::{AssertionKey, LIFETIME_SECS};
use serde_json::{Map, json};

use super::message::{AssertionView, RetiredView, RotateAssertion};
use super::server::{Answer, Operator, Peer, refuse};
use crate::atomic_file;
use crate::log::rfc3339;
use crate::signing::RotationError;

pub(super) async fn show(State(operator): State<Arc<Operator>>) -> Json<AssertionView> {
    Json(view(&operator))
}

pub(super) async fn rotate(
    State(operator): State<Arc<Operator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<RotateAssertion>,
) -> Answer<AssertionView> {
    let failed = |error: String| refuse(StatusCode::INTERNAL_SERVER_ERROR, error);
    if wanted.overlap_secs < LIFETIME_SECS {
        let error =
            format!("an assertion is valid for {LIFETIME_SECS}s: the overlap is that at least");
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, error));
    }
    let config = Arc::clone(&operator.shared.snapshot.load().config);
    let source = &config.identity.assertion.key;
    let (key, pem) = next(source).map_err(failed)?;
    let until = operator.shared.clock.now().plus(Duration::from_secs(wanted.overlap_secs));
    let command = format!("assertion rotate --overlap {}s", wanted.overlap_secs);
    let outcome = Map::from_iter([("kid".to_owned(), json!(key.kid()))]);
    operator.record(&peer.actor(), &command, wanted.reason.as_deref(), &outcome)?;
    let keep = || match (source, &pem) {
        (Source::Generated(path), Some(pem)) => {
            let kept = atomic_file::replace(path, pem.as_bytes(), atomic_file::SECRET);
            kept.map_err(|source| RotationError::Write { path: path.clone(), source })
        }
        (Source::Generated(_) | Source::Given(_), _) => Ok(()),
    };
    match operator.shared.signing.rotate(key, until, keep) {
        Ok(()) => Ok(Json(view(&operator))),
        Err(error @ (RotationError::Known(_) | RotationError::Full)) => {
            Err(refuse(StatusCode::CONFLICT, error.to_string()))
        }
        Err(error @ RotationError::Write { .. }) => Err(failed(error.to_string())),
    }
}

/// A key of our own is made; one that the operator gives is read again from where it stands.
fn next(source: &Source) -> Result<(AssertionKey, Option<zeroize::Zeroizing<String>>), String> {
    match source {
        Source::Generated(_) => {
            let (key, pem) = AssertionKey::generate().map_err(|error| error.to_string())?;
            Ok((key, Some(pem)))
        }
        Source::Given(secret) => {
            let unusable =
                |why: String| format!("the assertion key `{secret}` cannot be used: {why}");
            let bytes = secret.read().map_err(|error| unusable(error.to_string()))?;
            let key = AssertionKey::from_pkcs8(bytes.expose());
            Ok((key.map_err(|error| unusable(error.to_string()))?, None))
        }
    }
}

fn view(operator: &Operator) -> AssertionView {
    let signing = &operator.shared.signing;
    let retired = signing.retired().into_iter();
    AssertionView {
        kid: signing.key().kid().to_owned(),
        jwks: signing.jwks().clone(),
        retired: retired.map(|(kid, until)| RetiredView { kid, until: rfc3339(until) }).collect(),
    }
}
