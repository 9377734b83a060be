//! Reading a request's body whole, before the origin sees a byte.
//!
//! Bounded four ways: the route's limit, one deadline for the whole, the process's byte budget, and the cap on what is
//! drained behind a refusal. A body that is declared too large is refused before `100 Continue` is sent. A compressed body
//! is kept as it came, for the origin, and beside it inflated, for the policy.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::proxy::Session;
use portcullis_config::model::Limits;
use tokio::time::{Instant, timeout_at};

use super::Gate;
use super::budget::Share;
use super::inflate::{Cap, Coding, Inflated, Trouble, inflate};
use super::refusal::Refusal;
use crate::edge::time_for;
use crate::reason::Reason;

/// A body that has been read whole.
#[derive(Debug)]
pub(super) struct Held {
    /// All of it, as the client sent it.
    pub(super) bytes: Bytes,
    /// Its inflated form, where it is compressed and looked into.
    pub(super) inflated: Option<Inflated>,
    /// Its part of the process's budget.
    _share: Share,
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// Bytes; one more is 413.
    pub(super) limit: u64,
    /// What is done with one that is compressed.
    pub(super) compressed: OfCompressed,
    pub(super) limits: &'a Limits,
}

/// What is done with a compressed body.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfCompressed {
    /// Nobody looks into it.
    Keep,
    /// It is refused.
    Refuse,
    /// It is inflated so far; one that is longer is refused if `is_bound`.
    Inflate { cap: Cap, is_bound: bool },
}

/// Pingora keeps this much of a body to send it again; what is larger goes by [`super::replay`].
const RETRY_BYTES: u64 = 64 * 1024;

/// The body's length as declared; `None` if it is not.
pub(super) fn declared_length(session: &Session) -> Option<u64> {
    let value = session.req_header().headers.get(CONTENT_LENGTH)?;
    std::str::from_utf8(value.as_bytes()).ok()?.trim().parse().ok()
}

/// Reads the body whole.
pub(super) async fn hold(
    gate: &Gate,
    session: &mut Session,
    reading: Reading<'_>,
) -> Result<Held, Refusal> {
    let declared = declared_length(session);
    if declared.is_some_and(|length| length > reading.limit) {
        return Err(Refusal::because(
            Reason::BodyTooLarge,
            "the declared length is above the limit",
        ));
    }
    let coding = Coding::of(&session.req_header().headers);
    let is_unread = match reading.compressed {
        OfCompressed::Keep => false,
        OfCompressed::Refuse => coding != Coding::Identity,
        OfCompressed::Inflate { .. } => coding == Coding::Other,
    };
    if is_unread {
        return Err(Refusal::of(Reason::UnsupportedEncoding));
    }
    ask_for_it(session).await?;
    if declared.is_none_or(|length| length <= RETRY_BYTES) {
        session.enable_retry_buffering();
    }
    let mut share = gate.budget.share();
    let read = read_to_end(session, reading, declared, &mut share);
    let read = tokio::time::timeout(reading.limits.body_timeout, read).await;
    let bytes =
        read.map_err(|_| Refusal { closes: true, ..Refusal::of(Reason::BodyTimeout) })??;
    let inflated = match reading.compressed {
        OfCompressed::Inflate { cap, is_bound } if coding != Coding::Identity => {
            let most = cap.bytes.min(bytes.len() as u64 * u64::from(cap.ratio));
            share.grow(most, reading.limits.body_buffer_bytes).map_err(|_| full())?;
            // What it costs follows what comes out.
            let size = usize::try_from(most).unwrap_or(usize::MAX);
            let inflated = gate.heavy.run(size, || inflate(coding, &bytes, cap)).await;
            let inflated = inflated.map_err(of_trouble)?;
            if is_bound && !inflated.is_whole {
                let why = "the inflated body is above the limit";
                return Err(Refusal::because(Reason::BodyTooLarge, why));
            }
            Some(inflated)
        }
        OfCompressed::Inflate { .. } | OfCompressed::Keep | OfCompressed::Refuse => None,
    };
    Ok(Held { bytes, inflated, _share: share })
}

