//! When forwarding fails: which reason it is, and whether the client can still be told.

use std::time::Duration;

use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType, RetryType};

use super::attempts::Attempts;
use super::refusal::Refusal;
use super::work::Context;
use crate::reason::Reason;

/// Answers a request whose forwarding failed. A sealed subrequest leaves the answer to its request.
pub(super) async fn answer(session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
    let unanswered = FailToProxy { error_code: 0, can_reuse_downstream: false };
    let Some(refusal) = refusal(error) else { return unanswered };
    match ctx {
        Context::New => unanswered,
        Context::Replay(forward) => {
            forward.fail(refusal);
            unanswered
        }
        Context::Request(work) => {
            let known = work
                .refusal
                .clone()
                .or_else(|| work.forward.as_ref().and_then(|forward| forward.failure()));
            let refusal = known.unwrap_or(refusal);
            if session.response_written().is_some_and(|head| !head.status.is_informational()) {
                work.fail(refusal);
                return unanswered;
            }
            let error_code = refusal.status();
            // The answer goes out whole and its connection is closed behind it.
            let closing = Refusal { closes: true, ..refusal };
            match work.refuse(session, closing).await {
                Ok(()) => FailToProxy { error_code, can_reuse_downstream: false },
                Err(_) => unanswered,
            }
        }
    }
}

/// Notes a request that broke off at its server, and says whether it is sent to another one: only if its method may be
/// repeated, its body is still here, and the client has not heard anything.
pub(super) fn may_retry(
    session: &Session,
    error: &Error,
    attempts: &Attempts,
    is_reused: bool,
    now: Duration,
) -> bool {
    let is_servers = *error.esource() == ErrorSource::Upstream;
    // A pooled connection that the server was just closing says nothing about the server.
    let is_stale = is_reused && matches!(error.retry, RetryType::ReusedOnly);
    if is_servers && !is_stale {
        attempts.failed(now);
    }
    let is_repeatable = session.req_header().method.is_idempotent()
        && !session.retry_buffer_truncated()
        && session.response_written().is_none();
    let broke_off = is_servers && broke_off(error.etype());
    is_repeatable && (is_stale || (broke_off && attempts.may_retry(now)))
}

/// Another server may do better; after a timeout the client has waited long enough.
fn broke_off(kind: &ErrorType) -> bool {
    use ErrorType::{
        ConnectionClosed, H2Downgrade, H2Error, InvalidH2, InvalidHTTPHeader, ReadError, WriteError,
    };
    matches!(
        kind,
        ConnectionClosed
            | H2Downgrade
            | H2Error
            | InvalidH2
            | InvalidHTTPHeader
            | ReadError
            | WriteError
    )
}

/// The reason of a failure; `None` if the client is gone.
fn refusal(error: &Error) -> Option<Refusal> {
    let detail = error.to_string();
    match error.esource() {
        ErrorSource::Upstream => Some(Refusal::because(upstream_reason(error.etype()), detail)),
        ErrorSource::Internal | ErrorSource::Unset if is_connecting(error.etype()) => {
            Some(Refusal::because(upstream_reason(error.etype()), detail))
        }
        ErrorSource::Internal | ErrorSource::Unset => {
            Some(Refusal::because(Reason::Internal, detail))
        }
        ErrorSource::Downstream => {
            downstream_reason(error.etype()).map(|reason| Refusal::because(reason, detail))
        }
    }
}

fn is_connecting(kind: &ErrorType) -> bool {
    use ErrorType::{ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, SocketError};
    matches!(kind, ConnectError | ConnectNoRoute | ConnectRefused | ConnectTimedout | SocketError)
}

fn upstream_reason(kind: &ErrorType) -> Reason {
    if matches!(
        kind,
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout
    ) {
        Reason::UpstreamTimeout
    } else if is_connecting(kind) {
        Reason::UpstreamUnreachable
    } else {
        Reason::UpstreamFailed
    }
}

fn downstream_reason(kind: &ErrorType) -> Option<Reason> {
    use ErrorType::{ConnectionClosed, ReadError, ReadTimedout, WriteError, WriteTimedout};
    if matches!(kind, ConnectionClosed | ReadError | WriteError | WriteTimedout) {
        None
    } else if matches!(kind, ReadTimedout) {
        Some(Reason::BodyTimeout)
    } else {
        Some(Reason::MalformedBody)
    }
}
