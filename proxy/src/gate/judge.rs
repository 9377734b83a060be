//! The verdict on one request: sanity, route, policy, identity, body. All of it before the origin hears anything.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use portcullis_config::model::{Access, Affinity, BodyPlan, IdentityRule, RouteAction};

use super::arrival::{self, Arrival, Arrived};
use super::attempts::{Attempts, Pace};
use super::browser::ForBrowser;
use super::cors::Cross;
use super::decide::{Admitted, Demands};
use super::forward::Forward;
use super::learning::Learning;
use super::messages::Messages;
use super::refusal::Refusal;
use super::sanity::Target;
use super::stream::Stream;
use super::work::Work;
use super::{
    Gate, claims, cors, csrf, decide, everyday, inward, login, presented, redirect, reports,
    sign_in,
};
use crate::reason::Reason;
use crate::router::RouteEntry;
use crate::snapshot::Snapshot;
use crate::upstream::{Admission, Full, Upstream, hash};

/// How an admitted request goes on.
pub(super) enum Pass {
    /// Through Pingora's own phases.
    Direct,
    /// By a sealed subrequest with this body.
    Replay { forward: Arc<Forward>, body: Bytes },
    /// The same, and the answer is held until it is judged.
    Exchange { forward: Arc<Forward>, body: Bytes },
    /// Not at all: a browser asks what a page of another origin may ask for.
    Preflight,
    /// Not at all: an authority asks for the proof of a name, and this is it.
    Proof(String),
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// For the route's backend.
    Origin,
    /// A browser's question before it sends what a page of another origin asks for.
    Preflight,
    /// What a browser tells of a page's policy.
    Report,
    /// A step of the sign-in at the edge.
    SignIn(login::At),
}

impl Purpose {
    fn of(arrival: &Arrival, head: &RequestHeader, brought: &login::Brought) -> Self {
        let entry = &arrival.entry;
        if reports::are(entry, &head.method, &arrival.target) {
            return Self::Report;
        }
        if let Some(at) = brought.at(&arrival.target) {
            return Self::SignIn(at);
        }
        match cors::preflight(entry, &head.method, &head.headers) {
            Some(_) => Self::Preflight,
            None => Self::Origin,
        }
    }
}

/// Judges a request. `Err` is what the client is told; `work` knows what the log needs.
pub(super) async fn judge(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
) -> Result<Pass, Refusal> {
    let arrival = match arrival::arrive(gate, session, work)? {
        Arrived::AtRoute(arrival) => arrival,
        Arrived::ForProof(proof) => return Ok(Pass::Proof(proof)),
    };
    let brought =
        login::Brought::of(gate, work, session.req_header_mut(), &arrival.entry, work.begun);
    let brought = brought.map_err(|_| absent("a cookie that was sent is no header's value"))?;
    work.cross = Cross::of(&arrival.entry, &session.req_header().headers);
    check_open(gate, work, &arrival.entry)?;
    let purpose = Purpose::of(&arrival, session.req_header(), &brought);
    if purpose != Purpose::Report {
        check_forged(&arrival, session.req_header(), &brought)?;
    }
    let upstream = upstream(gate, &work.snapshot, &arrival)?;
    let stream = match purpose {
        Purpose::Origin => Stream::of(session.req_header(), &upstream.backend)?,
        Purpose::Preflight | Purpose::Report | Purpose::SignIn(_) => None,
    };
    let admitted = admit(gate, session, work, &arrival, &brought, purpose, &upstream).await?;
    match purpose {
        Purpose::Origin => {}
        Purpose::Preflight => return Ok(Pass::Preflight),
        Purpose::Report => {
            reports::take(&gate.shared, work, &admitted);
            return Err(Refusal::of(Reason::ReportTaken));
        }
        Purpose::SignIn(at) => {
            let method = session.req_header().method.clone();
            return Err(brought.answer(gate, work, at, &method, &arrival.target).await);
        }
    }
    let forward = forward(gate, session, work, arrival, upstream, stream, admitted).await?;
    work.forward = Some(Arc::clone(&forward));
    Ok(pass(session, forward))
}

/// Refuses what a page of another origin makes a browser send in its user's name.
fn check_forged(
    arrival: &Arrival,
    head: &RequestHeader,
    brought: &login::Brought,
) -> Result<(), Refusal> {
    let Arrival { entry, target, scheme } = arrival;
    csrf::check(entry, &head.method, &head.headers, target, *scheme)?;
    if brought.identity.is_some() {
        csrf::check_session(&head.method, &head.headers, target, *scheme)?;
    }
    Ok(())
}

/// The backend of the route; a route that redirects has none, and its answer is the refusal.
fn upstream(gate: &Gate, snapshot: &Snapshot, arrival: &Arrival) -> Result<Arc<Upstream>, Refusal> {
    match &arrival.entry.route.action {
        RouteAction::Forward { backend, .. } => gate
            .turns
            .of(snapshot)
            .get(backend)
            .ok_or_else(|| absent("the route's backend is not there")),
        RouteAction::Redirect { status, to, keeps_target } => {
            let kept = keeps_target.then_some(&arrival.target);
            Err(redirect::to(status.code(), to, kept))
        }
    }
}

