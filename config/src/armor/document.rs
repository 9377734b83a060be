//! YAML or JSON to a tree whose every value knows its bytes in the file.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::{Diagnostic, SourceFile};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) kind: ValueKind,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum ValueKind {
    Null,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl ValueKind {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::Float => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

pub(super) fn parse(source: &SourceFile) -> Result<Value, Diagnostic> {
    // `NO` is a country here, not a bool.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(source.text(), options) {
        Ok(raw) => Ok(placed(raw)),
        Err(error) => {
            let at = error.location().map_or(0, |at| offset(source.text(), at.line(), at.column()));
            let plain = error.without_snippet().to_string();
            let line = plain.lines().next().unwrap_or("this is neither YAML nor JSON");
            let line = line.split(" at line ").next().unwrap_or(line).to_owned();
            Err(Diagnostic::error("yaml", line).in_source(source, at..at + 1))
        }
    }
}

/// Returns the byte at a line and column, both from 1.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or_default();
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    start + usize::try_from(column.saturating_sub(1)).unwrap_or_default()
}

enum Raw {
    Scalar(ValueKind),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

fn placed(raw: Spanned<Raw>) -> Value {
    let place = raw.referenced.span();
    let start = place.byte_offset().unwrap_or_default() as usize;
    let end = start + place.byte_len().unwrap_or_default() as usize;
    let kind = match raw.value {
        Raw::Scalar(kind) => kind,
        Raw::List(items) => ValueKind::List(items.into_iter().map(placed).collect()),
        Raw::Map(entries) => ValueKind::Map(
            entries.into_iter().map(|(key, value)| (placed(key), placed(value))).collect(),
        ),
    };
    Value { kind, span: start..end }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(i64::try_from(value).map_or(ValueKind::Float, ValueKind::Int)))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Float))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Text(value)))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(ValueKind::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
