//! What a finished request leaves for the capture: its head as it was judged, and the body where somebody holds it.

use bytes::Bytes;
use http::header::HOST;
use pingora::proxy::Session;
use portcullis_config::model::LogFormat;

use super::body::Held;
use super::work::Work;
use crate::capture::{Capture, Captured};
use crate::log::RequestRecord;
use crate::reason::Reason;

/// Captures the request if it was refused, or is one of the sample.
pub(super) fn offer(capture: &Capture, session: &mut Session, work: &Work, record: &RequestRecord) {
    if !capture.wants(is_refused(work, record)) {
        return;
    }
    let is_empty = session.is_body_empty();
    let body = body(work).or_else(|| is_empty.then(Bytes::new));
    let head = head(session, work);
    // What `replay` reads, whatever the log's lines look like.
    let record = RequestRecord { format: LogFormat::CloudLogging, ..record.clone() };
    capture.take(Captured { record, head, body });
}

/// Refused by the policy, or by the gate for what the client did; not where an origin failed, nor where a route redirects.
fn is_refused(work: &Work, record: &RequestRecord) -> bool {
    let by_policy = work.verdict.as_ref().is_some_and(|verdict| !verdict.decision.passes());
    let by_gate = record.refusal.is_some_and(|reason| reason != Reason::RedirectedByPolicy);
    by_policy || by_gate && (400..500).contains(&record.status)
}

/// The body as rules saw it: inflated, where it came compressed. One that was inflated in part is not at hand as a whole.
fn body(work: &Work) -> Option<Bytes> {
    let of_forward = || work.forward.as_ref().and_then(|forward| forward.held.as_ref());
    let held: &Held = work.refused_body.as_ref().or_else(of_forward)?;
    match &held.inflated {
        Some(inflated) => inflated.is_whole.then(|| inflated.bytes.clone()),
        None => Some(held.bytes.clone()),
    }
}

/// The head as HTTP/1.1 writes one; an HTTP/2 request's authority stands in `host`.
fn head(session: &Session, work: &Work) -> Vec<u8> {
    let (asked, head) = (&work.asked, session.req_header());
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(&[&asked.method, &b" "[..], &asked.uri, b" "].concat());
    out.extend_from_slice(asked.protocol.as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    };
    if !head.headers.contains_key(HOST) {
        line(b"host", &asked.host);
    }
    head.headers.iter().for_each(|(name, value)| line(name.as_str().as_bytes(), value.as_bytes()));
    out.extend_from_slice(b"\r\n");
    out
}
