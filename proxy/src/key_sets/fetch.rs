//! One fetch of a key set: the document that names it, where there is one, then the set.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use portcullis_config::model::{Provider, Url};
use portcullis_identity::Verifier;
use portcullis_identity::discovery::{self, DOCUMENT_BYTES_MAX};
use portcullis_identity::keys::KEY_SET_BYTES_MAX;

use super::FetchError;
use super::freshness::freshness;
use crate::egress::{Egress, EgressError};

/// How long each of the two answers may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What a good answer was.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The provider with these keys.
    pub(super) verifier: Verifier,
    /// The set as it came.
    pub(super) bytes: Bytes,
    /// For how long the issuer says that it holds, inside our bounds.
    pub(super) fresh: Duration,
}

/// Fetches the keys of a provider. What is no usable key set is an error: the set that stands is better.
pub(super) async fn fetch(
    egress: &Egress,
    name: &str,
    provider: &Provider,
) -> Result<Option<Fetched>, FetchError> {
    let Some(keys) = provider.fetched() else { return Ok(None) };
    let (bytes, headers) = match provider {
        Provider::Oidc(oidc) => {
            let (document, _) = get(egress, &keys.url, DOCUMENT_BYTES_MAX).await?;
            let url = discovery::key_set_url(&document, &oidc.issuer)?;
            get(egress, &url, KEY_SET_BYTES_MAX).await?
        }
        Provider::Static(_) | Provider::Hmac(_) | Provider::IdentityPlatform(_) => {
            get(egress, &keys.url, KEY_SET_BYTES_MAX).await?
        }
    };
    let verifier = Verifier::compile(name, provider, &bytes)?;
    Ok(Some(Fetched { verifier, bytes, fresh: freshness(&headers) }))
}

async fn get(
    egress: &Egress,
    url: &Url,
    bytes_max: usize,
) -> Result<(Bytes, HeaderMap), EgressError> {
    let request = http::Request::get(url.as_str())
        .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::new()))
        .map_err(|error| EgressError::NoUrl(url.to_string(), error.to_string()))?;
    let answer = egress.ask(request, bytes_max, TIME_MAX).await?;
    if answer.status() != StatusCode::OK {
        return Err(EgressError::Status(answer.status().as_u16()));
    }
    let (head, body) = answer.into_parts();
    Ok((body, head.headers))
}
