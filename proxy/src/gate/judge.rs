//! The verdict on one request: sanity, route, policy, identity, body. All of it before the origin hears anything.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use portcullis_config::model::{Access, Affinity, BodyPlan, IdentityRule, RouteAction};
use portcullis_policy::Scheme;

use super::attempts::{Attempts, Pace};
use super::browser::ForBrowser;
use super::cors::Cross;
use super::decide::Demands;
use super::forward::Forward;
use super::in_work::NoRoom;
use super::learning::Learning;
use super::messages::Messages;
use super::refusal::Refusal;
use super::sanity::Target;
use super::stream::Stream;
use super::work::Work;
use super::{
    Gate, bypass, certificate, claims, cors, csrf, decide, inward, login, presented, reports,
    routing, sanity, sign_in,
};
use crate::edge::Manner;
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

/// Judges a request. `Err` is what the client is told; `work` knows what the log needs.
pub(super) async fn judge(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
) -> Result<Pass, Refusal> {
    let snapshot = Arc::clone(&work.snapshot);
    let limits = &snapshot.config.limits;
    let claim = bypass::claim(gate, session.req_header_mut(), work);
    let is_claimed = claim.is_some();
    take_place(gate, work, is_claimed)?;
    sanity::join_cookies(session.req_header_mut())?;
    let scheme = work.connection.scheme();
    let target = sanity::check(session.req_header(), limits, scheme.as_str())?;
    if scheme == Scheme::Http
        && let Some(proof) = gate.shared.proofs.http(&target.path)
    {
        return Ok(Pass::Proof(proof));
    }
    if let Manner::RedirectToHttps { status, port } = work.connection.manner {
        return Err(to_https(&snapshot, &target, status, port));
    }
    let entry = routing::find(&snapshot, &work.connection, &target, gate.shared.clock.now())?;
    work.entry = Some(Arc::clone(&entry));
    work.load_test = claim.and_then(|claim| bypass::grant(gate, claim, &entry));
    if is_claimed && work.load_test.is_none() {
        work.place = None;
        take_place(gate, work, false)?;
    }
    certificate::strip(session.req_header_mut(), work);
    let target = target.with_path_form(entry.route.path_form)?;
    let brought = login::Brought::of(gate, work, session.req_header_mut(), &entry, work.begun);
    let brought = brought.map_err(|_| absent("a cookie that was sent is no header's value"))?;
    let asked = session.req_header();
    work.cross = Cross::of(&entry, &asked.headers);
    check_open(gate, work, &entry)?;
    let is_preflight = cors::preflight(&entry, &asked.method, &asked.headers).is_some();
    let at = brought.at(&target);
    let is_report = reports::are(&entry, &asked.method, &target);
    if !is_report {
        csrf::check(&entry, &asked.method, &asked.headers, &target, scheme)?;
    }
    if brought.identity.is_some() && !is_report {
        csrf::check_session(&asked.method, &asked.headers, &target, scheme)?;
    }
    let (backend, identity, access, body) = match &entry.route.action {
        RouteAction::Forward { backend, identity, access, body, .. } => {
            (backend, identity, access, body)
        }
        RouteAction::Redirect { status, to, keeps_target } => {
            let kept = keeps_target.then_some(&target);
            return Err(redirect(status.code(), to, kept));
        }
    };
    let upstream = gate.turns.of(&snapshot).get(backend);
    let upstream = upstream.ok_or_else(|| absent("the route's backend is not there"))?;
    let is_own = is_preflight || is_report || at.is_some();
    let stream = match is_own {
        true => None,
        false => Stream::of(session.req_header(), &upstream.backend)?,
    };
    let policy = match &entry.policy {
        Some(id) => Some(
            snapshot.policies.get(id).ok_or_else(|| absent("the route's policy is not there"))?,
        ),
        None => None,
    };
    let owned = &snapshot.config.identity.owners;
    // What nobody has to bring who asks the edge itself.
    let no_access = Access::default();
    let demands = match is_own {
        // A browser sends it without a token and without a body.
        true => Demands {
            policy,
            identity: &IdentityRule::None,
            access: &no_access,
            body: if is_report { &reports::BODY } else { &BodyPlan::Skip },
            is_held: false,
            session: None,
        },
        false => Demands {
            policy,
            identity,
            access,
            body,
            is_held: upstream.backend.assertion || access.names_in_body(owned),
            session: brought.identity.as_ref(),
        },
    };
    let admitted = match decide::decide(gate, session, work, &target, &demands).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            let headers = &session.req_header().headers;
            return Err(brought.or_sign_in(gate, work, headers, &target, refusal).await);
        }
    };
    if is_report {
        reports::take(&gate.shared, work, &admitted);
        return Err(Refusal::of(Reason::ReportTaken));
    }
    if let Some(at) = at {
        let method = session.req_header().method.clone();
        return Err(brought.answer(gate, work, at, &method, &target).await);
    }
    if is_preflight {
        return Ok(Pass::Preflight);
    }
    presented::strip(session.req_header_mut(), &snapshot);
    claims::strip(session.req_header_mut(), &snapshot);
    sign_in::begin(&gate.shared, work, &session.req_header().method, &entry, &admitted)?;
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
    let (id, client) = (work.id.clone(), work.client.clone());
    let learning = Learning::of(&snapshot, access, admitted.identity.as_deref());
    let held = admitted.held;
    let for_browser = ForBrowser::of(work.cross.clone(), &entry, &session.req_header().headers);
    let forward = Forward::new(
        id,
        entry,
        target,
        client,
        scheme,
        attempts,
        stream,
        held,
        added,
        learning,
        for_browser,
    );
    let forward = Arc::new(forward);
    work.forward = Some(Arc::clone(&forward));
    Ok(pass(session, forward))
}

