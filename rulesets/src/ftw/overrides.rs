//! Cases that are known not to pass, each with its reason.

use std::collections::BTreeMap;

/// The excused cases of a tree.
#[derive(Clone, Debug, Default)]
pub struct Overrides(BTreeMap<String, String>);

/// Why an overrides file cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OverrideError {
    /// A line is not `NAME: reason`.
    #[error("line {line}: write `NAME: reason`")]
    NoReason {
        /// Counted from 1.
        line: usize,
    },
    /// A case is excused twice.
    #[error("line {line}: `{name}` is excused twice")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// Which case.
        name: String,
    },
}

impl Overrides {
    /// Reads a file: `NAME: reason` per line; empty lines and lines that start with `#` say nothing.
    pub fn parse(text: &str) -> Result<Self, Vec<OverrideError>> {
        let mut excused = BTreeMap::new();
        let mut errors = Vec::new();
        for (index, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, reason)) = line.split_once(": ").filter(|(_, why)| !why.is_empty())
            else {
                errors.push(OverrideError::NoReason { line: index });
                continue;
            };
            if excused.insert(name.to_owned(), reason.to_owned()).is_some() {
                errors.push(OverrideError::Twice { line: index, name: name.to_owned() });
            }
        }
        if errors.is_empty() { Ok(Self(excused)) } else { Err(errors) }
    }

    /// Returns why a case is excused.
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the names of all excused cases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
