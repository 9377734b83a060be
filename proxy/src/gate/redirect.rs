//! Answers that send the client elsewhere.

use super::refusal::Refusal;
use super::sanity::Target;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Sends the client to `to`, with the target of its request where that is kept.
pub(super) fn to(status: u16, to: &str, kept: Option<&Target>) -> Refusal {
    let location = match kept {
        // The target begins with a slash and holds no control byte; what is no ASCII is escaped.
        Some(target) => to.trim_end_matches('/').to_owned() + &escaped(&target.uri),
        None => to.to_owned(),
    };
    Refusal {
        status: Some(status),
        location: Some(location),
        ..Refusal::of(Reason::RedirectedByPolicy)
    }
}

fn escaped(uri: &[u8]) -> String {
    use std::fmt::Write as _;
    uri.iter().fold(String::with_capacity(uri.len()), |mut text, byte| {
        if byte.is_ascii_graphic() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes all text");
        }
        text
    })
}

/// What the redirecting listener answers: the same target under `https`. A host that is not served is refused, so that
/// nobody is sent to a name of the client's choosing.
pub(super) fn to_https(snapshot: &Snapshot, target: &Target, status: u16, port: u16) -> Refusal {
    if !snapshot.router.serves(&target.host) {
        return Refusal::of(Reason::UnknownHost);
    }
    match target.on_https(port) {
        Some(location) => to(status, &location, None),
        None => Refusal::because(Reason::MalformedRequest, "a target that is no text"),
    }
}
