//! The record of what operators did: one JSON line per change, appended and flushed to disk before the answer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use portcullis_config::Timestamp;
use serde_json::{Map, Value, json};

use crate::log::rfc3339;

/// The audit file, open for appending.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: File,
    /// Bytes that have to be there.
    length: u64,
}

/// Who made a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A process of this user on the admin socket.
    Uid(u32),
    /// SIGHUP.
    Signal,
    /// The watch on the configuration's files.
    Watch,
    /// The task that renews fetched lists.
    Feeds,
    /// The task that orders certificates.
    Acme,
    /// The response to an incident.
    Incident(String),
    /// The process itself, at its start.
    Start,
    /// The end of a time that was set before.
    Timer,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Signal => f.write_str("signal"),
            Self::Watch => f.write_str("watch"),
            Self::Feeds => f.write_str("feeds"),
            Self::Acme => f.write_str("acme"),
            Self::Incident(id) => write!(f, "incident:{id}"),
            Self::Start => f.write_str("start"),
            Self::Timer => f.write_str("timer"),
        }
    }
}

impl Audit {
    /// Opens the file, making it with mode 0600.
    ///
    /// # Errors
    /// When it does not open for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), written: Mutex::new(Written::open(path)?) })
    }

    /// Says what somebody else has done to the file, which only grows: cut it, moved it away or put another in its place.
    /// It is opened anew after that, so that what follows is recorded, and told once.
    pub(crate) fn tampering(&self) -> Option<&'static str> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let why = written.tampering(&self.path)?;
        match Written::open(&self.path) {
            Ok(opened) => *written = opened,
            Err(error) => tracing::error!(%error, "the audit file does not open"),
        }
        Some(why)
    }

    /// Records one change: `command` as an operator would type it, `reason` in the operator's words, and what came of it.
    ///
    /// # Errors
    /// When the disk refuses; then the caller refuses the change.
    pub fn record(
        &self,
        actor: &Actor,
        command: &str,
        reason: Option<&str>,
        outcome: &Map<String, Value>,
        now: Timestamp,
    ) -> io::Result<()> {
        let actor = actor.to_string();
        tracing::info!(%actor, %command, reason, "operator");
        let entry = json!({
            "time": rfc3339(now), "actor": actor, "command": command, "reason": reason,
            "outcome": outcome,
        });
        let mut line = entry.to_string();
        line.push('\n');
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.file.write_all(line.as_bytes())?;
        written.length += line.len() as u64;
        written.file.sync_data()
    }
}

impl Written {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    fn tampering(&self, path: &Path) -> Option<&'static str> {
        // A file that cannot be asked about says nothing.
        let ours = self.file.metadata().ok()?;
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("the audit file was moved away or removed")
            }
            Err(_) => None,
            Ok(there) if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) => {
                Some("another file stands in the place of the audit file")
            }
            // A process that hands over to its successor writes to it as well: it may be longer.
            Ok(_) => (ours.len() < self.length).then_some("the audit file was cut"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_change_is_one_line_with_actor_and_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let audit = Audit::open(&path).unwrap();
        let now = Timestamp::from_secs(1_767_225_600);
        audit.record(&Actor::Uid(7), "ban add x", Some("a\nb"), &Map::new(), now).unwrap();
        audit.record(&Actor::Signal, "reload", None, &Map::new(), now).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["actor"], "uid:7");
        assert_eq!(lines[0]["reason"], "a\nb");
        assert_eq!(lines[0]["time"], "2026-01-01T00:00:00.000Z");
        assert_eq!(lines[1]["command"], "reload");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn whoever_cuts_moves_or_replaces_the_file_is_told_of_once_and_recording_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let audit = Audit::open(&path).unwrap();
        let now = Timestamp::from_secs(1_767_225_600);
        let record = || audit.record(&Actor::Signal, "reload", None, &Map::new(), now).unwrap();
        record();
        assert_eq!(audit.tampering(), None, "what we write is no tampering");
        std::fs::write(&path, "").unwrap();
        assert_eq!(audit.tampering(), Some("the audit file was cut"));
        assert_eq!(audit.tampering(), None, "told once");
        record();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(audit.tampering(), Some("the audit file was moved away or removed"));
        record();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1, "it goes on");
        std::fs::write(dir.path().join("other"), "{}").unwrap();
        std::fs::rename(dir.path().join("other"), &path).unwrap();
        let why = "another file stands in the place of the audit file";
        assert_eq!(audit.tampering(), Some(why));
        let mut longer = OpenOptions::new().append(true).open(&path).unwrap();
        longer.write_all(b"{}\n").unwrap();
        assert_eq!(audit.tampering(), None, "a predecessor writes to it as well");
    }
}
