//! What does not parse and so never becomes a request: counted and logged with what is known of it.

use std::time::Duration;

use portcullis_config::Timestamp;

use super::answer;
use super::record::{self, Seen};
use super::refusal::Refusal;
use super::work::request_id;
use crate::edge::{Connection, Malformed};
use crate::reason::Reason;
use crate::shared::Shared;

/// Counts and logs a malformed request whose head begins with `start`, and makes the whole HTTP/1.1 answer to it.
pub(crate) fn malformed_answer(
    shared: &Shared,
    connection: &Connection,
    why: Malformed,
    start: &[u8],
) -> Vec<u8> {
    let now: Timestamp = shared.clock.now();
    let id = request_id(now);
    let refusal = Refusal::because(why.reason, why.detail);
    shared.metrics.answered(None, refusal.status(), Duration::ZERO);
    let seen = Seen { status: refusal.status(), protocol: "HTTP/1.1", line: first_line(start) };
    record::malformed(shared, connection, &id, now, &refusal, &seen);
    let snapshot = shared.snapshot.load();
    let dress = answer::Dress { security: snapshot.router.security(), cross: None };
    let Ok((head, body)) = answer::head_and_body(&id, &refusal, dress) else {
        return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            .to_vec();
    };
    let status = head.status;
    let word = status.canonical_reason().unwrap_or_default();
    let mut bytes =
        format!("HTTP/1.1 {} {word}\r\nConnection: close\r\n", status.as_u16()).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

/// Counts and logs an HTTP/2 stream (0: the whole connection) that the codec ended before it became a request.
pub(crate) fn malformed_stream(
    shared: &Shared,
    connection: &Connection,
    stream: u32,
    error: &'static str,
) {
    let now: Timestamp = shared.clock.now();
    let what = if stream == 0 { "the connection".to_owned() } else { format!("stream {stream}") };
    let refusal = Refusal::because(Reason::MalformedRequest, format!("{what} ended: {error}"));
    let seen = Seen { status: 0, protocol: "HTTP/2", line: b"" };
    record::malformed(shared, connection, &request_id(now), now, &refusal, &seen);
}

/// The bytes before the first line's end.
fn first_line(start: &[u8]) -> &[u8] {
    start.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default()
}
