//! The verdict on one request: sanity, route, policy, identity, body. All of it before the origin hears anything.

use std::sync::Arc;

use bytes::Bytes;
use pingora::proxy::Session;
use portcullis_config::model::RouteAction;

use super::decide::Demands;
use super::forward::Forward;
use super::refusal::Refusal;
use super::sanity::Target;
use super::work::Work;
use super::{Gate, decide, inward, routing, sanity};
use crate::edge::Manner;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// How an admitted request goes on.
pub(super) enum Pass {
    /// Through Pingora's own phases.
    Direct,
    /// By a sealed subrequest with this body.
    Replay { forward: Arc<Forward>, body: Bytes },
}

/// Judges a request. `Err` is what the client is told; `work` knows what the log needs.
pub(super) async fn judge(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
) -> Result<Pass, Refusal> {
    let snapshot = Arc::clone(&work.snapshot);
    let limits = &snapshot.config.limits;
    let raw = session.as_http1().map(|_| session.to_h1_raw());
    let target = sanity::check(session.req_header(), raw.as_deref(), limits)?;
    if let Manner::RedirectToHttps { status, port } = work.connection.manner {
        return Err(to_https(&snapshot, &target, status, port));
    }
    let entry = routing::find(&snapshot, &work.connection, &target)?;
    work.entry = Some(Arc::clone(&entry));
    let (backend, identity, body) = match &entry.route.action {
        RouteAction::Forward { backend, identity, body, policy: _ } => (backend, identity, body),
        RouteAction::Redirect { status, to } => return Err(redirect(status.code(), to)),
    };
    let upstream = gate.turns.of(&snapshot).get(backend);
    let upstream = upstream.ok_or_else(|| absent("the route's backend is not there"))?;
    let policy = match &entry.policy {
        Some(id) => Some(
            snapshot.policies.get(id).ok_or_else(|| absent("the route's policy is not there"))?,
        ),
        None => None,
    };
    let demands = Demands { policy, identity, body, is_asserted: upstream.backend.assertion };
    let admitted = decide::decide(gate, session, work, &target, &demands).await?;
    let added = inward::headers(&gate.shared, work, &target, &upstream, &admitted)?;
    let (id, client) = (work.id.clone(), work.client.clone());
    let scheme = work.connection.scheme();
    let forward = Forward::new(id, target, client, scheme, upstream, admitted.held, added);
    let forward = Arc::new(forward);
    work.forward = Some(Arc::clone(&forward));
    Ok(pass(session, forward))
}

/// The snapshot is compiled whole, so this is a defect of ours.
fn absent(what: &'static str) -> Refusal {
    Refusal::because(Reason::Internal, what)
}

fn redirect(status: u16, to: &str) -> Refusal {
    Refusal {
        status: Some(status),
        location: Some(to.to_owned()),
        ..Refusal::of(Reason::RedirectedByPolicy)
    }
}

/// What the redirecting listener answers: the same target under `https`. A host that is not served is refused, so that
/// nobody is sent to a name of the client's choosing.
fn to_https(snapshot: &Snapshot, target: &Target, status: u16, port: u16) -> Refusal {
    if !snapshot.router.serves(&target.host) {
        return Refusal::of(Reason::UnknownHost);
    }
    match target.on_https(port) {
        Some(location) => redirect(status, &location),
        None => Refusal::because(Reason::MalformedRequest, "a target that is no text"),
    }
}

/// Pingora sends what its retry buffer holds by itself; everything else goes by a sealed subrequest.
fn pass(session: &Session, forward: Arc<Forward>) -> Pass {
    let Some(held) = &forward.held else { return Pass::Direct };
    if session.get_retry_buffer().is_some_and(|kept| kept.len() == held.bytes.len()) {
        return Pass::Direct;
    }
    Pass::Replay { body: held.bytes.clone(), forward }
}
