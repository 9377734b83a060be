//! Requests judged offline: what `eval`, `test`, `replay` and `tune` have in common, and a reload's probe with them.
//!
//! A trial walks the same cursor as the gate, in the gate's order, with a state of its own: it counts and bans nowhere
//! else. It knows what it does not know: a request whose body or token is not at hand is not judged where a rule asks
//! for it.

mod answer;
mod ask;
pub mod attacks;
mod google;
mod own;
mod parts;
mod policy;
mod run;
mod suite;

use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_config::model::{Access, BodyPlan, IdentityRule, Oversize, RouteAction};
use portcullis_identity::{Identity, TOKEN_BYTES_MAX, credential, verify_any};
use portcullis_policy::{
    BodyEnd, Header, Input, Limits, Policy, RequestHead, State, Step, TokenView,
};
use serde_json::{Map, Value};

pub use answer::{Answer, Judged, Missing};
pub use ask::{Ask, Body, Caller};
pub use own::{About, OwnSuite, Tested, test_own};
pub use policy::{PolicyAlone, policy_alone};
pub use run::{CaseResult, Outcome, SuiteResult, run_suite};
pub use suite::{Case, Expectation, Step as CaseStep, Subject, Suite, read_suite};

use crate::router::{RouteEntry, Routed};
use crate::snapshot::Snapshot;

/// Counter keys that a trial holds: a log has many clients.
const KEYS_MAX: usize = 1_000_000;
/// Bytes of collections that a trial holds.
const COLLECTION_BYTES_MAX: usize = 16 << 20;
/// Bans that a trial holds.
const BANS_MAX: usize = 100_000;

/// A place where requests are judged, with counters and bans of its own.
#[derive(Debug)]
pub struct Trial<'s> {
    under: Under<'s>,
    state: State,
    /// Whether answers carry what came of every rule.
    is_traced: bool,
}

