//! From a route's body plan to a body that is read, or left to pass.

use std::sync::Arc;

use pingora::proxy::Session;
use portcullis_config::model::{BodyPlan, Oversize};

use super::Gate;
use super::body::{self, Held, Reading};
use super::decide::Demands;
use super::refusal::Refusal;
use super::work::Work;
use crate::reason::Reason;

/// Reads the body as the route's plan says; `None` if it is passed on unread or there is none.
pub(super) async fn read(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
    demands: &Demands<'_>,
) -> Result<Option<Held>, Refusal> {
    if session.is_body_empty() {
        return Ok(None);
    }
    let snapshot = Arc::clone(&work.snapshot);
    let limits = &snapshot.config.limits;
    // Where the body is passed on as it comes, nobody else bounds the wait for its next bytes.
    session.downstream_session.set_read_timeout(Some(limits.body_timeout));
    let reading = match demands.body {
        BodyPlan::Inspect { limit, inspect, oversize } => {
            let limit = if *oversize == Oversize::Deny { (*limit).min(*inspect) } else { *limit };
            Reading { limit, is_inspected: true, limits }
        }
        // The assertion is over the body's hash, so the body must be here before it.
        BodyPlan::Skip if demands.is_asserted => {
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
    let held = body::hold(session, reading, &gate.budget).await?;
    if let BodyPlan::Inspect { inspect, oversize: Oversize::Log, limit: _ } = demands.body
        && held.bytes.len() as u64 > *inspect
    {
        work.remark = Some("the body is longer than what was inspected");
    }
    Ok(Some(held))
}