fn of_trouble(trouble: Trouble) -> Refusal {
    match trouble {
        Trouble::Broken => {
            Refusal::because(Reason::MalformedBody, "the body is not what its coding says")
        }
        Trouble::TooDense => Refusal::of(Reason::BodyTooDense),
    }
}

fn full() -> Refusal {
    Refusal::because(Reason::Overloaded, "the budget of held bodies is used up")
}

/// A client that expects `100 Continue` gets it from us: the origin must not see the request yet.
async fn ask_for_it(session: &mut Session) -> Result<(), Refusal> {
    if session.req_header_mut().remove_header(&EXPECT).is_some() {
        let sent = session.downstream_session.write_continue_response().await;
        sent.map_err(|error| Refusal {
            closes: true,
            ..Refusal::because(Reason::MalformedBody, error.to_string())
        })?;
    }
    Ok(())
}

async fn read_to_end(
    session: &mut Session,
    reading: Reading<'_>,
    declared: Option<u64>,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let expected = declared.unwrap_or(0).min(reading.limit);
    let mut whole =
        BytesMut::with_capacity(usize::try_from(expected.min(RETRY_BYTES)).unwrap_or(0));
    let begun = Instant::now();
    loop {
        // A body has the grace, and a second for each `min_rate` bytes of it that came.
        let earned = time_for(whole.len() as u64, reading.limits.min_rate_bytes);
        let due = begun + reading.limits.min_rate_grace + earned;
        let chunk = timeout_at(due, session.read_request_body()).await;
        let chunk = chunk.map_err(|_| slow())?.map_err(|error| broken(&error))?;
        let Some(chunk) = chunk else { return Ok(whole.freeze()) };
        if (whole.len() + chunk.len()) as u64 > reading.limit {
            return Err(Refusal::because(Reason::BodyTooLarge, "the body grew above the limit"));
        }
        let grown = share.grow(chunk.len() as u64, reading.limits.body_buffer_bytes);
        grown.map_err(|_| full())?;
        whole.extend_from_slice(&chunk);
        if session.is_body_done() {
            return Ok(whole.freeze());
        }
    }
}

fn slow() -> Refusal {
    let detail = "slower than `limits.min_rate`";
    Refusal { closes: true, ..Refusal::because(Reason::BodyTimeout, detail) }
}

fn broken(error: &pingora::Error) -> Refusal {
    let timed_out = matches!(error.etype(), pingora::ErrorType::ReadTimedout);
    let reason = if timed_out { Reason::BodyTimeout } else { Reason::MalformedBody };
    Refusal { closes: true, ..Refusal::because(reason, error.to_string()) }
}

/// Bytes that are read and thrown away behind a refusal, so that the client gets to read the answer.
pub(crate) const DRAIN_BYTES_MAX: u64 = 256 * 1024;
/// The time that this may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Says whether what is left of the body is small enough that the connection can be kept behind a refusal.
pub(super) fn can_drain(session: &mut Session) -> bool {
    let awaits_continue = session.req_header().headers.contains_key(EXPECT);
    session.is_body_done()
        || (!awaits_continue
            && declared_length(session).is_some_and(|length| length <= DRAIN_BYTES_MAX))
}

/// Reads and drops what is left of the body, within bounds; says whether the end was reached.
pub(super) async fn drain(session: &mut Session) -> bool {
    let rest = async {
        let mut dropped = 0;
        while !session.is_body_done() {
            match session.read_request_body().await {
                Ok(Some(chunk)) => dropped += chunk.len() as u64,
                Ok(None) => return true,
                Err(_) => return false,
            }
            if dropped > DRAIN_BYTES_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DRAIN_TIME_MAX, rest).await.unwrap_or(false)
}
