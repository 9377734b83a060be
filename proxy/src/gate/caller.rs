//! Who the token says the caller is, verified at most once per request and only when somebody asks.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_config::Timestamp;
use portcullis_config::model::{Access, IdentityRule};
use portcullis_identity::{
    Identity, Refusal as TokenRefusal, Verifier, Why, choose, credential, is_in_query,
};
use portcullis_policy::TokenView;

use super::refusal::Refusal;
use crate::key_sets::Verifiers;
use crate::reason::Reason;
use crate::shared::Shared;
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
        place: Place<'_>,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        self.verified.get_or_insert_with(|| place.verify(rule, asked, now)).clone()
    }

    /// Says whether the caller's token is known to be good: because somebody asked, or because it was verified for an
    /// earlier request. Verifies nothing.
    pub(super) fn is_known_good(
        &self,
        place: Place<'_>,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> bool {
        match &self.verified {
            Some(verified) => verified.is_ok(),
            None => place.knows(rule, asked, now),
        }
    }

    /// Returns who calls if the rule requires a caller.
    pub(super) fn required(
        &mut self,
        place: Place<'_>,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        match rule {
            IdentityRule::None => Ok(None),
            IdentityRule::Any(_) | IdentityRule::All(_) => {
                let identity =
                    self.identity(place, rule, asked, now).map_err(|why| refusal(&why))?;
                identity.require_tenant().map_err(|why| refusal(&why))?;
                Ok(Some(identity))
            }
        }
    }
}

/// What a token is verified with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) shared: &'a Shared,
    pub(super) snapshot: &'a Snapshot,
}

impl<'a> Place<'a> {
    /// Under `none` nobody has to say who they are; a policy that asks nevertheless gets the word of any provider.
    fn verify(
        self,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        let token = token(asked)?;
        match rule {
            IdentityRule::None | IdentityRule::Any(_) => {
                self.any(&self.providers(rule), token, now)
            }
            IdentityRule::All(_) => {
                let mut last = Err(TokenRefusal::MissingAuth);
                for provider in self.providers(rule) {
                    last = Ok(self.any(&[provider], token, now)?);
                }
                last
            }
        }
    }

    /// Says whether the token was verified for an earlier request.
    fn knows(self, rule: &IdentityRule, asked: Asking<'_>, now: Timestamp) -> bool {
        let Ok(token) = token(asked) else { return false };
        let verifiers: Vec<_> = self.providers(rule).iter().map(|one| one.at(now)).collect();
        let revocations = self.shared.revocations.list();
        let knows = |verifiers: &[Arc<Verifier>]| {
            let each = verifiers.iter().map(Arc::as_ref);
            let known = self.shared.tokens.recall(each, &revocations, token, now);
            known.is_some_and(|identity| self.snapshot.revoked.why(&identity).is_none())
        };
        match rule {
            IdentityRule::None | IdentityRule::Any(_) => knows(&verifiers),
            IdentityRule::All(_) => verifiers.chunks(1).all(knows),
        }
    }

    fn providers(self, rule: &IdentityRule) -> Vec<&'a Verifiers> {
        let known = &self.snapshot.verifiers;
        match rule {
            IdentityRule::None => known.values().collect(),
            IdentityRule::Any(named) | IdentityRule::All(named) => {
                named.iter().filter_map(|id| known.get(id)).collect()
            }
        }
    }

    /// Verifies with the keys that each provider has now, from memory where it can, and asks both lists of revocations:
    /// the operators' and the file's.
    fn any(
        self,
        providers: &[&Verifiers],
        token: &[u8],
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        let verifiers: Vec<Arc<Verifier>> = providers.iter().map(|one| one.at(now)).collect();
        let each = || verifiers.iter().map(Arc::as_ref);
        let revocations = self.shared.revocations.list();
        let verified = self.shared.tokens.verify(each(), &revocations, token, now);
        let verified = verified.and_then(|identity| match self.snapshot.revoked.why(&identity) {
            Some(why) => Err(TokenRefusal::InvalidToken(why)),
            None => Ok(identity),
        });
        if let Err(refusal) = &verified {
            // Whose token it was to be costs a second look at it: only those that are refused pay.
            let provider = choose(each(), token).map_or("none", Verifier::provider);
            self.shared.metrics.token_refused(provider, refusal.reason());
            // A key that is not known may be a new one.
            if *refusal == TokenRefusal::InvalidToken(Why::UnknownKid) {
                let rings = providers.iter().filter_map(|one| one.ring());
                rings.filter(|ring| ring.name() == provider).for_each(|ring| ring.miss());
            }
        }
        verified
    }
}

/// Finds the one token of a request.
fn token<'a>(asked: Asking<'a>) -> Result<&'a [u8], TokenRefusal> {
    let fields =
        asked.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let token = credential(fields)?.ok_or(TokenRefusal::MissingAuth)?;
    if is_in_query(asked.query) {
        return Err(TokenRefusal::MoreThanOneCredential);
    }
    Ok(token)
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

/// Refuses a caller whose token does not grant what the route asks for, and says which scopes would.
pub(super) fn granted(identity: &Identity, access: &Access) -> Result<(), Refusal> {
    identity.require(access).map_err(|why| Refusal {
        scope: (why == TokenRefusal::MissingScope).then(|| access.scopes.join(" ")),
        ..refusal(&why)
    })
}

fn refusal(why: &TokenRefusal) -> Refusal {
    let reason = match why {
        TokenRefusal::MissingAuth => Reason::MissingAuth,
        TokenRefusal::MoreThanOneCredential => Reason::AmbiguousCredential,
        TokenRefusal::InvalidToken(_) => Reason::InvalidToken,
        TokenRefusal::MissingTenant => Reason::MissingTenant,
        TokenRefusal::MissingScope | TokenRefusal::MissingRole => Reason::InsufficientScope,
        TokenRefusal::KeysUnavailable => Reason::KeysUnavailable,
    };
    Refusal::because(reason, why.reason())
}
