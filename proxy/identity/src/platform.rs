//! Google Identity Platform: its ID tokens are RS256, name their key, and say project, tenant and way of sign-in.
//! Session cookies and custom tokens look alike and are refused by name.

use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::Alg;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::identity::Identity;
use crate::jws::Jws;
use crate::keys::{KeyError, KeySet};
use crate::refusal::Why;
use crate::verifier::claims::time;

const ISSUER: &str = "https://securetoken.google.com/";
const SESSION_ISSUER: &str = "https://session.firebase.google.com/";
const CUSTOM_AUDIENCE: &str =
    "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit";
/// Google's uids.
const SUBJECT_CHARS_MAX: usize = 128;
/// Google's ID tokens end after an hour.
pub(crate) const LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// What Google signs them with.
pub(crate) const ALGORITHMS: &[Alg] = &[Alg::Rs256];

/// The issuer of a project's ID tokens.
pub(crate) fn issuer(project: &str) -> String {
    format!("{ISSUER}{project}")
}

/// Reads keys as Google serves them: the map of ids to certificates, or the JWKS.
pub(crate) fn keys(key_bytes: &[u8]) -> Result<KeySet, KeyError> {
    let algorithms = ALGORITHMS.iter().copied().map(Algorithm::from).collect::<Vec<_>>();
    match KeySet::from_jwks(key_bytes, &algorithms) {
        Err(KeyError::Malformed) => KeySet::from_certificates(key_bytes, &algorithms),
        other => other,
    }
}

/// Refuses by name what is no ID token, before its signature fails for a less telling reason.
pub(crate) fn refuse_other_kinds(jws: Jws<'_>) -> Result<Jws<'_>, Why> {
    let claims = jws.unverified_claims().ok_or(Why::BadPayload)?;
    let text = |name| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("iss").starts_with(SESSION_ISSUER) {
        return Err(Why::SessionCookie);
    }
    if text("aud") == CUSTOM_AUDIENCE {
        return Err(Why::CustomToken);
    }
    if jws.algorithm() != Algorithm::Rs256 {
        return Err(Why::AlgNotOfKey);
    }
    if jws.kid().is_none() {
        return Err(Why::MissingKid);
    }
    Ok(jws)
}

/// Checks what only this provider promises.
pub(crate) fn check(identity: Identity, leeway: Duration, now: Timestamp) -> Result<Identity, Why> {
    if identity.subject.chars().count() > SUBJECT_CHARS_MAX {
        return Err(Why::BadSubject);
    }
    if identity.issued.is_none() {
        return Err(Why::BadTime);
    }
    let signed_in = time(&identity.claims, "auth_time")?.ok_or(Why::BadTime)?;
    if signed_in > now.plus(leeway) {
        return Err(Why::IssuedInFuture);
    }
    // One string: a token for several audiences is not one of theirs.
    if !identity.claims.get("aud").is_some_and(Value::is_string) {
        return Err(Why::WrongAudience);
    }
    if way_of_sign_in(&identity.claims) == Some("anonymous") {
        return Err(Why::Anonymous);
    }
    Ok(identity)
}

fn way_of_sign_in(claims: &Map<String, Value>) -> Option<&str> {
    claims.get("firebase")?.get("sign_in_provider")?.as_str()
}
