//! The policy's walk: the cursor says what it needs, and nothing is fetched before that.
//!
//! A caller that the route requires is verified at the first need of the body, or at the end of the policy, whichever
//! comes first: nobody buffers for strangers. A need of the token alone does not refuse: a limit on requests without a
//! valid token must get to count them.

use std::sync::Arc;

use http::HeaderMap;
use pingora::proxy::Session;
use portcullis_config::Timestamp;
use portcullis_config::model::{Access, BodyPlan, IdentityRule};
use portcullis_identity::Identity;
use portcullis_policy::{
    BodyEnd, Decision, Header, HeaderToSet, Input, Policy, RequestHead, Step, Verdict,
};

use super::body::Held;
use super::caller::{Asking, Caller, Place, granted, view};
use super::refusal::Refusal;
use super::sanity::Target;
use super::tenancy::Bounds;
use super::work::Work;
use super::{Gate, banned, reading, tightened};
use crate::edge::Connection;
use crate::reason::Reason;

/// What is asked of a request before it may pass.
pub(super) struct Demands<'a> {
    pub(super) policy: Option<&'a Arc<Policy>>,
    pub(super) identity: &'a IdentityRule,
    /// What the caller's token must grant.
    pub(super) access: &'a Access,
    pub(super) body: &'a BodyPlan,
    /// Whom a session of the edge's own speaks for, where no token does.
    pub(super) session: Option<&'a Arc<Identity>>,
    /// Whether the body must be here: the backend gets an assertion, which is over its hash, or it may name a tenant.
    pub(super) is_held: bool,
}

/// What an admitted request brings along.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) held: Option<Held>,
    /// Headers that the policy sets.
    pub(super) added: Vec<HeaderToSet>,
}

/// Lets the request through all demands, or refuses it.
pub(super) async fn decide(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
    target: &Target,
    demands: &Demands<'_>,
) -> Result<Admitted, Refusal> {
    let headers = session.req_header().headers.clone();
    let connection = Arc::clone(&work.connection);
    let now = work.begun;
    banned::stranger(&gate.shared.state, work, now)?;
    let mut walk = Walk {
        gate,
        target,
        headers: &headers,
        connection: &connection,
        demands,
        caller: Caller::default(),
        body: None,
        added: Vec::new(),
    };
    walk.check_tightened(work, now)?;
    match walk.finish(session, work, now).await {
        Ok(identity) => Ok(Admitted { identity, held: walk.body.flatten(), added: walk.added }),
        Err(refusal) => {
            walk.note_refusal(work, &refusal, now);
            if gate.shared.capture.is_some() {
                work.refused_body = walk.body.flatten();
            }
            Err(refusal)
        }
    }
}

struct Walk<'a> {
    gate: &'a Gate,
    target: &'a Target,
    headers: &'a HeaderMap,
    connection: &'a Connection,
    demands: &'a Demands<'a>,
    caller: Caller,
    /// Once it has been asked for: the body, or that none is read.
    body: Option<Option<Held>>,
    added: Vec<HeaderToSet>,
}

impl<'a> Walk<'a> {
    /// Policy, caller and body, in this order where nothing asks earlier; returns who calls.
    async fn finish(
        &mut self,
        session: &mut Session,
        work: &mut Work,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        if let Some(policy) = self.demands.policy {
            let verdict = self.finish_policy(session, work, policy, now).await?;
            let refused = refusal(&verdict);
            self.added.clone_from(&verdict.request_headers_to_add);
            let by_preview = tightened::rules(&self.gate.shared, &verdict, now);
            work.verdict = Some(verdict);
            if let Some(refusal) = refused {
                return Err(refusal);
            }
            by_preview?;
        }
        let identity = self.required_caller(work, now).await?;
        self.read_body(session, work).await?;
        if let Some(known) = &identity {
            let snapshot = Arc::clone(&work.snapshot);
            let place = Place { shared: &self.gate.shared, snapshot: &snapshot };
            let held = self.body.as_ref().and_then(Option::as_ref);
            self.bounds(place, known, now).check_body(self.gate, work, held).await?;
        }
        Ok(identity)
    }

    /// Goes through the policy, fetching what it asks for.
    async fn finish_policy(
        &mut self,
        session: &mut Session,
        work: &mut Work,
        policy: &Arc<Policy>,
        now: Timestamp,
    ) -> Result<Box<Verdict>, Refusal> {
        let (gate, target) = (self.gate, self.target);
        let state = &gate.shared.state;
        let fields = fields(self.headers);
        let snapshot = Arc::clone(&work.snapshot);
        let client_ip = work.client.address;
        let connection = Arc::clone(&work.connection);
        let head = RequestHead {
            id: &work.id.clone(),
            client_ip,
            region_code: snapshot.region_code(client_ip),
            asn: snapshot.asn(client_ip),
            sni: connection.sni.as_deref().map(str::as_bytes),
            ja3: &connection.fingerprints.ja3,
            ja4: &connection.fingerprints.ja4,
            certificate: connection.certificate.as_deref(),
            scheme: connection.scheme(),
            host: &target.host,
            method: &work.asked.method.clone(),
            path: &target.path,
            query: &target.query,
            uri: &target.uri,
            version: work.asked.protocol.as_bytes(),
            headers: &fields,
            bypass_limits: work.load_test.is_some(),
        };
        let mut cursor = policy.start();
        // Counters want the time of each step: a body may have been waited for.
        let clock = &gate.shared.clock;
        let mut step = cursor.advance(&head, state, clock.now());
        loop {
            step = match step {
                Step::Done(verdict) => return Ok(verdict),
                Step::NeedIdentity => {
                    let place = Place { shared: &gate.shared, snapshot: &snapshot };
                    let asking = self.asking();
                    let known = self.caller.identity(place, self.demands.identity, asking, now);
                    let known = known.await.ok();
                    let input = Input::Identity(known.as_deref().map(view));
                    cursor.resume(input, &head, state, clock.now())
                }
                Step::NeedBody => {
                    self.required_caller(work, now).await?;
                    self.read_body(session, work).await?;
                    let input = self.inspected();
                    let size = if let Input::Body(bytes, _) = input { bytes.len() } else { 0 };
                    let inspecting = || cursor.resume(input, &head, state, clock.now());
                    gate.heavy.run(size, inspecting).await
                }
            };
        }
    }

