//! From host and path to a route, and no other route whichever way a backend reads the path.

use std::sync::Arc;

use portcullis_config::Timestamp;

use super::refusal::Refusal;
use super::sanity::Target;
use crate::edge::Connection;
use crate::path_form::escaped;
use crate::reason::Reason;
use crate::router::{RouteEntry, Routed};
use crate::snapshot::Snapshot;

/// Finds the route of a target.
///
/// A backend may decode the path once and resolve its dots before it routes. Where that would lead to another route of
/// ours, with another policy or identity rule, the request is refused; elsewhere such a path is the policy's business.
pub(super) fn find(
    snapshot: &Snapshot,
    connection: &Connection,
    target: &Target,
    now: Timestamp,
) -> Result<Arc<RouteEntry>, Refusal> {
    let entry = lookup(snapshot, target, &target.path)?;
    check_directed(snapshot, connection, target)?;
    check_trusted(snapshot, connection, &entry, now)?;
    let resolved = resolve(&target.path);
    if resolved != target.path.as_ref() {
        let same =
            lookup(snapshot, target, &resolved).is_ok_and(|other| Arc::ptr_eq(&other, &entry));
        if !same {
            return Err(Refusal::because(
                Reason::MalformedRequest,
                "the path leads to another route once it is decoded",
            ));
        }
    }
    Ok(entry)
}

fn lookup(snapshot: &Snapshot, target: &Target, path: &[u8]) -> Result<Arc<RouteEntry>, Refusal> {
    match snapshot.router.find(&target.host, path) {
        Routed::Route(entry) => Ok(Arc::clone(entry)),
        Routed::NoRoute => Err(Refusal::of(Reason::UnknownRoute)),
        Routed::NoHost => Err(Refusal::of(Reason::UnknownHost)),
    }
}

/// A connection whose server name is one that we serve is for that host only: a certificate for several names must not
/// carry a request past what was decided for another.
fn check_directed(
    snapshot: &Snapshot,
    connection: &Connection,
    target: &Target,
) -> Result<(), Refusal> {
    let Some(sni) = connection.sni.as_deref().map(str::as_bytes) else { return Ok(()) };
    if sni != target.host.as_ref() && snapshot.router.serves(sni) {
        return Err(Refusal::of(Reason::Misdirected));
    }
    Ok(())
}

/// A host that asks for certificates is reached only by connections that were asked, by the same authorities: neither a
/// connection for another name nor one from before the settings changed, nor one without TLS, nor one whose certificate has
/// expired, says who its client is.
fn check_trusted(
    snapshot: &Snapshot,
    connection: &Connection,
    entry: &RouteEntry,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(trust) = snapshot.client_trust.get(entry.host.as_str()) else { return Ok(()) };
    let is_valid = connection.certificate_until.is_none_or(|until| now <= until);
    if is_valid && connection.trust == Some(trust.digest) {
        return Ok(());
    }
    Err(Refusal::of(Reason::CertificateRequired))
}

/// The path as the most helpful backend would read it: decoded once, `\` as `/`, empty and dot segments gone.
pub(super) fn resolve(path: &[u8]) -> Vec<u8> {
    let decoded = decode(path);
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = decoded.split(|byte| b"/\\".contains(byte)).skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b".." => drop(kept.pop()),
            b"." | b"" => {}
            _ if !is_last => kept.push(segment),
            _ => {}
        }
        if is_last {
            kept.push(if segment == b"." || segment == b".." { b"" } else { segment });
        }
    }
    let mut resolved = Vec::with_capacity(decoded.len());
    for segment in kept {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    resolved
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match escaped(after).filter(|_| *first == b'%') {
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_resolve_as_the_most_helpful_backend_would() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/health/..%2fapi", "/api"),
            ("/health/%2e%2E/api", "/api"),
            ("/health\\..\\api", "/api"),
            ("/%61pi", "/api"),
            ("/%zz%4", "/%zz%4"),
            ("/%252e%252e/a", "/%2e%2e/a"),
        ] {
            let resolved = resolve(path.as_bytes());
            assert_eq!(
                resolved.escape_ascii().to_string(),
                expected.as_bytes().escape_ascii().to_string(),
                "{path}"
            );
        }
    }
}
