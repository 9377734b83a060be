//! The last good copy of a key set, for a start without the issuer. Its modification time is when it was fetched.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_config::Timestamp;
use portcullis_config::model::Url;
use portcullis_identity::keys::KEY_SET_BYTES_MAX;

use crate::atomic_file;
use crate::hex::hex;

/// The file of one copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// Names the file. The URL is part of the name: what came from another one is not this provider's.
    pub(super) fn of(state_dir: &Path, name: &str, url: &Url) -> Self {
        let mut hash = hex(digest(&SHA256, url.as_str().as_bytes()).as_ref());
        hash.truncate(12);
        Self { path: state_dir.join("keys").join(format!("{name}-{hash}.json")) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the copy and when it was fetched; `None` if there is none.
    pub(super) fn read(&self) -> io::Result<Option<(Vec<u8>, Timestamp)>> {
        let Some(bytes) = atomic_file::read(&self.path, KEY_SET_BYTES_MAX as u64)? else {
            return Ok(None);
        };
        let modified = fs::metadata(&self.path)?.modified()?;
        let age = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Ok(Some((bytes, Timestamp::from_millis(millis))))
    }

    /// Writes a copy that was fetched at `now`, whole or not at all.
    pub(super) fn write(&self, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            atomic_file::private_directory(directory)?;
        }
        atomic_file::replace(&self.path, bytes, atomic_file::SECRET)?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis());
        File::options().write(true).open(&self.path)?.set_modified(now)
    }
}
