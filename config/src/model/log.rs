//! Where the logs go.

use std::path::PathBuf;

/// Where the logs go. Each line is one JSON object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// One line per request.
    pub requests: LogTarget,
    /// One line per security event.
    pub events: LogTarget,
    /// Parameters, headers and cookies whose values no log gives, in lower case.
    pub redact: Vec<String>,
}

impl Log {
    /// What is left out where the configuration does not say: what credentials are usually called.
    #[must_use]
    pub fn usual_redaction() -> Vec<String> {
        let names = [
            "access_token",
            "api_key",
            "apikey",
            "authorization",
            "client_secret",
            "id_token",
            "license_key",
            "password",
            "refresh_token",
            "secret",
            "session",
            "token",
        ];
        names.map(str::to_owned).to_vec()
    }
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
