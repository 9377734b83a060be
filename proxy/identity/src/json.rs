//! JSON as a verifier has to read it: no member twice in one object (two readers would choose differently), bounded
//! depth, nothing after the value, numbers that are finite.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may nest.
pub(crate) const DEPTH_MAX: usize = 16;

/// Reads one object, or nothing.
pub(crate) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: DEPTH_MAX }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_readers_would_read_differently_is_refused() {
        let good = [
            r#"{}"#,
            r#" {"a":1,"b":[true,null,-1,1.5,"x"],"c":{"a":2}} "#,
            r#"{"a":{"x":1},"b":{"x":2}}"#,
        ];
        for text in good {
            assert_eq!(object(text.as_bytes()), serde_json::from_str(text).ok(), "{text}");
        }
        let bad: [&[u8]; 16] = [
            b"",
            b"[]",
            b"1",
            b"null",
            b"{}{}",
            b"{} x",
            br#"{"a":1,"a":1}"#,
            br#"{"a":1,"\u0061":2}"#,
            br#"{"b":{"a":1,"a":2}}"#,
            br#"{"b":[{"a":1,"a":2}]}"#,
            br#"{"a":1e999}"#,
            br#"{"a":NaN}"#,
            br#"{"a":01}"#,
            b"{\"a\":\"\xff\"}",
            b"\xef\xbb\xbf{}",
            br#"{'a':1}"#,
        ];
        for text in bad {
            assert_eq!(object(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            let (open, close) = ("{\"a\":".repeat(depth - 1), "}".repeat(depth - 1));
            format!("{open}{{}}{close}")
        };
        assert!(object(nested(DEPTH_MAX - 1).as_bytes()).is_some());
        assert!(object(nested(DEPTH_MAX).as_bytes()).is_some());
        assert!(object(nested(DEPTH_MAX + 1).as_bytes()).is_none());
        assert!(object("[".repeat(4000).as_bytes()).is_none());
    }
}
