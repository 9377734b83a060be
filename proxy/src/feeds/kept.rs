//! The last good copy of a fetched list. Its modification time is when the source was last known to say the same.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_config::Timestamp;
use portcullis_config::model::Url;

use super::BYTES_MAX;
use crate::atomic_file;
use crate::hex::hex;

/// The file of one copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// Names the file. The URL is part of the name: what came from another one is not this list.
    pub(crate) fn of(state_dir: &Path, name: &str, url: &Url) -> Self {
        let hash = digest(&SHA256, url.as_str().as_bytes());
        let mut hash = hex(hash.as_ref());
        hash.truncate(12);
        Self { path: state_dir.join("lists").join(format!("{name}-{hash}.list")) }
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the copy; `None` if there is none.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        atomic_file::read(&self.path, BYTES_MAX as u64)
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
