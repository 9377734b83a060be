//! Files and built-in texts that policies are made of.

use std::path::PathBuf;

/// The geo database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Geo {
    /// A country database in MaxMind's format.
    pub country: Option<PathBuf>,
    /// Whether a policy that asks for the region refuses to load without the database; otherwise such rules are inactive.
    pub required: bool,
}

/// A list of addresses and networks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListSource {
    /// A text file: one address or network per line, `#` starts a comment.
    pub file: PathBuf,
}

/// A WAF rule set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuleSetSource {
    /// The directory of an OWASP CRS, 3.3 or 4.
    Crs(PathBuf),
    /// A set that is part of the binary, by name.
    Builtin(String),
}

/// A security policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicySource {
    /// A file in Cloud Armor's format.
    File(PathBuf),
    /// A policy that is part of the binary, by name.
    Builtin(String),
}
