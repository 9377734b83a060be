//! Where the logs go.

use std::path::PathBuf;

/// Where the logs go. Each line is one JSON object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// One line per request.
    pub requests: LogTarget,
    /// One line per security event.
    pub events: LogTarget,
}

/// One destination of lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to and opened anew on SIGUSR1.
    File(PathBuf),
    /// Nowhere.
    Off,
}
