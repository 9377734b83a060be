//! The port through which rule text and data files reach the compiler.

/// A file as its bytes, and the name by which diagnostics show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The resolved name; relative paths inside the file are resolved against it.
    pub name: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

/// Why a file could not be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResolveError {
    /// No such file.
    #[error("`{0}` does not exist")]
    NotFound(String),
    /// The file is there and cannot be read.
    #[error("`{path}` cannot be read: {reason}")]
    Unreadable {
        /// The path as asked for.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The resolver refuses the path (outside its root, too large).
    #[error("`{path}` is refused: {reason}")]
    Refused {
        /// The path as asked for.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Hands bytes to the compiler. `from` is the name of the file that asks.
pub trait Resolve {
    /// Reads one file.
    fn read(&self, path: &str, from: &str) -> Result<Source, ResolveError>;

    /// Lists the files that a pattern of `Include` names, in byte order of their names. A path
    /// without a wildcard that does not exist gives an empty list.
    fn expand(&self, pattern: &str, from: &str) -> Result<Vec<String>, ResolveError>;
}
