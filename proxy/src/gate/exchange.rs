//! An answer that is held until it has been judged: nothing of it reaches the client before.
//!
//! The request goes by a sealed subrequest, as in [`super::replay`]; what comes back is gathered here up to the route's
//! limit, judged by the rules for answers, and then sent on. What is longer is judged by its start, as the rules' authors
//! do it, and the rest follows as it comes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use pingora::proxy::Session;
use tokio::sync::mpsc;

use super::Gate;
use super::answers;
use super::budget::Share;
use super::forward::Forward;
use super::refusal::Refusal;
use super::replay;
use super::work::Work;
use crate::reason::Reason;

/// An answer, as far as it has come.
struct Held {
    head: Box<ResponseHeader>,
    body: BytesMut,
    trailers: Option<Box<HeaderMap>>,
    /// Whether that is all of it.
    is_whole: bool,
    share: Share,
}

/// Forwards the judged request with `body`, holds the answer until it is judged, and sends it on.
pub(super) async fn send(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
    forward: &Arc<Forward>,
    body: Bytes,
) -> Result<(), Refusal> {
    let Some(inspection) = forward.entry.route.inspection() else {
        return replay::send(session, forward, body).await;
    };
    let max = inspection.body.unwrap_or(0);
    let (subrequest, handle) = replay::prepare(session, forward, &body)?;
    let is_empty = body.is_empty();
    let running = tokio::spawn(async move {
        let mut subrequest = subrequest;
        if is_empty && let Some(inner) = subrequest.session_mut().as_subrequest_mut() {
            inner.clear_request_body_headers();
        }
        subrequest.run().await;
    });
    let SubrequestHandle { tx, mut rx, subreq_wants_body, subreq_proxy_error } = handle;
    let feeding = async move {
        if !is_empty && subreq_wants_body.await.is_ok() {
            feed(&tx, body).await;
        }
        // The sender stays until the answer is over: without it the subrequest takes its client for gone.
        tx
    };
    let failed = || forward.failure().unwrap_or_else(|| internal("the subrequest gave no answer"));
    let holding = hold(gate, work, &mut rx, max);
    let (held, _tx) = tokio::join!(holding, feeding);
    let held = match held {
        Ok(Some(held)) => held,
        Ok(None) => {
            drop(subreq_proxy_error);
            return Err(failed());
        }
        Err(refusal) => {
            running.abort();
            return Err(refusal);
        }
    };
    if let Err(refusal) = answers::judge(gate, session, work, forward, &held.head, &held.body).await
    {
        running.abort();
        return Err(refusal);
    }
    let is_whole = held.is_whole;
    let sent = write(session, held).await;
    let sent = if sent.is_ok() && !is_whole { pass(session, &mut rx).await } else { sent };
    sent.map_err(|error| Refusal { closes: true, ..internal(error.to_string()) })
}

fn internal(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::because(Reason::Internal, detail)
}

/// Hands the body over, in the two pieces that Pingora's own pipe makes of it.
async fn feed(tx: &mpsc::Sender<HttpTask>, body: Bytes) {
    for task in [HttpTask::Body(Some(body), false), HttpTask::Body(None, true)] {
        if tx.send(task).await.is_err() {
            // The subrequest has ended; it says why itself.
            return;
        }
    }
}

/// Gathers the answer up to `max` bytes of its body; nothing if it fails before its head.
async fn hold(
    gate: &Gate,
    work: &Work,
    rx: &mut mpsc::Receiver<HttpTask>,
    max: u64,
) -> Result<Option<Held>, Refusal> {
    let budget = work.snapshot.config.limits.body_buffer_bytes;
    let mut held: Option<Held> = None;
    while let Some(task) = rx.recv().await {
        let ends = match task {
            HttpTask::Header(head, ends) => {
                if head.status.is_informational() {
                    continue;
                }
                let body = BytesMut::new();
                let share = gate.budget.share();
                held = Some(Held { head, body, trailers: None, is_whole: false, share });
                ends
            }
            HttpTask::Body(bytes, ends) | HttpTask::UpgradedBody(bytes, ends) => {
                if let (Some(held), Some(bytes)) = (&mut held, bytes) {
                    let grown = held.share.grow(bytes.len() as u64, budget);
                    grown.map_err(|_| Refusal::of(Reason::Overloaded))?;
                    held.body.extend_from_slice(&bytes);
                }
                ends
            }
            HttpTask::Trailer(trailers) => {
                if let Some(held) = &mut held {
                    held.trailers = trailers;
                }
                true
            }
            HttpTask::Done => true,
            HttpTask::Failed(_) => return Ok(None),
        };
        let Some(held_now) = &mut held else { continue };
        if ends {
            held_now.is_whole = true;
            return Ok(held);
        }
        if held_now.body.len() as u64 > max {
            return Ok(held);
        }
    }
    Ok(None)
}

async fn write(session: &mut Session, held: Held) -> pingora::Result<()> {
    let Held { head, body, trailers, is_whole, share: _ } = held;
    let has_more = !body.is_empty() || trailers.is_some();
    let mut tasks = vec![HttpTask::Header(head, is_whole && !has_more)];
    if !body.is_empty() {
        tasks.push(HttpTask::Body(Some(body.freeze()), is_whole && trailers.is_none()));
    }
    if trailers.is_some() {
        tasks.push(HttpTask::Trailer(trailers));
    }
    session.write_response_tasks(tasks).await.map(drop)
}

/// Sends on what follows the part that was judged.
async fn pass(session: &mut Session, rx: &mut mpsc::Receiver<HttpTask>) -> pingora::Result<()> {
    while let Some(task) = rx.recv().await {
        if session.write_response_tasks(vec![task]).await? {
            break;
        }
    }
    Ok(())
}
