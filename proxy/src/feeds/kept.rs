//! The last good copy of a fetched list. Its modification time is when the source was last known to say the same.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_config::Timestamp;
use portcullis_config::model::Url;

use super::BYTES_MAX;
use crate::atomic_file;

/// The file of one copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// Names the file. The URL is part of the name: what came from another one is not this list.
    pub(crate) fn of(state_dir: &Path, name: &str, url: &Url) -> Self {
        let hash = digest(&SHA256, url.as_str().as_bytes());
        let hash = hash.as_ref().iter().take(6).fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all text");
            hex
        });
        Self { path: state_dir.join("lists").join(format!("{name}-{hash}.list")) }
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the copy; `None` if there is none.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    /// Returns when the source was last known to say what the copy says; `None` if there is no copy.
    pub(crate) fn fetched(&self) -> Option<Timestamp> {
        let modified = fs::metadata(&self.path).ok()?.modified().ok()?;
        let age = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(Timestamp::from_millis(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Writes a new copy, whole or not at all.
    pub(crate) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            atomic_file::private_directory(directory)?;
        }
        atomic_file::replace(&self.path, bytes, atomic_file::SECRET)
    }

    /// Notes that the source says at `now` what the copy says.
    pub(crate) fn confirm(&self, now: Timestamp) -> io::Result<()> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis());
        File::options().write(true).open(&self.path)?.set_modified(now)
    }

    /// Puts a copy that is worth nothing any more out of the way; it stays beside for the curious.
    pub(crate) fn set_aside(&self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("stale"))
    }
}
