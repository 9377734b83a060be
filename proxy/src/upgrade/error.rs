//! Why an upgrade did not happen.

use std::io;
use std::path::PathBuf;

/// Why an upgrade did not happen. The process that was there goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The program does not start.
    #[error("`{}` does not start: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The successor refused, and says why.
    #[error("the successor does not start: {0}")]
    Refused(String),
    /// The successor broke off or fell silent.
    #[error("the successor did not answer: {0}")]
    Link(#[from] io::Error),
    /// A socket cannot be passed on.
    #[error("a socket cannot be passed on: {0}")]
    Socket(#[source] io::Error),
    /// The two programs do not speak the same protocol.
    #[error(
        "the running process speaks upgrade protocol {0}, this program another: stop the one and start the other"
    )]
    Protocol(u32),
    /// `--successor` without a process that hands over.
    #[error("`--successor` is for `portcullis upgrade`: standard input is no handover")]
    NoAncestor,
}