/// Lets a request through what its route demands. What the edge answers itself comes from browsers, without a token.
async fn admit(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
    arrival: &Arrival,
    brought: &login::Brought,
    purpose: Purpose,
    upstream: &Upstream,
) -> Result<Admitted, Refusal> {
    let snapshot = Arc::clone(&work.snapshot);
    let Arrival { entry, target, .. } = arrival;
    let policy = match &entry.policy {
        Some(id) => Some(
            snapshot.policies.get(id).ok_or_else(|| absent("the route's policy is not there"))?,
        ),
        None => None,
    };
    let no_access = Access::default();
    let of_the_edge = Demands {
        policy,
        identity: &IdentityRule::None,
        access: &no_access,
        body: if purpose == Purpose::Report { &reports::BODY } else { &BodyPlan::Skip },
        is_held: false,
        session: None,
    };
    let demands = match (purpose, &entry.route.action) {
        (Purpose::Origin, RouteAction::Forward { identity, access, body, .. }) => Demands {
            identity,
            access,
            body,
            is_held: upstream.backend.assertion
                || access.names_in_body(&snapshot.config.identity.owners),
            session: brought.identity.as_ref(),
            ..of_the_edge
        },
        _ => of_the_edge, // nothing that an origin gets
    };
    match decide::decide(gate, session, work, target, &demands).await {
        Ok(admitted) => Ok(admitted),
        Err(refusal) => {
            let headers = &session.req_header().headers;
            Err(brought.or_sign_in(gate, work, headers, target, refusal).await)
        }
    }
}

/// What the origin gets, and who of its servers.
async fn forward(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
    arrival: Arrival,
    upstream: Arc<Upstream>,
    stream: Option<Stream>,
    admitted: Admitted,
) -> Result<Arc<Forward>, Refusal> {
    let Arrival { entry, target, scheme } = arrival;
    let snapshot = Arc::clone(&work.snapshot);
    presented::strip(session.req_header_mut(), &snapshot);
    claims::strip(session.req_header_mut(), &snapshot);
    sign_in::begin(&gate.shared, work, &session.req_header().method, &entry, &admitted)?;
    everyday::note(work, &entry, &admitted);
    let added = inward::headers(&gate.shared, work, &target, &upstream, &admitted)?;
    let admission = admission(&upstream).await?;
    let now = gate.shared.clock.monotonic();
    if let Some(stream) = &stream {
        // Both sides may be silent as long as the whole may last.
        session.set_read_timeout(Some(stream.timeout()));
        work.messages = Some(Messages::of(stream, &gate.shared.metrics.stream_messages, now));
    }
    let key = key(&upstream, work, session.req_header(), &target);
    let pace = pace(&upstream, stream.as_ref());
    let attempts = Attempts::new(upstream, key, pace, admission, now);
    let RouteAction::Forward { access, .. } = &entry.route.action else {
        return Err(absent("a route that forwards nothing"));
    };
    let learning = Learning::of(&snapshot, access, admitted.identity.as_deref());
    let for_browser = ForBrowser::of(work.cross.clone(), &entry, &session.req_header().headers);
    Ok(Arc::new(Forward::new(
        work.id.clone(),
        entry,
        target,
        work.client.clone(),
        scheme,
        attempts,
        stream,
        admitted.held,
        added,
        learning,
        for_browser,
    )))
}

/// Refuses a request to a route that an operator has closed.
fn check_open(gate: &Gate, work: &Work, entry: &RouteEntry) -> Result<(), Refusal> {
    let until = gate.shared.lockdowns.until(&entry.host, &entry.route.path, work.begun);
    let Some(until) = until else { return Ok(()) };
    let left = until.since(work.begun).as_secs().max(1);
    Err(Refusal {
        retry_after_secs: Some(u32::try_from(left).unwrap_or(u32::MAX)),
        ..Refusal::of(Reason::LockedDown)
    })
}

/// Lets the request in to the backend, or says when to come again.
async fn admission(upstream: &Upstream) -> Result<Admission, Refusal> {
    let admitted = upstream.breaker.enter(upstream.backend.capacity.as_ref()).await;
    admitted
        .map_err(|Full| Refusal { retry_after_secs: Some(1), ..Refusal::of(Reason::UpstreamBusy) })
}

fn pace(upstream: &Upstream, stream: Option<&Stream>) -> Pace {
    match stream {
        Some(stream) => Pace { total: stream.timeout(), may_be_silent: true },
        None => Pace { total: upstream.backend.timeout, may_be_silent: false },
    }
}

/// What keeps the request with one server.
fn key(upstream: &Upstream, work: &Work, head: &RequestHeader, target: &Target) -> Option<u64> {
    match upstream.backend.affinity.as_ref()? {
        Affinity::ClientIp => Some(match work.client.address {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
        Affinity::Path => Some(hash(&target.path)),
        Affinity::Header(name) => {
            head.headers.get(name.as_str()).map(|value| hash(value.as_bytes()))
        }
    }
}

/// The snapshot is compiled whole, so this is a defect of ours.
fn absent(what: &'static str) -> Refusal {
    Refusal::because(Reason::Internal, what)
}

/// Pingora sends what its retry buffer holds by itself; everything else goes by a sealed subrequest.
fn pass(session: &Session, forward: Arc<Forward>) -> Pass {
    let inspection = forward.entry.route.inspection();
    let body = forward.held.as_ref().map(|held| held.bytes.clone());
    if inspection.is_some_and(|one| one.body.is_some()) {
        return Pass::Exchange { body: body.unwrap_or_default(), forward };
    }
    let Some(body) = body else { return Pass::Direct };
    if session.get_retry_buffer().is_some_and(|kept| kept.len() == body.len()) {
        return Pass::Direct;
    }
    if inspection.is_some() {
        return Pass::Exchange { body, forward };
    }
    Pass::Replay { body, forward }
}
