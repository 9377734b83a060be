//! Finds the ids that a request names: a tenant, or an object that belongs to one.
//!
//! Where servers read a place in more than one way, every reading is an id: whoever compares them asks that all of them
//! fit, so that nobody gets past the edge by a spelling that only the origin understands.

mod body;

use portcullis_config::model::{IdPlaces, PathTemplate, Segment};

use crate::headers::is_spelling_of;

pub use body::{Unreadable, body_ids, ids_in_json};

/// The most ids that one request may name in one place.
pub const IDS_MAX: usize = 64;

/// What of a request's head may name something.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The host, in lower case, without its port.
    pub host: &'a [u8],
    /// The path as it was sent.
    pub path: &'a [u8],
    /// The same as the most helpful server reads it: decoded, without dot and empty segments.
    pub resolved: &'a [u8],
    /// The query.
    pub query: &'a [u8],
}

/// An id that a request names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Where: `host`, `path`, `query`, `header` or `body`.
    pub place: &'static str,
    /// The id, decoded. Never empty, but for a value that can be none.
    pub id: Vec<u8>,
}

/// Finds what a head names, each reading once for each place.
pub fn head_ids<'h>(
    places: &IdPlaces,
    head: Head<'_>,
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Vec<Named> {
    let mut found = Vec::new();
    let mut add = |place, id: Vec<u8>| found.push(Named { place, id });
    if places.host {
        let label = head.host.split(|byte| *byte == b'.').next().unwrap_or_default();
        add("host", label.to_vec());
    }
    if let Some(template) = &places.path {
        path_ids(template, head).for_each(|id| add("path", id));
    }
    if let Some(name) = &places.query {
        query_ids(name, head.query).for_each(|id| add("query", id));
    }
    if let Some(name) = &places.header {
        let named = headers.into_iter().filter(|(sent, _)| is_spelling_of(name, sent));
        named.for_each(|(_, value)| add("header", value.trim_ascii().to_vec()));
    }
    found
}

/// Both readings of the path, and of each the id without its parameters (`;` and what follows).
fn path_ids<'a>(template: &'a PathTemplate, head: Head<'a>) -> impl Iterator<Item = Vec<u8>> + 'a {
    let as_sent = id_in(template, head.path).map(|id| decode(id, false));
    let resolved = id_in(template, head.resolved).map(<[u8]>::to_vec);
    as_sent.into_iter().chain(resolved).flat_map(|id| {
        let end = id.iter().position(|byte| *byte == b';');
        let cut = end.and_then(|end| id.get(..end)).map(<[u8]>::to_vec);
        std::iter::once(id).chain(cut)
    })
}

/// Returns the segment in place of `{id}`, where the path begins as the template says.
fn id_in<'p>(template: &PathTemplate, path: &'p [u8]) -> Option<&'p [u8]> {
    let mut segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
    let mut id = None;
    for wanted in template.segments() {
        let segment = segments.next()?;
        match wanted {
            Segment::Is(text) if decode(segment, false) != text.as_bytes() => return None,
            Segment::Is(_) | Segment::Any => {}
            Segment::Id => id = Some(segment),
        }
    }
    id.filter(|id| !id.is_empty())
}

/// Parameters are read as by the servers that cut at `&` and as by those that cut at `;` too; `name[]` is `name`.
fn query_ids<'a>(name: &'a str, query: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    query.split(|byte| matches!(byte, b'&' | b';')).filter_map(move |pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(end);
        let key = decode(key, true);
        let key = key.split(|byte| *byte == b'[').next().unwrap_or_default();
        is_spelling_of(name, key).then(|| decode(value.get(1..).unwrap_or_default(), true))
    })
}

/// Undoes percent escapes once; a broken one stays as it is.
fn decode(text: &[u8], plus_is_space: bool) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, behind @ ..]) => {
                digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, behind))
            }
            _ => None,
        };
        match (escaped, first) {
            (Some((byte, behind)), _) => {
                decoded.push(byte);
                rest = behind;
            }
            (None, b'+') if plus_is_space => decoded.push(b' '),
            (None, byte) => decoded.push(*byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests;
