//! What an upgrade starts, and who asks for one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::UpgradeError;

/// An upgrade that somebody waits for.
#[derive(Debug)]
pub struct UpgradeRequest {
    /// The program; none means the path from which this process was started.
    pub program: Option<PathBuf>,
    /// Where the successor's process id and generation go, or why there is none.
    pub answer: oneshot::Sender<Result<(u32, u64), UpgradeError>>,
}

/// How this process was started: what a successor is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invocation {
    /// The program's path. Where it was found by name, the path of the file that runs.
    pub program: PathBuf,
    /// The arguments after it.
    pub arguments: Vec<OsString>,
}

impl Invocation {
    /// Reads it from the environment. A symbolic link stays one: a deployment may point it to the new program.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn current() -> std::io::Result<Self> {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from);
        let is_path =
            |named: &PathBuf| named.parent().is_some_and(|parent| parent != Path::new(""));
        let program = match named.filter(is_path) {
            Some(named) => std::path::absolute(named)?,
            None => std::env::current_exe()?,
        };
        let arguments = arguments.filter(|argument| argument != "--successor").collect();
        Ok(Self { program, arguments })
    }
}
