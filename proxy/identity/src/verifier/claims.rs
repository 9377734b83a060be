//! The claims of a token whose signature was good: times, issuer, audience, subject, tenant, roles.

use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::ClaimPath;
use serde_json::{Map, Value};

use super::Rules;
use crate::identity::Identity;
use crate::json;
use crate::refusal::Why;

/// The longest subject, tenant, role or token id, in bytes.
const TEXT_BYTES_MAX: usize = 255;
/// The most roles, and the most scopes.
const NAMES_MAX: usize = 64;
/// The latest time that a token may name: the end of the year 9999.
const SECS_MAX: f64 = 253_402_300_799.0;

/// A payload that is an object.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Why> {
        json::object(payload).map(Self).ok_or(Why::BadPayload)
    }

    /// Checks the claims and tells whom they name.
    pub(super) fn identify(
        self,
        rules: &Rules,
        key_id: Option<String>,
        now: Timestamp,
    ) -> Result<Identity, Why> {
        if self.0.get("iss").and_then(Value::as_str) != Some(&rules.issuer) {
            return Err(Why::WrongIssuer);
        }
        self.check_audience(&rules.audience)?;
        let times = self.check_times(rules, now)?;
        let subject = self.text("sub", Why::BadSubject)?.ok_or(Why::BadSubject)?;
        Ok(Identity {
            provider: rules.provider.clone(),
            subject,
            tenant: self.tenant(&rules.claims.tenant_claim)?,
            roles: self.roles(rules.claims.roles_claim.as_ref())?,
            scopes: self.scopes(&rules.claims.scopes_claim),
            token_id: self.text("jti", Why::BadTokenId)?,
            issuer: rules.issuer.clone(),
            key_id,
            issued: times.issued,
            expires: times.expires.plus(rules.claims.leeway),
            claims: self.0,
        })
    }

    /// `aud` is one text or a list of texts (RFC 7519 section 4.1.3); ours must be there.
    fn check_audience(&self, audience: &str) -> Result<(), Why> {
        let named = match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => {
                many.iter().all(Value::is_string) && many.iter().any(|one| one == audience)
            }
            None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                false
            }
        };
        if named { Ok(()) } else { Err(Why::WrongAudience) }
    }

    fn check_times(&self, rules: &Rules, now: Timestamp) -> Result<Times, Why> {
        let expires = time(&self.0, "exp")?.ok_or(Why::NoExpiry)?;
        let issued = time(&self.0, "iat")?;
        if now >= expires.plus(rules.claims.leeway) {
            return Err(Why::Expired);
        }
        if time(&self.0, "nbf")?.is_some_and(|from| from > now.plus(rules.claims.leeway)) {
            return Err(Why::NotYetValid);
        }
        if issued.is_some_and(|at| at > now.plus(rules.claims.leeway)) {
            return Err(Why::IssuedInFuture);
        }
        // Without `iat` what is left may not be longer than the whole.
        let (from, slack) = issued.map_or((now, rules.claims.leeway), |at| (at, Duration::ZERO));
        if expires.since(from) > rules.claims.max_lifetime + slack {
            return Err(Why::LivesTooLong);
        }
        Ok(Times { issued, expires })
    }

    /// The first path that is there. Others may be there too, if they say the same.
    fn tenant(&self, paths: &[ClaimPath]) -> Result<Option<String>, Why> {
        let mut tenant: Option<String> = None;
        for value in paths.iter().filter_map(|path| self.at(path)) {
            let found = plain(value).ok_or(Why::BadTenant)?;
            if tenant.as_ref().is_some_and(|first| *first != found) {
                return Err(Why::TenantConflict);
            }
            tenant = Some(found);
        }
        Ok(tenant)
    }

    fn roles(&self, path: Option<&ClaimPath>) -> Result<Vec<String>, Why> {
        let Some(value) = path.and_then(|path| self.at(path)) else { return Ok(Vec::new()) };
        names(value).ok_or(Why::BadRoles)
    }

    /// What cannot be read grants nothing: unlike the roles, nobody has said that the claim is there for us.
    fn scopes(&self, paths: &[ClaimPath]) -> Vec<String> {
        let first = paths.iter().find_map(|path| self.at(path));
        first.and_then(names).unwrap_or_default()
    }

    fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let (first, rest) = path.names().split_first()?;
        rest.iter().try_fold(self.0.get(first)?, |value, name| value.get(name))
    }

    fn text(&self, name: &str, why: Why) -> Result<Option<String>, Why> {
        self.0.get(name).map(|value| plain(value).ok_or(why)).transpose()
    }
}

struct Times {
    issued: Option<Timestamp>,
    expires: Timestamp,
}

/// A list of texts, or one text with spaces between (RFC 8693 section 4.2).
fn names(value: &Value) -> Option<Vec<String>> {
    let names: Option<Vec<String>> = match value {
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => text.split(' ').map(plain_text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    names.filter(|names| names.len() <= NAMES_MAX)
}

fn plain(value: &Value) -> Option<String> {
    value.as_str().and_then(plain_text)
}

/// Texts go into headers, keys and logs: nothing empty, nothing long, no control character.
fn plain_text(text: &str) -> Option<String> {
    is_plain(text).then(|| text.to_owned())
}

/// Says whether a text may be a subject, a tenant, a role or a scope: nothing empty, nothing above 255 bytes, no control
/// character.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TEXT_BYTES_MAX
        && !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// Reads a NumericDate, which may have a fraction (RFC 7519 section 2).
pub(crate) fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, Why> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let secs = value.as_f64().ok_or(Why::BadTime)?;
    if !(0.0..=SECS_MAX).contains(&secs) {
        return Err(Why::BadTime);
    }
    // Milliseconds up to the year 9999 are below 2^53, so nothing is lost but what is below one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked above"
    )]
    let millis = (secs * 1000.0) as u64;
    Ok(Some(Timestamp::from_millis(millis)))
}