    async fn required_caller(
        &mut self,
        work: &mut Work,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        let snapshot = Arc::clone(&work.snapshot);
        let place = Place { shared: &self.gate.shared, snapshot: &snapshot };
        let asking = self.asking();
        let identity = self.caller.required(place, self.demands.identity, asking, now).await?;
        work.identity.clone_from(&identity);
        if let Some(known) = &identity {
            banned::identity(&self.gate.shared.state, work, known, now)?;
            granted(known, self.demands.access)?;
            tightened::identity(&self.gate.shared, work, known, now)?;
            self.bounds(place, known, now).check_head(work, self.target)?;
        }
        Ok(identity)
    }

    /// Counts the request where a response to an incident asks for it.
    fn check_tightened(&self, work: &Work, now: Timestamp) -> Result<(), Refusal> {
        let place = Place { shared: &self.gate.shared, snapshot: &work.snapshot };
        let is_known =
            || self.caller.is_known_good(place, self.demands.identity, self.asking(), now);
        tightened::stranger(&self.gate.shared, work, is_known, now)
    }

    fn bounds<'b>(
        &'b self,
        place: Place<'b>,
        identity: &'b Identity,
        now: Timestamp,
    ) -> Bounds<'b> {
        Bounds { place, access: self.demands.access, headers: self.headers, identity, now }
    }

    /// Counts a refusal of somebody whose token is good: the best alarm for a rule that refuses the wrong ones.
    fn note_refusal(&mut self, work: &Work, refusal: &Refusal, now: Timestamp) {
        let gate = self.gate;
        let place = Place { shared: &gate.shared, snapshot: &work.snapshot };
        let may_verify = || gate.spare.take(gate.now());
        let asking = self.asking();
        match self.caller.is_good(place, self.demands.identity, asking, now, may_verify) {
            Some(true) => {
                let label = refusal.reason.row().label;
                gate.shared.metrics.refusals_with_token.with_label_values(&[label]).inc();
            }
            Some(false) => {}
            None => gate.shared.metrics.refusals_unverified.inc(),
        }
    }

    fn asking(&self) -> Asking<'a> {
        let connection = self.connection;
        Asking {
            headers: self.headers,
            query: &self.target.query,
            certificate: connection.certificate.as_deref(),
            certificate_until: connection.certificate_until,
            session: self.demands.session,
        }
    }

    async fn read_body(&mut self, session: &mut Session, work: &mut Work) -> Result<(), Refusal> {
        if self.body.is_none() {
            self.body = Some(reading::read(self.gate, session, work, self.demands).await?);
        }
        Ok(())
    }

    /// What the policy sees of the body.
    fn inspected(&self) -> Input<'_> {
        let BodyPlan::Inspect { inspect, .. } = self.demands.body else { return Input::NoBody };
        let Some(Some(held)) = &self.body else { return Input::NoBody };
        if let Some(inflated) = &held.inflated {
            let end = if inflated.is_whole { BodyEnd::Complete } else { BodyEnd::Truncated };
            return Input::Body(&inflated.bytes, end);
        }
        let most = usize::try_from(*inspect).unwrap_or(usize::MAX);
        match held.bytes.get(..most) {
            Some(prefix) if prefix.len() < held.bytes.len() => {
                Input::Body(prefix, BodyEnd::Truncated)
            }
            Some(_) | None => Input::Body(&held.bytes, BodyEnd::Complete),
        }
    }
}

fn fields(headers: &HeaderMap) -> Vec<Header<'_>> {
    headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().as_bytes(), value: value.as_bytes() })
        .collect()
}

/// What the client is told of a verdict; `None` if it passes.
fn refusal(verdict: &Verdict) -> Option<Refusal> {
    match &verdict.decision {
        Decision::Allow => None,
        Decision::Deny { status } => {
            let of_body = verdict.inspected_body_bytes > 0;
            let reason = if of_body { Reason::BodyDeniedByPolicy } else { Reason::DeniedByPolicy };
            let body = verdict.deny_body.clone();
            Some(Refusal { status: Some(*status), body, ..Refusal::of(reason) })
        }
        Decision::TooMany { status, retry_after_secs, ban } => {
            let reason = if *ban { Reason::Banned } else { Reason::RateLimited };
            let refusal = Refusal::of(reason);
            Some(Refusal {
                status: Some(*status),
                retry_after_secs: Some(*retry_after_secs),
                body: verdict.deny_body.clone(),
                ..refusal
            })
        }
        Decision::Redirect { status, location } => {
            let refusal = Refusal::of(Reason::RedirectedByPolicy);
            Some(Refusal { status: Some(*status), location: Some(location.to_string()), ..refusal })
        }
    }
}