#[derive(Clone, Copy, Debug)]
enum Under<'s> {
    Snapshot(&'s Snapshot),
    Policy(&'s Arc<Policy>),
}

impl<'s> Trial<'s> {
    /// Judges under a whole configuration: the route decides policy, token and body.
    #[must_use]
    pub fn of_snapshot(snapshot: &'s Snapshot) -> Self {
        Self::new(Under::Snapshot(snapshot), KEYS_MAX, BANS_MAX)
    }

    /// Judges under one policy, whatever the host: every body is inspected whole, and no token is required.
    #[must_use]
    pub fn of_policy(policy: &'s Arc<Policy>) -> Self {
        Self::new(Under::Policy(policy), KEYS_MAX, BANS_MAX)
    }

    /// The same with room for a handful of requests, which costs next to nothing to make.
    #[must_use]
    pub fn small_of_policy(policy: &'s Arc<Policy>) -> Self {
        Self::new(Under::Policy(policy), 64, 64)
    }

    fn new(under: Under<'s>, keys_max: usize, bans_max: usize) -> Self {
        Self {
            under,
            state: State::new(Limits {
                keys_max,
                bans_max,
                collection_bytes_max: COLLECTION_BYTES_MAX,
            }),
            is_traced: false,
        }
    }

    /// Answers carry what came of every rule, and every match.
    #[must_use]
    pub const fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Judges one request.
    #[must_use]
    pub fn judge(&self, ask: &Ask, now: Timestamp) -> Judged {
        match self.under {
            Under::Policy(policy) => {
                let route = Route {
                    identity: &IdentityRule::None,
                    access: None,
                    body: None,
                    snapshot: None,
                };
                self.walk(policy, ask, &route, now)
            }
            Under::Snapshot(snapshot) => match snapshot.router.find(ask.host(), ask.path()) {
                Routed::Route(entry) => self.on_route(snapshot, entry, ask, now),
                Routed::NoRoute => Judged::of(Answer::NoRoute),
                Routed::NoHost => Judged::of(Answer::NoHost),
            },
        }
    }

    fn on_route(
        &self,
        snapshot: &Snapshot,
        entry: &Arc<RouteEntry>,
        ask: &Ask,
        now: Timestamp,
    ) -> Judged {
        let RouteAction::Forward { identity, access, body, .. } = &entry.route.action else {
            return Judged { route: Some(Arc::clone(entry)), ..Judged::of(Answer::RouteRedirects) };
        };
        let route =
            Route { identity, access: Some(access), body: Some(body), snapshot: Some(snapshot) };
        let read = match ask.in_form(entry.route.path_form) {
            Ok(read) => read,
            Err(why) => {
                let answer = Answer::AmbiguousPath(why);
                return Judged { route: Some(Arc::clone(entry)), ..Judged::of(answer) };
            }
        };
        let ask = read.as_ref().unwrap_or(ask);
        let policy = entry.policy.as_ref().and_then(|id| snapshot.policies.get(id));
        let judged = match policy {
            Some(policy) => self.walk(policy, ask, &route, now),
            None => Judged::of(route.without_policy(ask, now)),
        };
        Judged { route: Some(Arc::clone(entry)), ..judged }
    }

    fn walk(&self, policy: &Arc<Policy>, ask: &Ask, route: &Route<'_>, now: Timestamp) -> Judged {
        let headers: Vec<Header<'_>> =
            ask.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let region = match (&ask.region, route.snapshot.and_then(|snapshot| snapshot.geo.as_ref()))
        {
            (Some(region), _) => region.as_str(),
            (None, Some(geo)) => geo.region_code(ask.client),
            (None, None) => "",
        };
        let asn = match (ask.asn, route.snapshot) {
            (0, Some(snapshot)) => snapshot.asn(ask.client),
            (asn, _) => asn,
        };
        let head = RequestHead { headers: &headers, region_code: region, asn, ..ask.head() };
        let known = route.caller(ask, now);
        let mut cursor = if self.is_traced { policy.start_traced() } else { policy.start() };
        let mut step = cursor.advance(&head, &self.state, now);
        let answer = loop {
            step = match step {
                Step::Done(verdict) => break route.end(verdict, &known, ask),
                Step::NeedIdentity => match &known {
                    Known::Unknown => break Answer::Unknown(Missing::Token),
                    Known::Nobody(_) => {
                        cursor.resume(Input::Identity(None), &head, &self.state, now)
                    }
                    Known::Somebody(identity, _) => {
                        let view = Some(view(identity));
                        cursor.resume(Input::Identity(view), &head, &self.state, now)
                    }
                },
                Step::NeedBody => match route.body(ask, &known) {
                    Ok(input) => cursor.resume(input, &head, &self.state, now),
                    Err(answer) => break answer,
                },
            };
        };
        let trace = self.is_traced.then(|| cursor.trace(&head));
        Judged { token: known.words(), trace, ..Judged::of(answer) }
    }
}

/// What the route asks of a request.
struct Route<'a> {
    identity: &'a IdentityRule,
    /// `None` asks for nothing.
    access: Option<&'a Access>,
    /// `None` inspects every body whole.
    body: Option<&'a BodyPlan>,
    snapshot: Option<&'a Snapshot>,
}

/// Whether roles and scopes are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grants {
    Known,
    NotLogged,
}

