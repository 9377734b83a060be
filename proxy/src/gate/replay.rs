//! Sending on a body that Pingora's retry buffer does not hold: by a subrequest with a preset body.
//!
//! The main request has been judged; its head and body go once more through Pingora's phases as a subrequest that is
//! sealed: it carries its [`Forward`] in its context, the gate recognises it by that and judges nothing again, and
//! whatever the raw bytes of the client said, the sealed head replaces it before anything reads it. A client cannot
//! make such a context.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Uri, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use pingora::proxy::subrequest::pipe::{InputBody, InputBodyType, pipe_subrequest};
use pingora::proxy::subrequest::{BodyMode, Ctx};
use pingora::proxy::{PreparedSubrequest, Session};

use super::forward::Forward;
use super::refusal::Refusal;
use crate::reason::Reason;

/// What a sealed subrequest carries.
#[derive(Debug)]
pub(crate) struct Sealed {
    head: RequestHeader,
    forward: Arc<Forward>,
}

/// Forwards the judged request with `body` and pipes the answer to the client.
pub(super) async fn send(
    session: &mut Session,
    forward: &Arc<Forward>,
    body: Bytes,
) -> Result<(), Refusal> {
    let (subrequest, handle) = prepare(session, forward, &body)?;
    let input = if body.is_empty() { InputBody::NoBody } else { InputBody::Bytes(vec![body]) };
    let piped = pipe_subrequest(
        session,
        subrequest,
        handle,
        |task| Ok(Some(task)),
        InputBodyType::Preset(input),
    )
    .await;
    let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
    match piped {
        Ok(_) if answered => Ok(()),
        Ok(_) => {
            Err(forward.failure().unwrap_or_else(|| internal("the subrequest gave no answer")))
        }
        Err(failed) if failed.from_subreq => {
            Err(forward.failure().unwrap_or_else(|| internal(failed.error.to_string())))
        }
        Err(failed) => Err(Refusal { closes: true, ..internal(failed.error.to_string()) }),
    }
}

/// Makes the sealed subrequest of a judged request, ready to run.
pub(super) fn prepare(
    session: &mut Session,
    forward: &Arc<Forward>,
    body: &Bytes,
) -> Result<(PreparedSubrequest, SubrequestHandle), Refusal> {
    let spawner =
        session.subrequest_spawner.take().ok_or_else(|| internal("no subrequest spawner"))?;
    let head = head_for(session.req_header(), forward, body.len())
        .map_err(|error| internal(error.to_string()))?;
    // On HTTP/2 the subrequest's first parse is of this very header, so it must read as HTTP/1.
    *session.req_header_mut() = head.clone();
    let sealed = Sealed { head, forward: Arc::clone(forward) };
    let mode = if body.is_empty() { BodyMode::NoBody } else { BodyMode::ExpectBody };
    let context = Ctx::builder().body_mode(mode).user_ctx(Box::new(Some(sealed))).build();
    Ok(spawner.create_subrequest(session.as_downstream(), context))
}

fn internal(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::because(Reason::Internal, detail)
}

/// The head as HTTP/1.1 with a length, whatever it came as.
fn head_for(
    head: &RequestHeader,
    forward: &Forward,
    length: usize,
) -> pingora::Result<RequestHeader> {
    let mut head = head.clone();
    if head.version == Version::HTTP_2 {
        let target =
            std::str::from_utf8(&forward.target.uri).ok().and_then(|uri| uri.parse::<Uri>().ok());
        head.set_uri(target.unwrap_or_default());
        head.insert_header(HOST, forward.target.authority.as_ref())?;
        head.set_version(Version::HTTP_11);
    }
    head.remove_header(&TRANSFER_ENCODING);
    head.insert_header(CONTENT_LENGTH, length)?;
    Ok(head)
}

/// Takes the seal off a subrequest and puts its head in place of the raw one; `None` for a client's own request.
pub(super) fn unseal(session: &mut Session) -> Option<Arc<Forward>> {
    let slot = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    let sealed = slot.downcast_mut::<Option<Sealed>>()?.take()?;
    *session.req_header_mut() = sealed.head;
    Some(sealed.forward)
}
