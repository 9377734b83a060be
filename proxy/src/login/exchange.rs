//! What is asked of the issuer: where its endpoints are, and for a token in exchange for a code. All of it by the egress guard.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use portcullis_config::Timestamp;
use portcullis_config::model::Url;
use portcullis_identity::authorization::{self, Endpoints, NoEndpoints};
use portcullis_identity::discovery::DOCUMENT_BYTES_MAX;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::session::{escaped, form, redirect_uri};
use super::{Login, Logins};
use crate::egress::{Egress, EgressError};

/// How long each answer may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Why a sign-in does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// Too many are under way.
    #[error("more sign-ins are under way than the edge exchanges at one time")]
    Full,
    /// The issuer was not asked, or did not answer.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// Its document names no endpoints.
    #[error(transparent)]
    Endpoints(#[from] NoEndpoints),
    /// It gives no token for the code.
    #[error("the issuer gives no token for the code: status {0}")]
    Refused(u16),
    /// What it gives is no answer with an ID token.
    #[error("the issuer's answer has no `id_token`")]
    NoToken,
}

impl ExchangeError {
    /// Whether the issuer, and not the person, is what stands in the way.
    pub(crate) const fn is_ours(&self) -> bool {
        match self {
            Self::Full | Self::Egress(_) | Self::Endpoints(_) => true,
            Self::Refused(_) | Self::NoToken => false,
        }
    }
}

/// Returns the issuer's endpoints, asking for them where they are not known.
pub(crate) async fn endpoints(
    login: &Login,
    logins: &Logins,
    egress: &Egress,
    now: Timestamp,
) -> Result<Endpoints, ExchangeError> {
    if let Some(known) = logins.known(&login.issuer, now) {
        return Ok(known);
    }
    let _place = logins.room.try_acquire().map_err(|_| ExchangeError::Full)?;
    let request = http::Request::get(login.discovery.as_str()).header(ACCEPT, "application/json");
    let answer = ask(egress, request, Bytes::new(), &login.discovery).await?;
    if answer.status() != StatusCode::OK {
        return Err(EgressError::Status(answer.status().as_u16()).into());
    }
    let found = authorization::endpoints(answer.body(), &login.issuer)?;
    logins.learn(&login.issuer, &found, now);
    Ok(found)
}

#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

/// Exchanges a code for an ID token, which is not verified yet (OpenID Connect Core 1.0 section 3.1.3).
pub(crate) async fn exchange(
    login: &Login,
    logins: &Logins,
    egress: &Egress,
    endpoints: &Endpoints,
    asked: Asked<'_>,
) -> Result<String, ExchangeError> {
    let _place = logins.room.try_acquire().map_err(|_| ExchangeError::Full)?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", asked.code),
        ("redirect_uri", &redirect_uri(asked.authority)),
        ("client_id", &login.client_id),
        ("code_verifier", asked.verifier),
    ];
    let mut request = http::Request::post(endpoints.token.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(proof) = basic(login) {
        request = request.header(AUTHORIZATION, proof.as_str());
    }
    let answer = ask(egress, request, form(&fields).into(), &endpoints.token).await?;
    if answer.status() != StatusCode::OK {
        return Err(ExchangeError::Refused(answer.status().as_u16()));
    }
    let answer: Answer =
        serde_json::from_slice(answer.body()).map_err(|_| ExchangeError::NoToken)?;
    Ok(answer.id_token)
}

/// What is exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) code: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) authority: &'a str,
}

/// The client's own proof (RFC 6749 section 2.3.1).
fn basic(login: &Login) -> Option<Zeroizing<String>> {
    let secret = login.secret.as_ref()?.expose().trim_ascii();
    let secret = Zeroizing::new(escaped(std::str::from_utf8(secret).ok()?));
    let pair = Zeroizing::new(format!("{}:{}", escaped(&login.client_id), *secret));
    Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
}

async fn ask(
    egress: &Egress,
    request: http::request::Builder,
    body: Bytes,
    url: &Url,
) -> Result<http::Response<Bytes>, EgressError> {
    let request = request
        .body(Full::new(body))
        .map_err(|error| EgressError::NoUrl(url.to_string(), error.to_string()))?;
    egress.ask(request, DOCUMENT_BYTES_MAX, TIME_MAX).await
}
