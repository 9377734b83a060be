//! Who the token says the caller is, verified at most once per request and only when somebody asks.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_config::Timestamp;
use portcullis_config::model::{Access, CertificateClient, IdentityRule, ProviderId};
use portcullis_identity::{Identity, Refusal as TokenRefusal, Verifier, Why, choose};
use portcullis_policy::{ClientCertificate, TokenView};

use super::presented::{Presented, presented};
use super::refusal::Refusal;
use crate::key_sets::{NoPlace, Verifiers};
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Where a credential may stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: &'a [u8],
    /// The certificate that the client showed, verified in the handshake, and until when it is valid.
    pub(super) certificate: Option<&'a ClientCertificate>,
    pub(super) certificate_until: Option<Timestamp>,
    /// Whom a session of the edge's own speaks for: asked only where there is no token.
    pub(super) session: Option<&'a Arc<Identity>>,
}

/// The answer to "who calls", once it has been asked.
#[derive(Debug, Default)]
pub(super) struct Caller {
    verified: Option<Result<Arc<Identity>, TokenRefusal>>,
}

impl Caller {
    /// Returns who calls under this rule, or why nobody knows. A token whose key is not known waits for the fetch that it
    /// causes, where one begins.
    pub(super) async fn identity(
        &mut self,
        place: Place<'_>,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        if let Some(verified) = &self.verified {
            return verified.clone();
        }
        let mut verified = place.verify(rule, asked, now);
        if let Err(refused) = &verified
            && place.wait_for_key(refused, now).await
        {
            verified = place.verify(rule, asked, now);
        }
        self.settle(place, verified)
    }

    fn settle(
        &mut self,
        place: Place<'_>,
        verified: Result<Arc<Identity>, Refused>,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        let verified = verified.map_err(|refused| place.count(&refused));
        self.verified.insert(verified).clone()
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

    /// Says whether the caller's credential is good. One that nobody has asked about, and that was not verified for an
    /// earlier request, is verified now if `may_verify` says so; `None` where that is what it would take.
    pub(super) fn is_good(
        &mut self,
        place: Place<'_>,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
        may_verify: impl FnOnce() -> bool,
    ) -> Option<bool> {
        if let Some(verified) = &self.verified {
            return Some(verified.is_ok());
        }
        if presented(place.snapshot, rule, asked).is_err() {
            return Some(false);
        }
        if place.knows(rule, asked, now) {
            return Some(true);
        }
        may_verify().then(|| self.settle(place, place.verify(rule, asked, now)).is_ok())
    }

    /// Returns who calls if the rule requires a caller.
    pub(super) async fn required(
        &mut self,
        place: Place<'_>,
        rule: &IdentityRule,
        asked: Asking<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        match rule {
            IdentityRule::None => Ok(None),
            IdentityRule::Any(_) | IdentityRule::All(_) => {
                let identity = self.identity(place, rule, asked, now).await;
                let identity = identity.map_err(|why| refusal(&why))?;
                identity.require_tenant().map_err(|why| refusal(&why))?;
                Ok(Some(identity))
            }
        }
    }
}

/// A credential that nobody vouches for.
#[derive(Debug)]
struct Refused {
    why: TokenRefusal,
    /// Whose it was to be, or `none`; nothing where there is no credential that could be anybody's.
    provider: Option<String>,
}

impl Refused {
    fn of(provider: impl Into<String>, why: TokenRefusal) -> Self {
        Self { why, provider: Some(provider.into()) }
    }
}

impl From<TokenRefusal> for Refused {
    fn from(why: TokenRefusal) -> Self {
        Self { why, provider: None }
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
    ) -> Result<Arc<Identity>, Refused> {
        let token = match presented(self.snapshot, rule, asked) {
            Ok(Presented::Token(token)) => token,
            Ok(Presented::Key(key)) => return self.key(rule, key, now),
            Ok(Presented::Certificate(provider, client)) => {
                return self.certificate(provider, client, asked);
            }
            Err(TokenRefusal::MissingAuth) => return Ok(self.session(rule, asked)?),
            Err(refusal) => return Err(refusal.into()),
        };
        match rule {
            IdentityRule::None | IdentityRule::Any(_) => {
                self.any(&self.providers(rule), token, now)
            }
            IdentityRule::All(_) => {
                let mut last = Err(TokenRefusal::MissingAuth.into());
                for provider in self.providers(rule) {
                    last = Ok(self.any(&[provider], token, now)?);
                }
                last
            }
        }
    }

    /// Takes the word of a session, where the rule takes its provider's and nobody has revoked it.
    fn session(
        self,
        rule: &IdentityRule,
        asked: Asking<'_>,
    ) -> Result<Arc<Identity>, TokenRefusal> {
        let identity = asked.session.ok_or(TokenRefusal::MissingAuth)?;
        let is_taken = match rule {
            IdentityRule::None => true,
            IdentityRule::Any(named) => named.iter().any(|id| id.as_str() == identity.provider),
            IdentityRule::All(named) => named.iter().all(|id| id.as_str() == identity.provider),
        };
        if !is_taken {
            return Err(TokenRefusal::MissingAuth);
        }
        let by_command = self.shared.revocations.list().why(identity);
        match by_command.or_else(|| self.snapshot.revoked.why(identity)) {
            // Who is revoked may sign in again, if the issuer lets them.
            Some(_) => Err(TokenRefusal::MissingAuth),
            None => Ok(Arc::clone(identity)),
        }
    }

