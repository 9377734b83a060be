//! `request.params`: what a name stands for in the query and in the body, in whatever form the body has.
//!
//! A backend that meets a name twice may take the first value or the last, so a rule sees all of them, joined by a
//! comma as the values of a header are. Nothing is kept but the values of the one name: a body of a million
//! parameters costs its own bytes and no more.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode;
use crate::request::RequestHead;
use crate::waf::{Shape, readings};

/// Returns the values of a parameter, joined by commas; `None` where there is none.
///
/// Names lead into JSON by dots: `user.name`. An array stands for each of its items.
pub(crate) fn param(name: &[u8], head: &RequestHead<'_>, body: &[u8]) -> Option<Vec<u8>> {
    let mut values = Values::default();
    form(head.query, name, &mut values);
    let label = Shape::of_label(head);
    let readings = readings(label, body);
    let shapes = [label.or(readings.first), readings.second];
    for shape in shapes.into_iter().flatten().filter(|_| !body.is_empty()) {
        match shape {
            Shape::Form => form(body, name, &mut values),
            Shape::Json => json(body, name, &mut values),
            Shape::Multipart => multipart(head, body, name, &mut values),
            // XML has no parameters.
            Shape::Xml => {}
        }
    }
    values.joined()
}

/// Returns `license_key` of a JSON object: the last one, as the license service reads it.
pub(crate) fn license_key(body: &[u8]) -> Option<Vec<u8>> {
    let mut values = Values::default();
    json(body, b"license_key", &mut values);
    values.last().filter(|key| !key.is_empty())
}

#[derive(Debug, Default)]
struct Values {
    joined: Vec<u8>,
    last_at: Option<usize>,
}

impl Values {
    fn push(&mut self, value: &[u8]) {
        if self.last_at.is_some() {
            self.joined.push(b',');
        }
        self.last_at = Some(self.joined.len());
        self.joined.extend_from_slice(value);
    }

    fn joined(self) -> Option<Vec<u8>> {
        self.last_at.map(|_| self.joined)
    }

    fn last(mut self) -> Option<Vec<u8>> {
        let at = self.last_at?;
        Some(self.joined.split_off(at))
    }
}

/// One pass; a name is decoded only where it is encoded.
fn form(text: &[u8], name: &[u8], values: &mut Values) {
    for pair in text.split(|byte| *byte == b'&') {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (written, value) = pair.split_at(at);
        let is_encoded = written.iter().any(|byte| matches!(byte, b'%' | b'+'));
        let fits = if is_encoded { decode::url(written, false) == name } else { written == name };
        if fits && !pair.is_empty() {
            values.push(&decode::url(value.strip_prefix(b"=").unwrap_or(value), false));
        }
    }
}

fn multipart(head: &RequestHead<'_>, body: &[u8], name: &[u8], values: &mut Values) {
    let label = head.header_values(b"content-type").last().unwrap_or_default();
    for (written, value) in seclang::multipart_fields(label, body) {
        if written == name {
            values.push(&value);
        }
    }
}

/// What follows broken JSON is not read; the body is then read as a form too.
fn json(body: &[u8], name: &[u8], values: &mut Values) {
    let Ok(path) = std::str::from_utf8(name) else { return };
    let mut reader = serde_json::Deserializer::from_slice(body);
    // What was found before a mistake stands in `values`.
    drop(Place { path: Some(path), values }.deserialize(&mut reader));
}

/// A value of a JSON document that is `path` away from the wanted ones; with `None` it is one of them.
struct Place<'p, 'v> {
    path: Option<&'p str>,
    values: &'v mut Values,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Place<'_, '_> {
    fn scalar<E>(self, text: &[u8]) -> Result<(), E> {
        if self.path.is_none() {
            self.values.push(text);
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.scalar(text.as_bytes())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(value.to_string().as_bytes())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(value.to_string().as_bytes())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(value.to_string().as_bytes())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(value.to_string().as_bytes())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Place { path: self.path, values: self.values })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(step) = entries.next_key_seed(Step { path: self.path })? {
            match step {
                Some(path) => entries.next_value_seed(Place { path, values: self.values })?,
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads a key and says how far the wanted value is behind it; `None` is another way.
struct Step<'p> {
    path: Option<&'p str>,
}

impl<'de, 'p> DeserializeSeed<'de> for Step<'p> {
    type Value = Option<Option<&'p str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Step<'p> {
    type Value = Option<Option<&'p str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let Some(path) = self.path else { return Ok(None) };
        if path == key {
            return Ok(Some(None));
        }
        Ok(path.strip_prefix(key).and_then(|rest| rest.strip_prefix('.')).map(Some))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_entered_by_dots_and_every_value_counts() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            (r#"{"a":"x"}"#, "a", Some("x")),
            (r#"{"a":"x","a":"y"}"#, "a", Some("x,y")),
            (r#"{"a":{"b":"x"}}"#, "a.b", Some("x")),
            (r#"{"a.b":"x"}"#, "a.b", Some("x")),
            (r#"{"a":[1,true,null,"x",[2]]}"#, "a", Some("1,true,x,2")),
            (r#"{"a":[{"b":1},{"b":-2.5}]}"#, "a.b", Some("1,-2.5")),
            (r#"{"a":{"b":"x"}}"#, "a", None),
            (r#"{"b":{"a":"x"}}"#, "a", None),
            (r#"{"a":""}"#, "a", Some("")),
            (r#"{"a":null}"#, "a", None),
            (r#"{"\u0061":"x"}"#, "a", Some("x")),
            (r#"[{"a":"x"}]"#, "a", Some("x")),
            (r#"{"a":"x","b":"#, "a", Some("x")),
            ("7", "a", None),
            ("", "a", None),
        ];
        for (body, name, expected) in cases {
            let mut values = Values::default();
            json(body.as_bytes(), name.as_bytes(), &mut values);
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(values.joined(), expected, "{body} {name}");
        }
        let deep = "[".repeat(100_000);
        let mut values = Values::default();
        json(deep.as_bytes(), b"a", &mut values);
        assert_eq!(values.joined(), None, "depth is bounded by the parser");
    }

    #[test]
    fn forms_are_decoded_and_an_encoded_name_is_no_way_around() {
        let cases: &[(&[u8], &[u8], Option<&[u8]>)] = &[
            (b"a=1&b=2", b"b", Some(b"2")),
            (b"a=1&a=2&%61=3", b"a", Some(b"1,2,3")),
            (b"a+b=c+d%21", b"a b", Some(b"c d!")),
            (b"a", b"a", Some(b"")),
            (b"a=", b"a", Some(b"")),
            (b"", b"", None),
            (b"=x", b"", Some(b"x")),
            (b"ab=1", b"a", None),
        ];
        for (text, name, expected) in cases {
            let mut values = Values::default();
            form(text, name, &mut values);
            assert_eq!(values.joined().as_deref(), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_license_key_is_the_last_one() {
        assert_eq!(license_key(br#"{"license_key":"a","license_key":"b"}"#).unwrap(), b"b");
        assert_eq!(license_key(br#"{"license_key":""}"#), None);
        assert_eq!(license_key(b"license_key=a"), None);
    }
}
