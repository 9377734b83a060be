//! The verdict on one request: sanity, route, policy, identity, body. All of it before the origin hears anything.

use std::sync::Arc;

use bytes::Bytes;
use pingora::proxy::Session;
use portcullis_config::model::{BodyPlan, Oversize, RouteAction};

use super::body::{self, Held, Reading};
use super::forward::Forward;
use super::refusal::Refusal;
use super::work::Work;
use super::{Gate, routing, sanity};
use crate::reason::Reason;

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
    let entry = routing::find(&snapshot, &work.connection, &target)?;
    work.entry = Some(Arc::clone(&entry));
    let (backend, plan) = match &entry.route.action {
        RouteAction::Forward { backend, body, .. } => (backend, body),
        RouteAction::Redirect { status, to } => return Err(redirect(status.code(), to)),
    };
    let upstream = gate.turns.of(&snapshot).get(backend);
    let upstream = upstream
        .ok_or_else(|| Refusal::because(Reason::Internal, "the route's backend is not there"))?;
    let held = read_body(gate, session, work, plan, upstream.backend.assertion).await?;
    let bytes = held.as_ref().map(|held| held.bytes.clone());
    let forward =
        Forward::new(work.id.clone(), target, work.client.clone(), upstream, bytes, Vec::new());
    let forward = Arc::new(forward);
    work.forward = Some(Arc::clone(&forward));
    Ok(pass(session, forward, held))
}

fn redirect(status: u16, to: &str) -> Refusal {
    Refusal {
        status: Some(status),
        location: Some(to.to_owned()),
        ..Refusal::of(Reason::RedirectedByPolicy)
    }
}

/// Reads the body as the route's plan says; `None` if it is passed on unread or there is none.
async fn read_body(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
    plan: &BodyPlan,
    is_asserted: bool,
) -> Result<Option<Held>, Refusal> {
    if session.is_body_empty() {
        return Ok(None);
    }
    let snapshot = Arc::clone(&work.snapshot);
    let limits = &snapshot.config.limits;
    let reading = match plan {
        BodyPlan::Inspect { limit, inspect, oversize } => {
            let limit = if *oversize == Oversize::Deny { (*limit).min(*inspect) } else { *limit };
            Reading { limit, is_inspected: true, limits }
        }
        // The assertion is over the body's hash, so the body must be here before it.
        BodyPlan::Skip if is_asserted => {
            Reading { limit: limits.body_bytes, is_inspected: false, limits }
        }
        BodyPlan::Skip => {
            if body::declared_length(session).is_some_and(|length| length > limits.body_bytes) {
                return Err(Refusal::of(Reason::BodyTooLarge));
            }
            work.passing_max = Some(limits.body_bytes);
            return Ok(None);
        }
        BodyPlan::Stream => return Ok(None),
    };
    body::hold(session, reading, &gate.budget).await.map(Some)
}

/// Pingora sends what its retry buffer holds by itself; everything else goes by a sealed subrequest.
fn pass(session: &Session, forward: Arc<Forward>, held: Option<Held>) -> Pass {
    match held {
        Some(held)
            if session.get_retry_buffer().is_none_or(|kept| kept.len() != held.bytes.len()) =>
        {
            Pass::Replay { forward, body: held.bytes }
        }
        Some(_) | None => Pass::Direct,
    }
}
