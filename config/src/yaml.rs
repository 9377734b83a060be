//! YAML as a tree whose every node knows its place in the text, so that each later problem can be shown with a caret.
//!
//! Scalars stay text: what `on`, `1.30` or `null` means is decided by whoever knows which key it stands under. Tags,
//! several documents in one file and keys that are no scalars are refused.

mod read;

use std::ops::Range;

pub use read::{parse, read};

/// One node of the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The bytes of the node: the whole scalar or flow collection, the first key or item of a block one.
    pub span: Range<usize>,
    /// The bytes of the key that the node is the value of, if it is the value of one.
    pub key: Option<Range<usize>>,
    /// What it holds.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// Text as the reader means it, after quotes and escapes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it was quoted or a block, so that it is text whatever it looks like.
        quoted: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text, without duplicate keys.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The bytes of the key.
    pub span: Range<usize>,
    /// The value.
    pub node: Node,
}

impl Node {
    /// Returns the bytes to point at when something is wrong with the node as a whole: its key if it has one.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.key.clone().unwrap_or_else(|| self.span.clone())
    }

    /// Returns the bytes to point at when the value is wrong: the value, or the key of an empty one.
    #[must_use]
    pub fn value_place(&self) -> Range<usize> {
        match self.value {
            Value::Scalar { .. } | Value::List(_) if !self.span.is_empty() => self.span.clone(),
            Value::Scalar { .. } | Value::List(_) | Value::Null | Value::Map(_) => self.place(),
        }
    }

    /// Returns the text of a scalar.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Returns the entries of a mapping.
    #[must_use]
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Null | Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// Returns the items of a sequence.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Null | Value::Scalar { .. } | Value::Map(_) => None,
        }
    }

    /// Returns the value of `key` in a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// Says what the node is, with an article, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a plain value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

#[cfg(test)]
mod tests;