/// Counts the request as one in work, and as one of its client's unless a load test lifts that. Before everything else: what
/// is refused here costs the least.
fn take_place(gate: &Gate, work: &mut Work, is_lifted: bool) -> Result<(), Refusal> {
    let config = &work.snapshot.config;
    let client = work.client.address;
    let is_hop = config.trusted_hops.iter().any(|net| net.contains(&client));
    let refused =
        |reason, detail| Refusal { retry_after_secs: Some(1), ..Refusal::because(reason, detail) };
    let place = gate.in_work.enter(client, is_hop || is_lifted, &config.limits).map_err(
        |full| match full {
            NoRoom::All => {
                refused(Reason::Overloaded, "more requests in work than `limits.requests`")
            }
            NoRoom::Client => refused(
                Reason::RateLimited,
                "more requests of the client in work than `limits.requests_per_client`",
            ),
        },
    )?;
    work.place = Some(place);
    Ok(())
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

fn redirect(status: u16, to: &str, kept: Option<&Target>) -> Refusal {
    let location = match kept {
        // The target begins with a slash and holds no control byte; what is no ASCII is escaped.
        Some(target) => to.trim_end_matches('/').to_owned() + &escaped(&target.uri),
        None => to.to_owned(),
    };
    Refusal {
        status: Some(status),
        location: Some(location),
        ..Refusal::of(Reason::RedirectedByPolicy)
    }
}

fn escaped(uri: &[u8]) -> String {
    use std::fmt::Write as _;
    uri.iter().fold(String::with_capacity(uri.len()), |mut text, byte| {
        if byte.is_ascii_graphic() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes all text");
        }
        text
    })
}

/// What the redirecting listener answers: the same target under `https`. A host that is not served is refused, so that
/// nobody is sent to a name of the client's choosing.
fn to_https(snapshot: &Snapshot, target: &Target, status: u16, port: u16) -> Refusal {
    if !snapshot.router.serves(&target.host) {
        return Refusal::of(Reason::UnknownHost);
    }
    match target.on_https(port) {
        Some(location) => redirect(status, &location, None),
        None => Refusal::because(Reason::MalformedRequest, "a target that is no text"),
    }
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
