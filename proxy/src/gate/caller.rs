//! Who the token says the caller is, verified at most once per request and only when somebody asks.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_config::Timestamp;
use portcullis_config::model::{IdentityRule, ProviderId};
use portcullis_identity::{
    Identity, Refusal as TokenRefusal, Verifier, Why, choose, credential, is_in_query, verify_any,
};
use portcullis_policy::TokenView;

use super::refusal::Refusal;
use crate::key_sets::Verifiers;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Where a credential may stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a [u8],
}

/// The answer to "who calls", once it has been asked.
#[derive(Debug, Default)]
pub(super) struct Caller {
    verified: Option<Result<Arc<Identity>, TokenRefusal>>,
}

impl Caller {
    /// Returns who calls under this rule, or why nobody knows.
    pub(super) fn identity(
        &mut self,
        snapshot: &Snapshot,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        self.verified
            .get_or_insert_with(|| verify(snapshot, rule, asked, now).map(Arc::new))
            .clone()
    }

    /// Returns who calls if the rule requires a caller.
    pub(super) fn required(
        &mut self,
        snapshot: &Snapshot,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        match rule {
            IdentityRule::None => Ok(None),
            IdentityRule::Any(_) | IdentityRule::All(_) => {
                let identity =
                    self.identity(snapshot, rule, asked, now).map_err(|why| refusal(&why))?;
                identity.require_tenant().map_err(|why| refusal(&why))?;
                Ok(Some(identity))
            }
        }
    }
}

/// Under `none` nobody has to say who they are; a policy that asks nevertheless gets the word of any provider.
fn verify(
    snapshot: &Snapshot,
    rule: &IdentityRule,
    asked: Asking<'_>,
    now: Timestamp,
) -> Result<Identity, TokenRefusal> {
    let fields =
        asked.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let token = credential(fields)?.ok_or(TokenRefusal::MissingAuth)?;
    if is_in_query(asked.query) {
        return Err(TokenRefusal::MoreThanOneCredential);
    }
    match rule {
        IdentityRule::None => any(&snapshot.verifiers.values().collect::<Vec<_>>(), token, now),
        IdentityRule::Any(providers) => any(&named(snapshot, providers), token, now),
        IdentityRule::All(providers) => {
            let mut last = Err(TokenRefusal::MissingAuth);
            for provider in named(snapshot, providers) {
                last = Ok(any(&[provider], token, now)?);
            }
            last
        }
    }
}

fn named<'s>(snapshot: &'s Snapshot, providers: &[ProviderId]) -> Vec<&'s Verifiers> {
    providers.iter().filter_map(|id| snapshot.verifiers.get(id)).collect()
}

/// Verifies with the keys that each provider has now. A key that is not known may be a new one: its ring is told.
fn any(providers: &[&Verifiers], token: &[u8], now: Timestamp) -> Result<Identity, TokenRefusal> {
    let verifiers: Vec<Arc<Verifier>> = providers.iter().map(|one| one.at(now)).collect();
    let verified = verify_any(verifiers.iter().map(Arc::as_ref), token, now);
    if let Err(TokenRefusal::InvalidToken(Why::UnknownKid)) = verified
        && let Ok(chosen) = choose(verifiers.iter().map(Arc::as_ref), token)
    {
        let rings = providers.iter().filter_map(|one| one.ring());
        rings.filter(|ring| ring.name() == chosen.provider()).for_each(|ring| ring.miss());
    }
    verified
}

/// What `token.*` reads of an identity.
pub(super) fn view(identity: &Identity) -> TokenView<'_> {
    TokenView {
        valid: true,
        subject: &identity.subject,
        tenant: identity.tenant.as_deref(),
        roles: &identity.roles,
        issuer: &identity.issuer,
        claims: &identity.claims,
    }
}

fn refusal(why: &TokenRefusal) -> Refusal {
    let reason = match why {
        TokenRefusal::MissingAuth => Reason::MissingAuth,
        TokenRefusal::MoreThanOneCredential => Reason::AmbiguousCredential,
        TokenRefusal::InvalidToken(_) => Reason::InvalidToken,
        TokenRefusal::MissingTenant => Reason::MissingTenant,
        TokenRefusal::KeysUnavailable => Reason::KeysUnavailable,
    };
    Refusal::because(reason, why.reason())
}