/// Who calls, as far as it is known.
enum Known {
    Somebody(Box<Identity>, Grants),
    Nobody(&'static str),
    Unknown,
}

impl Known {
    fn words(&self) -> String {
        match self {
            Self::Somebody(identity, _) => match &identity.tenant {
                Some(tenant) => format!("valid: {} of {tenant}", identity.subject),
                None => format!("valid: {} of no tenant", identity.subject),
            },
            Self::Nobody(why) => (*why).to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

impl Route<'_> {
    /// Finds out who calls: by what the request states, or by its own token.
    fn caller(&self, ask: &Ask, now: Timestamp) -> Known {
        match &ask.caller {
            Caller::Stated(identity) => Known::Somebody(identity.clone(), Grants::Known),
            Caller::Logged(identity) => Known::Somebody(identity.clone(), Grants::NotLogged),
            Caller::Nobody => Known::Nobody("no token"),
            Caller::Unknown => Known::Unknown,
            Caller::Token => self.by_token(ask, now),
        }
    }

    fn by_token(&self, ask: &Ask, now: Timestamp) -> Known {
        let fields = ask.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let token = match credential(fields) {
            Ok(Some(token)) if token.len() <= TOKEN_BYTES_MAX => token,
            Ok(Some(_)) => return Known::Nobody("refused: the token is too long"),
            Ok(None) => return Known::Nobody("no token"),
            Err(refusal) => return Known::Nobody(refusal.reason()),
        };
        let Some(snapshot) = self.snapshot else { return Known::Nobody("no provider") };
        let verifiers: Vec<_> = snapshot.verifiers.values().map(|one| one.at(now)).collect();
        match verify_any(verifiers.iter().map(Arc::as_ref), token, now) {
            Ok(identity) => Known::Somebody(Box::new(identity), Grants::Known),
            Err(refusal) => Known::Nobody(refusal.reason()),
        }
    }

    /// What the route refuses by itself because of who calls; the gate asks before the body and at the policy's end.
    fn refuses_caller(&self, known: &Known) -> Option<Answer> {
        match (self.identity, known) {
            (IdentityRule::None, _) => None,
            (_, Known::Unknown) => Some(Answer::Unknown(Missing::Token)),
            (_, Known::Nobody(_)) => Some(Answer::Unauthenticated),
            (_, Known::Somebody(identity, _)) if identity.require_tenant().is_err() => {
                Some(Answer::Unauthenticated)
            }
            (_, Known::Somebody(identity, grants)) => self.refuses_grants(identity, *grants),
        }
    }

    fn refuses_grants(&self, identity: &Identity, grants: Grants) -> Option<Answer> {
        let refused = self.access.is_some_and(|access| identity.require(access).is_err());
        refused.then_some(match grants {
            Grants::Known => Answer::Insufficient,
            Grants::NotLogged => Answer::Unknown(Missing::Grants),
        })
    }

    /// What the policy sees of the body, or what the route says before it does.
    fn body<'b>(&self, ask: &'b Ask, known: &Known) -> Result<Input<'b>, Answer> {
        if let Some(refused) = self.refuses_caller(known) {
            return Err(refused);
        }
        let (limit, inspect) = match self.body {
            None => (u64::MAX, u64::MAX),
            Some(BodyPlan::Inspect { limit, inspect, oversize: Oversize::Deny, .. }) => {
                ((*limit).min(*inspect), *inspect)
            }
            Some(BodyPlan::Inspect {
                limit,
                inspect,
                oversize: Oversize::Pass | Oversize::Log,
                ..
            }) => (*limit, *inspect),
            Some(BodyPlan::Skip | BodyPlan::Stream) => return Ok(Input::NoBody),
        };
        let bytes = match &ask.body {
            Body::Whole(bytes) if bytes.is_empty() => return Ok(Input::NoBody),
            Body::Whole(bytes) => bytes,
            Body::Unknown => return Err(Answer::Unknown(Missing::Body)),
        };
        if bytes.len() as u64 > limit {
            return Err(Answer::BodyTooLarge);
        }
        let most = usize::try_from(inspect).unwrap_or(usize::MAX);
        Ok(match bytes.get(..most) {
            Some(prefix) if prefix.len() < bytes.len() => Input::Body(prefix, BodyEnd::Truncated),
            Some(_) | None => Input::Body(bytes, BodyEnd::Complete),
        })
    }

    /// What a verdict comes to: a policy that lets pass does not let in whom the route wants to know.
    fn end(&self, verdict: Box<portcullis_policy::Verdict>, known: &Known, ask: &Ask) -> Answer {
        if !verdict.decision.passes() {
            return Answer::Verdict(verdict);
        }
        match self.refuses_caller(known) {
            Some(refused) => refused,
            None => match self.body(ask, known) {
                Err(Answer::BodyTooLarge) => Answer::BodyTooLarge,
                Ok(_) | Err(_) => Answer::Verdict(verdict),
            },
        }
    }

    fn without_policy(&self, ask: &Ask, now: Timestamp) -> Answer {
        self.refuses_caller(&self.caller(ask, now)).unwrap_or(Answer::NoPolicy)
    }
}

fn view(identity: &Identity) -> TokenView<'_> {
    TokenView {
        valid: true,
        subject: &identity.subject,
        tenant: identity.tenant.as_deref(),
        roles: &identity.roles,
        issuer: &identity.issuer,
        claims: &identity.claims,
    }
}

/// Makes an identity out of what is stated of one.
#[must_use]
pub fn stated(
    subject: &str,
    tenant: Option<&str>,
    roles: Vec<String>,
    scopes: Vec<String>,
    claims: Map<String, Value>,
) -> Box<Identity> {
    Box::new(Identity {
        provider: "stated".to_owned(),
        subject: subject.to_owned(),
        tenant: tenant.map(str::to_owned),
        roles,
        scopes,
        token_id: None,
        issuer: "stated".to_owned(),
        key_id: None,
        issued: None,
        expires: Timestamp::from_millis(u64::MAX),
        claims,
    })
}
