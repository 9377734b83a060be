//! A file as a tree whose every value knows its bytes: what YAML, JSON and Terraform are brought to.

use std::ops::Range;

use crate::yaml;
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

    /// Returns what an unquoted word is.
    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            number => match number.parse() {
                Ok(int) => Self::Int(int),
                Err(_) if number.parse::<f64>().is_ok() => Self::Float,
                Err(_) => Self::Text(number.to_owned()),
            },
        }
    }
}

/// Reads YAML or JSON as far as it goes; the problems stand beside the tree.
pub(super) fn parse(source: &SourceFile) -> (Option<Value>, Vec<Diagnostic>) {
    let (node, problems) = yaml::read(source);
    (node.map(value), problems)
}

fn value(node: yaml::Node) -> Value {
    let kind = match node.value {
        yaml::Value::Null => ValueKind::Null,
        yaml::Value::Scalar { text, quoted: true } => ValueKind::Text(text),
        yaml::Value::Scalar { text, quoted: false } => ValueKind::of_word(&text),
        yaml::Value::List(items) => ValueKind::List(items.into_iter().map(value).collect()),
        yaml::Value::Map(entries) => ValueKind::Map(entries.into_iter().map(entry).collect()),
    };
    Value { kind, span: node.span }
}

fn entry(entry: yaml::Entry) -> (Value, Value) {
    let key = Value { kind: ValueKind::Text(entry.key), span: entry.span };
    (key, value(entry.node))
}
