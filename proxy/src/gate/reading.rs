//! From a route's body plan to a body that is read, or left to pass.

use std::sync::Arc;

use http::Version;
use pingora::proxy::Session;
use portcullis_config::model::{BodyPlan, Compressed, Limits, Oversize};

use super::Gate;
use super::body::{self, Held, OfCompressed, Reading};
use super::decide::Demands;
use super::inflate::Cap;
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
    let snapshot = Arc::clone(&work.snapshot);
    let limits = &snapshot.config.limits;
    if session.is_body_empty() {
        nothing_follows(session, limits).await?;
        return Ok(None);
    }
    // Where the body is passed on as it comes, nobody else bounds the wait for its next bytes.
    session.downstream_session.set_read_timeout(Some(limits.body_timeout));
    let reading = match demands.body {
        BodyPlan::Inspect { limit, inspect, oversize, compressed } => {
            let is_bound = *oversize == Oversize::Deny;
            let limit = if is_bound { (*limit).min(*inspect) } else { *limit };
            let compressed = match compressed {
                Compressed::Refuse => OfCompressed::Refuse,
                Compressed::Inflate { ratio } => {
                    let cap = Cap { bytes: *inspect, ratio: *ratio };
                    OfCompressed::Inflate { cap, is_bound }
                }
            };
            Reading { limit, compressed, limits }
        }
        BodyPlan::Skip if demands.is_held => {
            Reading { limit: limits.body_bytes, compressed: OfCompressed::Keep, limits }
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
    let held = body::hold(gate, session, reading).await?;
    if let BodyPlan::Inspect { inspect, oversize: Oversize::Log, .. } = demands.body
        && (held.bytes.len() as u64 > *inspect
            || held.inflated.as_ref().is_some_and(|inflated| !inflated.is_whole))
    {
        work.remark = Some("the body is longer than what was inspected".into());
    }
    Ok(Some(held))
}

/// On HTTP/2 a length of zero promises that no data follows, and only the end of the stream keeps the promise
/// (RFC 9113 §8.1.1): the request is not forwarded before that.
async fn nothing_follows(session: &mut Session, limits: &Limits) -> Result<(), Refusal> {
    let is_promised = body::declared_length(session) == Some(0);
    if !is_promised || session.req_header().version != Version::HTTP_2 {
        return Ok(());
    }
    let malformed = || Refusal::because(Reason::MalformedBody, "data behind a length of zero");
    let rest = async {
        while let Some(data) = session.read_request_body().await.map_err(|_| malformed())? {
            if !data.is_empty() {
                return Err(malformed());
            }
        }
        Ok(())
    };
    let read = tokio::time::timeout(limits.body_timeout, rest).await;
    read.unwrap_or_else(|_| Err(Refusal { closes: true, ..Refusal::of(Reason::BodyTimeout) }))
}
