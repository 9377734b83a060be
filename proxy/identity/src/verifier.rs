//! Verifies tokens of one provider. Everything that can be wrong with the provider is found when it is compiled; after
//! that a token is accepted or refused.

pub(crate) mod claims;

use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{Alg, ClaimRules, KeySource, Provider};

use crate::algorithm::Algorithm;
use crate::identity::Identity;
use crate::jws::Jws;
use crate::keys::{KeyError, KeySet, SkippedKey};
use crate::platform;
use crate::refusal::{Refusal, Why};
use claims::Claims;

/// The longest leeway that a provider may ask for.
pub const LEEWAY_MAX: Duration = Duration::from_secs(60);

/// A provider, compiled with its keys.
#[derive(Debug)]
pub struct Verifier {
    rules: Rules,
    keys: KeySet,
    /// What this verifier is, for caches: another provider, rule or key is another number.
    fingerprint: [u8; 32],
}

/// What a provider's tokens must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rules {
    pub(crate) provider: String,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) claims: ClaimRules,
    pub(crate) kind: Kind,
}

/// Which further rules hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// RFC 7519 and RFC 8725.
    Plain,
    /// Google Identity Platform's ID tokens.
    IdentityPlatform,
}

impl Verifier {
    /// Compiles the provider `name` with the bytes of its key file or of what was fetched.
    ///
    /// # Errors
    /// When the keys cannot be used, or issuer, audience or algorithms are missing.
    pub fn compile(name: &str, provider: &Provider, key_bytes: &[u8]) -> Result<Self, KeyError> {
        let rules = Rules::of(name, provider)?;
        let keys = match provider {
            Provider::Static(fixed) => match fixed.keys {
                KeySource::Jwks(_) => KeySet::from_jwks(key_bytes, &rules.algorithms),
                KeySource::Pem(_) => KeySet::from_pem(key_bytes, &rules.algorithms),
            },
            Provider::IdentityPlatform(_) => platform::keys(key_bytes),
            Provider::Oidc(_) => KeySet::from_jwks(key_bytes, &rules.algorithms),
            Provider::Hmac(_) => KeySet::from_secrets(key_bytes),
        };
        let fingerprint = fingerprint(&rules, key_bytes);
        Ok(Self { rules, keys: keys?, fingerprint })
    }

    /// Compiles the provider `name` while there are no keys of it: every token that it issued is refused with
    /// [`Refusal::KeysUnavailable`], because nobody can say whether it is good.
    ///
    /// # Errors
    /// When issuer, audience or algorithms are missing.
    pub fn without_keys(name: &str, provider: &Provider) -> Result<Self, KeyError> {
        let rules = Rules::of(name, provider)?;
        let fingerprint = fingerprint(&rules, b"");
        Ok(Self { rules, keys: KeySet::none(), fingerprint })
    }

    /// Verifies a token at a time. Cost: one signature, and an allocation per claim.
    ///
    /// # Errors
    /// A [`Refusal`] whose reason is for the log.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<Identity, Refusal> {
        let jws = Jws::parse(token).map_err(Refusal::InvalidToken)?;
        if self.keys.is_empty() {
            return Err(Refusal::KeysUnavailable);
        }
        self.check(jws, now).map_err(Refusal::InvalidToken)
    }

    /// Returns how many keys verify.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Returns the provider's configured name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.rules.provider
    }

    /// Returns the issuer whose tokens it verifies.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    /// Returns the keys of the set that verify nothing here, for a warning at load.
    #[must_use]
    pub fn skipped_keys(&self) -> &[SkippedKey] {
        self.keys.skipped()
    }

    /// Returns a digest of provider, rules and keys: what was verified under another one has to be verified again.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    fn check(&self, jws: Jws<'_>, now: Timestamp) -> Result<Identity, Why> {
        let jws = match self.rules.kind {
            Kind::Plain => jws,
            Kind::IdentityPlatform => platform::refuse_other_kinds(jws)?,
        };
        let verified = jws.verify(&self.keys)?;
        refuse_other_types(verified.typ.as_deref())?;
        let claims = Claims::parse(&verified.payload)?;
        let identity = claims.identify(&self.rules, verified.kid, now)?;
        match self.rules.kind {
            Kind::Plain => Ok(identity),
            Kind::IdentityPlatform => platform::check(identity, self.rules.claims.leeway, now),
        }
    }
}

