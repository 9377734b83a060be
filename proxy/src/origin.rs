//! Where the configuration comes from.

use std::fmt;
use std::path::PathBuf;

use portcullis_config::{Loaded, Report};

/// Where the configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A file of the operator's.
    File(PathBuf),
    /// The one that is part of the binary, with everything it makes in a directory.
    Embedded {
        /// The directory for its certificate, keys, databases and sockets.
        data_dir: PathBuf,
    },
}

impl Origin {
    /// Reads and resolves the configuration.
    ///
    /// # Errors
    /// Every problem in it.
    pub fn load(&self) -> Result<Loaded, Report> {
        match self {
            Self::File(path) => portcullis_config::load(path),
            Self::Embedded { data_dir } => portcullis_config::embedded_default(data_dir),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Embedded { data_dir } => {
                write!(f, "the embedded default, with its state in {}", data_dir.display())
            }
        }
    }
}
