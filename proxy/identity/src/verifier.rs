//! Verifies tokens of one provider. Everything that can be wrong with the provider is found when it is compiled; after
//! that a token is accepted or refused.

pub(crate) mod claims;

use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{ClaimPath, KeySource, Provider, StaticProvider};

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
    pub(crate) tenant_claim: Vec<ClaimPath>,
    pub(crate) roles_claim: Option<ClaimPath>,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
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
    /// Compiles the provider `name` with the bytes of its key file.
    ///
    /// # Errors
    /// When the keys cannot be used, or issuer, audience or algorithms are missing.
    pub fn compile(name: &str, provider: &Provider, key_bytes: &[u8]) -> Result<Self, KeyError> {
        let Provider::Static(provider) = provider;
        Self::compile_static(name, provider, key_bytes)
    }

    fn compile_static(
        name: &str,
        provider: &StaticProvider,
        key_bytes: &[u8],
    ) -> Result<Self, KeyError> {
        let algorithms: Vec<_> = provider.algorithms.iter().copied().map(Algorithm::from).collect();
        let keys = match provider.keys {
            KeySource::Jwks(_) => KeySet::from_jwks(key_bytes, &algorithms),
            KeySource::Pem(_) => KeySet::from_pem(key_bytes, &algorithms),
        };
        let rules = Rules {
            provider: name.to_owned(),
            issuer: provider.issuer.clone(),
            audience: provider.audience.clone(),
            tenant_claim: provider.tenant_claim.clone(),
            roles_claim: provider.roles_claim.clone(),
            leeway: provider.leeway,
            max_lifetime: provider.max_lifetime,
            kind: Kind::Plain,
        };
        Self::new(rules, &algorithms, keys?, key_bytes)
    }

    pub(crate) fn new(
        rules: Rules,
        algorithms: &[Algorithm],
        keys: KeySet,
        key_bytes: &[u8],
    ) -> Result<Self, KeyError> {
        if rules.issuer.is_empty() {
            return Err(KeyError::NoIssuer);
        }
        if rules.audience.is_empty() {
            return Err(KeyError::NoAudience);
        }
        if algorithms.is_empty() {
            return Err(KeyError::NoAlgorithm);
        }
        if rules.leeway > LEEWAY_MAX {
            return Err(KeyError::Leeway);
        }
        let fingerprint = fingerprint(&rules, algorithms, key_bytes);
        Ok(Self { rules, keys, fingerprint })
    }

    /// Verifies a token at a time. Cost: one signature, and an allocation per claim.
    ///
    /// # Errors
    /// A [`Refusal`] whose reason is for the log.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<Identity, Refusal> {
        self.check(token, now).map_err(Refusal::InvalidToken)
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

    fn check(&self, token: &[u8], now: Timestamp) -> Result<Identity, Why> {
        let jws = Jws::parse(token)?;
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
            Kind::IdentityPlatform => platform::check(identity, self.rules.leeway, now),
        }
    }
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
pub(crate) fn choose<'a>(
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

fn fingerprint(rules: &Rules, algorithms: &[Algorithm], key_bytes: &[u8]) -> [u8; 32] {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    // `Debug` of both writes every field, with quotes around texts.
    context.update(format!("{rules:?}{algorithms:?}").as_bytes());
    context.update(key_bytes);
    let digest = context.finish();
    let mut fingerprint = [0; 32];
    fingerprint.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    fingerprint
}

#[cfg(test)]
mod tests;