impl Rules {
    /// Says what the tokens of a provider must be.
    fn of(name: &str, provider: &Provider) -> Result<Self, KeyError> {
        let (issuer, audience, algorithms, claims, kind) = match provider {
            Provider::Static(one) => (
                one.issuer.clone(),
                &one.audience,
                named(&one.algorithms),
                &one.claims,
                Kind::Plain,
            ),
            Provider::Oidc(one) => (
                one.issuer.clone(),
                &one.audience,
                named(&one.algorithms),
                &one.claims,
                Kind::Plain,
            ),
            Provider::Hmac(one) => (
                one.issuer.clone(),
                &one.audience,
                Algorithm::OF_SECRETS.to_vec(),
                &one.claims,
                Kind::Plain,
            ),
            Provider::IdentityPlatform(one) => (
                platform::issuer(&one.project),
                &one.project,
                named(platform::ALGORITHMS),
                &one.claims,
                Kind::IdentityPlatform,
            ),
        };
        let claims = match kind {
            Kind::Plain => claims.clone(),
            Kind::IdentityPlatform => {
                ClaimRules { max_lifetime: platform::LIFETIME_MAX, ..claims.clone() }
            }
        };
        let audience = audience.clone();
        if issuer.is_empty() {
            return Err(KeyError::NoIssuer);
        }
        if audience.is_empty() {
            return Err(KeyError::NoAudience);
        }
        if algorithms.is_empty() {
            return Err(KeyError::NoAlgorithm);
        }
        if claims.leeway > LEEWAY_MAX {
            return Err(KeyError::Leeway);
        }
        Ok(Self { provider: name.to_owned(), issuer, audience, algorithms, claims, kind })
    }
}

fn named(algorithms: &[Alg]) -> Vec<Algorithm> {
    algorithms.iter().copied().map(Algorithm::from).collect()
}

/// Verifies a token with whichever of several providers issued it. The issuer is read before the signature is checked,
/// only to choose; the one chosen then checks everything.
///
/// # Errors
/// A [`Refusal`]; `unknown_issuer` when no provider has the token's.
pub fn verify_any<'a>(
    verifiers: impl IntoIterator<Item = &'a Verifier>,
    token: &[u8],
    now: Timestamp,
) -> Result<Identity, Refusal> {
    choose(verifiers, token)?.verify(token, now)
}

/// Chooses the provider that issued a token, by its unverified issuer. With one provider there is nothing to choose.
///
/// # Errors
/// When the token cannot be taken apart, or nobody here has its issuer.
pub fn choose<'a>(
    verifiers: impl IntoIterator<Item = &'a Verifier>,
    token: &[u8],
) -> Result<&'a Verifier, Refusal> {
    let verifiers: Vec<&Verifier> = verifiers.into_iter().collect();
    if let [only] = verifiers.as_slice() {
        return Ok(only);
    }
    let jws = Jws::parse(token).map_err(Refusal::InvalidToken)?;
    let claims = jws.unverified_claims().ok_or(Refusal::InvalidToken(Why::BadPayload))?;
    let issuer = claims.get("iss").and_then(serde_json::Value::as_str);
    let mut of_issuer = verifiers.into_iter().filter(|v| Some(v.issuer()) == issuer);
    of_issuer.next().ok_or(Refusal::InvalidToken(Why::UnknownIssuer))
}

/// A token that says it is something else is not taken for an access or ID token (RFC 8725 section 3.11).
fn refuse_other_types(typ: Option<&str>) -> Result<(), Why> {
    match typ {
        None | Some("jwt" | "at+jwt") => Ok(()),
        Some(_) => Err(Why::WrongType),
    }
}

fn fingerprint(rules: &Rules, key_bytes: &[u8]) -> [u8; 32] {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    // `Debug` writes every field, with quotes around texts.
    context.update(format!("{rules:?}").as_bytes());
    context.update(key_bytes);
    let digest = context.finish();
    let mut fingerprint = [0; 32];
    fingerprint.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    fingerprint
}

#[cfg(test)]
mod tests;
