//! The account's name in a request, and what an answer says of an attempt: one field of a JSON document or of a form.
//!
//! A name that stands there twice is no name: the edge would count one, and the origin might take the other.

use std::fmt;

use portcullis_config::model::AccountField;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The longest name of an account, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Why a request names no account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoAccount {
    /// It is not where the route says that it stands.
    Absent,
    /// It is there twice.
    Twice,
    /// It is longer than any name.
    TooLong,
}

impl NoAccount {
    /// What the log says.
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Absent => "no account where `sign_in.account` says that it stands",
            Self::Twice => "the account is named twice",
            Self::TooLong => "the account's name has more than 256 bytes",
        }
    }
}

/// Finds the account in a body, trimmed and in lower case: the first of the fields that is there.
pub(crate) fn account(fields: &[AccountField], body: &[u8]) -> Result<String, NoAccount> {
    let mut found = None;
    for one in fields {
        let text = match one {
            AccountField::Json(path) => field(path, body)?,
            AccountField::Form(name) => form(name, body)?,
        };
        if text.is_some() {
            found = text;
            break;
        }
    }
    let name = found.ok_or(NoAccount::Absent)?;
    let name = name.trim().to_lowercase();
    if name.is_empty() {
        return Err(NoAccount::Absent);
    }
    if name.len() > NAME_BYTES_MAX { Err(NoAccount::TooLong) } else { Ok(name) }
}

/// Finds a text or a number in a JSON document. Names are compared without case: some origins read them so.
pub(crate) fn field(path: &[String], body: &[u8]) -> Result<Option<String>, NoAccount> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let seed = At { path };
    match seed.deserialize(&mut json) {
        Ok(Found::Text(text)) if json.end().is_ok() => Ok(Some(text)),
        Ok(Found::Twice) => Err(NoAccount::Twice),
        Ok(Found::Text(_) | Found::Nothing) | Err(_) => Ok(None),
    }
}

enum Found {
    Nothing,
    Text(String),
    Twice,
}

/// What stands at a path below here.
struct At<'p> {
    path: &'p [String],
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(if self.path.is_empty() { Found::Text(text.to_owned()) } else { Found::Nothing })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(if self.path.is_empty() { Found::Text(number.to_string()) } else { Found::Nothing })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(if self.path.is_empty() { Found::Text(number.to_string()) } else { Found::Nothing })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let Some((wanted, below)) = self.path.split_first() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Nothing);
        };
        let mut found = Found::Nothing;
        let mut count = 0;
        while let Some(name) = members.next_key::<std::borrow::Cow<'_, str>>()? {
            if !name.eq_ignore_ascii_case(wanted) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            count += 1;
            found = members.next_value_seed(At { path: below })?;
        }
        Ok(if count > 1 { Found::Twice } else { found })
    }
}

fn form(name: &str, body: &[u8]) -> Result<Option<String>, NoAccount> {
    let mut found = None;
    for pair in body.split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let key = decoded(halves.next().unwrap_or_default());
        if key != name.as_bytes() {
            continue;
        }
        if found.is_some() {
            return Err(NoAccount::Twice);
        }
        found = Some(String::from_utf8(decoded(halves.next().unwrap_or_default())).ok());
    }
    Ok(found.flatten())
}

/// Decodes `+` and `%XX`.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = crate::path_form::escaped(after).filter(|_| *byte == b'%');
        out.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}
