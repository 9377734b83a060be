//! What a decrypted record says: the request log's line, and under it the raw request.

use serde_json::Value;

use crate::trial::{Ask, Body};

/// The longest line of a file: the largest body that can be kept and a head, in base64, with room to spare.
pub(crate) const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One record, decrypted.
pub(crate) struct Unsealed {
    /// The request log's line.
    pub(crate) line: Value,
    /// The request itself, without what only the line says.
    pub(crate) ask: Ask,
}

/// How the line of a record says that its body is not there.
const WITHOUT_BODY: u8 = b'-';
/// And that it is, or that the request has none.
const WITH_BODY: u8 = b'+';

/// Writes a record: one byte about the body, the log's line with its end, the head with its empty line, the body.
pub(super) fn plain(line: &[u8], head: &[u8], body: Option<&[u8]>) -> Vec<u8> {
    let mark = if body.is_some() { WITH_BODY } else { WITHOUT_BODY };
    [&[mark], line, head, body.unwrap_or_default()].concat()
}

/// Reads a decrypted record; `None` where it is none.
pub(crate) fn unsealed(plain: &[u8]) -> Option<Unsealed> {
    let (mark, rest) = plain.split_first()?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, request) = rest.split_at(end);
    let mut ask = Ask::parse(request.strip_prefix(b"\n")?)?;
    match *mark {
        WITH_BODY => {}
        WITHOUT_BODY => ask.body = Body::Unknown,
        _ => return None,
    }
    Some(Unsealed { line: serde_json::from_slice(line).ok()?, ask })
}