    /// Says whether the token was verified for an earlier request.
    fn knows(self, rule: &IdentityRule, asked: Asking<'_>, now: Timestamp) -> bool {
        let token = match presented(self.snapshot, rule, asked) {
            Ok(Presented::Token(token)) => token,
            // What these cost is no signature: whoever wants to know verifies them.
            Ok(Presented::Key(_) | Presented::Certificate(..)) | Err(_) => return false,
        };
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

    /// Says who brings a key of ours, if the route accepts its provider.
    fn key(
        self,
        rule: &IdentityRule,
        key: &[u8],
        now: Timestamp,
    ) -> Result<Arc<Identity>, Refused> {
        let accepts = |identity: &Identity| match rule {
            IdentityRule::None => {
                self.snapshot.config.identity.credentials.contains_key(&identity.provider)
            }
            IdentityRule::Any(named) | IdentityRule::All(named) => {
                named.iter().any(|id| id.as_str() == identity.provider)
            }
        };
        let known = self.shared.api_keys.verify(key, now);
        let provider =
            known.as_ref().map_or_else(|_| "none".to_owned(), |one| one.provider.clone());
        let verified = known.and_then(|identity| {
            if accepts(&identity) {
                self.unrevoked(identity)
            } else {
                Err(TokenRefusal::InvalidToken(Why::OtherProvider))
            }
        });
        verified.map_err(|why| Refused::of(provider, why))
    }

    /// Says who shows a certificate. Its digest is the id of a key, so that it can be revoked here too.
    fn certificate(
        self,
        provider: &str,
        client: &CertificateClient,
        asked: Asking<'_>,
    ) -> Result<Arc<Identity>, Refused> {
        let identity = Arc::new(Identity {
            provider: provider.to_owned(),
            subject: client.subject.clone(),
            tenant: Some(client.tenant.clone()),
            roles: client.roles.clone(),
            scopes: client.scopes.clone(),
            token_id: None,
            issuer: asked.certificate.map(|shown| shown.issuer.clone()).unwrap_or_default(),
            key_id: asked.certificate.map(|shown| shown.sha256.clone()),
            issued: None,
            expires: asked.certificate_until.unwrap_or_default(),
            claims: serde_json::Map::new(),
        });
        self.unrevoked(identity).map_err(|why| Refused::of(provider, why))
    }

    /// Asks both lists of revocations.
    fn unrevoked(self, identity: Arc<Identity>) -> Result<Arc<Identity>, TokenRefusal> {
        let by_command = self.shared.revocations.list().why(&identity);
        match by_command.or_else(|| self.snapshot.revoked.why(&identity)) {
            Some(why) => Err(TokenRefusal::InvalidToken(why)),
            None => Ok(identity),
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
    ) -> Result<Arc<Identity>, Refused> {
        let verifiers: Vec<Arc<Verifier>> = providers.iter().map(|one| one.at(now)).collect();
        let each = || verifiers.iter().map(Arc::as_ref);
        let revocations = self.shared.revocations.list();
        let verified = self.shared.tokens.verify(each(), &revocations, token, now);
        let verified = verified.and_then(|identity| match self.snapshot.revoked.why(&identity) {
            Some(why) => Err(TokenRefusal::InvalidToken(why)),
            None => Ok(identity),
        });
        // Whose token it was to be costs a second look at it: only those that are refused pay.
        verified.map_err(|why| {
            Refused::of(choose(each(), token).map_or("none", Verifier::provider), why)
        })
    }

    /// Where the token names a key that is not known, which may be a new one: has it looked for, and waits for that if it is
    /// done at once. Says whether it is worth to ask again.
    async fn wait_for_key(self, refused: &Refused, now: Timestamp) -> bool {
        if refused.why != TokenRefusal::InvalidToken(Why::UnknownKid) {
            return false;
        }
        let provider = refused.provider.as_deref().map(ProviderId::new);
        let verifiers = provider.and_then(|provider| self.snapshot.verifiers.get(&provider));
        let Some(ring) = verifiers.and_then(Verifiers::ring) else { return false };
        let place = ring.wait(now);
        ring.miss();
        let (outcome, has_waited) = match place {
            // Also what comes too late is worth to ask again: it may have come just before the place was taken.
            Ok(place) => (if place.wait().await { "fetched" } else { "too_late" }, true),
            Err(NoPlace::Closed) => return false,
            Err(NoPlace::Full) => ("no_place", false),
        };
        self.shared.metrics.waited_for_keys(outcome);
        has_waited
    }

    /// Counts a credential that was refused.
    fn count(self, refused: &Refused) -> TokenRefusal {
        if let Some(provider) = &refused.provider {
            self.shared.metrics.token_refused(provider, refused.why.reason());
        }
        refused.why
    }
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
