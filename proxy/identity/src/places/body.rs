//! The ids in a body: JSON or a form, whatever a server might make of it.

use portcullis_config::model::ClaimPath;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{IDS_MAX, query_ids};

/// Why nobody can say what a body names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// Neither JSON nor a form, by its content type.
    #[error("the body is neither JSON nor a form, and it may name an id")]
    Type,
    /// Not what its content type says.
    #[error("the body is not what its content type says, and it may name an id")]
    Broken,
    /// More ids than are compared.
    #[error("the body names more than 64 ids")]
    TooMany,
}

/// Finds what a body names at `path`. A body without a content type is read as JSON.
///
/// # Errors
/// When the body cannot be read: some server might.
pub fn body_ids(
    path: &ClaimPath,
    content_type: Option<&[u8]>,
    body: &[u8],
) -> Result<Vec<Vec<u8>>, Unreadable> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let media = content_type.unwrap_or(b"application/json");
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let media = media.to_ascii_lowercase();
    if media == b"application/x-www-form-urlencoded" {
        return form_ids(path, body);
    }
    if media != b"application/json" && !media.ends_with(b"+json") {
        return Err(Unreadable::Type);
    }
    ids_in_json(path, body)
}

/// A server that does not look at the type would take `{` for JSON.
fn form_ids(path: &ClaimPath, body: &[u8]) -> Result<Vec<Vec<u8>>, Unreadable> {
    if matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return Err(Unreadable::Broken);
    }
    let name = path.names().join(".");
    let found: Vec<_> = query_ids(&name, body).take(IDS_MAX + 1).collect();
    if found.len() > IDS_MAX { Err(Unreadable::TooMany) } else { Ok(found) }
}

/// Finds every value at a path of a JSON text: of members that stand there twice, both; of lists on the way, each item.
/// Names are compared without regard to case, as some servers do. What is neither text nor a whole number is an empty
/// id; `null` is none. Cost: one pass over the text; memory for what is found.
///
/// # Errors
/// When the text is no JSON, or holds more than 64.
pub fn ids_in_json(path: &ClaimPath, text: &[u8]) -> Result<Vec<Vec<u8>>, Unreadable> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = At { names: path.names(), found: &mut found }.deserialize(&mut reader);
    if read.is_err() || reader.end().is_err() {
        let is_full = found.len() > IDS_MAX;
        return Err(if is_full { Unreadable::TooMany } else { Unreadable::Broken });
    }
    Ok(found)
}

/// What is left of the path, and what was found at its end.
struct At<'p, 'f> {
    names: &'p [String],
    found: &'f mut Vec<Vec<u8>>,
}

impl At<'_, '_> {
    /// A value that is no object and no list: an id, where the path ends here.
    fn value<E: Error>(self, id: Vec<u8>) -> Result<(), E> {
        if !self.names.is_empty() {
            return Ok(());
        }
        self.found.push(id);
        if self.found.len() > IDS_MAX { Err(E::custom("too many ids")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.value(Vec::new())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.value(value.to_string().into_bytes())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.value(value.to_string().into_bytes())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.value(Vec::new())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.value(value.as_bytes().to_vec())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { names, found } = self;
        while items.next_element_seed(At { names, found: &mut *found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { names, found } = self;
        let Some((first, rest)) = names.split_first() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return At { names, found }.value(Vec::new());
        };
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            if name.eq_ignore_ascii_case(first) {
                members.next_value_seed(At { names: rest, found: &mut *found })?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
