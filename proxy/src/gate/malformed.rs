//! The answer to what does not parse as HTTP/1 and so never becomes a request.

use portcullis_config::Timestamp;

use super::refusal::Refusal;
use super::work::request_id;
use super::{answer, record};
use crate::edge::Connection;
use crate::reason::Reason;
use crate::shared::Shared;

/// Counts and logs a malformed request, and makes the whole HTTP/1.1 answer to it.
pub(crate) fn malformed_answer(shared: &Shared, connection: &Connection) -> Vec<u8> {
    let now: Timestamp = shared.clock.now();
    let id = request_id(now);
    let refusal = Refusal::of(Reason::MalformedRequest);
    record::malformed(shared, connection, &id, now, &refusal);
    let Ok((head, body)) = answer::head_and_body(&id, &refusal) else {
        return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            .to_vec();
    };
    let mut bytes = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n".to_vec();
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
